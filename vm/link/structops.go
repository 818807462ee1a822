package link

import (
	"fmt"

	"github.com/cilium/ebpf/btf"

	"github.com/schedsim/schedsim/vm/elf"
)

// structOps matches the members of struct_ops tables with the kernel's struct, following bpf_map__init_kern_struct_ops, and
// decides which programs load by themselves, following bpf_object_adjust_struct_ops_autoload: those that a table wants, be
// they optional or not, and not those that only an optional table wants.
func (l *linker) structOps() error {
	for _, p := range l.in.Programs {
		l.autoLoad[p.Name] = p.AutoLoad
	}
	wanted := map[string]bool{} // false: by optional tables only
	places := map[string]string{}
	for _, so := range l.in.StructOps {
		out, err := l.table(so)
		if err != nil {
			err = fmt.Errorf("struct_ops %q: %w", so.Name, err)
			if so.AutoCreate {
				return err
			}
			l.out.Warnings = append(l.out.Warnings, err.Error())
			for _, m := range so.Members {
				if _, ok := wanted[m.Prog]; !ok && m.Prog != "" {
					wanted[m.Prog] = false
				}
			}
			continue
		}
		if err := reuse(places, out); err != nil {
			return fmt.Errorf("struct_ops %q: %w", so.Name, err)
		}
		l.out.StructOps = append(l.out.StructOps, out)
		for _, m := range out.Members {
			if m.Prog != "" {
				wanted[m.Prog] = wanted[m.Prog] || so.AutoCreate
			}
		}
	}
	for _, p := range l.in.Programs {
		if w, ok := wanted[p.Name]; ok && p.Kind == elf.KindStructOps {
			l.autoLoad[p.Name] = w
		}
	}
	return nil
}

// reuse refuses a program that two members name: it is loaded for one. Several tables may have it there. places are the members
// so far by program, of tables that are created.
func reuse(places map[string]string, so *StructOps) error {
	for _, m := range so.Members {
		if m.Prog == "" || !so.AutoCreate {
			continue
		}
		place := "struct " + so.Type + ", member " + m.Name
		if other, ok := places[m.Prog]; ok && other != place {
			return fmt.Errorf("member %q: program %q is for %s already, and can be for one only", m.Name, m.Prog, other)
		}
		places[m.Prog] = place
	}
	return nil
}

// table matches one table.
func (l *linker) table(so *elf.StructOps) (*StructOps, error) {
	name := essential(so.Type.Name)
	types, err := l.kernelTypes(name)
	if err != nil {
		return nil, err
	}
	var kernel *btf.Struct
	for _, t := range types {
		if st, ok := t.(*btf.Struct); ok && kernel == nil {
			kernel = st
		}
	}
	if kernel == nil {
		return nil, &Missing{Kind: "struct", Name: name}
	}
	out := &StructOps{Name: so.Name, Type: name, Link: so.Link, AutoCreate: so.AutoCreate}
	for i := range so.Members {
		m, ok, err := l.member(so, &so.Members[i], kernel)
		if err != nil {
			return nil, fmt.Errorf("member %q: %w", so.Members[i].Name, err)
		}
		if ok {
			out.Members = append(out.Members, m)
		}
	}
	return out, nil
}

func (l *linker) member(so *elf.StructOps, m *elf.Member, kernel *btf.Struct) (Member, bool, error) {
	out := Member{Name: m.Name, Prog: m.Prog, Type: m.Type}
	var km *btf.Member
	var names []string
	for i := range kernel.Members {
		names = append(names, kernel.Members[i].Name)
		if kernel.Members[i].Name == m.Name {
			km = &kernel.Members[i]
		}
	}
	if km == nil {
		missing := &Missing{Kind: "member", Name: kernel.Name + "." + m.Name, hint: elf.DidYouMean(m.Name, names)}
		if m.Prog != "" {
			missing.text = "the kernel's struct has no such member, and it is not NULL"
			return out, false, missing
		}
		for _, b := range m.Bytes {
			if b != 0 {
				missing.text = "the kernel's struct has no such member, and it is not zero"
				return out, false, missing
			}
		}
		return out, false, nil
	}
	lt, kt := btf.UnderlyingType(m.Type), btf.UnderlyingType(km.Type)
	if !sameKind(lt, kt) || km.BitfieldSize != 0 {
		return out, false, fmt.Errorf("declared as %s, but %s in the kernel", typeName(lt), typeName(kt))
	}
	if m.Func {
		kp, ok := kt.(*btf.Pointer)
		if ok {
			_, ok = btf.UnderlyingType(kp.Target).(*btf.FuncProto)
		}
		if !ok {
			return out, false, fmt.Errorf("a function, but %s in the kernel", typeName(kt))
		}
		out.Kind = MemberFunc
		if m.Prog == "" {
			return out, true, nil
		}
		for _, p := range l.in.Programs {
			if p.Name == m.Prog {
				if p.Kind != elf.KindStructOps {
					return out, false, fmt.Errorf("program %q is in section %q, expected struct_ops", p.Name, p.Section)
				}
				return out, true, nil
			}
		}
		return out, false, fmt.Errorf("program %q does not exist", m.Prog)
	}
	n, err := btf.Sizeof(kt)
	if err != nil {
		return out, false, err
	}
	if uint32(n) != m.Size {
		return out, false, fmt.Errorf("%d bytes, but %d in the kernel", m.Size, n)
	}
	out.Kind = MemberBytes
	switch lt.(type) {
	case *btf.Int, *btf.Enum:
		out.Kind = MemberInt
	}
	out.Bytes = append([]byte(nil), m.Bytes...)
	return out, true, nil
}
