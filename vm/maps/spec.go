package maps

import (
	"fmt"

	"github.com/schedsim/schedsim/vm/abi"
)

// Type is the kernel's number of a map type (enum bpf_map_type).
type Type uint32

// The map types that can be created.
const (
	TypeHash        Type = 1
	TypeArray       Type = 2
	TypePerCPUArray Type = 6
	TypeLRUHash     Type = 9
	TypeArrayOfMaps Type = 12
	TypeQueue       Type = 22
	TypeStack       Type = 23
	TypeTaskStorage Type = 29
	TypeCgrpStorage Type = 32
)

// typeNames are the names of all types, as bpftool prints them.
var typeNames = [...]string{"unspec", "hash", "array", "prog_array", "perf_event_array", "percpu_hash", "percpu_array",
	"stack_trace", "cgroup_array", "lru_hash", "lru_percpu_hash", "lpm_trie", "array_of_maps", "hash_of_maps", "devmap",
	"sockmap", "cpumap", "xskmap", "sockhash", "cgroup_storage", "reuseport_sockarray", "percpu_cgroup_storage", "queue",
	"stack", "sk_storage", "devmap_hash", "struct_ops", "ringbuf", "inode_storage", "task_storage", "bloom_filter",
	"user_ringbuf", "cgrp_storage", "arena", "insn_array", "rhash"}

// String is the type's name as bpftool prints it.
func (t Type) String() string {
	if int(t) < len(typeNames) {
		return typeNames[t]
	}
	return fmt.Sprintf("type %d", uint32(t))
}

// Flags of map creation (BPF_F_*).
const (
	FlagNoPrealloc  uint32 = 1 << 0
	FlagNoCommonLRU uint32 = 1 << 1
	FlagNumaNode    uint32 = 1 << 2
	FlagRdonly      uint32 = 1 << 3
	FlagWronly      uint32 = 1 << 4
	FlagZeroSeed    uint32 = 1 << 6
	FlagRdonlyProg  uint32 = 1 << 7
	FlagWronlyProg  uint32 = 1 << 8
	FlagClone       uint32 = 1 << 9
	FlagMmapable    uint32 = 1 << 10
	FlagInnerMap    uint32 = 1 << 12

	flagAccess = FlagRdonly | FlagWronly | FlagRdonlyProg | FlagWronlyProg
)

// Flags of an update (BPF_*).
const (
	Any     uint64 = 0
	NoExist uint64 = 1
	Exist   uint64 = 2
	Lock    uint64 = 4
)

// Limits of the kernel (x86-64).
const (
	kmallocMax     = 1 << 22 // KMALLOC_MAX_SIZE
	htabElem       = 48      // sizeof(struct htab_elem)
	pcpuMin        = 32 << 10
	storageValue   = 1<<16 - 1 - 128 // BPF_LOCAL_STORAGE_MAX_VALUE_SIZE
	intMax         = 1<<31 - 1
	maxHashEntries = 1 << 31
)

// FieldKind is the sort of a special field of a map value.
type FieldKind uint8

// The special fields, as enum btf_field_type.
const (
	SpinLock FieldKind = iota + 1
	ResSpinLock
	Timer
	Workqueue
	TaskWork
	KptrUnref
	KptrRef
	KptrPerCPU
	Uptr
	ListHead
	RBRoot
	Refcount
)

var fieldNames = [...]string{"", "bpf_spin_lock", "bpf_res_spin_lock", "bpf_timer", "bpf_wq", "bpf_task_work",
	"kptr (untrusted)", "kptr", "percpu kptr", "uptr", "bpf_list_head", "bpf_rb_root", "bpf_refcount"}

func (k FieldKind) String() string { return fieldNames[k] }

// Field is a part of a map value that the kernel manages: updates do not touch it, deletion releases it.
type Field struct {
	Kind      FieldKind
	Off, Size uint32
	// Pointee is the name of the type that a kptr points to.
	Pointee string
}

// Spec says what map to create.
type Spec struct {
	Name       string
	Type       Type
	KeySize    uint32
	ValueSize  uint32
	MaxEntries uint32
	Flags      uint32
	// Fields are the special fields of the value, by offset.
	Fields []Field
	// Data is the initial content of an array's first element.
	Data []byte
	// Inner is the template of the maps in an array of maps.
	Inner *Spec
}

// field is the first special field of the kind, nil if there is none.
func (s *Spec) field(k FieldKind) *Field {
	for i := range s.Fields {
		if s.Fields[i].Kind == k {
			return &s.Fields[i]
		}
	}
	return nil
}

func roundUp8(n uint32) uint64 { return (uint64(n) + 7) &^ 7 }

// check follows the map_alloc_check functions and the field rules of map_check_btf.
func (s *Spec) check() error {
	refuse := func(e abi.Errno, format string, args ...any) error {
		return fmt.Errorf("map %q: %s: %w", s.Name, fmt.Sprintf(format, args...), e)
	}
	if s.Flags&(FlagRdonlyProg|FlagWronlyProg) == FlagRdonlyProg|FlagWronlyProg || s.Flags&(FlagRdonly|FlagWronly) == FlagRdonly|FlagWronly {
		return refuse(abi.EINVAL, "both read-only and write-only")
	}
	var flags uint32
	switch s.Type {
	case TypeArray, TypePerCPUArray:
		flags = FlagNumaNode | flagAccess
		if s.Type == TypeArray {
			flags |= FlagMmapable | FlagInnerMap
		} else if s.Flags&FlagNumaNode != 0 {
			return refuse(abi.EINVAL, "a per-CPU map has no NUMA node")
		}
	case TypeArrayOfMaps:
		flags = FlagNumaNode | FlagRdonly | FlagWronly
	case TypeHash, TypeLRUHash:
		flags = FlagNoPrealloc | FlagNoCommonLRU | FlagNumaNode | flagAccess | FlagZeroSeed
	case TypeQueue, TypeStack:
		flags = FlagNumaNode | flagAccess
	case TypeTaskStorage, TypeCgrpStorage:
		flags = FlagNoPrealloc | FlagClone
	default:
		return fmt.Errorf("map %q: type %s: not supported", s.Name, s.Type)
	}
	if f := s.Flags &^ flags; f != 0 {
		return refuse(abi.EINVAL, "flags %#x are not for type %s", f, s.Type)
	}
	if s.ValueSize == 0 {
		return refuse(abi.EINVAL, "value size 0")
	}
	switch s.Type {
	case TypeArray, TypePerCPUArray:
		switch {
		case s.KeySize != 4:
			return refuse(abi.EINVAL, "key size %d, an array has 4", s.KeySize)
		case s.MaxEntries == 0:
			return refuse(abi.EINVAL, "max_entries 0")
		case s.ValueSize > intMax, s.Type == TypePerCPUArray && roundUp8(s.ValueSize) > pcpuMin:
			return refuse(abi.E2BIG, "value size %d", s.ValueSize)
		}
	case TypeArrayOfMaps:
		switch {
		case s.KeySize != 4 || s.ValueSize != 4:
			return refuse(abi.EINVAL, "key size %d and value size %d, both are 4 in an array of maps", s.KeySize, s.ValueSize)
		case s.MaxEntries == 0:
			return refuse(abi.EINVAL, "max_entries 0")
		case s.Inner == nil || s.Inner.Inner != nil:
			return refuse(abi.EINVAL, "an array of maps needs a template that is no map of maps")
		}
		if err := s.Inner.check(); err != nil {
			return fmt.Errorf("map %q: %w", s.Name, err)
		}
	case TypeHash, TypeLRUHash:
		switch {
		case s.Type == TypeHash && s.Flags&FlagNoCommonLRU != 0:
			return refuse(abi.EINVAL, "flag no_common_lru is for LRU maps")
		case s.Type == TypeLRUHash && s.Flags&FlagNoPrealloc != 0:
			return refuse(abi.ENOTSUPP, "an LRU map is preallocated")
		case s.KeySize == 0:
			return refuse(abi.EINVAL, "key size 0")
		case s.MaxEntries == 0:
			return refuse(abi.EINVAL, "max_entries 0")
		case uint64(s.KeySize)+uint64(s.ValueSize) >= kmallocMax-htabElem:
			return refuse(abi.E2BIG, "key size %d and value size %d", s.KeySize, s.ValueSize)
		case s.MaxEntries > maxHashEntries:
			return refuse(abi.E2BIG, "max_entries %d", s.MaxEntries)
		}
	case TypeQueue, TypeStack:
		switch {
		case s.KeySize != 0:
			return refuse(abi.EINVAL, "key size %d, a %s has no keys", s.KeySize, s.Type)
		case s.MaxEntries == 0:
			return refuse(abi.EINVAL, "max_entries 0")
		case s.ValueSize > kmallocMax:
			return refuse(abi.E2BIG, "value size %d", s.ValueSize)
		}
	case TypeTaskStorage, TypeCgrpStorage:
		switch {
		case s.Flags&FlagNoPrealloc == 0:
			return refuse(abi.EINVAL, "flag no_prealloc is missing")
		case s.MaxEntries != 0:
			return refuse(abi.EINVAL, "max_entries %d, a %s has none", s.MaxEntries, s.Type)
		case s.KeySize != 4:
			return refuse(abi.EINVAL, "key size %d, a %s has 4", s.KeySize, s.Type)
		case s.ValueSize > storageValue:
			return refuse(abi.E2BIG, "value size %d", s.ValueSize)
		}
	}
	return s.checkFields(refuse)
}

func (s *Spec) checkFields(refuse func(abi.Errno, string, ...any) error) error {
	if len(s.Fields) > 0 && s.Flags&(FlagRdonlyProg|FlagWronlyProg) != 0 {
		return refuse(abi.EACCES, "%s in a map that programs cannot read and write", s.Fields[0].Kind)
	}
	end := uint32(0)
	for _, f := range s.Fields {
		if f.Off < end || f.Size == 0 || f.Size > s.ValueSize || f.Off > s.ValueSize-f.Size {
			return refuse(abi.EINVAL, "%s at byte %d of the value", f.Kind, f.Off)
		}
		end = f.Off + f.Size
		ok := false
		switch f.Kind {
		case SpinLock, ResSpinLock:
			ok = s.Type == TypeHash || s.Type == TypeArray || s.Type == TypeTaskStorage || s.Type == TypeCgrpStorage
		case Timer, Workqueue, TaskWork, ListHead, RBRoot:
			ok = s.Type == TypeHash || s.Type == TypeLRUHash || s.Type == TypeArray
		case KptrUnref, KptrRef, KptrPerCPU, Refcount:
			ok = s.Type != TypeQueue && s.Type != TypeStack
		case Uptr:
			ok = s.Type == TypeTaskStorage
		}
		if !ok {
			return refuse(abi.EOPNOTSUPP, "%s in a map of type %s", f.Kind, s.Type)
		}
	}
	return nil
}
