package loader

import (
	"fmt"

	"github.com/schedsim/schedsim/vm/elf"
	"github.com/schedsim/schedsim/vm/maps"
	"github.com/schedsim/schedsim/vm/sys"
)

// What user space does with the maps of an object once it is loaded, by their names in the object. Keys and values have the
// sizes of user space (ValueSize); errors are the kernel's reasons.

// mapOf finds a map that was created, and its number in the object.
func (l *Object) mapOf(name string) (int, *sys.Map, error) {
	var names []string
	for i, m := range l.o.Maps {
		if m.Name == name {
			if l.mapFD[i] == 0 {
				return 0, nil, fmt.Errorf("%s: map %q was not created", l.o.Name, name)
			}
			return i, l.p.Map(int(l.mapFD[i])), nil
		}
		names = append(names, m.Name)
	}
	return 0, nil, fmt.Errorf("%s: no map %q%s", l.o.Name, name, elf.DidYouMean(name, names))
}

// ValueSize is the number of bytes of an element's value for user space: in maps with a value per CPU, those of all CPUs,
// each padded to 8 bytes.
func (l *Object) ValueSize(name string) (int, error) {
	_, m, err := l.mapOf(name)
	if err != nil {
		return 0, err
	}
	if m.Maps() == nil {
		return 0, fmt.Errorf("%s: map %q: a struct_ops table", l.o.Name, name)
	}
	return int(maps.UserValueSize(m.Maps(), 0)), nil
}

// elem makes one call about an element; value is what the call reads or writes, nil for none.
func (l *Object) elem(cmd sys.Cmd, name string, key, value []byte, flags uint64) error {
	i, m, err := l.mapOf(name)
	if err != nil {
		return err
	}
	if len(key) != int(l.o.Maps[i].KeySize) {
		return fmt.Errorf("%s: map %q: a key of %d bytes, it has keys of %d", l.o.Name, name, len(key), l.o.Maps[i].KeySize)
	}
	if m.Maps() != nil && value != nil && cmd != sys.MapGetNextKey && len(value) != int(maps.UserValueSize(m.Maps(), flags)) {
		return fmt.Errorf("%s: map %q: a value of %d bytes, user space sees values of %d", l.o.Name, name, len(value), maps.UserValueSize(m.Maps(), flags))
	}
	defer l.u.Reset()
	a := sys.ElemAttr{Map: l.mapFD[i], Flags: flags}
	if len(key) > 0 {
		a.Key = l.u.Add(key)
	}
	if value != nil {
		a.Value = l.u.Add(value)
	}
	if _, err := l.call(cmd, a.Bytes()); err != nil {
		return fmt.Errorf("%s: map %q: %w", l.o.Name, name, mapReason(err))
	}
	return nil
}

// Lookup reads the value of a key.
func (l *Object) Lookup(name string, key []byte) ([]byte, error) {
	n, err := l.ValueSize(name)
	if err != nil {
		return nil, err
	}
	value := make([]byte, n)
	return value, l.elem(sys.MapLookupElem, name, key, value, 0)
}

// Update sets the value of a key (flags: BPF_ANY is 0), or pushes it where there are no keys.
func (l *Object) Update(name string, key, value []byte, flags uint64) error {
	return l.elem(sys.MapUpdateElem, name, key, value, flags)
}

// Delete deletes a key.
func (l *Object) Delete(name string, key []byte) error {
	return l.elem(sys.MapDeleteElem, name, key, nil, 0)
}

// Take reads the value of a key and deletes it, or pops a value where there are no keys.
func (l *Object) Take(name string, key []byte) ([]byte, error) {
	n, err := l.ValueSize(name)
	if err != nil {
		return nil, err
	}
	value := make([]byte, n)
	return value, l.elem(sys.MapLookupAndDeleteElem, name, key, value, 0)
}

// Keys are the keys of a map, in its order.
func (l *Object) Keys(name string) ([][]byte, error) {
	i, m, err := l.mapOf(name)
	if err != nil {
		return nil, err
	}
	if m.Maps() == nil {
		return nil, fmt.Errorf("%s: map %q: a struct_ops table", l.o.Name, name)
	}
	var keys [][]byte
	var last []byte
	for {
		next := make([]byte, l.o.Maps[i].KeySize)
		if e := maps.NextKey(m.Maps(), last, next); e != 0 {
			return keys, nil // ENOENT is the end; others mean that the map has no keys to list
		}
		if len(keys) > int(m.Maps().Info().MaxEntries) {
			return nil, fmt.Errorf("%s: map %q: its keys have no end", l.o.Name, name)
		}
		keys, last = append(keys, next), next
	}
}

// PutInner creates a map like the template of a map of maps and stores it under a key; maxEntries is its size, 0: that of the
// template.
func (l *Object) PutInner(name string, key []byte, maxEntries uint32) error {
	i, _, err := l.mapOf(name)
	if err != nil {
		return err
	}
	m := l.o.Maps[i]
	if m.Inner == nil {
		return fmt.Errorf("%s: map %q: it is no map of maps, or declares no template", l.o.Name, name)
	}
	in := m.Inner
	if maxEntries == 0 {
		maxEntries = in.MaxEntries
	}
	defer l.u.Reset()
	a := sys.MapAttr{Type: uint32(in.Type), KeySize: in.KeySize, ValueSize: in.ValueSize, MaxEntries: maxEntries, Flags: in.Flags, Extra: in.Extra}
	fd, err := l.call(sys.MapCreate, a.Bytes())
	if err != nil {
		return fmt.Errorf("%s: map %q: inner map: %w", l.o.Name, name, mapReason(err))
	}
	defer l.p.Close(int(fd))
	value := []byte{byte(fd), byte(fd >> 8), byte(fd >> 16), byte(fd >> 24)}
	return l.elem(sys.MapUpdateElem, name, key, value, 0)
}

// Store writes to a user address of the arena, as a process does through its mapping: pages come to be as they are touched.
func (l *Object) Store(user uint64, data []byte) error {
	a, err := l.ArenaMap()
	if err != nil {
		return err
	}
	if !a.Store(user, data) {
		return fmt.Errorf("%s: arena: %d bytes at %#x are outside, or there is no room for a page", l.o.Name, len(data), user)
	}
	return nil
}

// ArenaMap is the arena of the object.
func (l *Object) ArenaMap() (*maps.Arena, error) {
	for i, m := range l.o.Maps {
		if m.Type != elf.MapTypeArena || l.mapFD[i] == 0 {
			continue
		}
		if a, ok := l.p.Map(int(l.mapFD[i])).Maps().(*maps.Arena); ok {
			return a, nil
		}
	}
	return nil, fmt.Errorf("%s: no arena", l.o.Name)
}
