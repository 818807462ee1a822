package kernels

import (
	"strconv"
	"strings"

	"github.com/cilium/ebpf/btf"
)

// A Kernel is a source of layouts (kobj.Source) by the two methods below.

// SizeOf returns the size in bytes of a struct, union or typedef by name.
func (k *Kernel) SizeOf(typ string) (uint32, bool) {
	t := k.byName(typ)
	if t == nil {
		return 0, false
	}
	n, err := btf.Sizeof(t)
	if err != nil {
		return 0, false
	}
	return uint32(n), true
}

// Field returns the byte offset and the size of a field by its path from a type: "task_struct.scx.slice". Members of
// anonymous structs and unions are members of what contains them; an element of an array is "comm[3]". Bit fields and
// paths through pointers are not ok.
func (k *Kernel) Field(path string) (off, size uint32, ok bool) {
	typ, rest, found := strings.Cut(path, ".")
	t := k.byName(typ)
	if t == nil || !found {
		return 0, 0, false
	}
	for part := range strings.SplitSeq(rest, ".") {
		name, index, _ := strings.Cut(part, "[")
		o, m, found := member(t, name)
		if !found {
			return 0, 0, false
		}
		off, t = off+o, m
		for index != "" {
			num, more, closed := strings.Cut(index, "]")
			n, err := strconv.ParseUint(num, 0, 32)
			arr, isArray := btf.As[*btf.Array](t)
			if !closed || err != nil || !isArray || n >= uint64(arr.Nelems) {
				return 0, 0, false
			}
			elem, err := btf.Sizeof(arr.Type)
			if err != nil {
				return 0, 0, false
			}
			off, t = off+uint32(n)*uint32(elem), arr.Type
			index = strings.TrimPrefix(more, "[")
		}
	}
	n, err := btf.Sizeof(t)
	if err != nil {
		return 0, 0, false
	}
	return off, uint32(n), true
}

// byName returns the struct, union or typedef with that name, nil if there is none.
func (k *Kernel) byName(name string) btf.Type {
	ts, err := k.BTF().AnyTypesByName(name)
	if err != nil {
		return nil
	}
	for _, t := range ts {
		switch t.(type) {
		case *btf.Struct, *btf.Union, *btf.Typedef:
			return t
		}
	}
	return nil
}

// member finds a member of t by name, in its anonymous members too.
func member(t btf.Type, name string) (off uint32, typ btf.Type, ok bool) {
	var ms []btf.Member
	switch v := btf.UnderlyingType(t).(type) {
	case *btf.Struct:
		ms = v.Members
	case *btf.Union:
		ms = v.Members
	}
	for _, m := range ms {
		switch {
		case m.Name == name:
			if m.BitfieldSize != 0 || m.Offset%8 != 0 {
				return 0, nil, false
			}
			return m.Offset.Bytes(), m.Type, true
		case m.Name == "":
			if o, typ, ok := member(m.Type, name); ok {
				return m.Offset.Bytes() + o, typ, true
			}
		}
	}
	return 0, nil, false
}

// Members returns the names of a struct's members in their order, nil if there is no such struct.
func (k *Kernel) Members(typ string) []string {
	s, ok := k.byName(typ).(*btf.Struct)
	if !ok {
		return nil
	}
	var out []string
	for _, m := range s.Members {
		out = append(out, m.Name)
	}
	return out
}
