package elf

import (
	"cmp"
	"debug/elf"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/cilium/ebpf/btf"
)

func isNotFound(err error) bool { return errors.Is(err, btf.ErrNotFound) }

// dataKind says whether libbpf makes a map of a section, and whether programs may write it.
func dataKind(s *elf.Section) (is, readOnly bool) {
	if s.Size == 0 || s.Type != elf.SHT_PROGBITS && s.Type != elf.SHT_NOBITS {
		return false, false
	}
	under := func(p string) bool { return s.Name == p || strings.HasPrefix(s.Name, p+".") }
	switch {
	case under(".rodata"):
		return s.Type == elf.SHT_PROGBITS, true
	case under(".data"):
		return s.Type == elf.SHT_PROGBITS, false
	case under(".bss"):
		return s.Type == elf.SHT_NOBITS, false
	}
	return false, false
}

// dataSections makes a map of each data section, and reads the arena's data.
func (r *reader) dataSections() error {
	for i, s := range r.file.Sections {
		is, ro := dataKind(s)
		if !is && i != r.arena {
			continue
		}
		if s.Size > maxData {
			return fmt.Errorf("section %s: %d bytes, at most %d are supported", quote(s.Name), s.Size, uint64(maxData))
		}
		var data []byte
		if s.Type != elf.SHT_NOBITS {
			var err error
			if data, err = r.variables(i); err != nil {
				return err
			}
		}
		vars, err := r.vars(i)
		if err != nil {
			return err
		}
		if i == r.arena {
			r.o.Arena = &Arena{Section: s.Name, Map: -1, Data: data, Size: uint32(s.Size), Vars: vars}
			continue
		}
		flags := FlagMmapable
		if ro {
			flags |= FlagRdonlyProg
		}
		r.dataMap[i] = len(r.o.Maps)
		r.o.Maps = append(r.o.Maps, &Map{Name: s.Name, Section: s.Name, Type: MapTypeArray, KeySize: 4, ValueSize: uint32(s.Size),
			MaxEntries: 1, Flags: flags, Data: data, Frozen: ro, Vars: vars})
	}
	return nil
}

// vars lists the variables of a data section. Offsets of static variables stand in the BTF, those of the others in the
// symbol table, where libbpf takes them from (btf_fixup_datasec).
func (r *reader) vars(section int) ([]Var, error) {
	s := r.file.Sections[section]
	ds, err := r.datasec(s.Name)
	if ds == nil || err != nil {
		return nil, err
	}
	syms := r.symbolsOf(section)
	vars := make([]Var, 0, len(ds.Vars))
	for _, vs := range ds.Vars {
		v, ok := vs.Type.(*btf.Var)
		if !ok {
			return nil, fmt.Errorf("section %s: BTF lists %s, expected variables", quote(s.Name), TypeName(vs.Type))
		}
		nv := Var{Name: v.Name, Off: vs.Offset, Size: vs.Size, Type: v.Type, Static: v.Linkage == btf.StaticVar}
		if !nv.Static {
			sym := syms[v.Name]
			if sym == nil {
				return nil, fmt.Errorf("section %s: variable %s has no symbol", quote(s.Name), quote(v.Name))
			}
			if sym.Value > maxData {
				return nil, fmt.Errorf("section %s: variable %s at offset %d", quote(s.Name), quote(v.Name), sym.Value)
			}
			nv.Off, nv.Weak = uint32(sym.Value), isWeak(sym)
		}
		if uint64(nv.Off)+uint64(nv.Size) > s.Size {
			return nil, fmt.Errorf("section %s: variable %s: bytes %d+%d of %d", quote(s.Name), quote(v.Name), nv.Off, nv.Size, s.Size)
		}
		vars = append(vars, nv)
	}
	slices.SortStableFunc(vars, func(a, b Var) int { return cmp.Or(cmp.Compare(a.Off, b.Off), strings.Compare(a.Name, b.Name)) })
	return vars, nil
}

// externs follows bpf_object__collect_externs.
func (r *reader) externs() error {
	type decl struct {
		typ  btf.Type
		kind ExternKind
	}
	decls := map[string]decl{}
	for _, sec := range []string{".kconfig", ".ksyms"} {
		ds, err := r.datasec(sec)
		if err != nil {
			return err
		}
		if ds == nil {
			continue
		}
		for _, vs := range ds.Vars {
			switch t := vs.Type.(type) {
			case *btf.Func:
				if sec == ".kconfig" {
					return fmt.Errorf("extern %s: a function in .kconfig, expected a variable", quote(t.Name))
				}
				decls[t.Name] = decl{t.Type, ExternFunc}
			case *btf.Var:
				kind := ExternVar
				if sec == ".kconfig" {
					kind = ExternKconfig
				}
				decls[t.Name] = decl{t.Type, kind}
			default:
				return fmt.Errorf("section %s: BTF lists %s, expected functions and variables", sec, TypeName(vs.Type))
			}
		}
	}
	type found struct {
		Extern
		sym   *elf.Symbol
		align int
	}
	var list []found
	for i := range r.syms {
		s := &r.syms[i]
		bind := elf.ST_BIND(s.Info)
		if s.Section != elf.SHN_UNDEF || bind != elf.STB_GLOBAL && bind != elf.STB_WEAK || elf.ST_TYPE(s.Info) != elf.STT_NOTYPE || s.Name == "" {
			continue
		}
		d, ok := decls[s.Name]
		if !ok {
			return fmt.Errorf("extern %s: not declared as __ksym or __kconfig (no BTF for it)", quote(s.Name))
		}
		f := found{Extern: Extern{Name: s.Name, Kind: d.kind, Weak: isWeak(s), Type: d.typ}, sym: s}
		if d.kind == ExternKconfig {
			size, err := btf.Sizeof(d.typ)
			if err == nil && (size <= 0 || size > 1<<16) {
				err = fmt.Errorf("size %d", size)
			}
			if err != nil {
				return fmt.Errorf("extern %s: %w", quote(s.Name), err)
			}
			f.Size, f.align = uint32(size), alignOf(d.typ)
		}
		list = append(list, f)
	}
	slices.SortStableFunc(list, func(a, b found) int {
		if (a.Kind == ExternKconfig) != (b.Kind == ExternKconfig) {
			if a.Kind == ExternKconfig {
				return -1
			}
			return 1
		}
		return cmp.Or(cmp.Compare(b.align, a.align), cmp.Compare(a.Size, b.Size), strings.Compare(a.Name, b.Name))
	})
	off := uint32(0)
	kconfig := &Map{Name: ".kconfig", Section: ".kconfig", Type: MapTypeArray, KeySize: 4, MaxEntries: 1,
		Flags: FlagMmapable | FlagRdonlyProg, Frozen: true}
	for i := range list {
		e := &list[i]
		if e.Kind == ExternKconfig {
			a := uint32(max(e.align, 1))
			e.Off = (off + a - 1) / a * a
			off = e.Off + e.Size
			kconfig.Vars = append(kconfig.Vars, Var{Name: e.Name, Off: e.Off, Size: e.Size, Type: e.Type, Weak: e.Weak})
		}
		r.externAt[e.sym] = len(r.o.Externs)
		r.o.Externs = append(r.o.Externs, &e.Extern)
	}
	if off > 0 {
		kconfig.ValueSize = off
		r.o.Maps = append(r.o.Maps, kconfig)
	}
	return nil
}

// alignOf follows btf__align_of for the types that a kconfig variable can have.
func alignOf(t btf.Type) int {
	for range 64 {
		switch u := btf.UnderlyingType(t).(type) {
		case *btf.Int:
			return int(min(u.Size, 8))
		case *btf.Enum:
			return int(min(u.Size, 8))
		case *btf.Array:
			t = u.Type
			continue
		}
		break
	}
	return 8
}
