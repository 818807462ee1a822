package bpf

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/cilium/ebpf/btf"

	"github.com/schedsim/schedsim/vm/elf"
)

// shadow changes members of a struct_ops table before it is loaded, as user-space halves do through the shadow struct of
// their skeleton (bpf_map__initial_value of a struct_ops map): integers take a number in Go's notation or a list of names of
// flags joined by "|", the name takes text, callbacks take "NULL" or the name of a program of the object.
func shadow(obj *elf.Object, tbl *elf.StructOps, members map[string]string, enum func(name string) (uint64, bool)) error {
	names := make([]string, 0, len(members))
	for name := range members {
		names = append(names, name)
	}
	slices.Sort(names)
	var dropped []string // programs that a member named
	for _, name := range names {
		i := slices.IndexFunc(tbl.Members, func(m elf.Member) bool { return m.Name == name })
		if i < 0 {
			var have []string
			for _, m := range tbl.Members {
				have = append(have, m.Name)
			}
			return fmt.Errorf("%s: struct %s has no member %q%s", obj.Name, tbl.Type.Name, name, elf.DidYouMean(name, have))
		}
		dropped = append(dropped, tbl.Members[i].Prog)
		if err := shadowMember(obj, &tbl.Members[i], members[name], enum); err != nil {
			return fmt.Errorf("%s: %s.%s: %w", obj.Name, tbl.Name, name, err)
		}
	}
	for _, p := range obj.Programs {
		if slices.Contains(dropped, p.Name) && !wanted(obj, p.Name) {
			p.AutoLoad = false
		}
	}
	return nil
}

// wanted tells whether a table names the program.
func wanted(obj *elf.Object, prog string) bool {
	for _, s := range obj.StructOps {
		if slices.ContainsFunc(s.Members, func(m elf.Member) bool { return m.Prog == prog }) {
			return true
		}
	}
	return false
}

func shadowMember(obj *elf.Object, m *elf.Member, value string, enum func(name string) (uint64, bool)) error {
	if m.Func {
		if value == "NULL" {
			m.Prog = ""
			return nil
		}
		if !slices.ContainsFunc(obj.Programs, func(p *elf.Program) bool { return p.Name == value && p.Kind == elf.KindStructOps }) {
			return fmt.Errorf("%q is neither NULL nor a struct_ops program of the object", value)
		}
		m.Prog = value
		return nil
	}
	switch btf.UnderlyingType(m.Type).(type) {
	case *btf.Array:
		if len(value) >= len(m.Bytes) {
			return fmt.Errorf("%q is longer than %d bytes", value, len(m.Bytes)-1)
		}
		clear(m.Bytes)
		copy(m.Bytes, value)
		return nil
	case *btf.Int, *btf.Enum:
	default:
		return fmt.Errorf("type %v cannot be set", m.Type)
	}
	var v uint64
	for _, part := range strings.Split(value, "|") {
		part = strings.TrimSpace(part)
		n, err := strconv.ParseUint(part, 0, 64)
		if err != nil {
			ok := false
			if n, ok = enum(part); !ok {
				return fmt.Errorf("%q is neither a number nor an enumerator of the kernel", part)
			}
		}
		v |= n
	}
	if m.Size < 8 && v>>(8*m.Size) != 0 {
		return fmt.Errorf("%d does not fit into %d bytes", v, m.Size)
	}
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], v)
	copy(m.Bytes, b[:])
	return nil
}
