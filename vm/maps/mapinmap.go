package maps

import (
	"encoding/binary"
	"slices"

	"github.com/schedsim/schedsim/vm/abi"
)

// fits tells whether the map inner may be an element of a map with the template want: it follows bpf_map_meta_equal and
// array_map_meta_equal.
func fits(t *Table, want *Spec, inner Map) bool {
	in := inner.Info()
	if in.t != t || in.Type != want.Type || in.KeySize != want.KeySize || in.ValueSize != want.ValueSize ||
		in.Flags != want.Flags&^(FlagRdonly|FlagWronly) || !slices.Equal(in.Fields, want.Fields) {
		return false
	}
	array := want.Type == TypeArray || want.Type == TypePerCPUArray
	return !array || want.Flags&FlagInnerMap != 0 || in.MaxEntries == want.MaxEntries
}

// ArrayOfMaps is a map of type array_of_maps: its elements are maps that all look like a template. In memory an element is
// the address of the inner map's object, 0 while there is none. Programs can look up only; Set is user space's part. An
// element holds a reference to its map.
type ArrayOfMaps struct {
	Head
	// Base is the address of element 0; elements are 8 bytes.
	Base uint64

	inner map[uint32]Map // whatever a program writes to memory, these are the references
}

func newArrayOfMaps(h Head) (*ArrayOfMaps, error) {
	a := &ArrayOfMaps{Head: h, inner: map[uint32]Map{}}
	var err error
	a.Base, _, err = h.t.Mem.Alloc(a.bytes(), 8)
	return a, err
}

func (a *ArrayOfMaps) bytes() uint64 { return 8 * uint64(a.MaxEntries) }

// Lookup follows array_of_map_lookup_elem: it returns the address of the inner map.
func (a *ArrayOfMaps) Lookup(key []byte, _ int32) uint64 {
	i := binary.LittleEndian.Uint32(key)
	if i >= a.MaxEntries {
		return 0
	}
	v, _ := a.t.Mem.Load(a.Base+8*uint64(i), 8)
	return v
}

// Set puts the map inner into element i, which it must fit: EINVAL if it is not like the template. It follows
// bpf_fd_array_map_update_elem.
func (a *ArrayOfMaps) Set(i uint32, inner Map) abi.Errno {
	switch {
	case i >= a.MaxEntries:
		return abi.E2BIG
	case !fits(a.t, a.Inner, inner):
		return abi.EINVAL
	}
	a.t.Hold(inner)
	a.put(i, inner)
	return 0
}

// put stores a map, whose reference it takes over, and drops the map that was there. A nil map empties the element.
func (a *ArrayOfMaps) put(i uint32, m Map) (had bool) {
	old := a.inner[i]
	if m == nil {
		delete(a.inner, i)
		a.t.Mem.Store(a.Base+8*uint64(i), 8, 0)
	} else {
		a.inner[i] = m
		a.t.Mem.Store(a.Base+8*uint64(i), 8, m.Info().Addr)
	}
	if old != nil {
		a.t.Put(old)
	}
	return old != nil
}

// NewInner creates a map after the template and puts it into element i, which has the only reference to it.
func (a *ArrayOfMaps) NewInner(i uint32) (Map, error) {
	if i >= a.MaxEntries {
		return nil, abi.E2BIG
	}
	m, err := a.t.New(*a.Inner)
	if err != nil {
		return nil, err
	}
	a.put(i, m)
	return m, nil
}

// Update is refused: programs cannot store maps.
func (a *ArrayOfMaps) Update([]byte, []byte, uint64, int32) abi.Errno { return abi.EINVAL }

// Delete follows fd_array_map_delete_elem: it empties an element.
func (a *ArrayOfMaps) Delete(key []byte) abi.Errno {
	i := binary.LittleEndian.Uint32(key)
	switch {
	case i >= a.MaxEntries:
		return abi.E2BIG
	case !a.put(i, nil):
		return abi.ENOENT
	}
	return 0
}

// Next follows bpf_array_get_next_key.
func (a *ArrayOfMaps) Next(key, next []byte) abi.Errno { return nextIndex(a.MaxEntries, key, next) }

// Each is refused: bpf_for_each_map_elem is not for maps of maps.
func (a *ArrayOfMaps) Each(int32, func(key, value uint64) bool) (int, abi.Errno) {
	return 0, abi.ENOTSUPP
}

// KeyOf finds nothing: programs have no pointers to elements.
func (a *ArrayOfMaps) KeyOf(uint64) (uint64, bool) { return 0, false }

func (a *ArrayOfMaps) release() {
	for i := range a.MaxEntries {
		if len(a.inner) == 0 {
			break
		}
		a.put(i, nil)
	}
	a.t.Mem.Free(a.Base, a.bytes())
}

// HashOfMaps is a map of type hash_of_maps: the counterpart of ArrayOfMaps with keys of any sort.
type HashOfMaps struct {
	Hash
	inner map[int32]Map // by element
}

func newHashOfMaps(h Head) *HashOfMaps {
	m := &HashOfMaps{makeHash(h, 8), map[int32]Map{}}
	m.drop = func(i int32) {
		old := m.inner[i]
		delete(m.inner, i)
		m.t.Put(old)
	}
	return m
}

// Lookup follows htab_of_map_lookup_elem: it returns the address of the inner map.
func (m *HashOfMaps) Lookup(key []byte, _ int32) uint64 {
	i, _ := m.find(key)
	if i < 0 {
		return 0
	}
	v, _ := m.t.Mem.Load(m.value(i, 0), 8)
	return v
}

// Set puts the map inner at the key: EINVAL if it is not like the template. It follows bpf_fd_htab_map_update_elem.
func (m *HashOfMaps) Set(key []byte, inner Map, flags uint64) abi.Errno {
	if !fits(m.t, m.Inner, inner) || flags > Exist {
		return abi.EINVAL
	}
	i, inserted, e := m.place(key, flags)
	if e != 0 {
		return e
	}
	m.t.Hold(inner)
	if !inserted {
		m.drop(i)
	}
	m.inner[i] = inner
	m.t.Mem.Store(m.value(i, 0), 8, inner.Info().Addr)
	return 0
}

// NewInner creates a map after the template and puts it at the key, which has the only reference to it.
func (m *HashOfMaps) NewInner(key []byte) (Map, error) {
	inner, err := m.t.New(*m.Inner)
	if err != nil {
		return nil, err
	}
	e := m.Set(key, inner, Any)
	m.t.Put(inner)
	if e != 0 {
		return nil, e
	}
	return inner, nil
}

// Update is refused: programs cannot store maps.
func (m *HashOfMaps) Update([]byte, []byte, uint64, int32) abi.Errno { return abi.EINVAL }

// Each is refused: bpf_for_each_map_elem is not for maps of maps.
func (m *HashOfMaps) Each(int32, func(key, value uint64) bool) (int, abi.Errno) {
	return 0, abi.ENOTSUPP
}

// KeyOf finds nothing: programs have no pointers to elements.
func (m *HashOfMaps) KeyOf(uint64) (uint64, bool) { return 0, false }
