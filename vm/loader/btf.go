package loader

import (
	"encoding/binary"
	"fmt"
	"path"
	"strconv"
	"strings"

	"github.com/cilium/ebpf/btf"

	"github.com/schedsim/schedsim/vm/ir"
	"github.com/schedsim/schedsim/vm/link"
)

// debug is the BTF of an object, and the ids of the types in it.
type debug struct {
	raw     []byte
	ids     map[any]uint32 // by *link.Map (its value) and *btf.Func
	keys    map[*link.Map]uint32
	strings map[string]uint32
}

// makeBTF lays out the types of the object under the ids that its programs know them by, and behind them what the object
// has no type for: its data sections as they were linked, functions that it does not describe. It follows
// bpf_object__fixup_btf in purpose.
func makeBTF(o *link.Object, progs []*link.Program) (*debug, error) {
	d := &debug{ids: map[any]uint32{}, keys: map[*link.Map]uint32{}, strings: map[string]uint32{}}
	static := staticFuncs(progs)
	var b btf.Builder
	if o.BTF != nil {
		for t, err := range o.BTF.All() {
			if err != nil {
				return nil, fmt.Errorf("types: %w", err)
			}
			if _, ok := t.(*btf.Datasec); ok {
				// Addresses of variables are known by now: the section has a type of its own below.
				t = &btf.Int{Size: 1, Name: "section"}
			} else if f, ok := t.(*btf.Func); ok && static[f] != nil {
				t = static[f]
			}
			if _, err := b.Add(t); err != nil {
				return nil, fmt.Errorf("types: %w", err)
			}
		}
	}
	for _, m := range o.Maps {
		if err := d.addMap(&b, m); err != nil {
			return nil, fmt.Errorf("map %q: %w", m.Name, err)
		}
	}
	noProto := &btf.FuncProto{Return: &btf.Void{}}
	for _, p := range progs {
		for i := range p.Code.Subs {
			f := subType(p, i)
			if f == nil {
				f = &btf.Func{Name: p.Code.Subs[i].Name, Type: noProto}
				id, err := b.Add(f)
				if err != nil {
					return nil, err
				}
				d.ids[subKey{p, i}] = uint32(id)
				continue
			}
			if static[f] != nil {
				f = static[f]
			}
			id, err := b.Add(f)
			if err != nil {
				return nil, fmt.Errorf("function %q: %w", f.Name, err)
			}
			d.ids[subKey{p, i}] = uint32(id)
		}
	}
	var err error
	d.raw, err = b.Marshal(nil, &btf.MarshalOptions{Order: binary.LittleEndian, PreventNoTypeFound: true})
	return d, err
}

// staticFuncs are the functions that are global in BTF and not for the linker, because nobody outside sees them, as static
// ones: the kernel verifies global functions on their own. It follows mark_btf_static.
func staticFuncs(progs []*link.Program) map[*btf.Func]*btf.Func {
	out := map[*btf.Func]*btf.Func{}
	for _, p := range progs {
		for i := 1; i < len(p.Subs); i++ {
			if f := p.Subs[i].Type; f != nil && f.Linkage == btf.GlobalFunc && !p.Subs[i].Global && out[f] == nil {
				s := *f
				s.Linkage = btf.StaticFunc
				out[f] = &s
			}
		}
	}
	return out
}

type subKey struct {
	p *link.Program
	n int
}

func subType(p *link.Program, i int) *btf.Func {
	if i < len(p.Subs) {
		return p.Subs[i].Type
	}
	return nil
}

func (d *debug) addMap(b *btf.Builder, m *link.Map) error {
	if m.Section != "" {
		if len(m.Vars) == 0 {
			return nil
		}
		ds := &btf.Datasec{Name: m.Section, Size: m.ValueSize}
		for _, v := range m.Vars {
			if v.Type == nil {
				return nil
			}
			ds.Vars = append(ds.Vars, btf.VarSecinfo{Type: &btf.Var{Name: v.Name, Type: v.Type, Linkage: btf.GlobalVar}, Offset: v.Off, Size: v.Size})
		}
		id, err := b.Add(ds)
		d.ids[m] = uint32(id)
		return err
	}
	for at := m; at != nil; at = at.Inner {
		if at.Value == nil {
			continue
		}
		id, err := b.Add(at.Value)
		if err != nil {
			return err
		}
		d.ids[at] = uint32(id)
		if at.Key != nil {
			if id, err = b.Add(at.Key); err != nil {
				return err
			}
			d.keys[at] = uint32(id)
		}
	}
	return nil
}

// str is the place of s in the string section, to which it is added.
func (d *debug) str(s string) uint32 {
	if off, ok := d.strings[s]; ok {
		return off
	}
	// Strings are the last section: growing it moves nothing.
	off := binary.LittleEndian.Uint32(d.raw[20:])
	d.raw = append(append(d.raw, s...), 0)
	binary.LittleEndian.PutUint32(d.raw[20:], off+uint32(len(s))+1)
	d.strings[s] = off
	return off
}

// funcInfo are the types of the program's functions.
func (d *debug) funcInfo(p *link.Program, e *encoder) []byte {
	var out []byte
	for i, s := range p.Code.Subs {
		out = binary.LittleEndian.AppendUint32(out, uint32(e.slot[s.Start]))
		out = binary.LittleEndian.AppendUint32(out, d.ids[subKey{p, i}])
	}
	return out
}

// lineInfo are the source lines of the program, nil if some function has none.
func (d *debug) lineInfo(p *link.Program, e *encoder) []byte {
	if p.Code.Line == nil {
		return nil
	}
	var out []byte
	sub := 0 // the next subprogram
	var last ir.Source
	for i := range p.Code.Insns {
		src := sourceOf(p.Code, int32(i))
		starts := sub < len(p.Code.Subs) && p.Code.Subs[sub].Start == int32(i)
		if starts {
			sub++
		} else if src.Line == last.Line && src.File == last.File {
			continue
		}
		last = src
		rec := [4]uint32{uint32(e.slot[i]), 0, 0, src.Line << 10}
		if src.File != "" {
			rec[1] = d.str(path.Base(src.File))
		}
		for _, w := range rec {
			out = binary.LittleEndian.AppendUint32(out, w)
		}
	}
	return out
}

// sourceOf is the file and line of an instruction; of one without Source the name of the file is what Line says.
func sourceOf(p *ir.Program, insn int32) ir.Source {
	if p.Source != nil {
		return p.Source(insn)
	}
	file, num := p.Line(insn), ""
	if c := strings.LastIndexByte(file, ':'); c >= 0 {
		file, num = file[:c], file[c+1:]
	}
	n, _ := strconv.ParseUint(num, 10, 22)
	return ir.Source{File: file, Line: uint32(n)}
}
