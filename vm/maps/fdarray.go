package maps

import (
	"encoding/binary"

	"github.com/schedsim/schedsim/vm/abi"
)

// FDArray is a map of type prog_array, perf_event_array or cgroup_array: user space stores descriptors, the map keeps what
// they stand for. No program sees the elements, so they are Go's: 0 is none, a program has a number (see Hooks.FD), other
// objects have addresses.
type FDArray struct {
	Head
	objects []uint64
}

func newFDArray(h Head) (*FDArray, error) {
	if h.MaxEntries > 1<<24 { // 128 MiB of elements of which at most a few are used
		return nil, abi.E2BIG
	}
	return &FDArray{Head: h, objects: make([]uint64, h.MaxEntries)}, nil
}

// Object is what element i holds, 0 for nothing. ok is false beyond the end.
func (a *FDArray) Object(i uint64) (object uint64, ok bool) {
	if i >= uint64(len(a.objects)) {
		return 0, false
	}
	return a.objects[i], true
}

// Set puts an object into element i. It follows bpf_fd_array_map_update_elem.
func (a *FDArray) Set(i uint32, object uint64) abi.Errno {
	if i >= a.MaxEntries {
		return abi.E2BIG
	}
	old := a.objects[i]
	a.objects[i] = object
	a.drop(old)
	return 0
}

// drop gives up what an element held.
func (a *FDArray) drop(object uint64) {
	if f := a.t.Hooks.Prog; f != nil && object != 0 && a.Type == TypeProgArray {
		f(object)
	}
}

// clear follows bpf_fd_array_map_clear.
func (a *FDArray) clear() {
	for i, object := range a.objects {
		a.objects[i] = 0
		a.drop(object)
	}
}

// Lookup finds nothing: fd_array_map_lookup_elem refuses programs.
func (a *FDArray) Lookup([]byte, int32) uint64 { return 0 }

// Update is refused: programs have no descriptors.
func (a *FDArray) Update([]byte, []byte, uint64, int32) abi.Errno { return abi.EINVAL }

// Delete follows fd_array_map_delete_elem.
func (a *FDArray) Delete(key []byte) abi.Errno {
	i := binary.LittleEndian.Uint32(key)
	switch {
	case i >= a.MaxEntries:
		return abi.E2BIG
	case a.objects[i] == 0:
		return abi.ENOENT
	}
	old := a.objects[i]
	a.objects[i] = 0
	a.drop(old)
	return 0
}

// Next follows bpf_array_get_next_key.
func (a *FDArray) Next(key, next []byte) abi.Errno { return nextIndex(a.MaxEntries, key, next) }

// Each is refused: bpf_for_each_map_elem is not for these maps.
func (a *FDArray) Each(int32, func(key, value uint64) bool) (int, abi.Errno) { return 0, abi.ENOTSUPP }

// KeyOf finds nothing: programs have no pointers to elements.
func (a *FDArray) KeyOf(uint64) (uint64, bool) { return 0, false }

func (a *FDArray) release() {
	a.clear()
	a.objects = nil
}
