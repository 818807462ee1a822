package loader

import (
	"fmt"

	"github.com/schedsim/schedsim/vm/elf"
	"github.com/schedsim/schedsim/vm/maps"
)

// Global returns the bytes of a global variable, which alias the programs' memory as a mapping of the section's map would.
// The error names a similar one if there is none with that name.
func (l *Object) Global(name string) ([]byte, error) {
	var names []string
	for i, m := range l.o.Maps {
		for _, v := range m.Vars {
			names = append(names, v.Name)
			if m.Section == "" || v.Name != name {
				continue
			}
			if km := l.p.Map(int(l.mapFD[i])); l.mapFD[i] != 0 && km != nil {
				if a, ok := km.Maps().(*maps.Array); ok {
					return a.Data()[v.Off : v.Off+v.Size : v.Off+v.Size], nil
				}
			}
			return nil, fmt.Errorf("%s: global variable %q: map %q was not created", l.o.Name, name, m.Name)
		}
	}
	if a := l.o.Arena; a != nil {
		for _, v := range a.Vars {
			names = append(names, v.Name)
			if v.Name != name || a.Map < 0 || l.mapFD[a.Map] == 0 {
				continue
			}
			if arena, ok := l.p.Map(int(l.mapFD[a.Map])).Maps().(*maps.Arena); ok {
				at := arena.Mem.User() + arenaData(l.o.Maps[a.Map], a) + uint64(v.Off)
				return arena.Mem.Bytes(at, uint64(v.Size)), nil
			}
		}
	}
	return nil, fmt.Errorf("%s: no global variable %q%s", l.o.Name, name, elf.DidYouMean(name, names))
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
