package helpers

import (
	"encoding/binary"
	"fmt"
	"strconv"

	"github.com/schedsim/schedsim/vm/abi"
)

const (
	maxVarargs = 12   // MAX_BPRINTF_VARARGS
	maxBinArgs = 512  // MAX_BPRINTF_BIN_ARGS: room for the arguments' copies
	maxBuf     = 1024 // MAX_BPRINTF_BUF
)

// Format formats as bpf_bprintf_prepare and bstr_printf do, for helpers and kfuncs that take a format, an array of u64
// arguments and its size in bytes (bpf_trace_vprintk, scx_bpf_error_bstr and others). The result is as long as the format
// makes it; Clip cuts it to the kernel's buffer. EINVAL: the format or the arguments are not acceptable; EFAULT: they are
// not in memory; ENOSPC: the arguments do not fit the kernel's buffer.
//
// Pointers are printed as they are: simulated addresses are the same on every run, so %p has nothing to hide, and %ps,
// %pS and %pB have no symbols to show.
func Format(m abi.Memory, fmtAddr, dataAddr uint64, dataLen uint32) (string, abi.Errno) {
	if dataLen%8 != 0 || dataLen > maxVarargs*8 || dataLen != 0 && dataAddr == 0 {
		return "", abi.EINVAL
	}
	format, ok := CString(m, fmtAddr, 1<<20)
	if !ok {
		return "", abi.EFAULT
	}
	args, ok := loadArgs(m, dataAddr, dataLen)
	if !ok {
		return "", abi.EFAULT
	}
	out, err := Sprintf(m, format, args)
	return string(out), err
}

// Clip cuts s to what the kernel's buffer holds.
func Clip(s string) string { return s[:min(len(s), maxBuf-1)] }

func loadArgs(m abi.Memory, addr uint64, n uint32) ([]uint64, bool) {
	if n == 0 {
		return nil, true
	}
	b := m.Bytes(addr, uint64(n))
	if b == nil {
		return nil, false
	}
	args := make([]uint64, n/8)
	for i := range args {
		args[i] = binary.LittleEndian.Uint64(b[8*i:])
	}
	return args, true
}

// spec is one conversion.
type spec struct {
	left, plus, space, zero bool
	width                   int
}

// Sprintf formats with arguments in registers; see Format.
func Sprintf(m abi.Memory, format []byte, args []uint64) ([]byte, abi.Errno) {
	var out []byte
	room := maxBinArgs
	used := 0
	at := func(i int) byte {
		if i < len(format) {
			return format[i]
		}
		return 0
	}
	for i := 0; i < len(format); i++ {
		ch := format[i]
		if ch < 0x80 && !isPrint(ch) && !isSpace(ch) {
			return nil, abi.EINVAL
		}
		if ch != '%' {
			out = append(out, ch)
			continue
		}
		if at(i+1) == '%' {
			out = append(out, '%')
			i++
			continue
		}
		if used >= len(args) {
			return nil, abi.EINVAL
		}
		arg := args[used]
		used++
		i++
		if at(i) >= 0x80 {
			return nil, abi.EINVAL
		}
		var s spec
		for ; at(i) == '0' || at(i) == '+' || at(i) == '-' || at(i) == ' '; i++ {
			s.zero = s.zero || at(i) == '0'
			s.plus = s.plus || at(i) == '+'
			s.left = s.left || at(i) == '-'
			s.space = s.space || at(i) == ' '
		}
		for ; at(i) >= '0' && at(i) <= '9'; i++ {
			s.width = min(s.width*10+int(at(i)-'0'), maxBuf)
		}
		var text []byte
		size := 8 // of the argument's copy
		switch at(i) {
		case 'p':
			var err abi.Errno
			var n int
			if text, n, size, err = pointer(m, format[i+1:], arg, room, &s); err != 0 {
				return nil, err
			}
			i += n
		case 's':
			if c := at(i + 1); c != 0 && !isSpace(c) && !isPunct(c) {
				return nil, abi.EINVAL
			}
			if room == 0 {
				return nil, abi.ENOSPC
			}
			text = copyString(m, arg, room)
			size = min(len(text)+1, room)
			s.zero = false
		case 'c':
			text, size, s.zero = []byte{byte(arg)}, 1, false
		default:
			bits := 32
			for n := 0; n < 2 && at(i) == 'l'; n++ {
				bits = 64
				i++
			}
			room &^= 3 // copies are aligned
			size = bits / 8
			switch at(i) {
			case 'd', 'i':
				v := int64(arg)
				if bits == 32 {
					v = int64(int32(arg))
				}
				text = signed(v, &s)
			case 'u', 'x', 'X':
				if bits == 32 {
					arg = uint64(uint32(arg))
				}
				text = unsigned(arg, at(i))
			default:
				return nil, abi.EINVAL
			}
		}
		if room < size {
			return nil, abi.ENOSPC
		}
		room -= size
		out = s.pad(out, text)
	}
	return out, 0
}

// pointer formats %p and what may follow it; rest is the format after the p. It returns how many bytes of rest it took.
func pointer(m abi.Memory, rest []byte, arg uint64, room int, s *spec) (text []byte, n, size int, err abi.Errno) {
	at := func(i int) byte {
		if i < len(rest) {
			return rest[i]
		}
		return 0
	}
	hex := func() []byte {
		if s.width == 0 {
			s.width, s.zero = 16, true
		}
		return unsigned(arg, 'x')
	}
	switch c := at(0); {
	case c == 0, isSpace(c), isPunct(c):
		return hex(), 0, 8, 0
	case (c == 'k' || c == 'u') && at(1) == 's':
		if e := at(2); e != 0 && !isSpace(e) && !isPunct(e) {
			return nil, 0, 0, abi.EINVAL
		}
		if room == 0 {
			return nil, 0, 0, abi.ENOSPC
		}
		s.zero = false
		if c == 'k' {
			text = copyString(m, arg, room)
		}
		return text, 2, min(len(text)+1, room), 0
	case c == 'K', c == 'x':
		return hex(), 1, 8, 0
	case c == 's', c == 'S', c == 'B':
		return fmt.Appendf(nil, "0x%x", arg), 1, 8, 0
	case (c == 'i' || c == 'I') && (at(1) == '4' || at(1) == '6'):
		n := map[byte]uint64{'4': 4, '6': 16}[at(1)]
		if room < int(n) {
			return nil, 0, 0, abi.ENOSPC
		}
		ip := m.Bytes(arg, n)
		if ip == nil {
			ip = make([]byte, n)
		}
		text = address(ip, c)
		return text, 2, min(len(text)+1, room), 0
	}
	return nil, 0, 0, abi.EINVAL
}

// address formats %pI4, %pi4 (with leading zeros), %pI6 and %pi6 (without colons).
func address(ip []byte, c byte) []byte {
	var out []byte
	for i, b := range ip {
		if len(ip) == 4 {
			if i > 0 {
				out = append(out, '.')
			}
			out = fmt.Appendf(out, map[byte]string{'I': "%d", 'i': "%03d"}[c], b)
			continue
		}
		if i > 0 && i%2 == 0 && c == 'I' {
			out = append(out, ':')
		}
		out = fmt.Appendf(out, "%02x", b)
	}
	return out
}

// copyString follows bpf_trace_copy_string: a string that is not there is empty, one that does not fit is cut.
func copyString(m abi.Memory, addr uint64, room int) []byte {
	s, ok := CString(m, addr, uint64(room))
	if !ok {
		return nil
	}
	return s[:min(len(s), room-1)]
}

func signed(v int64, s *spec) []byte {
	text := strconv.AppendInt(nil, v, 10)
	switch {
	case v < 0:
	case s.plus:
		text = append([]byte{'+'}, text...)
	case s.space:
		text = append([]byte{' '}, text...)
	}
	return text
}

func unsigned(v uint64, conv byte) []byte {
	switch conv {
	case 'u':
		return strconv.AppendUint(nil, v, 10)
	case 'X':
		return fmt.Appendf(nil, "%X", v)
	}
	return strconv.AppendUint(nil, v, 16)
}

// pad appends text to out, filled up to the width: with zeros behind a sign, or with spaces.
func (s *spec) pad(out, text []byte) []byte {
	fill := s.width - len(text)
	if fill <= 0 {
		return append(out, text...)
	}
	b := byte(' ')
	switch {
	case s.left:
		out = append(out, text...)
		text = nil
	case s.zero:
		b = '0'
		if text[0] == '-' || text[0] == '+' || text[0] == ' ' {
			out = append(out, text[0])
			text = text[1:]
		}
	}
	for range fill {
		out = append(out, b)
	}
	return append(out, text...)
}

// The kernel's character classes are those of Latin-1 (lib/ctype.c).

func isPrint(c byte) bool { return c >= 0x20 && c < 0x7f || c >= 0xa0 }

func isSpace(c byte) bool { return c >= '\t' && c <= '\r' || c == ' ' || c == 0xa0 }

func isPunct(c byte) bool {
	switch {
	case c >= 0x80:
		return c > 0xa0 && c <= 0xbf || c == 0xd7 || c == 0xf7
	case c >= '0' && c <= '9', c|0x20 >= 'a' && c|0x20 <= 'z':
		return false
	}
	return c > 0x20 && c < 0x7f
}
