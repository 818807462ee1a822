package arm64

import (
	"unsafe"

	"github.com/schedsim/schedsim/vm/engine"
	"github.com/schedsim/schedsim/vm/ir"
	"github.com/schedsim/schedsim/vm/mem"
)

// contextSize is what a context takes of the control page, contexts how many there are.
const (
	contextSize = 256
	contexts    = mem.PageSize / contextSize
)

// takeContext finds a free context in the control page; nil: there is none.
func takeContext(control []byte) *context {
	for slot := range contexts {
		// Safety: the page is mapped as long as the address space, and a context fits its part of it (TestContextLayout).
		if x := (*context)(unsafe.Pointer(&control[slot*contextSize])); x.bias == 0 {
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
	x.limit[0], x.limit[1], x.limit[2], x.limit[3] = n-1, n-2, n-4, n-8
}

// setArena tells machine code how much of the arena is mapped from its start on.
func (x *context) setArena(n uint64) {
	for i := range x.arenaEnd {
		x.arenaEnd[i] = max(n, 1<<i-1) - (1<<i - 1)
	}
}

// exitMask is where the kind of an exit is in context.exit.
const exitMask = 1<<exitBits - 1

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
