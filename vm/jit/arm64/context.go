package arm64

import "unsafe"

// context is what machine code and Go share. It lies in the control page of the address space, where no program can reach
// it. A set of programs has a context of its own, so that programs of different sets can nest too.
type context struct {
	bias uintptr // host address of simulated address 0; 0: no set has this context
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
	// arenaEnd has for accesses of 1, 2, 4 and 8 bytes the first address in the window of the arena that is not within the
	// pages mapped from its start on; arenaTable is the address of mem.Arena.Table.
	arenaEnd   [4]uint64
	arenaTable unsafe.Pointer
	// leaves says after a tail call that the subprogram which made it is to return R0.
	leaves uint64
}

// Displacements of the context's fields.
const (
	offBias    = int32(unsafe.Offsetof(context{}.bias))
	offHost    = int32(unsafe.Offsetof(context{}.host))
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
	offLeaves  = int32(unsafe.Offsetof(context{}.leaves))

	offArenaEnd   = int32(unsafe.Offsetof(context{}.arenaEnd))
	offArenaTable = int32(unsafe.Offsetof(context{}.arenaTable))
)

// The two are loaded as a pair.
var _ [0]struct{} = [offHost - offBias - 8]struct{}{}

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
)
