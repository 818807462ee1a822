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
	values map[uint64]uint64 // owner to value
}

func newStorage(h Head) *Storage { return &Storage{Head: h, values: map[uint64]uint64{}} }

// Of returns the address of the owner's value, 0 if it has none. It follows bpf_local_storage_lookup.
func (s *Storage) Of(owner uint64) uint64 { return s.values[owner] }

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
	s.values[owner] = at
	return at
}

// UpdateOwner sets the owner's value; it follows bpf_local_storage_update.
func (s *Storage) UpdateOwner(owner uint64, value []byte, flags uint64) abi.Errno {
	at := s.values[owner]
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
	at, ok := s.values[owner]
	if !ok {
		return abi.ENOENT
	}
	s.freeFields(at)
	s.t.Mem.Free(at, uint64(s.ValueSize))
	delete(s.values, owner)
	return 0
}

// The key of user space is a descriptor: of a process for task_storage (pidfd), of a directory for cgrp_storage.

// lookupFD follows bpf_pid_task_storage_lookup_elem and bpf_cgrp_storage_lookup_elem.
func (s *Storage) lookupFD(key, value []byte) abi.Errno {
	owner, e := s.object(key)
	if e != 0 {
		return e
	}
	at := s.values[owner]
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
func (s *Storage) Len() int { return len(s.values) }

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
	owners := make([]uint64, 0, len(s.values))
	for o := range s.values { // sorted below: the order of releases can be seen
		owners = append(owners, o)
	}
	slices.Sort(owners)
	for _, o := range owners {
		s.DeleteOwner(o)
	}
}
