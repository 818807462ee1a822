package elf

import (
	"github.com/cilium/ebpf/btf"
)

// Object is the blueprint of one object file.
type Object struct {
	// Name is the file name as given to Read, used in messages.
	Name    string
	License string
	// BTF describes the object's types. Nil when the file has none.
	BTF *btf.Spec
	// Funcs are all functions of the file, in the order of sections and of addresses within a section.
	Funcs []*Func
	// Programs are the entry points among Funcs, in the same order.
	Programs []*Program
	// Maps are first the data sections in file order, then .kconfig if there are such externs, then the maps of .maps in
	// order of their addresses.
	Maps      []*Map
	StructOps []*StructOps
	// Externs are the undefined symbols, kconfig variables first (in the order of their offsets), then ksyms by name.
	Externs []*Extern
	// Arena is the data of .addr_space.1, nil when the file has none.
	Arena *Arena
	// JumpTables are the tables of .jumptables that functions refer to.
	JumpTables []JumpTable
}

// JumpTable is a table for indirect jumps (gotox) of one function.
type JumpTable struct {
	// Off is where it lies in the section .jumptables.
	Off uint32
	// Targets are the elements: byte offsets in the section of the function.
	Targets []uint64
}

// Program is an entry point: a function in a section other than .text.
type Program struct {
	// Func is its index in Object.Funcs.
	Func int
	Name string
	// Section is the name as written in SEC, with a leading '?' where there is one.
	Section   string
	Kind      ProgKind
	Attach    string // what follows the first slash of Section
	Sleepable bool
	AutoLoad  bool // false for SEC("?...")
}

// Func is one function.
type Func struct {
	Name    string
	Section string
	// Off is the byte offset of its code in Section.
	Off uint32
	// Global functions are checked on their own by the kernel's verifier, static ones as part of their callers.
	Global bool
	Weak   bool
	// Code is a multiple of 8 bytes.
	Code []byte
	// Type is its BTF, nil when the file has none.
	Type *btf.Func
	// Relocs, Core and Lines are sorted by instruction.
	Relocs []Reloc
	Core   []CoreReloc
	Lines  []Line
}

// RelocKind says what an instruction refers to.
type RelocKind uint8

// The kinds of references. Map, MapValue, Func, Extern and ArenaValue stand on two-slot loads, Call and ExternCall on calls.
const (
	RelocMap RelocKind = iota + 1
	// RelocMapValue is the address of byte Off of the data section Maps[Index].
	RelocMapValue
	// RelocFunc is the address of Funcs[Index].
	RelocFunc
	// RelocCall is a call of Funcs[Index].
	RelocCall
	// RelocExtern is the address of Externs[Index], plus Off.
	RelocExtern
	// RelocExternCall is a call of Externs[Index].
	RelocExternCall
	// RelocArena is the address of byte Off of the arena data.
	RelocArena
	// RelocJumpTable is the address of JumpTables[Index], which is byte Off of the section .jumptables.
	RelocJumpTable
)

// Reloc is one reference of an instruction.
type Reloc struct {
	Insn  int32 // 8-byte slot in its function
	Kind  RelocKind
	Index int32
	Off   int64
}

// CoreReloc is one CO-RE relocation record.
type CoreReloc struct {
	Insn   int32 // 8-byte slot in its function
	Kind   CoreKind
	TypeID btf.TypeID
	Access string // "0:1:2"
}

// Line is one line information record, valid from Insn to the next record.
type Line struct {
	Insn int32 // 8-byte slot in its function
	File string
	Text string
	Line uint32
	Col  uint32
}

// Extern is an undefined symbol: a kconfig variable, or a function or variable of the kernel.
type Extern struct {
	Name string
	Kind ExternKind
	Weak bool
	// Type is the declared type: a *btf.FuncProto for functions, else the variable's. Void for a ksym without type.
	Type btf.Type
	// Off and Size place a kconfig variable in the .kconfig map.
	Off, Size uint32
}

// ExternKind tells externs apart.
type ExternKind uint8

// The kinds of externs.
const (
	ExternKconfig ExternKind = iota + 1
	ExternFunc
	ExternVar
)

// MapType is the kernel's number of a map type (enum bpf_map_type).
type MapType uint32

// The map types that the reader itself has to know.
const (
	MapTypeHash        MapType = 1
	MapTypeArray       MapType = 2
	MapTypeProgArray   MapType = 3
	MapTypeArrayOfMaps MapType = 12
	MapTypeHashOfMaps  MapType = 13
	MapTypeRingBuf     MapType = 27
	MapTypeUserRingBuf MapType = 31
	MapTypeArena       MapType = 33
	MapTypeInsnArray   MapType = 34
)

// Map flags that matter to readers (BPF_F_*).
const (
	FlagRdonlyProg uint32 = 1 << 7
	FlagMmapable   uint32 = 1 << 10
)

// Map is the blueprint of a map.
type Map struct {
	// Name is the C name, or the section's name for a data section (".rodata", ".data.cpu_map").
	Name       string
	Type       MapType
	KeySize    uint32
	ValueSize  uint32
	MaxEntries uint32
	Flags      uint32
	Extra      uint64 // map_extra
	NUMANode   uint32
	Pinning    uint32
	Weak       bool
	// Key and Value are the declared types, nil where only sizes are.
	Key, Value btf.Type

	// Section is the data section's name, "" for a declared map.
	Section string
	// Data are the initial bytes of a data section. It may be shorter than ValueSize: the rest is zero.
	Data []byte
	// Frozen data cannot be changed once loaded, by programs or by user space: .rodata and .kconfig.
	Frozen bool
	// Vars are the variables of a data section by offset. A section without BTF (string literals) has none.
	Vars []Var

	// Inner is the template of inner maps. Slots are the initial entries.
	Inner *Map
	Slots []Slot
}

// Slot is an initial entry of an array of maps (Name is a map) or of programs (Name is a program).
type Slot struct {
	Index uint32
	Name  string
}

// Var is a variable of a data section.
type Var struct {
	Name      string
	Off, Size uint32
	Type      btf.Type
	Static    bool
	Weak      bool
}

// StructOps is one struct_ops table: a variable in .struct_ops or .struct_ops.link.
type StructOps struct {
	Name string
	// Section is ".struct_ops" or ".struct_ops.link", possibly with a leading '?'.
	Section string
	// Type is the struct as declared; its name is that of the kernel's type, possibly with a ___flavor.
	Type *btf.Struct
	// Link: registered through a BPF link (.struct_ops.link). AutoCreate is false for sections with a leading '?'.
	Link, AutoCreate bool
	// Data are the bytes of the variable; function pointers in it are zero.
	Data    []byte
	Members []Member
}

// Member is one member of a struct_ops table.
type Member struct {
	Name string
	// Off and Size place it in Data. Bitfields are not possible in struct_ops types and refused.
	Off, Size uint32
	Type      btf.Type
	// Prog is the program that the member points to, "" for a member without one.
	Prog string
	// Func: the member is a function pointer.
	Func bool
	// Bytes is the member's part of Data.
	Bytes []byte
}

// Arena is the global data that lives in the arena.
type Arena struct {
	Section string
	Map     int // the arena in Object.Maps, -1 when the file declares none
	// Data are the initial bytes; those beyond it, up to Size, are zero.
	Data []byte
	Size uint32
	Vars []Var
}

// CoreKind is the kind of a CO-RE relocation (enum bpf_core_relo_kind).
type CoreKind uint32

// The kinds of CO-RE relocations.
const (
	CoreFieldByteOffset CoreKind = iota
	CoreFieldByteSize
	CoreFieldExists
	CoreFieldSigned
	CoreFieldLShift
	CoreFieldRShift
	CoreTypeIDLocal
	CoreTypeIDTarget
	CoreTypeExists
	CoreTypeSize
	CoreEnumvalExists
	CoreEnumvalValue
	CoreTypeMatches
)
