package maps

import "fmt"

// Type is the kernel's number of a map type (enum bpf_map_type).
type Type uint32

// The map types that can be created.
const (
	TypeHash           Type = 1
	TypeArray          Type = 2
	TypeProgArray      Type = 3
	TypePerfEventArray Type = 4
	TypePerCPUHash     Type = 5
	TypePerCPUArray    Type = 6
	TypeCgroupArray    Type = 8
	TypeLRUHash        Type = 9
	TypeLRUPerCPUHash  Type = 10
	TypeLPMTrie        Type = 11
	TypeArrayOfMaps    Type = 12
	TypeHashOfMaps     Type = 13
	TypeQueue          Type = 22
	TypeStack          Type = 23
	TypeRingBuf        Type = 27
	TypeTaskStorage    Type = 29
	TypeBloomFilter    Type = 30
	TypeUserRingBuf    Type = 31
	TypeCgrpStorage    Type = 32
	TypeArena          Type = 33
	TypeInsnArray      Type = 34
	TypeRHash          Type = 35
)

// typeNames are the names of all types, as bpftool prints them.
var typeNames = [...]string{"unspec", "hash", "array", "prog_array", "perf_event_array", "percpu_hash", "percpu_array",
	"stack_trace", "cgroup_array", "lru_hash", "lru_percpu_hash", "lpm_trie", "array_of_maps", "hash_of_maps", "devmap",
	"sockmap", "cpumap", "xskmap", "sockhash", "cgroup_storage", "reuseport_sockarray", "percpu_cgroup_storage", "queue",
	"stack", "sk_storage", "devmap_hash", "struct_ops", "ringbuf", "inode_storage", "task_storage", "bloom_filter",
	"user_ringbuf", "cgrp_storage", "arena", "insn_array", "rhash"}

// PerCPU tells that a map of the type has a value for each CPU (bpf_map_is_percpu_map).
func (t Type) PerCPU() bool {
	return t == TypePerCPUArray || t == TypePerCPUHash || t == TypeLRUPerCPUHash
}

// lru tells that a map of the type makes room by itself.
func (t Type) lru() bool { return t == TypeLRUHash || t == TypeLRUPerCPUHash }

// ofMaps tells that the elements are maps.
func (t Type) ofMaps() bool { return t == TypeArrayOfMaps || t == TypeHashOfMaps }

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
	FlagPreserve    uint32 = 1 << 11 // BPF_F_PRESERVE_ELEMS
	FlagSegvOnFault uint32 = 1 << 17
	FlagInnerMap    uint32 = 1 << 12
	FlagOverwrite   uint32 = 1 << 19 // BPF_F_RB_OVERWRITE

	flagAccess = FlagRdonly | FlagWronly | FlagRdonlyProg | FlagWronlyProg
)

// Flags of an update (BPF_*).
const (
	Any     uint64 = 0
	NoExist uint64 = 1
	Exist   uint64 = 2
	Lock    uint64 = 4
	// OneCPU (BPF_F_CPU) and AllCPUs (BPF_F_ALL_CPUS) are user space's, for per-CPU maps: the value is that of the CPU in
	// the upper 32 bits of the flags, or goes to all CPUs.
	OneCPU  uint64 = 8
	AllCPUs uint64 = 16
)

// Limits of the kernel (x86-64).
const (
	lpmDataMax     = 256     // LPM_DATA_SIZE_MAX
	lpmNode        = 24      // sizeof(struct lpm_trie_node)
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
	// ListNode and RBNode occur in objects of programs, not in maps.
	ListNode
	RBNode
)

var fieldNames = [...]string{"", "bpf_spin_lock", "bpf_res_spin_lock", "bpf_timer", "bpf_wq", "bpf_task_work",
	"kptr (untrusted)", "kptr", "percpu kptr", "uptr", "bpf_list_head", "bpf_rb_root", "bpf_refcount", "bpf_list_node",
	"bpf_rb_node"}

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
	// Frozen: user space may not write (any more).
	Frozen bool
	// Extra is map_extra: the number of hash functions of a bloom filter (0: five), the initial size of an rhash.
	Extra uint64
	// DataSize is the size of the global variables of an arena, of which Data are the first bytes and the rest is zero.
	DataSize uint32
	// Inner is the template of the maps in a map of maps.
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
