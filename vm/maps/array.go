package maps

import (
	"encoding/binary"

	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/mem"
)

// Array is a map of type array or percpu_array, data sections included.
type Array struct {
	Head
	// Base is the address of element 0 (of CPU 0); elements are Elem bytes apart, CPUs Stride (0 for a plain array), so
	// that generated code can do a lookup.
	Base, Elem, Stride uint64

	size uint64 // bytes allocated
	key  uint64 // address of the 4 bytes that show a key to callbacks
}

func newArray(h Head) (*Array, error) {
	a := &Array{Head: h, Elem: roundUp8(h.ValueSize)}
	a.size = a.Elem * uint64(h.MaxEntries)
	align := uint64(8)
	if h.Type == TypePerCPUArray {
		a.Stride = (a.size + 63) &^ 63 // a CPU's values share no cache line with another's
		a.size = a.Stride * uint64(h.t.NrCPUs)
		align = 64
	} else if h.Flags&FlagMmapable != 0 {
		a.size = (a.size + mem.PageSize - 1) &^ (mem.PageSize - 1)
		align = mem.PageSize
	}
	var err error
	var b []byte
	if a.key, _, err = h.t.Mem.Alloc(8, 8); err != nil {
		return nil, err
	}
	if a.Base, b, err = h.t.Mem.Alloc(a.size, align); err != nil {
		h.t.Mem.Free(a.key, 8)
		return nil, err
	}
	copy(b[:h.ValueSize], h.Data)
	return a, nil
}

// Lookup follows array_map_lookup_elem and percpu_array_map_lookup_percpu_elem.
func (a *Array) Lookup(key []byte, cpu int32) uint64 {
	return a.At(binary.LittleEndian.Uint32(key), cpu)
}

// At is the address of element i, 0 if there is none. A plain array has the same for all CPUs.
func (a *Array) At(i uint32, cpu int32) uint64 {
	if i >= a.MaxEntries || uint32(cpu) >= uint32(a.t.NrCPUs) && a.Stride != 0 {
		return 0
	}
	return a.Base + uint64(i)*a.Elem + uint64(cpu)*a.Stride
}

// Update follows array_map_update_elem.
func (a *Array) Update(key, value []byte, flags uint64, cpu int32) abi.Errno {
	if flags&^Lock > Exist {
		return abi.EINVAL
	}
	at := a.Lookup(key, cpu)
	switch {
	case at == 0:
		return abi.E2BIG
	case flags&NoExist != 0:
		return abi.EEXIST
	case flags&Lock != 0 && a.field(SpinLock) == nil:
		return abi.EINVAL
	}
	a.copyValue(a.t.Mem.Bytes(at, uint64(a.ValueSize)), value)
	a.cancelFields(at)
	return 0
}

// Delete follows array_map_delete_elem: an array's elements stay.
func (a *Array) Delete([]byte) abi.Errno { return abi.EINVAL }

// Next follows bpf_array_get_next_key.
func (a *Array) Next(key, next []byte) abi.Errno { return nextIndex(a.MaxEntries, key, next) }

func nextIndex(entries uint32, key, next []byte) abi.Errno {
	i := uint32(0)
	if key != nil {
		switch k := binary.LittleEndian.Uint32(key); {
		case k == entries-1:
			return abi.ENOENT
		case k < entries:
			i = k + 1
		}
	}
	binary.LittleEndian.PutUint32(next, i)
	return 0
}

// Each follows bpf_for_each_array_elem.
func (a *Array) Each(cpu int32, f func(key, value uint64) bool) (int, abi.Errno) {
	before, _ := a.t.Mem.Load(a.key, 4)
	defer a.t.Mem.Store(a.key, 4, before) // an outer iteration goes on with its own key
	for i := uint32(0); i < a.MaxEntries; i++ {
		a.t.Mem.Store(a.key, 4, uint64(i))
		if !f(a.key, a.Base+uint64(i)*a.Elem+uint64(cpu)*a.Stride) {
			return int(i) + 1, 0
		}
	}
	return int(a.MaxEntries), 0
}

// KeyOf writes the index to memory that the map keeps for this purpose, and returns its address.
func (a *Array) KeyOf(value uint64) (uint64, bool) {
	off := value - a.Base
	if off >= a.size {
		return 0, false
	}
	if a.Stride != 0 {
		off %= a.Stride
	}
	if off%a.Elem != 0 || off/a.Elem >= uint64(a.MaxEntries) {
		return 0, false
	}
	a.t.Mem.Store(a.key, 4, off/a.Elem)
	return a.key, true
}

// Data is the memory of element 0, which is all of a data section.
func (a *Array) Data() []byte { return a.t.Mem.Bytes(a.Base, uint64(a.ValueSize)) }

func (a *Array) release() {
	if len(a.Fields) > 0 {
		for c := uint64(0); c == 0 || a.Stride != 0 && c < uint64(a.t.NrCPUs); c++ {
			for i := uint64(0); i < uint64(a.MaxEntries); i++ {
				a.freeFields(a.Base + c*a.Stride + i*a.Elem)
			}
		}
	}
	a.t.Mem.Free(a.Base, a.size)
	a.t.Mem.Free(a.key, 8)
}
