package helpers

import (
	"encoding/binary"
	"math/bits"

	"github.com/schedsim/schedsim/vm/abi"
)

func (e *Env) stringRows() []row {
	return []row{{"strncmp", e.strncmp}, {"strtol", e.strtol}, {"strtoul", e.strtoul}}
}

// strncmp follows bpf_strncmp: R1 of at most R2 bytes against the string R3. The result is -1, 0 or 1.
func (e *Env) strncmp(c *abi.Call, a *abi.Args) uint64 {
	s1 := e.in(c, "strncmp", a[0], uint64(uint32(a[1])))
	if s1 == nil {
		return 0
	}
	for i, x := range s1 {
		b := e.in(c, "strncmp", a[2]+uint64(i), 1)
		switch {
		case b == nil:
			return 0
		case x < b[0]:
			return ^uint64(0)
		case x > b[0]:
			return 1
		case x == 0:
			return 0
		}
	}
	return 0
}

// strtoull follows __bpf_strtoull: it returns the value, whether it is negative and the bytes consumed.
func strtoull(s []byte, flags uint64) (v uint64, neg bool, n int, err abi.Errno) {
	base := flags & 31 // BPF_STRTOX_BASE_MASK
	switch {
	case len(s) == 0, base != 0 && base != 8 && base != 10 && base != 16, flags&^31 != 0:
		return 0, false, 0, abi.EINVAL
	}
	for n < len(s) && isSpace(s[n]) {
		n++
	}
	if n < len(s) && s[n] == '-' {
		neg = true
		n++
	}
	if n == len(s) {
		return 0, neg, 0, abi.EINVAL
	}
	s = s[n:min(len(s), n+63)] // the kernel's buffer
	// _parse_integer_fixup_radix
	at := func(i int) byte {
		if i < len(s) {
			return s[i]
		}
		return 0
	}
	hex := at(0) == '0' && at(1)|0x20 == 'x' && digit(at(2)) < 16
	if base == 0 {
		switch {
		case hex:
			base = 16
		case at(0) == '0':
			base = 8
		default:
			base = 10
		}
	}
	i := 0
	if base == 16 && at(0) == '0' && at(1)|0x20 == 'x' {
		i = 2
	}
	first := i
	overflow := false
	for ; i < len(s) && digit(s[i]) < base; i++ {
		hi, lo := bits.Mul64(v, base)
		sum, carry := bits.Add64(lo, digit(s[i]), 0)
		overflow = overflow || hi != 0 || carry != 0
		v = sum
	}
	switch {
	case overflow:
		return 0, neg, 0, abi.ERANGE
	case i == first:
		return 0, neg, 0, abi.EINVAL
	}
	return v, neg, n + i, 0
}

// digit is the value of a hexadecimal digit, a large number for anything else.
func digit(b byte) uint64 {
	switch {
	case b >= '0' && b <= '9':
		return uint64(b - '0')
	case b|0x20 >= 'a' && b|0x20 <= 'f':
		return uint64(b|0x20-'a') + 10
	}
	return 99
}

// strtoArgs resolves the text R1 of R2 bytes and the result R4, which is cleared.
func (e *Env) strtoArgs(c *abi.Call, a *abi.Args, name string) (text, res []byte) {
	if text = e.in(c, name, a[0], a[1]); text == nil {
		return nil, nil
	}
	if res = e.out(c, name, a[3], 8); res != nil {
		clear(res)
	}
	return text, res
}

// strtol follows bpf_strtol.
func (e *Env) strtol(c *abi.Call, a *abi.Args) uint64 {
	text, res := e.strtoArgs(c, a, "strtol")
	if res == nil {
		return 0
	}
	v, neg, n, err := strtoull(text, a[2])
	if err != 0 {
		return errno(err)
	}
	if neg {
		v = -v
		if int64(v) > 0 {
			return errno(abi.ERANGE)
		}
	} else if int64(v) < 0 {
		return errno(abi.ERANGE)
	}
	binary.LittleEndian.PutUint64(res, v)
	return uint64(n)
}

// strtoul follows bpf_strtoul: a minus sign is refused.
func (e *Env) strtoul(c *abi.Call, a *abi.Args) uint64 {
	text, res := e.strtoArgs(c, a, "strtoul")
	if res == nil {
		return 0
	}
	v, neg, n, err := strtoull(text, a[2])
	switch {
	case err != 0:
		return errno(err)
	case neg:
		return errno(abi.EINVAL)
	}
	binary.LittleEndian.PutUint64(res, v)
	return uint64(n)
}
