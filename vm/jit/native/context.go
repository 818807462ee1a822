package native

import (
	"unsafe"

	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/engine"
	"github.com/schedsim/schedsim/vm/ir"
	"github.com/schedsim/schedsim/vm/mem"
)

// context is what machine code and Go share. It lies in the control page of the address space, where no program can reach it,
// at a constant distance from the register that translates addresses.
//
// A set of programs has a context of its own, so that programs of different sets can nest too.
type context struct {
	// base is where the private stack begins when machine code starts, sp its end when machine code left for a call (see
	// Site.Keeps). pc is where machine code starts.
	base, sp unsafe.Pointer
	pc       uintptr
	left     int64 // instructions left of the slice of the budget
	r0       uint64
	bias     uintptr  // host address of simulated address 0
	host     uintptr  // and of mem.Base
	back     uintptr  // where machine code goes on after a call
	exit     uint32   // why machine code stopped; see ExitDone
	calls    uint32   // the number of calls of functions that Code.settle has not seen, those done in machine code included
	value    uint64   // detail of a fault: offset of the address in the space, or call target; where Entry leads to
	fp       uint64   // R10 at the start of machine code; here and below as that has it, see Code.hosted
	faultFP  uint64   // and where a fault happened
	callFP   uint64   // and at a call of Go
	callLow  uint64   // a call is possible while R10 is above this
	args     abi.Args // of an activation that begins, and of a call of Go
	// limit has the number of accessible bytes less 1, 2, 4 and 8: the last offset of an access of that size.
	limit [4]uint64
	used  uint64 // 1: a set has this context
	cpu   uint64 // the processor
	// words are the values of abi.Word, by the numbers that a WordSet gave them; fresh: the volatile ones are right.
	words [NrWords]uint64
	fresh uint64
	// arenaEnd has for accesses of 1, 2, 4 and 8 bytes the first address in the window of the arena that is not within the
	// pages mapped from its start on; arenaTable is the address of mem.Arena.Table.
	arenaEnd   [4]uint64
	arenaTable unsafe.Pointer
	// loopFP is R10 of the innermost callback that runs in a loop of machine code, 0 if there is none.
	loopFP uint64
	// until is State.Insns where the slice of the budget ends; sites are those of Code.
	until uint64
	sites unsafe.Pointer
	// leaves says after a tail call that the subprogram which made it is to return R0.
	leaves uint64
	// kept is what a program that has no part of the private stack wants back after a call of Go.
	kept [4]uint64
}

// site is a Site as Go finds it by context.exit: its place in the list of sites, which begins with none.
type site struct {
	fn          abi.Func
	insn, keeps int32
}

// called tells whether machine code has left for a call.
func (x *context) called() bool { return int32(x.exit) > 0 }

// site is the place of the call that machine code has left for.
//
// Safety: it leaves with the places of its own sites only, which Code keeps.
func (x *context) site() *site { return (*site)(unsafe.Add(x.sites, x.exit)) }

// callAt is where the private stack goes on during a call of Go, and R10 of it.
func (x *context) callAt() (sp unsafe.Pointer, fp uint64) {
	if s := x.site(); s.keeps >= 0 {
		return unsafe.Add(x.base, -s.keeps), x.fp
	}
	return x.sp, x.callFP
}

// ContextSize is what a context takes of the control page, Contexts how many there are.
const (
	ContextSize = 384
	Contexts    = mem.PageSize / ContextSize
)

// NrWords is how many words a set can have. Functions that need more are called.
const NrWords = 8

// takeContext finds a free context in the control page; nil: there is none.
func takeContext(control []byte) (slot int, x *context) {
	for slot := range Contexts {
		// Safety: the page is mapped as long as the address space, and a context fits its part of it (TestContextLayout).
		if x := (*context)(unsafe.Pointer(&control[slot*ContextSize])); x.used == 0 {
			x.used = 1
			return slot, x
		}
	}
	return 0, nil
}

// setLimit tells machine code how much memory there is.
func (x *context) setLimit(n uint64) {
	x.limit[0], x.limit[1], x.limit[2], x.limit[3] = n-1, n-2, n-4, n-8
}

// setArena tells machine code how much of the arena is mapped from its start on.
func (x *context) setArena(n uint64) {
	for i := range x.arenaEnd {
		x.arenaEnd[i] = max(n, 1<<i-1) - (1<<i - 1)
	}
}

// Displacements of the context's fields from its start.
const (
	OffBase    = int32(unsafe.Offsetof(context{}.base))
	OffSP      = int32(unsafe.Offsetof(context{}.sp))
	OffPC      = int32(unsafe.Offsetof(context{}.pc))
	OffLeft    = int32(unsafe.Offsetof(context{}.left))
	OffR0      = int32(unsafe.Offsetof(context{}.r0))
	OffBias    = int32(unsafe.Offsetof(context{}.bias)) // and mem.Base's host address behind it
	OffBack    = int32(unsafe.Offsetof(context{}.back))
	OffExit    = int32(unsafe.Offsetof(context{}.exit))
	OffValue   = int32(unsafe.Offsetof(context{}.value))
	OffFP      = int32(unsafe.Offsetof(context{}.fp))
	OffFaultFP = int32(unsafe.Offsetof(context{}.faultFP))
	OffCallFP  = int32(unsafe.Offsetof(context{}.callFP))
	OffCallLow = int32(unsafe.Offsetof(context{}.callLow))
	OffArgs    = int32(unsafe.Offsetof(context{}.args))
	OffLimit   = int32(unsafe.Offsetof(context{}.limit))
	OffCalls   = int32(unsafe.Offsetof(context{}.calls))
	OffCPU     = int32(unsafe.Offsetof(context{}.cpu))
	OffWords   = int32(unsafe.Offsetof(context{}.words))
	OffFresh   = int32(unsafe.Offsetof(context{}.fresh))

	OffArenaEnd   = int32(unsafe.Offsetof(context{}.arenaEnd))
	OffArenaTable = int32(unsafe.Offsetof(context{}.arenaTable))

	OffLoopFP = int32(unsafe.Offsetof(context{}.loopFP))
	OffLeaves = int32(unsafe.Offsetof(context{}.leaves))
	OffKept   = int32(unsafe.Offsetof(context{}.kept))
)

// ExitDone is context.exit when an activation is over. With the highest bit clear another one is a call of a helper or kfunc:
// ExitCall for the first Site, twice that for the second.
const (
	ExitDone = 0
	ExitCall = int32(unsafe.Sizeof(site{}))
)

// The other kinds of exits. With them context.exit is the complement of a kind and, above it, of the number of an instruction in
// the set.
const (
	ExitMemory = iota // bad access
	ExitBudget        // the slice of the budget is used up, and perhaps the budget
	ExitDepth         // no frame for a call
	ExitTarget        // call of an address that is no subprogram
	ExitHelper        // call of a helper that does not exist
	ExitPoison        // an instruction that cannot be executed

	ExitBits = 3
	exitMask = 1<<ExitBits - 1
)

// memoryFault is the message of a bad access by in at an offset of the address space.
func memoryFault(in *ir.Insn, off uint64) string {
	size, addr := in.Op.Size(), off+mem.Base
	switch {
	case in.Op.IsLoad():
		return engine.ReadFault(size, addr)
	case in.Op.IsStore():
		return engine.WriteFault(size, addr)
	}
	return engine.AtomicFault(size, addr)
}
