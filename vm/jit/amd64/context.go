package amd64

import (
	"unsafe"

	"github.com/schedsim/schedsim/vm/engine"
	"github.com/schedsim/schedsim/vm/ir"
	"github.com/schedsim/schedsim/vm/mem"
)

// context is what machine code and Go share. It lies in the control page of the address space, just below mem.Base, so that
// the register which translates addresses reaches it with a constant displacement, and no program can.
//
// A set of programs has a context of its own, so that programs of different sets can nest too.
type context struct {
	// base is where the private stack begins when machine code starts, sp its end when machine code left for a call. pc is
	// where machine code starts.
	base, sp unsafe.Pointer
	pc       uintptr
	left     int64 // instructions left of the slice of the budget; see code.rest
	r0       uint64
	bias     uintptr // host address of simulated address 0
	exit     uint64  // why machine code stopped: kind and number
	value    uint64  // detail of a fault: offset of the address in the space, or call target
	fp       uint64  // R10 at the start of machine code
	faultFP  uint64  // and where a fault happened
	callLow  uint64  // a call is possible while R10 is above this
	args     [5]uint64
	// limit has the number of accessible bytes less 1, 2, 4 and 8: the last offset of an access of that size.
	limit [4]uint64
	space uint64 // the limit that limit was made of
	used  uint64 // 1: a set has this context
	// inlined is the number of helpers that ran without a call since Go entered; cpu is the processor.
	inlined uint64
	cpu     uint64
	// words are the values of abi.Inline.Word, by the numbers that lowering gave them; fresh: the volatile ones are right.
	words [nrWords]uint64
	fresh uint64
	// arenaEnd has for accesses of 1, 2, 4 and 8 bytes the first address in the window of the arena that is not within the
	// pages mapped from its start on; arenaLow is what it was made of, arenaTable the address of mem.Arena.Table.
	arenaEnd   [4]uint64
	arenaLow   uint64
	arenaTable unsafe.Pointer
	// loopFP is R10 of the innermost callback that runs in a loop of machine code, 0 if there is none.
	loopFP uint64
	// leaves says after a tail call that the subprogram which made it is to return R0.
	leaves uint64
}

// contextSize is what a context takes of the control page, contexts how many there are.
const (
	contextSize = 384
	contexts    = mem.PageSize / contextSize
)

// nrWords is how many words a set can have. Functions that need more are called.
const nrWords = 8

// takeContext finds a free context in the control page; nil: there is none.
func takeContext(control []byte) (slot int, x *context) {
	for slot := range contexts {
		// Safety: the page is mapped as long as the address space, and a context fits its part of it (TestContextLayout).
		if x := (*context)(unsafe.Pointer(&control[slot*contextSize])); x.used == 0 {
			x.used = 1
			return slot, x
		}
	}
	return 0, nil
}

// callFP is R10 of the call that Go is in: it lies on the private stack behind the arguments.
//
// Safety: x.sp points there from the exit for the call until the return to machine code.
func (x *context) callFP() uint64 { return *(*uint64)(unsafe.Add(x.sp, 5*8)) }

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

// contextBase is the simulated address of the control page as a displacement.
const contextBase = -1 << 31

// The constant is right only if the control page begins 2 GiB below the top of the address space.
var _ [0]struct{} = [mem.Base - mem.PageSize - (1<<64 - 1<<31)]struct{}{}

// Displacements of the context's fields from its start.
const (
	offBase    = int32(unsafe.Offsetof(context{}.base))
	offFaultFP = int32(unsafe.Offsetof(context{}.faultFP))
	offSP      = int32(unsafe.Offsetof(context{}.sp))
	offPC      = int32(unsafe.Offsetof(context{}.pc))
	offBias    = int32(unsafe.Offsetof(context{}.bias))
	offLeft    = int32(unsafe.Offsetof(context{}.left))
	offR0      = int32(unsafe.Offsetof(context{}.r0))
	offExit    = int32(unsafe.Offsetof(context{}.exit))
	offValue   = int32(unsafe.Offsetof(context{}.value))
	offFP      = int32(unsafe.Offsetof(context{}.fp))
	offCallLow = int32(unsafe.Offsetof(context{}.callLow))
	offArgs    = int32(unsafe.Offsetof(context{}.args))
	offLimit   = int32(unsafe.Offsetof(context{}.limit))
	offInlined = int32(unsafe.Offsetof(context{}.inlined))
	offWords   = int32(unsafe.Offsetof(context{}.words))
	offFresh   = int32(unsafe.Offsetof(context{}.fresh))
	offCPU     = int32(unsafe.Offsetof(context{}.cpu))

	offLoopFP = int32(unsafe.Offsetof(context{}.loopFP))
	offLeaves = int32(unsafe.Offsetof(context{}.leaves))

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

// field is the operand of a field of the context.
func (l *lowering) field(off int32) Mem {
	return At(regBias, contextBase+int32(l.slot)*contextSize+off)
}

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
