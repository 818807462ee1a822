package maps

import (
	"encoding/binary"
	"slices"

	"github.com/schedsim/schedsim/vm/abi"
)

// ArrayOfMaps is a map of type array_of_maps: its elements are maps that all look like a template. In memory an element is
// the address of the inner map's object, 0 while there is none. Programs can look up only; Set is user space's part.
type ArrayOfMaps struct {
	Head
	// Base is the address of element 0; elements are 8 bytes.
	Base uint64
}

func newArrayOfMaps(h Head) (*ArrayOfMaps, error) {
	a := &ArrayOfMaps{Head: h}
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
// bpf_fd_array_map_update_elem and the map_meta_equal functions.
func (a *ArrayOfMaps) Set(i uint32, inner Map) abi.Errno {
	if i >= a.MaxEntries {
		return abi.E2BIG
	}
	in, want := inner.Info(), a.Inner
	if in.t != a.t || in.Type != want.Type || in.KeySize != want.KeySize || in.ValueSize != want.ValueSize || in.Flags != want.Flags ||
		!slices.Equal(in.Fields, want.Fields) || want.Type == TypeArray && want.Flags&FlagInnerMap == 0 && in.MaxEntries != want.MaxEntries {
		return abi.EINVAL
	}
	a.t.Mem.Store(a.Base+8*uint64(i), 8, in.Addr)
	return 0
}

// NewInner creates a map after the template and puts it into element i.
func (a *ArrayOfMaps) NewInner(i uint32) (Map, error) {
	if i >= a.MaxEntries {
		return nil, abi.E2BIG
	}
	m, err := a.t.New(*a.Inner)
	if err != nil {
		return nil, err
	}
	if e := a.Set(i, m); e != 0 {
		return nil, e
	}
	return m, nil
}

// Update is refused: programs cannot store maps.
func (a *ArrayOfMaps) Update([]byte, []byte, uint64, int32) abi.Errno { return abi.EINVAL }

// Delete follows fd_array_map_delete_elem: it empties an element. The inner map stays.
func (a *ArrayOfMaps) Delete(key []byte) abi.Errno {
	i := binary.LittleEndian.Uint32(key)
	switch {
	case i >= a.MaxEntries:
		return abi.E2BIG
	case a.Lookup(key, 0) == 0:
		return abi.ENOENT
	}
	a.t.Mem.Store(a.Base+8*uint64(i), 8, 0)
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

func (a *ArrayOfMaps) release() { a.t.Mem.Free(a.Base, a.bytes()) }
