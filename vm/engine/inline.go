package engine

import (
	"fmt"

	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/ir"
)

// Inline tells engines that generate code what some helpers do, so that they need not call them; the interpreter has no use
// for it. What an engine does instead must be the same to the last bit, and counts as a call of a helper. The zero value
// tells nothing.
type Inline struct {
	// Lookup is the number of bpf_map_lookup_elem, CPUID that of bpf_get_smp_processor_id; 0 means that there is none.
	// Whoever sets CPUID or an Array with CPUs promises that Call.Host.CPU stays the same from the start of a program to its
	// end, callbacks included (in the kernel programs run with migration disabled).
	Lookup, CPUID int64
	// Loop is the number of bpf_loop: with 0 in R4, which is EINVAL otherwise, it calls the callback R2 with (i, R3) for i = 0
	// up to the low half of R1, which is E2BIG above MaxLoops, until the callback returns non-zero in round i; it returns the
	// number of rounds.
	Loop int64
	// Helpers says in code what helpers do, by number: nil, or behind its end, nothing is said. Kfuncs says it of kernel
	// functions, by name.
	Helpers []*abi.Inline
	Kfuncs  map[string]*abi.Inline
	// Params says how many of R1-R5 kernel functions look at, by name; all where it says nothing.
	Params map[string]int
	// Arrays are the maps of Env.Mem in which Lookup finds elements by arithmetic. Their memory stays where it is.
	Arrays []Array
	// LookupPerCPU is the number of bpf_map_lookup_percpu_elem, which is Lookup for the CPU in R3; it faults for maps that are
	// no Array with CPUs.
	LookupPerCPU int64
	// Update is the number of bpf_map_update_elem: for a key that is in a Table with Plain, and 0 or 2 in R4, it copies the
	// Size bytes at R3 to where Lookup finds the value, and returns 0. It need not be known what else it does.
	Update int64
	// Tables are the maps in which Lookup, or a helper of their own, finds elements by following chains.
	Tables []Table
	// Pointers say in code what helpers do with certain pointers. The word of such code may be the processor, about which the
	// same is promised then.
	Pointers []Pointer
}

// Pointer says in code what a helper does when R1 has a certain value.
type Pointer struct {
	Helper int64
	R1     uint64
	Code   *abi.Inline
}

// Table is a map whose elements are in an Index, which stays where it is though its slices change. With mix(v) = hi ^ lo of
// the product (v ^ abi.HashXor) * abi.HashMul of 128 bits, a map of keys hashes a key of 4 bytes, zero-extended, to the low
// half of mix(Seed ^ key) and one of 8 bytes to that of mix(mix(Seed ^ key)); the key is compared with Key of the elements.
// Lookup returns Addr + Value, plus cpu*Stride where cpu < CPUs for a map with CPUs; otherwise 0, as for a key that is
// not there. Where the key cannot be read, it sets Call.Fault.
//
// A map of owners (Storage is the number of its helper) hashes the owner in R2 to the low half of mix(owner) and compares it
// with Key. The helper returns Addr, and 0 when the owner is 0, or R4 neither 0 nor 1. An owner that is not there is 0 only
// with R4 = 0; otherwise the helper must be called.
type Table struct {
	Map           uint64 // what programs hand to the helper
	Index         *abi.Index
	Storage       int64  // 0: a map of keys
	Key           uint32 // bytes of a key: 4 or 8
	CPUs          uint32 // 0: all share a value
	Seed          uint64
	Value, Stride uint64
	Size          uint64 // bytes of a value
	Plain         bool   // values are nothing but bytes, and programs may write them
}

// Array is a map whose key is an index of 4 bytes. With i < Entries, Lookup returns Base + i*Elem for a map without CPUs, and
// Base + i*Elem + cpu*Stride where cpu < CPUs for one with; otherwise 0. Where the key
// cannot be read, Lookup sets Call.Fault.
type Array struct {
	Map                uint64 // what programs hand to Lookup
	Base, Elem, Stride uint64
	Entries, CPUs      uint32
}

// CheckInline tells whether in keeps the rules of abi.Inline, "" if it does.
func CheckInline(in *abi.Inline) string {
	for i := range in.Code {
		if msg := checkInlined(in, &in.Code[i], i); msg != "" {
			return fmt.Sprintf("instruction %d: %s", i, msg)
		}
	}
	return ""
}

func checkInlined(t *abi.Inline, in *ir.Insn, i int) string {
	op := in.Op
	word := op == ir.Ld64 && in.Src == abi.WordReg && in.Off == 0
	switch {
	case op == ir.Invalid, op == ir.Ja:
	case op >= ir.Div64X && op <= ir.SMod32K, op == ir.MayGoto, op > ir.St64K && !op.IsJump():
		return fmt.Sprintf("operation %d", op)
	case in.Dst > 5, in.Src > 5 && !word:
		return "register"
	}
	switch {
	case op.IsJump() && (int(in.Target) <= i || int(in.Target) > len(t.Code)):
		return "jump that does not go forwards"
	case word && t.Word == nil:
		return "there is no word"
	case in.Probe || in.Arena:
		return "access that cannot fail"
	}
	return ""
}
