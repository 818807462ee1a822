package loader

import (
	"encoding/binary"
	"fmt"

	"github.com/schedsim/schedsim/vm/elf"
	"github.com/schedsim/schedsim/vm/link"
	"github.com/schedsim/schedsim/vm/maps"
)

// Global returns the bytes of a global variable, which alias the programs' memory as a mapping of the section's map would.
// The error names a similar one if there is none with that name.
func (l *Object) Global(name string) ([]byte, error) {
	for _, g := range l.globals {
		off, size, ok := g.find(name)
		if !ok {
			continue
		}
		if !g.arena {
			return l.inSection(g.m, name, off, size)
		}
		if g.m < 0 || l.mapFD[g.m] == 0 {
			continue
		}
		if arena, ok := l.p.Map(int(l.mapFD[g.m])).Maps().(*maps.Arena); ok {
			at := arena.Mem.User() + arenaData(l.o.Maps[g.m], l.o.Arena) + uint64(off)
			return arena.Mem.Bytes(at, uint64(size)), nil
		}
	}
	var names []string
	for _, g := range l.globals {
		g.each(func(n string, _, _ uint32) bool {
			names = append(names, n)
			return true
		})
	}
	return nil, fmt.Errorf("%s: no global variable %q%s", l.o.Name, name, elf.DidYouMean(name, names))
}

// inSection is a part of the data section that is map number m.
func (l *Object) inSection(m int, name string, off, size uint32) ([]byte, error) {
	if km := l.p.Map(int(l.mapFD[m])); l.mapFD[m] != 0 && km != nil {
		if a, ok := km.Maps().(*maps.Array); ok {
			return a.Data()[off : off+size : off+size], nil
		}
	}
	return nil, fmt.Errorf("%s: global variable %q: map %q was not created", l.o.Name, name, l.o.Maps[m].Name)
}

// globals are the variables of a data section, which is map number m, or of the arena.
type globals struct {
	m     int
	arena bool
	// vars are they one after the other: place, size, length of the name, name.
	vars string
}

func globalsOf(o *link.Object) (out []globals) {
	for i, m := range o.Maps {
		if m.Section != "" && len(m.Vars) > 0 {
			out = append(out, globals{i, false, packVars(m.Vars)})
		}
	}
	if a := o.Arena; a != nil && len(a.Vars) > 0 {
		out = append(out, globals{a.Map, true, packVars(a.Vars)})
	}
	return out
}

func packVars(vars []elf.Var) string {
	var b []byte
	for _, v := range vars {
		b = binary.AppendUvarint(b, uint64(v.Off))
		b = binary.AppendUvarint(b, uint64(v.Size))
		b = append(binary.AppendUvarint(b, uint64(len(v.Name))), v.Name...)
	}
	return string(b)
}

// each calls f for each variable until it returns false.
func (g globals) each(f func(name string, off, size uint32) bool) {
	rest := g.vars
	number := func() uint32 {
		v, shift, i := uint32(0), 0, 0
		for ; rest[i] >= 0x80; i++ {
			v |= uint32(rest[i]&0x7f) << shift
			shift += 7
		}
		v |= uint32(rest[i]) << shift
		rest = rest[i+1:]
		return v
	}
	for rest != "" {
		off, size, n := number(), number(), number()
		name := rest[:n]
		rest = rest[n:]
		if !f(name, off, size) {
			return
		}
	}
}

func (g globals) find(name string) (off, size uint32, ok bool) {
	g.each(func(n string, o, s uint32) bool {
		if n == name {
			off, size, ok = o, s, true
		}
		return !ok
	})
	return off, size, ok
}

// Section returns the bytes of a data section, which alias the programs' memory as a mapping of its map would.
func (l *Object) Section(name string) ([]byte, error) {
	_, m, err := l.mapOf(name)
	if err != nil {
		return nil, err
	}
	if a, ok := m.Maps().(*maps.Array); ok {
		return a.Data(), nil
	}
	return nil, fmt.Errorf("%s: map %q: no data section", l.o.Name, name)
}
