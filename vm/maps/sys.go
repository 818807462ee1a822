package maps

import (
	"encoding/binary"

	"github.com/schedsim/schedsim/vm/abi"
)

// This file is what the bpf() system call does with a map, one function for each command, without descriptors of maps and
// without user memory: both are the caller's. Keys and values passed in must have the sizes KeySize and UserValueSize; where
// a map has no keys the key is empty. Values of maps whose elements are descriptors have 4 bytes: a descriptor on the way in
// (see Hooks.FD), an id on the way out.

// opFlags follows bpf_map_check_op_flags.
func (h *Head) opFlags(flags, ok uint64) abi.Errno {
	switch {
	case flags&(1<<32-1)&^ok != 0,
		flags&Lock != 0 && h.field(SpinLock) == nil,
		flags&OneCPU == 0 && flags>>32 != 0,
		flags&(OneCPU|AllCPUs) != 0 && !h.Type.PerCPU(),
		flags&OneCPU != 0 && flags&AllCPUs != 0:
		return abi.EINVAL
	case flags&OneCPU != 0 && flags>>32 >= uint64(h.t.NrCPUs):
		return abi.ERANGE
	}
	return 0
}

// UserValueSize is the number of bytes of a value of m in user space, with the flags of the operation: values of all CPUs lie
// side by side, padded to 8 bytes. It follows bpf_map_value_size.
func UserValueSize(m Map, flags uint64) uint32 {
	h := m.Info()
	switch {
	case flags&(OneCPU|AllCPUs) == 0 && h.Type.PerCPU():
		return uint32(roundUp8(h.ValueSize)) * uint32(h.t.NrCPUs)
	case h.holdsFDs():
		return 4
	}
	return h.ValueSize
}

func (h *Head) holdsFDs() bool {
	switch h.Type {
	case TypeProgArray, TypePerfEventArray, TypeCgroupArray:
		return true
	}
	return h.Type.ofMaps()
}

// object follows a descriptor.
func (h *Head) object(fd []byte) (uint64, abi.Errno) {
	if h.t.Hooks.FD == nil {
		return 0, abi.EBADF
	}
	return h.t.Hooks.FD(h, int32(binary.LittleEndian.Uint32(fd)))
}

// LookupElem is BPF_MAP_LOOKUP_ELEM: it copies the value of the key to value, special fields as zeros. For a bloom filter
// value is what is asked for. It follows map_lookup_elem of kernel/bpf/syscall.c.
func LookupElem(m Map, key, value []byte, flags uint64) abi.Errno {
	if e := m.Info().opFlags(flags, Lock|OneCPU); e != 0 {
		return e
	}
	return copyOut(m, key, value, flags)
}

// copyOut follows bpf_map_copy_value. It does not count as a use of an LRU map's element.
func copyOut(m Map, key, value []byte, flags uint64) abi.Errno {
	switch m := m.(type) {
	case *Hash:
		i, _ := m.find(key)
		if i < 0 {
			return abi.ENOENT
		}
		m.show(i, value, flags)
		return 0
	case *Array:
		return m.show(key, value, flags)
	case *Queue:
		return m.Peek(value)
	case *Bloom:
		return m.Peek(value)
	case *RingBuf:
		return abi.ENOTSUPP
	case *Arena:
		return abi.EINVAL
	case *Storage:
		return m.lookupFD(key, value)
	case *FDArray:
		return m.showID(key, value)
	case *ArrayOfMaps:
		return showMap(m.inner[binary.LittleEndian.Uint32(key)], value)
	case *HashOfMaps:
		i, _ := m.find(key)
		return showMap(m.inner[i], value)
	}
	at := m.Lookup(key, 0)
	if at == 0 {
		return abi.ENOENT
	}
	m.Info().showValue(value, at)
	return 0
}

// showMap is what user space sees of an inner map: its id.
func showMap(inner Map, value []byte) abi.Errno {
	if inner == nil {
		return abi.ENOENT
	}
	binary.LittleEndian.PutUint32(value, inner.Info().ID)
	return 0
}

// show follows bpf_percpu_hash_copy for per-CPU maps.
func (m *Hash) show(i int32, value []byte, flags uint64) {
	if !m.Type.PerCPU() {
		m.showValue(value[:m.ValueSize], m.value(i, 0))
		return
	}
	m.showAll(value, flags, m.val, func(cpu int32) uint64 { return m.value(i, cpu) })
}

// showAll copies the values of all CPUs, each size bytes, or of the one in the flags.
func (h *Head) showAll(value []byte, flags, size uint64, at func(cpu int32) uint64) {
	if flags&OneCPU != 0 {
		h.showValue(value[:h.ValueSize], at(int32(flags>>32)))
		return
	}
	for cpu := range h.t.NrCPUs {
		h.showValue(value[uint64(cpu)*size:][:size], at(cpu))
	}
}

// show follows bpf_percpu_array_copy for per-CPU maps.
func (a *Array) show(key, value []byte, flags uint64) abi.Errno {
	i := binary.LittleEndian.Uint32(key)
	if i >= a.MaxEntries {
		return abi.ENOENT
	}
	at := func(cpu int32) uint64 { return a.Base + uint64(i)*a.Elem + uint64(cpu)*a.Stride }
	if a.Stride == 0 {
		a.showValue(value[:a.ValueSize], at(0))
	} else {
		a.showAll(value, flags, a.Elem, at)
	}
	return 0
}

// showID follows bpf_fd_array_map_lookup_elem: only programs have an id that can be asked for.
func (a *FDArray) showID(key, value []byte) abi.Errno {
	if a.Type != TypeProgArray {
		return abi.ENOTSUPP
	}
	object, _ := a.Object(uint64(binary.LittleEndian.Uint32(key)))
	if object == 0 {
		return abi.ENOENT
	}
	id := uint32(object)
	if a.t.Hooks.ProgID != nil {
		id = a.t.Hooks.ProgID(object)
	}
	binary.LittleEndian.PutUint32(value, id)
	return 0
}

// UpdateElem is BPF_MAP_UPDATE_ELEM. It follows map_update_elem of kernel/bpf/syscall.c.
func UpdateElem(m Map, key, value []byte, flags uint64) abi.Errno {
	h := m.Info()
	if h.Frozen {
		return abi.EPERM
	}
	if e := h.opFlags(flags, 1<<32-1); e != 0 {
		return e
	}
	return copyIn(m, key, value, flags)
}

// copyIn follows bpf_map_update_value.
func copyIn(m Map, key, value []byte, flags uint64) abi.Errno {
	h := m.Info()
	if h.holdsFDs() {
		return storeFD(m, key, value, flags)
	}
	switch m := m.(type) {
	case *Hash:
		if m.Type.PerCPU() {
			return m.updateAll(key, value, flags)
		}
	case *Array:
		if m.Stride != 0 {
			return m.updateAll(key, value, flags)
		}
	case *Queue:
		return m.Push(value, flags)
	case *Bloom:
		return m.Push(value, flags)
	case *Storage:
		return m.updateFD(key, value, flags)
	}
	return m.Update(key, value, flags, 0)
}

// updateAll follows bpf_percpu_array_update.
func (a *Array) updateAll(key, value []byte, flags uint64) abi.Errno {
	i := binary.LittleEndian.Uint32(key)
	switch {
	case flags&Lock != 0 || uint32(flags) > uint32(AllCPUs):
		return abi.EINVAL
	case i >= a.MaxEntries:
		return abi.E2BIG
	case flags == NoExist:
		return abi.EEXIST
	}
	for cpu := range a.t.NrCPUs {
		if flags&OneCPU != 0 && cpu != int32(flags>>32) {
			continue
		}
		at, v := a.Base+uint64(i)*a.Elem+uint64(cpu)*a.Stride, value
		if flags&(OneCPU|AllCPUs) == 0 {
			v = value[uint64(cpu)*a.Elem:]
		}
		a.copyValue(a.t.Mem.Bytes(at, uint64(a.ValueSize)), v[:a.ValueSize])
		a.cancelFields(at)
	}
	return 0
}

// storeFD follows bpf_fd_array_map_update_elem and bpf_fd_htab_map_update_elem.
func storeFD(m Map, key, value []byte, flags uint64) abi.Errno {
	h := m.Info()
	if _, hash := m.(*HashOfMaps); !hash {
		switch {
		case flags != Any:
			return abi.EINVAL
		case binary.LittleEndian.Uint32(key) >= h.MaxEntries:
			return abi.E2BIG
		}
	}
	object, e := h.object(value)
	if e != 0 {
		return e
	}
	switch m := m.(type) {
	case *FDArray:
		return m.Set(binary.LittleEndian.Uint32(key), object)
	case *ArrayOfMaps:
		if inner := h.t.At(object); inner != nil {
			return m.Set(binary.LittleEndian.Uint32(key), inner)
		}
	case *HashOfMaps:
		if inner := h.t.At(object); inner != nil {
			return m.Set(key, inner, flags)
		}
	}
	return abi.EINVAL
}

// DeleteElem is BPF_MAP_DELETE_ELEM. It follows map_delete_elem of kernel/bpf/syscall.c.
func DeleteElem(m Map, key []byte) abi.Errno {
	if m.Info().Frozen {
		return abi.EPERM
	}
	if s, ok := m.(*Storage); ok {
		return s.deleteFD(key)
	}
	return m.Delete(key)
}

// NextKey is BPF_MAP_GET_NEXT_KEY. It follows map_get_next_key.
func NextKey(m Map, key, next []byte) abi.Errno { return m.Next(key, next) }

// LookupAndDelete is BPF_MAP_LOOKUP_AND_DELETE_ELEM. It follows map_lookup_and_delete_elem.
func LookupAndDelete(m Map, key, value []byte, flags uint64) abi.Errno {
	h := m.Info()
	queue, isQueue := m.(*Queue)
	switch {
	case flags&^Lock != 0:
		return abi.EINVAL
	case h.Frozen:
		return abi.EPERM
	case flags != 0 && (isQueue || h.field(SpinLock) == nil):
		return abi.EINVAL
	case isQueue:
		return queue.Pop(value)
	}
	hash, ok := m.(*Hash)
	if !ok {
		return abi.ENOTSUPP
	}
	i, _ := hash.find(key)
	if i < 0 {
		return abi.ENOENT
	}
	hash.show(i, value, 0)
	hash.remove(i)
	return 0
}

// Freeze is BPF_MAP_FREEZE: user space may not write any more. It follows map_freeze.
func Freeze(m Map) abi.Errno {
	switch h := m.Info(); {
	case len(h.Fields) > 0:
		return abi.ENOTSUPP
	case h.Frozen:
		return abi.EBUSY
	default:
		h.Frozen = true
	}
	return 0
}

// ReleaseUser is what happens when user space has let go of its last descriptor and pin of m, which programs may still use:
// timers and work stop, and an array of programs is emptied. It follows bpf_map_put_uref and the map_release_uref functions.
func ReleaseUser(m Map) {
	switch m := m.(type) {
	case *FDArray:
		if m.Type == TypeProgArray {
			m.clear()
		}
	case *Array, *Hash:
		h := m.Info()
		if h.field(Timer) == nil && h.field(Workqueue) == nil && h.field(TaskWork) == nil {
			return
		}
		m.Each(0, func(_, value uint64) bool {
			h.cancelFields(value)
			return true
		})
	}
}
