package link

import (
	"fmt"

	"github.com/cilium/ebpf/btf"

	"github.com/schedsim/schedsim/vm/elf"
	"github.com/schedsim/schedsim/vm/ir"
)

// Object is an object file linked for one kernel. Its slices may be changed by whoever called Link; nothing is shared
// with other link results of the same file, except BTF types.
type Object struct {
	Name, License string
	Maps          []*Map
	Programs      []*Program
	StructOps     []*StructOps
	// Arena is the data that lives in the arena, nil if there is none.
	Arena *elf.Arena
	// BTF describes the object's own types.
	BTF *btf.Spec
	// Warnings tell what a strict reader might want to know: members or relocations that were dropped.
	Warnings []string

	target    Target
	keepGoing bool
}

// Map is a map to be created.
type Map struct {
	Name       string
	Type       elf.MapType // kernel number
	KeySize    uint32
	ValueSize  uint32
	MaxEntries uint32
	Flags      uint32
	Extra      uint64
	NUMANode   uint32
	// Data are the initial bytes of a data section; bytes beyond it, up to ValueSize, are zero. Section is the section's
	// name, "" for a declared map.
	Section string
	Data    []byte
	// Frozen: neither programs nor user space may write (.rodata*, .kconfig). Other maps may still carry FlagRdonlyProg.
	Frozen     bool
	Vars       []Var
	Key, Value btf.Type
	// Inner is the template of inner maps; Slots are the initial entries of an array of maps, by map name.
	Inner *Map
	Slots []elf.Slot
	// Tables are the offsets and sizes of the jump tables in the section .jumptables.
	Tables [][2]uint32
}

// Var is a variable of a data section.
type Var = elf.Var

// ProgKind is the sort of a program.
type ProgKind = elf.ProgKind

// Program is one entry point with the subprograms that it reaches.
type Program struct {
	// Code is complete except for the address loads that Refs lists. Code.Exception is the subprogram that a declaration tag
	// of the main function names (__exception_cb); with more than one tag, which the verifier refuses, there is none.
	Code      *ir.Program
	Name      string
	Section   string
	Kind      ProgKind
	Attach    string
	Sleepable bool
	AutoLoad  bool
	// Type is the BTF of the main function, nil if unknown.
	Type *btf.Func
	Refs []Ref
	// Live tells for each instruction of Code whether it can be reached after constant folding.
	Live []bool
	// Calls are the live calls of kernel functions, Helpers those of numbered helpers, by instruction.
	Calls   []KfuncCall
	Helpers []HelperCall
	// Subs says more about each of Code.Subs.
	Subs []Sub
	// Gotos are the indirect jumps, which Code has as searches; see Direct.
	Gotos []Goto
	// Poison are the reasons why instructions of kind ir.Invalid fault when they are executed, by their Imm.
	Poison []string
	// CtxSize is how many bytes at the address of its context must lie in the address space when the program is run, because
	// accesses to them are not checked (ir.Insn.Proved); 0: none.
	CtxSize uint32
	// Err tells why the program could not be linked; its Code then faults at once. Only programs that are not loaded
	// by themselves can have one, unless Options.KeepGoing was set.
	Err error

	core []bool // by instruction of Code: it holds the offset of a field that CO-RE relocated
}

// Sub is what the linker knows of a subprogram beyond ir.Sub.
type Sub struct {
	Type *btf.Func
	// Func is its index in the Funcs of the elf.Object; of no meaning in a program with Err.
	Func int
	// Global functions are verified on their own.
	Global bool
	// Live: some live instruction calls it or takes its address.
	Live bool
	// Callback: its address is taken.
	Callback bool
}

// KfuncCall is a live call of a kernel function.
type KfuncCall struct {
	Insn int // index in Code.Insns
	Name string
	Line string // "file.c:123", "" if unknown
}

// HelperCall is a live call of a helper.
type HelperCall struct {
	Insn int
	ID   int32
	Line string
}

// RefKind says what address an ir.LdImm64 needs.
type RefKind uint8

// The kinds of references.
const (
	// RefMap is the address of the map object Maps[Map].
	RefMap RefKind = iota + 1
	// RefMapValue is the address of byte Off of the data of Maps[Map].
	RefMapValue
	// RefFunc is the code address of Code.Subs[Sub] (a callback).
	RefFunc
	// RefKsymVar is the address of byte Off of the kernel variable Name; for a per-CPU variable what bpf_per_cpu_ptr and
	// bpf_this_cpu_ptr take.
	RefKsymVar
	// RefKsymFunc is the address of the kernel function Name, which exists: programs only compare it with zero.
	RefKsymFunc
	// RefArena is the user address of byte Off of the arena Maps[Map]'s global data.
	RefArena
)

// Ref is an instruction (ir.LdImm64) that waits for an address.
type Ref struct {
	Insn int
	Kind RefKind
	Map  int
	Sub  int
	Off  int64
	Name string
}

// StructOps is one struct_ops table.
type StructOps struct {
	Name string
	// Type is the kernel's struct ("sched_ext_ops").
	Type       string
	Link       bool
	AutoCreate bool
	Members    []Member
}

// Member is one member of a struct_ops table that the kernel knows too, in the order of the object's declaration.
type Member struct {
	Name string
	Kind MemberKind
	// Prog is the program's name, "" for a null pointer.
	Prog string
	// Bytes is the raw value of a scalar or array.
	Bytes []byte
	Type  btf.Type
}

// MemberKind tells members apart.
type MemberKind uint8

// The kinds of members.
const (
	MemberFunc MemberKind = iota + 1
	MemberInt
	MemberBytes // arrays, structs, pointers to data
)

// Names are the strings of the program that live as long as it does.
func (p *Program) Names() []*string {
	out := []*string{&p.Name, &p.Section, &p.Attach, &p.Code.Name}
	for i := range p.Code.Subs {
		out = append(out, &p.Code.Subs[i].Name)
	}
	for i := range p.Poison {
		out = append(out, &p.Poison[i])
	}
	return out
}

// Brief is the program without what is known of its single instructions, and without types: what messages and those who run
// it need.
func (p *Program) Brief() Program {
	return Program{Code: p.Code, Name: p.Name, Section: p.Section, Kind: p.Kind, Attach: p.Attach, Sleepable: p.Sleepable, AutoLoad: p.AutoLoad,
		Poison: p.Poison, CtxSize: p.CtxSize, Err: p.Err}
}

// IsLive tells whether instruction i can run; without an analysis all can.
func (p *Program) IsLive(i int) bool { return i >= len(p.Live) || p.Live[i] }

// MapUser names the first live instruction of the programs that refers to map number i, as the tail of a message; "" if there
// is none.
func MapUser(progs []*Program, i int) string {
	for _, p := range progs {
		for _, r := range p.Refs {
			if (r.Kind == RefMap || r.Kind == RefMapValue || r.Kind == RefArena) && r.Map == i && p.IsLive(r.Insn) {
				return fmt.Sprintf(" (used by program %s, %s)", p.Name, p.Code.Where(r.Insn))
			}
		}
	}
	return ""
}
