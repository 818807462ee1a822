package maps

import (
	"fmt"

	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/mem"
)

// allowed are the creation flags of each type that can be created.
var allowed = map[Type]uint32{
	TypeArray:          FlagNumaNode | flagAccess | FlagMmapable | FlagInnerMap,
	TypePerCPUArray:    FlagNumaNode | flagAccess,
	TypeProgArray:      FlagNumaNode | FlagRdonly | FlagWronly,
	TypePerfEventArray: FlagNumaNode | FlagRdonly | FlagWronly | FlagPreserve,
	TypeCgroupArray:    FlagNumaNode | FlagRdonly | FlagWronly,
	TypeArrayOfMaps:    FlagNumaNode | FlagRdonly | FlagWronly,
	TypeHash:           hashFlags,
	TypeLRUHash:        hashFlags,
	TypePerCPUHash:     hashFlags,
	TypeLRUPerCPUHash:  hashFlags,
	TypeHashOfMaps:     hashFlags,
	TypeRHash:          hashFlags,
	TypeLPMTrie:        FlagNoPrealloc | FlagNumaNode | flagAccess,
	TypeBloomFilter:    FlagNumaNode | FlagZeroSeed | flagAccess,
	TypeQueue:          FlagNumaNode | flagAccess,
	TypeStack:          FlagNumaNode | flagAccess,
	TypeRingBuf:        FlagNumaNode | FlagOverwrite,
	TypeUserRingBuf:    FlagNumaNode,
	TypeTaskStorage:    FlagNoPrealloc | FlagClone,
	TypeCgrpStorage:    FlagNoPrealloc | FlagClone,
	TypeArena:          FlagMmapable | FlagSegvOnFault,
	TypeInsnArray:      0,
}

const hashFlags = FlagNoPrealloc | FlagNoCommonLRU | FlagNumaNode | flagAccess | FlagZeroSeed

// refusal makes the error of a map that cannot be created.
type refusal func(e abi.Errno, format string, args ...any) error

// check follows map_create, the map_alloc_check functions and the field rules of map_check_btf.
func (s *Spec) check() error {
	var refuse refusal = func(e abi.Errno, format string, args ...any) error {
		return fmt.Errorf("map %q: %s: %w", s.Name, fmt.Sprintf(format, args...), e)
	}
	flags, ok := allowed[s.Type]
	if !ok {
		return fmt.Errorf("map %q: type %s: not supported", s.Name, s.Type)
	}
	switch f := s.Flags &^ flags; {
	case s.Flags&(FlagRdonlyProg|FlagWronlyProg) == FlagRdonlyProg|FlagWronlyProg, s.Flags&(FlagRdonly|FlagWronly) == FlagRdonly|FlagWronly:
		return refuse(abi.EINVAL, "both read-only and write-only")
	case f != 0:
		return refuse(abi.EINVAL, "flags %#x are not for type %s", f, s.Type)
	case s.Extra != 0 && s.Type != TypeBloomFilter && s.Type != TypeRHash && s.Type != TypeArena:
		return refuse(abi.EINVAL, "map_extra %#x, a %s has none", s.Extra, s.Type)
	case s.Type.PerCPU() && s.Flags&FlagNumaNode != 0:
		return refuse(abi.EINVAL, "a per-CPU map has no NUMA node")
	case s.ValueSize == 0 && s.Type != TypeRingBuf && s.Type != TypeUserRingBuf && s.Type != TypeArena:
		return refuse(abi.EINVAL, "value size 0")
	}
	var err error
	switch s.Type {
	case TypeArray, TypePerCPUArray:
		err = s.checkArray(refuse)
	case TypeProgArray, TypePerfEventArray, TypeCgroupArray, TypeArrayOfMaps:
		err = s.checkFDArray(refuse)
	case TypeRHash:
		if err = s.checkRHash(refuse); err == nil {
			err = s.checkHash(refuse)
		}
	case TypeHash, TypeLRUHash, TypePerCPUHash, TypeLRUPerCPUHash, TypeHashOfMaps:
		err = s.checkHash(refuse)
	case TypeLPMTrie:
		err = s.checkLPM(refuse)
	case TypeQueue, TypeStack, TypeBloomFilter:
		err = s.checkKeyless(refuse)
	case TypeRingBuf, TypeUserRingBuf:
		err = s.checkRing(refuse)
	case TypeTaskStorage, TypeCgrpStorage:
		err = s.checkStorage(refuse)
	case TypeArena:
		err = s.checkArena(refuse)
	case TypeInsnArray:
		err = s.checkInsnArray(refuse)
	}
	if err == nil && s.Type.ofMaps() {
		err = s.checkInner(refuse)
	}
	if err != nil {
		return err
	}
	return s.checkFields(refuse)
}

// checkArray follows array_map_alloc_check.
func (s *Spec) checkArray(refuse refusal) error {
	switch {
	case s.KeySize != 4:
		return refuse(abi.EINVAL, "key size %d, an array has 4", s.KeySize)
	case s.MaxEntries == 0:
		return refuse(abi.EINVAL, "max_entries 0")
	case s.ValueSize > intMax, s.Type == TypePerCPUArray && roundUp8(s.ValueSize) > pcpuMin:
		return refuse(abi.E2BIG, "value size %d", s.ValueSize)
	}
	return nil
}

// checkFDArray follows fd_array_map_alloc_check: only descriptors can be stored.
func (s *Spec) checkFDArray(refuse refusal) error {
	switch {
	case s.KeySize != 4 || s.ValueSize != 4:
		return refuse(abi.EINVAL, "key size %d and value size %d, both are 4 in a map of type %s", s.KeySize, s.ValueSize, s.Type)
	case s.MaxEntries == 0:
		return refuse(abi.EINVAL, "max_entries 0")
	}
	return nil
}

// checkRHash follows rhtab_map_alloc_check.
func (s *Spec) checkRHash(refuse refusal) error {
	const u16Max = 1<<16 - 1
	switch {
	case s.Flags&FlagNoPrealloc == 0:
		return refuse(abi.EINVAL, "flag no_prealloc is missing")
	case s.Flags&FlagZeroSeed != 0:
		return refuse(abi.EINVAL, "flag zero_seed is not for type rhash")
	case s.KeySize > u16Max:
		return refuse(abi.E2BIG, "key size %d", s.KeySize)
	case s.Extra>>32 != 0:
		return refuse(abi.EINVAL, "map_extra %#x", s.Extra)
	case s.Extra > u16Max:
		return refuse(abi.E2BIG, "map_extra %#x", s.Extra)
	case s.Extra > uint64(s.MaxEntries):
		return refuse(abi.EINVAL, "map_extra %d is more than max_entries %d", s.Extra, s.MaxEntries)
	}
	return nil
}

// checkHash follows htab_map_alloc_check and fd_htab_map_alloc_check.
func (s *Spec) checkHash(refuse refusal) error {
	switch {
	case s.Type == TypeHashOfMaps && s.ValueSize != 4:
		return refuse(abi.EINVAL, "value size %d, it is 4 in a hash of maps", s.ValueSize)
	case !s.Type.lru() && s.Flags&FlagNoCommonLRU != 0:
		return refuse(abi.EINVAL, "flag no_common_lru is for LRU maps")
	case s.Type.lru() && s.Flags&FlagNoPrealloc != 0:
		return refuse(abi.ENOTSUPP, "an LRU map is preallocated")
	case s.Flags&(FlagNoCommonLRU|FlagNumaNode) == FlagNoCommonLRU|FlagNumaNode:
		return refuse(abi.EINVAL, "a map with an LRU list for each CPU has no NUMA node")
	case s.MaxEntries == 0:
		return refuse(abi.EINVAL, "max_entries 0")
	case s.KeySize == 0:
		return refuse(abi.EINVAL, "key size 0")
	case uint64(s.KeySize)+uint64(s.ValueSize) >= kmallocMax-htabElem:
		return refuse(abi.E2BIG, "key size %d and value size %d", s.KeySize, s.ValueSize)
	case s.Type.PerCPU() && roundUp8(s.ValueSize) > pcpuMin:
		return refuse(abi.E2BIG, "value size %d", s.ValueSize)
	case s.MaxEntries > maxHashEntries:
		return refuse(abi.E2BIG, "max_entries %d", s.MaxEntries)
	}
	return nil
}

// checkLPM follows trie_alloc: a key is the length of the prefix in bits, then up to 256 bytes.
func (s *Spec) checkLPM(refuse refusal) error {
	switch {
	case s.MaxEntries == 0:
		return refuse(abi.EINVAL, "max_entries 0")
	case s.Flags&FlagNoPrealloc == 0:
		return refuse(abi.EINVAL, "flag no_prealloc is missing")
	case s.KeySize < 4+1 || s.KeySize > 4+lpmDataMax:
		return refuse(abi.EINVAL, "key size %d, a trie has 5 to 260", s.KeySize)
	case s.ValueSize > kmallocMax-lpmDataMax-lpmNode:
		return refuse(abi.EINVAL, "value size %d", s.ValueSize)
	}
	return nil
}

// checkKeyless follows queue_stack_map_alloc_check, bloom_map_alloc_check and bloom_map_alloc.
func (s *Spec) checkKeyless(refuse refusal) error {
	switch {
	case s.KeySize != 0:
		return refuse(abi.EINVAL, "key size %d, a %s has no keys", s.KeySize, s.Type)
	case s.MaxEntries == 0:
		return refuse(abi.EINVAL, "max_entries 0")
	case s.ValueSize > kmallocMax:
		return refuse(abi.E2BIG, "value size %d", s.ValueSize)
	case s.Extra > 15:
		return refuse(abi.EINVAL, "map_extra %#x, a bloom filter has at most 15 hash functions", s.Extra)
	}
	return nil
}

// checkRing follows ringbuf_map_alloc.
func (s *Spec) checkRing(refuse refusal) error {
	switch n := s.MaxEntries; {
	case s.KeySize != 0 || s.ValueSize != 0:
		return refuse(abi.EINVAL, "key size %d and value size %d, a %s has neither", s.KeySize, s.ValueSize, s.Type)
	case n == 0 || n&(n-1) != 0 || n%mem.PageSize != 0:
		return refuse(abi.EINVAL, "max_entries %d is no power of two that is a multiple of the page size", n)
	}
	return nil
}

// checkStorage follows bpf_local_storage_map_alloc_check.
func (s *Spec) checkStorage(refuse refusal) error {
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
	return nil
}

// checkInner follows bpf_map_meta_alloc.
func (s *Spec) checkInner(refuse refusal) error {
	switch {
	case s.Inner == nil:
		return refuse(abi.EINVAL, "a map of type %s needs a template", s.Type)
	case s.Inner.Type.ofMaps():
		return refuse(abi.EINVAL, "the template is a map of maps itself")
	case s.Inner.Type == TypeProgArray, s.Inner.Type == TypeInsnArray:
		return refuse(abi.ENOTSUPP, "the template is of type %s", s.Inner.Type)
	}
	if err := s.Inner.check(); err != nil {
		return fmt.Errorf("map %q: %w", s.Name, err)
	}
	return nil
}

// checkFields follows the part of map_check_btf that says which special fields a type of map may have.
func (s *Spec) checkFields(refuse refusal) error {
	if len(s.Fields) > 0 && s.Flags&(FlagRdonlyProg|FlagWronlyProg) != 0 {
		return refuse(abi.EACCES, "%s in a map that programs cannot read and write", s.Fields[0].Kind)
	}
	storage := s.Type == TypeTaskStorage || s.Type == TypeCgrpStorage
	end := uint32(0)
	for _, f := range s.Fields {
		if f.Off < end || f.Size == 0 || f.Size > s.ValueSize || f.Off > s.ValueSize-f.Size {
			return refuse(abi.EINVAL, "%s at byte %d of the value", f.Kind, f.Off)
		}
		end = f.Off + f.Size
		ok := false
		switch f.Kind {
		case SpinLock, ResSpinLock:
			ok = s.Type == TypeHash || s.Type == TypeRHash || s.Type == TypeArray || storage
		case Timer, Workqueue, TaskWork:
			ok = s.Type == TypeHash || s.Type == TypeRHash || s.Type == TypeLRUHash || s.Type == TypeArray
		case ListHead, RBRoot:
			ok = s.Type == TypeHash || s.Type == TypeLRUHash || s.Type == TypeArray
		case KptrUnref, KptrRef, KptrPerCPU, Refcount:
			switch s.Type {
			case TypeHash, TypeRHash, TypePerCPUHash, TypeLRUHash, TypeLRUPerCPUHash, TypeArray, TypePerCPUArray:
				ok = true
			default:
				ok = storage
			}
		case Uptr:
			ok = s.Type == TypeTaskStorage
		}
		if !ok {
			return refuse(abi.EOPNOTSUPP, "%s in a map of type %s", f.Kind, s.Type)
		}
	}
	return nil
}
