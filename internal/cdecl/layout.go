package cdecl

import "github.com/cilium/ebpf/btf"

// layout computes how a C compiler lays out the definitions that a Printer prints, so that padding and the attribute
// packed can be added where the kernel's layout differs.
//
// BTF has offsets but neither alignments nor attributes. A struct is printed as packed if one of its members lies where
// natural alignment would not put it, or if its size is not a multiple of its alignment; gaps that are larger than
// natural (____cacheline_aligned members) are filled with unnamed bit fields, which do not change the alignment.
type layout struct {
	align map[btf.Type]uint32 // of structs and unions, in bits
}

// alignOf returns the alignment of t in bits as printed.
func (l layout) alignOf(t btf.Type) uint32 {
	switch v := btf.UnderlyingType(t).(type) {
	case *btf.Struct:
		return l.composite(v, v.Members, v.Size)
	case *btf.Union:
		return l.composite(v, v.Members, v.Size)
	case *btf.Array:
		return l.alignOf(v.Type)
	case *btf.Int:
		return v.Size * 8
	case *btf.Enum:
		return v.Size * 8
	case *btf.Float:
		return v.Size * 8
	case *btf.Pointer:
		return 64
	}
	return 8
}

// composite returns the alignment in bits of a struct or union with these members: 8 if it must be packed.
func (l layout) composite(t btf.Type, ms []btf.Member, size uint32) uint32 {
	if a, ok := l.align[t]; ok {
		return a
	}
	a, packed := uint32(8), false
	for _, m := range ms {
		ma := l.alignOf(m.Type)
		a = max(a, ma)
		off := uint32(m.Offset)
		if m.BitfieldSize == 0 {
			packed = packed || off%ma != 0
		} else if s := sizeBits(m.Type); s != 0 {
			packed = packed || off%s+uint32(m.BitfieldSize) > s // crosses a storage unit
		}
	}
	if packed || size*8%a != 0 {
		a = 8
	}
	l.align[t] = a
	return a
}

// packed tells whether a struct or union needs the attribute: its members' alignment is more than its own.
func (l layout) packed(t btf.Type, ms []btf.Member) bool {
	for _, m := range ms {
		if l.alignOf(m.Type) > l.align[t] {
			return true
		}
	}
	return false
}

func sizeBits(t btf.Type) uint32 {
	n, err := btf.Sizeof(t)
	if err != nil {
		return 0
	}
	return uint32(n) * 8
}

// next returns the bit offset at which a compiler would put m when the members before it end at cur.
func (l layout) next(m btf.Member, cur uint32, packed bool) uint32 {
	if packed {
		if m.BitfieldSize == 0 {
			return roundUp(cur, 8)
		}
		return cur
	}
	if m.BitfieldSize == 0 {
		return roundUp(cur, l.alignOf(m.Type))
	}
	if s := sizeBits(m.Type); cur%s+uint32(m.BitfieldSize) > s {
		return roundUp(cur, s)
	}
	return cur
}

func roundUp(n, to uint32) uint32 { return (n + to - 1) / to * to }

// pads returns the unnamed bit fields that fill the bits from cur to off. Each lies within one unit of its type, so that
// the compiler puts it exactly there.
func pads(cur, off uint32) []string {
	units := [...]struct {
		c    string
		bits uint32
	}{{"long", 64}, {"int", 32}, {"short", 16}, {"char", 8}}
	var out []string
	for cur < off {
		for _, u := range units {
			if cur%u.bits == 0 && off-cur >= u.bits {
				out = append(out, u.c+": "+itoa(u.bits))
				cur += u.bits
				break
			}
			if u.bits == 8 {
				n := min(8-cur%8, off-cur)
				out = append(out, "char: "+itoa(n))
				cur += n
			}
		}
	}
	return out
}
