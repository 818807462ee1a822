package arm64

import (
	"unsafe"

	"github.com/schedsim/schedsim/vm/engine"
	"github.com/schedsim/schedsim/vm/ir"
	"github.com/schedsim/schedsim/vm/mem"
)

// context is what machine code and Go share. It lies in the control page of the address space, where no program can reach
// it. A set of programs has a context of its own, so that programs of different sets can nest too.
type context struct {
	bias uintptr // host address of simulated address 0
	host uintptr // host address of mem.Base
	// limit has the number of accessible bytes less 1, 2, 4 and 8: the last offset of an access of that size.
	limit [4]uint64
	args  [5]uint64
	r0    uint64
	sp    unsafe.Pointer // the private stack while Go runs
	left  int64          // instructions left of the slice of the budget; see code.rest
	fp    uint64         // R10
	// inlined is the number of helpers that ran without a call since Go entered; cpu is the processor.
	inlined uint64
	cpu     uint64
	callLow uint64 // a call is possible while R10 is above this
	exit    uint64 // why machine code stopped: kind and number
	value   uint64 // detail of a fault: offset of the address in the space, or call target; where a new activation starts
	space   uint64 // the limit that limit was made of
	used    uint64 // 1: a set has this context
	// arenaEnd has for accesses of 1, 2, 4 and 8 bytes the first address in the window of the arena that is not within the
	// pages mapped from its start on; arenaLow is what it was made of, arenaTable the address of mem.Arena.Table.
	arenaEnd   [4]uint64
	arenaLow   uint64
	arenaTable unsafe.Pointer
}

// contextSize is what a context takes of the control page, contexts how many there are.
const (
	contextSize = 256
	contexts    = mem.PageSize / contextSize
)

// takeContext finds a free context in the control page; nil: there is none.
func takeContext(control []byte) *context {
	for slot := range contexts {
		// Safety: the page is mapped as long as the address space, and a context fits its part of it (TestContextLayout).
		if x := (*context)(unsafe.Pointer(&control[slot*contextSize])); x.used == 0 {
			x.used = 1
			return x
		}
	}
	return nil
}

// callFP is R10 of the call that Go is in: it lies on the private stack behind the arguments.
//
// Safety: x.sp points there from the exit for the call until the return to machine code.
func (x *context) callFP() uint64 { return *(*uint64)(unsafe.Add(x.sp, callFP)) }

// setLimit tells machine code how much memory there is.
func (x *context) setLimit(n uint64) {
	x.space = n
	x.limit[0], x.limit[1], x.limit[2], x.limit[3] = n-1, n-2, n-4, n-8
}

// setArena tells machine code how much of the arena is mapped from its start on.
func (x *context) setArena(n uint64) {
	x.arenaLow = n
	for i := range x.arenaEnd {
		x.arenaEnd[i] = max(n, 1<<i-1) - (1<<i - 1)
	}
}

// Displacements of the context's fields.
const (
	offBias    = int32(unsafe.Offsetof(context{}.bias))
	offLimit   = int32(unsafe.Offsetof(context{}.limit))
	offArgs    = int32(unsafe.Offsetof(context{}.args))
	offR0      = int32(unsafe.Offsetof(context{}.r0))
	offSP      = int32(unsafe.Offsetof(context{}.sp))
	offLeft    = int32(unsafe.Offsetof(context{}.left))
	offFP      = int32(unsafe.Offsetof(context{}.fp))
	offInlined = int32(unsafe.Offsetof(context{}.inlined))
	offCPU     = int32(unsafe.Offsetof(context{}.cpu))
	offCallLow = int32(unsafe.Offsetof(context{}.callLow))
	offExit    = int32(unsafe.Offsetof(context{}.exit))
	offValue   = int32(unsafe.Offsetof(context{}.value))

	offArenaEnd   = int32(unsafe.Offsetof(context{}.arenaEnd))
	offArenaTable = int32(unsafe.Offsetof(context{}.arenaTable))
)

// The kinds of exits, in the low bits of context.exit; the bits above are a number.
const (
	exitDone   = iota // the activation is over
	exitCall          // call of a helper or kfunc; the number is that of the call site
	exitMemory        // bad access; here and below the number is that of the instruction in the set
	exitBudget        // the slice of the budget is used up, and perhaps the budget
	exitDepth         // no frame for a call
	exitTarget        // call of an address that is no subprogram
	exitHelper        // call of a helper that does not exist
	exitPoison        // an instruction that cannot be executed

	exitBits = 3
	exitMask = 1<<exitBits - 1
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
