package maps

import (
	"bytes"
	"encoding/binary"

	"github.com/schedsim/schedsim/vm/abi"
)

// Batch is what the batch commands of bpf() take and give (struct batch of union bpf_attr). Keys and Values have room for
// Count elements, of KeySize and UserValueSize bytes; less is EFAULT.
type Batch struct {
	// In is where to go on, as the call before left it in Out; nil starts at the beginning. Out needs the bytes of a key, and
	// at least 4.
	In, Out      []byte
	Keys, Values []byte
	// Count is how many elements are wanted, and afterwards how many were done.
	Count            uint32
	ElemFlags, Flags uint64
}

// LookupBatch is BPF_MAP_LOOKUP_BATCH: ENOENT when it has come to the end, perhaps with some elements. It follows
// generic_map_lookup_batch, __htab_map_lookup_and_delete_batch and their relative for type rhash.
func LookupBatch(m Map, b *Batch) abi.Errno {
	switch m := m.(type) {
	case *Hash:
		if m.Type == TypeRHash {
			return m.rhashBatch(b, false)
		}
		return m.bucketBatch(b, false, m.show)
	case *HashOfMaps:
		return m.bucketBatch(b, false, m.showID)
	case *Array, *ArrayOfMaps, *Trie:
		return lookupBatch(m, b)
	}
	return abi.ENOTSUPP
}

// LookupAndDeleteBatch is BPF_MAP_LOOKUP_AND_DELETE_BATCH, which only hashes have.
func LookupAndDeleteBatch(m Map, b *Batch) abi.Errno {
	if m.Info().Frozen {
		return abi.EPERM
	}
	switch m := m.(type) {
	case *Hash:
		if m.Type == TypeRHash {
			return m.rhashBatch(b, true)
		}
		return m.bucketBatch(b, true, m.show)
	case *HashOfMaps:
		return m.bucketBatch(b, true, m.showID)
	}
	return abi.ENOTSUPP
}

// UpdateBatch is BPF_MAP_UPDATE_BATCH: it stops at the first element that is refused. It follows generic_map_update_batch.
func UpdateBatch(m Map, b *Batch) abi.Errno {
	h := m.Info()
	if h.Frozen {
		return abi.EPERM
	}
	switch m.(type) {
	case *Hash, *HashOfMaps, *Array, *ArrayOfMaps, *Trie:
	default:
		return abi.ENOTSUPP
	}
	if e := h.opFlags(b.ElemFlags, Lock|OneCPU|AllCPUs); e != 0 {
		return e
	}
	size := UserValueSize(m, b.ElemFlags)
	n := b.Count
	for b.Count = 0; b.Count < n; b.Count++ {
		key, value := b.element(m, b.Count, size)
		if key == nil || value == nil {
			return abi.EFAULT
		}
		if e := copyIn(m, key, value, b.ElemFlags); e != 0 {
			return e
		}
	}
	return 0
}

// DeleteBatch is BPF_MAP_DELETE_BATCH. It follows generic_map_delete_batch.
func DeleteBatch(m Map, b *Batch) abi.Errno {
	h := m.Info()
	if h.Frozen {
		return abi.EPERM
	}
	switch m.(type) {
	case *Hash, *HashOfMaps, *Trie:
	default:
		return abi.ENOTSUPP
	}
	if b.ElemFlags&^Lock != 0 || b.ElemFlags&Lock != 0 && h.field(SpinLock) == nil {
		return abi.EINVAL
	}
	n := b.Count
	for b.Count = 0; b.Count < n; b.Count++ {
		key, _ := b.element(m, b.Count, 0)
		if key == nil {
			return abi.EFAULT
		}
		if e := m.Delete(key); e != 0 {
			return e
		}
	}
	return 0
}

// element is the room for element i; nil where there is none.
func (b *Batch) element(m Map, i, size uint32) (key, value []byte) {
	return slot(b.Keys, i, m.Info().KeySize), slot(b.Values, i, size)
}

func slot(b []byte, i, size uint32) []byte {
	at := uint64(i) * uint64(size)
	if at+uint64(size) > uint64(len(b)) {
		return nil
	}
	return b[at:][:size:size]
}

// lookupBatch follows generic_map_lookup_batch: the cursor is the last key.
func lookupBatch(m Map, b *Batch) abi.Errno {
	h := m.Info()
	if e := h.opFlags(b.ElemFlags, Lock|OneCPU); e != 0 {
		return e
	}
	size := UserValueSize(m, b.ElemFlags)
	n, last := b.Count, b.In
	if n == 0 {
		return 0
	}
	b.Count = 0
	if last != nil && len(last) < int(h.KeySize) {
		return abi.EFAULT
	}
	var e abi.Errno
	for b.Count < n {
		next := make([]byte, h.KeySize)
		if e = m.Next(last, next); e != 0 {
			break
		}
		key, value := b.element(m, b.Count, size)
		if key == nil || value == nil {
			return abi.EFAULT
		}
		switch e = copyOut(m, next, value, b.ElemFlags); e {
		case 0:
			copy(key, next)
			b.Count++
		case abi.ENOENT:
			e = 0
		default:
			return e
		}
		last = next
	}
	if b.Count > 0 && copy(b.Out, last) < int(h.KeySize) {
		return abi.EFAULT
	}
	return e
}

// showID is show for the elements of a hash of maps.
func (m *HashOfMaps) showID(i int32, value []byte, _ uint64) {
	binary.LittleEndian.PutUint32(value, m.inner[i].Info().ID)
}

// bucketBatch follows __htab_map_lookup_and_delete_batch: whole chains, the cursor is the number of the next one. ENOSPC: not
// even one fits.
func (m *Hash) bucketBatch(b *Batch, del bool, show func(i int32, value []byte, flags uint64)) abi.Errno {
	ok := Lock
	if !del && m.Type.PerCPU() {
		ok |= OneCPU
	}
	if e := m.opFlags(b.ElemFlags, ok); e != 0 {
		return e
	}
	if b.Flags != 0 {
		return abi.EINVAL
	}
	n := b.Count
	if n == 0 {
		return 0
	}
	b.Count = 0
	at := uint32(0)
	if b.In != nil {
		if len(b.In) < 4 {
			return abi.EFAULT
		}
		at = binary.LittleEndian.Uint32(b.In)
	}
	if at >= uint32(len(m.index.Buckets)) {
		return abi.ENOENT
	}
	size := m.ValueSize
	if m.cpus != 1 && b.ElemFlags&OneCPU == 0 {
		size = uint32(m.val * m.cpus)
	}
	var e abi.Errno
	var chain []int32
	for e == 0 {
		chain = chain[:0]
		for i := m.index.Buckets[at]; i >= 0; i = m.index.Elems[i].Next {
			chain = append(chain, i)
		}
		if uint32(len(chain)) > n-b.Count {
			if b.Count == 0 {
				e = abi.ENOSPC
			}
			break
		}
		for k, i := range chain {
			key, value := slot(b.Keys, b.Count+uint32(k), m.KeySize), slot(b.Values, b.Count+uint32(k), size)
			if key == nil || value == nil {
				return abi.EFAULT
			}
			copy(key, m.keyBytes(i))
			show(i, value, b.ElemFlags)
		}
		if del {
			for k := len(chain) - 1; k >= 0; k-- {
				m.remove(chain[k])
			}
		}
		b.Count += uint32(len(chain))
		if at++; at == uint32(len(m.index.Buckets)) {
			e = abi.ENOENT
		}
	}
	if len(b.Out) < 4 {
		return abi.EFAULT
	}
	binary.LittleEndian.PutUint32(b.Out, at)
	return e
}

// rhashBatch follows __rhtab_map_lookup_and_delete_batch: the cursor is the next key; EAGAIN if it is gone.
func (m *Hash) rhashBatch(b *Batch, del bool) abi.Errno {
	if e := m.opFlags(b.ElemFlags, Lock); e != 0 {
		return e
	}
	if b.Flags != 0 {
		return abi.EINVAL
	}
	n := b.Count
	if n == 0 {
		return 0
	}
	b.Count = 0
	key := make([]byte, m.KeySize)
	e := abi.Errno(0)
	if b.In == nil {
		e = m.Next(nil, key)
	} else {
		if copy(key, b.In) < int(m.KeySize) {
			return abi.EFAULT
		}
		if i, _ := m.find(key); i < 0 {
			return abi.EAGAIN
		}
	}
	var done []int32
	for e == 0 && uint32(len(done)) < n {
		i, _ := m.find(key)
		k, value := b.element(m, uint32(len(done)), m.ValueSize)
		if k == nil || value == nil {
			return abi.EFAULT
		}
		copy(k, key)
		m.show(i, value, b.ElemFlags)
		done = append(done, i)
		e = m.Next(bytes.Clone(key), key)
	}
	if del {
		for _, i := range done {
			m.remove(i)
		}
	}
	b.Count = uint32(len(done))
	if e == 0 && copy(b.Out, key) < int(m.KeySize) {
		return abi.EFAULT
	}
	return e
}
