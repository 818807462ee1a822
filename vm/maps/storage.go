package maps

import (
	"encoding/binary"
	"slices"

	"github.com/schedsim/schedsim/vm/abi"
)

// Storage is a local storage map (task_storage, cgrp_storage): one value per owner, an object with an address. The value
// goes away with the owner (Table.DropOwner).
type Storage struct {
	Head
	index abi.Index // of owners: Key; Addr is that of the value
	free  int32     // first free element, -1 if none; chained through Next
	count int
}

func newStorage(h Head) *Storage {
	return &Storage{Head: h, index: abi.Index{Buckets: []int32{-1}}, free: -1}
}

// Index is the table of owners, for engines of machine code: Key is the owner, Hash comes of a seed of 0, and Addr is the
// value.
func (s *Storage) Index() *abi.Index { return &s.index }

func (s *Storage) bucket(h uint32) *int32 { return &s.index.Buckets[int(h)&(len(s.index.Buckets)-1)] }

// insert adds an owner that is not there.
func (s *Storage) insert(owner, at uint64) {
	x := &s.index
	if s.count == len(x.Buckets) { // twice as many buckets
		var live []int32
		for _, i := range x.Buckets {
			for ; i >= 0; i = x.Elems[i].Next {
				live = append(live, i)
			}
		}
		x.Buckets = make([]int32, 2*len(x.Buckets))
		for i := range x.Buckets {
			x.Buckets[i] = -1
		}
		for _, i := range live {
			b := s.bucket(x.Elems[i].Hash)
			x.Elems[i].Next, *b = *b, i
		}
	}
	i := s.free
	if i >= 0 {
		s.free = x.Elems[i].Next
	} else {
		i = int32(len(x.Elems))
		x.Elems = append(x.Elems, abi.IndexElem{})
	}
	h := uint32(mix(owner))
	b := s.bucket(h)
	x.Elems[i] = abi.IndexElem{Next: *b, Hash: h, Addr: at, Key: owner}
	*b = i
	s.count++
}

// take removes an owner that is there.
func (s *Storage) take(owner uint64) {
	x := &s.index
	p := s.bucket(uint32(mix(owner)))
	for x.Elems[*p].Key != owner {
		p = &x.Elems[*p].Next
	}
	i := *p
	*p = x.Elems[i].Next
	x.Elems[i] = abi.IndexElem{Next: s.free}
	s.free = i
	s.count--
}

// Of returns the address of the owner's value, 0 if it has none. It follows bpf_local_storage_lookup.
func (s *Storage) Of(owner uint64) uint64 {
	h := uint32(mix(owner))
	for i := *s.bucket(h); i >= 0; i = s.index.Elems[i].Next {
		if e := &s.index.Elems[i]; e.Key == owner {
			return e.Addr
		}
	}
	return 0
}

// Create gives the owner a value, which must not have one yet: a copy of init, zero if that is nil. It returns 0 when
// memory is used up.
func (s *Storage) Create(owner uint64, init []byte) uint64 {
	at, b, err := s.t.Mem.Alloc(uint64(s.ValueSize), 8)
	if err != nil {
		return 0
	}
	if init != nil {
		s.copyValue(b, init)
	}
	s.insert(owner, at)
	return at
}

// UpdateOwner sets the owner's value; it follows bpf_local_storage_update.
func (s *Storage) UpdateOwner(owner uint64, value []byte, flags uint64) abi.Errno {
	at := s.Of(owner)
	switch {
	case flags&^Lock > Exist, flags&Lock != 0 && s.field(SpinLock) == nil:
		return abi.EINVAL
	case checkFlags(at != 0, flags) != 0:
		return checkFlags(at != 0, flags)
	case at == 0:
		if s.Create(owner, value) == 0 {
			return abi.ENOMEM
		}
		return 0
	}
	if flags&Lock == 0 {
		s.freeFields(at)
	}
	s.copyValue(s.t.Mem.Bytes(at, uint64(s.ValueSize)), value)
	return 0
}

// DeleteOwner deletes the owner's value; it follows task_storage_delete.
func (s *Storage) DeleteOwner(owner uint64) abi.Errno {
	at := s.Of(owner)
	if at == 0 {
		return abi.ENOENT
	}
	s.freeFields(at)
	s.t.Mem.Free(at, uint64(s.ValueSize))
	s.take(owner)
	return 0
}

// The key of user space is a descriptor: of a process for task_storage (pidfd), of a directory for cgrp_storage.

// lookupFD follows bpf_pid_task_storage_lookup_elem and bpf_cgrp_storage_lookup_elem.
func (s *Storage) lookupFD(key, value []byte) abi.Errno {
	owner, e := s.object(key)
	if e != 0 {
		return e
	}
	at := s.Of(owner)
	if at == 0 {
		return abi.ENOENT
	}
	s.showValue(value[:s.ValueSize], at)
	return 0
}

// updateFD follows bpf_pid_task_storage_update_elem and bpf_cgrp_storage_update_elem. User pages cannot be given to programs
// (uptr): the machine has none.
func (s *Storage) updateFD(key, value []byte, flags uint64) abi.Errno {
	for _, f := range s.Fields {
		if f.Kind != Uptr {
			continue
		}
		switch {
		case flags&Lock != 0:
			return abi.EOPNOTSUPP
		case binary.LittleEndian.Uint64(value[f.Off:]) != 0:
			return abi.EFAULT
		}
	}
	owner, e := s.object(key)
	if e != 0 {
		return e
	}
	return s.UpdateOwner(owner, value, flags)
}

// deleteFD follows bpf_pid_task_storage_delete_elem and bpf_cgrp_storage_delete_elem.
func (s *Storage) deleteFD(key []byte) abi.Errno {
	owner, e := s.object(key)
	if e != 0 {
		return e
	}
	return s.DeleteOwner(owner)
}

// Len is the number of owners with a value.
func (s *Storage) Len() int { return s.count }

// Lookup finds nothing: programs have no descriptors. Use Of.
func (s *Storage) Lookup([]byte, int32) uint64 { return 0 }

// Update is refused as with a bad descriptor. Use UpdateOwner.
func (s *Storage) Update([]byte, []byte, uint64, int32) abi.Errno { return abi.EBADF }

// Delete is refused as with a bad descriptor. Use DeleteOwner.
func (s *Storage) Delete([]byte) abi.Errno { return abi.EBADF }

// Next follows notsupp_get_next_key.
func (s *Storage) Next(_, _ []byte) abi.Errno { return abi.ENOTSUPP }

// Each is refused: bpf_for_each_map_elem is not for local storage.
func (s *Storage) Each(int32, func(key, value uint64) bool) (int, abi.Errno) { return 0, abi.ENOTSUPP }

// KeyOf finds nothing: there are no keys in memory.
func (s *Storage) KeyOf(uint64) (uint64, bool) { return 0, false }

func (s *Storage) release() {
	owners := make([]uint64, 0, s.count)
	for _, i := range s.index.Buckets {
		for ; i >= 0; i = s.index.Elems[i].Next {
			owners = append(owners, s.index.Elems[i].Key)
		}
	}
	slices.Sort(owners)
	for _, o := range owners {
		s.DeleteOwner(o)
	}
}
