package elf

import (
	"cmp"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"github.com/cilium/ebpf/btf"
)

// declaredMaps reads the BTF-defined maps of .maps, following parse_btf_map_def.
func (r *reader) declaredMaps() error {
	if r.maps < 0 || r.file.Sections[r.maps].Size == 0 {
		return nil
	}
	ds, err := r.datasec(".maps")
	if err != nil {
		return err
	}
	if ds == nil {
		return fmt.Errorf("section .maps: no BTF describes its maps")
	}
	syms := r.symbolsOf(r.maps)
	type def struct {
		off uint64
		m   *Map
	}
	var defs []def
	for _, vs := range ds.Vars {
		v, ok := vs.Type.(*btf.Var)
		if !ok {
			return fmt.Errorf("section .maps: BTF lists %s, expected variables", TypeName(vs.Type))
		}
		sym := syms[v.Name]
		if sym == nil {
			return fmt.Errorf("map %s: no symbol", quote(v.Name))
		}
		if v.Linkage == btf.StaticVar {
			return fmt.Errorf("map %s: static maps are not supported, as in libbpf", quote(v.Name))
		}
		if sym.Value+uint64(vs.Size) < sym.Value || sym.Value+uint64(vs.Size) > r.file.Sections[r.maps].Size {
			return fmt.Errorf("map %s: bytes %d+%d of section .maps, which has %d", quote(v.Name), sym.Value, vs.Size, r.file.Sections[r.maps].Size)
		}
		st, ok := btf.UnderlyingType(v.Type).(*btf.Struct)
		if !ok {
			return fmt.Errorf("map %s: declared as %s, expected a struct", quote(v.Name), TypeName(v.Type))
		}
		m := &Map{Name: v.Name, Weak: isWeak(sym)}
		if err := m.parse(st, false); err != nil {
			return fmt.Errorf("map %s: %w", quote(v.Name), err)
		}
		defs = append(defs, def{sym.Value, m})
	}
	slices.SortStableFunc(defs, func(a, b def) int { return cmp.Compare(a.off, b.off) })
	for _, d := range defs {
		if d.m.Type == MapTypeArena {
			if r.o.Arena == nil {
				r.o.Arena = &Arena{Map: -1}
			}
			if r.o.Arena.Map >= 0 {
				return fmt.Errorf("map %s: a second arena, after %s", quote(d.m.Name), quote(r.o.Maps[r.o.Arena.Map].Name))
			}
			r.o.Arena.Map = len(r.o.Maps)
		}
		r.mapAt[uint32(d.off)] = len(r.o.Maps)
		r.o.Maps = append(r.o.Maps, d.m)
	}
	return nil
}

// parse reads the members of a map definition: integers are spelled as pointers to arrays of that many elements, wide ones
// as enums of one value, types as pointers to the type.
func (m *Map) parse(st *btf.Struct, inner bool) error {
	haveType := false
	for i, f := range st.Members {
		var err error
		switch f.Name {
		case "type":
			haveType = true
			err = defInt(f, (*uint32)(&m.Type))
		case "max_entries":
			err = defInt(f, &m.MaxEntries)
		case "map_flags":
			err = defInt(f, &m.Flags)
		case "numa_node":
			err = defInt(f, &m.NUMANode)
		case "map_extra":
			m.Extra, err = defLong(f)
		case "pinning":
			if err = defInt(f, &m.Pinning); err == nil && inner {
				err = fmt.Errorf("an inner map cannot be pinned")
			}
		case "key_size", "value_size":
			var n uint32
			if err = defInt(f, &n); err == nil {
				err = m.setSize(f.Name[:len(f.Name)-5], n)
			}
		case "key", "value":
			p, ok := btf.UnderlyingType(f.Type).(*btf.Pointer)
			if !ok {
				return fmt.Errorf("member %s is %s, expected a pointer", f.Name, TypeName(f.Type))
			}
			var n int
			if n, err = btf.Sizeof(p.Target); err == nil {
				if uint64(n) > math.MaxUint32 {
					return fmt.Errorf("member %s: a type of %d bytes", f.Name, n)
				}
				err = m.setSize(f.Name, uint32(n))
			}
			if f.Name == "key" {
				m.Key = p.Target
			} else {
				m.Value = p.Target
			}
		case "values":
			if i != len(st.Members)-1 {
				return fmt.Errorf("member values must be the last one")
			}
			err = m.parseValues(f, inner)
		default:
			known := []string{"type", "max_entries", "map_flags", "numa_node", "map_extra", "pinning", "key_size", "value_size", "key", "value", "values"}
			return fmt.Errorf("unknown member %s%s", quote(f.Name), DidYouMean(f.Name, known))
		}
		if err != nil {
			return fmt.Errorf("member %s: %w", f.Name, err)
		}
	}
	if !haveType {
		return fmt.Errorf("type is not specified")
	}
	return nil
}

func (m *Map) setSize(what string, n uint32) error {
	p := &m.KeySize
	if what == "value" {
		p = &m.ValueSize
	}
	if *p != 0 && *p != n {
		return fmt.Errorf("%s size %d conflicts with %d", what, n, *p)
	}
	*p = n
	return nil
}

func (m *Map) parseValues(f btf.Member, inner bool) error {
	ofMaps := m.Type == MapTypeArrayOfMaps || m.Type == MapTypeHashOfMaps
	if !ofMaps && m.Type != MapTypeProgArray {
		return fmt.Errorf("only maps of maps and program arrays have values, not type %d", m.Type)
	}
	if inner {
		return fmt.Errorf("inner maps of inner maps are not supported, as in libbpf")
	}
	arr, ok := btf.UnderlyingType(f.Type).(*btf.Array)
	if !ok {
		return fmt.Errorf("%s, expected an array", TypeName(f.Type))
	}
	p, ok := btf.UnderlyingType(arr.Type).(*btf.Pointer)
	if !ok {
		return fmt.Errorf("array of %s, expected pointers", TypeName(arr.Type))
	}
	if err := m.setSize("value", 4); err != nil {
		return err
	}
	if !ofMaps {
		if _, ok := btf.UnderlyingType(p.Target).(*btf.FuncProto); !ok {
			return fmt.Errorf("pointers to %s, expected functions", TypeName(p.Target))
		}
		return nil
	}
	st, ok := btf.UnderlyingType(p.Target).(*btf.Struct)
	if !ok {
		return fmt.Errorf("pointers to %s, expected map definitions", TypeName(p.Target))
	}
	m.Inner = &Map{Name: m.Name + ".inner"}
	if err := m.Inner.parse(st, true); err != nil {
		return fmt.Errorf("inner map: %w", err)
	}
	return nil
}

func defInt(f btf.Member, v *uint32) error {
	p, ok := btf.UnderlyingType(f.Type).(*btf.Pointer)
	if !ok {
		return fmt.Errorf("%s, expected a pointer to an array", TypeName(f.Type))
	}
	a, ok := btf.UnderlyingType(p.Target).(*btf.Array)
	if !ok {
		return fmt.Errorf("pointer to %s, expected an array", TypeName(p.Target))
	}
	*v = a.Nelems
	return nil
}

func defLong(f btf.Member) (uint64, error) {
	t := btf.UnderlyingType(f.Type)
	if p, ok := t.(*btf.Pointer); ok {
		t = btf.UnderlyingType(p.Target)
	}
	if e, ok := t.(*btf.Enum); ok {
		if len(e.Values) != 1 {
			return 0, fmt.Errorf("enum with %d values, expected one", len(e.Values))
		}
		return e.Values[0].Value, nil
	}
	var v uint32
	err := defInt(f, &v)
	return uint64(v), err
}

// mapSlots reads the relocations of .maps: initial entries of maps of maps and of program arrays.
func (r *reader) mapSlots() error {
	if r.maps < 0 {
		return nil
	}
	ds, err := r.datasec(".maps")
	if ds == nil || err != nil {
		return err
	}
	syms := r.symbolsOf(r.maps)
	return r.eachReloc(r.maps, func(off uint64, sym *elf.Symbol) error {
		for _, vs := range ds.Vars {
			v, ok := vs.Type.(*btf.Var)
			if !ok || syms[v.Name] == nil {
				continue
			}
			start := syms[v.Name].Value
			if off < start || off+8 > start+uint64(vs.Size) {
				continue
			}
			n, ok := r.mapAt[uint32(start)]
			st, isStruct := btf.UnderlyingType(v.Type).(*btf.Struct)
			if !ok || !isStruct || len(st.Members) == 0 {
				continue // of a section that is not what its types say
			}
			m := r.o.Maps[n]
			last := st.Members[len(st.Members)-1]
			values := start + uint64(last.Offset/8)
			if last.Name != "values" || off < values || (off-values)%8 != 0 {
				return fmt.Errorf("map %s: relocation at byte %d, which is no slot", quote(m.Name), off-start)
			}
			if m.Type == MapTypeProgArray {
				fn, ok := r.funcAt[place{int(sym.Section), sym.Value}]
				if !ok || int(sym.Section) == r.text {
					return fmt.Errorf("map %s: slot refers to %s, which is no program", quote(m.Name), quote(sym.Name))
				}
				m.Slots = append(m.Slots, Slot{uint32((off - values) / 8), r.o.Funcs[fn].Name})
				return nil
			}
			t, ok := r.mapAt[uint32(sym.Value)]
			if int(sym.Section) != r.maps || !ok {
				return fmt.Errorf("map %s: slot refers to %s, which is no map", quote(m.Name), quote(sym.Name))
			}
			m.Slots = append(m.Slots, Slot{uint32((off - values) / 8), r.o.Maps[t].Name})
			return nil
		}
		return fmt.Errorf("relocation at byte %d, which belongs to no map", off)
	})
}

// eachReloc calls f for the relocations of a section in file order.
func (r *reader) eachReloc(section int, f func(off uint64, sym *elf.Symbol) error) error {
	for i, s := range r.file.Sections {
		if s.Type == elf.SHT_RELA && int(s.Info) == section {
			return fmt.Errorf("section %s: relocations with addends are not BPF's", quote(s.Name))
		}
		if s.Type != elf.SHT_REL || int(s.Info) != section {
			continue
		}
		b, err := r.bytes(i)
		if err != nil {
			return err
		}
		if len(b)%16 != 0 {
			return fmt.Errorf("section %s: %d bytes, expected a multiple of 16", quote(s.Name), len(b))
		}
		for ; len(b) > 0; b = b[16:] {
			off, info := binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:])
			sym, err := r.symbol(uint32(info >> 32))
			if err == nil {
				err = f(off, sym)
			}
			if err != nil {
				return fmt.Errorf("section %s+%#x: %w", quote(r.file.Sections[section].Name), off, err)
			}
		}
	}
	return nil
}
