package listing

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"

	"github.com/cilium/ebpf/btf"
)

// maxElems is how many elements of an array are written.
const maxElems = 16

// Value writes bytes of a type as a C initialiser. What is zero is left out of structs and at the ends of arrays.
func Value(t btf.Type, b []byte) string { return value(t, b, 16) }

func value(t btf.Type, b []byte, depth int) string {
	u := btf.UnderlyingType(t)
	size, err := btf.Sizeof(u)
	if err != nil || size == 0 || size > len(b) || depth == 0 {
		return raw(b)
	}
	b = b[:size]
	switch v := u.(type) {
	case *btf.Int:
		return integer(v, b)
	case *btf.Enum:
		x := little(b)
		for _, e := range v.Values {
			if e.Value&mask(size) == x {
				return e.Name
			}
		}
		return signed(x, size, v.Signed)
	case *btf.Pointer:
		if little(b) == 0 {
			return "NULL"
		}
		return fmt.Sprintf("%#x", little(b))
	case *btf.Array:
		return array(v, b, depth)
	case *btf.Struct:
		return composite(v.Members, b, depth, false)
	case *btf.Union:
		return composite(v.Members, b, depth, true)
	}
	return raw(b)
}

func raw(b []byte) string {
	if zero(b) {
		return "0"
	}
	if len(b) > maxElems {
		return fmt.Sprintf("%x... (%d bytes)", b[:maxElems], len(b))
	}
	return fmt.Sprintf("%x", b)
}

func zero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

func little(b []byte) uint64 {
	var v [8]byte
	copy(v[:], b)
	return binary.LittleEndian.Uint64(v[:])
}

func mask(size int) uint64 {
	if size >= 8 {
		return ^uint64(0)
	}
	return 1<<(8*size) - 1
}

func integer(t *btf.Int, b []byte) string {
	if len(b) > 8 {
		return raw(b)
	}
	x := little(b)
	if t.Encoding == btf.Bool && x < 2 {
		return strconv.FormatBool(x == 1)
	}
	return signed(x, len(b), t.Encoding == btf.Signed)
}

// signed writes an integer: in decimal, but large unsigned ones, which tend to be sets of bits, in hexadecimal.
func signed(x uint64, size int, sign bool) string {
	if sign {
		shift := 64 - 8*size
		return strconv.FormatInt(int64(x<<shift)>>shift, 10)
	}
	if x >= 1<<40 {
		return fmt.Sprintf("%#x", x)
	}
	return strconv.FormatUint(x, 10)
}

func array(t *btf.Array, b []byte, depth int) string {
	elem, err := btf.Sizeof(t.Type)
	if err != nil || elem == 0 || int(t.Nelems)*elem > len(b) {
		return raw(b)
	}
	if zero(b) {
		return "{}"
	}
	if i, ok := btf.UnderlyingType(t.Type).(*btf.Int); ok && elem == 1 && (i.Encoding == btf.Char || i.Name == "char") {
		if s, ok := text8(b); ok {
			return s
		}
	}
	n := int(t.Nelems)
	for n > 0 && zero(b[(n-1)*elem:n*elem]) {
		n--
	}
	var out []string
	for i := range min(n, maxElems) {
		out = append(out, value(t.Type, b[i*elem:(i+1)*elem], depth-1))
	}
	if n > maxElems {
		out = append(out, fmt.Sprintf("... (%d)", t.Nelems))
	}
	return "{" + strings.Join(out, ", ") + "}"
}

// text8 is the string in an array of char, if it looks like one.
func text8(b []byte) (string, bool) {
	s := strings.TrimRight(string(b), "\x00")
	for _, c := range []byte(s) {
		if c < ' ' && c != '\n' && c != '\t' || c > '~' {
			return "", false
		}
	}
	return strconv.Quote(s), true
}

func composite(ms []btf.Member, b []byte, depth int, union bool) string {
	var out []string
	for _, m := range ms {
		if m.BitfieldSize != 0 {
			at := int(m.Offset.Bytes())
			if at >= len(b) {
				continue
			}
			x := little(b[at:min(len(b), at+8)]) >> (m.Offset % 8) & (1<<m.BitfieldSize - 1)
			if x != 0 {
				out = append(out, fmt.Sprintf(".%s = %d", m.Name, x))
			}
			continue
		}
		size, err := btf.Sizeof(m.Type)
		at := int(m.Offset.Bytes())
		if err != nil || at+size > len(b) || zero(b[at:at+size]) {
			continue
		}
		s := value(m.Type, b[at:at+size], depth-1)
		if m.Name != "" {
			s = "." + m.Name + " = " + s
		}
		out = append(out, s)
		if union {
			break // all members show the same bytes
		}
	}
	return "{" + strings.Join(out, ", ") + "}"
}
