package engine

import (
	"fmt"

	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/ir"
)

// Fault is a violation that ended a program: a bad access, a used-up budget, a helper or kfunc that refused its
// arguments. It is a value, since programs are input.
type Fault struct {
	Prog int   // number of the program
	Insn int32 // index in its ir.Program.Insns
	Msg  string
	// Kfunc tells that the kernel function that is called there said so (abi.Call.Fault).
	Kfunc bool
}

// CallFault is what a helper or kernel function, called at an instruction of a program, said.
func CallFault(prog int, code *ir.Program, insn int32, msg string) *Fault {
	in, _ := code.At(int(insn))
	return &Fault{Prog: prog, Insn: insn, Msg: msg, Kfunc: in.Op == ir.CallKfunc}
}

// Error makes a Fault printable; the façade adds names and source lines.
func (f *Fault) Error() string {
	return fmt.Sprintf("program %d, instruction %d: %s", f.Prog, f.Insn, f.Msg)
}

// ReadFault is the message of a load of size bytes at a bad address.
func ReadFault(size int, addr uint64) string {
	return fmt.Sprintf("invalid read of %d bytes at %#x", size, addr)
}

// WriteFault is the message of a store of size bytes at a bad address.
func WriteFault(size int, addr uint64) string {
	return fmt.Sprintf("invalid write of %d bytes at %#x", size, addr)
}

// AtomicFault is the message of an atomic operation on size bytes at a bad address.
func AtomicFault(size int, addr uint64) string {
	return fmt.Sprintf("invalid atomic operation on %d bytes at %#x", size, addr)
}

// BudgetFault is the message when the instructions of an invocation are used up.
func BudgetFault(budget uint64) string {
	return fmt.Sprintf("more than %d instructions in one invocation", budget)
}

// DepthFault is the message of a call that would need one more than MaxFrames frames. It is at the call; for a callback, at its first
// instruction.
func DepthFault() string { return fmt.Sprintf("more than %d nested calls", MaxFrames) }

// StackFault is the message when the next frame does not fit in the stack region. It is at the call, or at the first
// instruction of a program or callback that could not start.
func StackFault() string { return "out of stack: programs nested too deep" }

// TargetFault is the message of a call to a code address that is no subprogram of the running program, or of RunSub to
// one of no program (then Insn is 0).
func TargetFault(fn uint64) string { return fmt.Sprintf("call of %#x, which is not a function", fn) }

// JumpFault is the message of an indirect jump by a value that has no target.
func JumpFault(v uint64) string { return fmt.Sprintf("indirect jump by %#x, which has no target", v) }

// TailFault is the message of a tail call that cannot be made among progs programs, after tails others, by the first function of a
// callback if so; "": it can be made.
func TailFault(n abi.Next, progs int, tails int32, callback bool) string {
	switch {
	case n > abi.Next(progs):
		return fmt.Sprintf("tail call to program %d of %d", n-1, progs)
	case callback:
		return "tail call from a callback"
	case tails >= MaxTails:
		return fmt.Sprintf("more than %d tail calls", MaxTails)
	}
	return ""
}

// ThrowFault is the message of an exception that no program can catch.
func ThrowFault() string { return "exception thrown in a callback" }

// CallNumber calls the helper of Env.Helpers with that number for a CallReg that finds no subprogram there. Tail calls
// are not made in this way.
func CallNumber(e *Env, n uint64, a *abi.Args) uint64 {
	if n < uint64(len(e.Helpers)) && e.Helpers[n] != nil && n != uint64(e.TailCall) {
		return e.Helpers[n](e.Call, a)
	}
	e.Call.Fault = TargetFault(n)
	return 0
}

// HelperFault is the message of a call of a helper that does not exist.
func HelperFault(n int64) string { return fmt.Sprintf("call of unknown helper %d", n) }

// PoisonFault is the message of ir.Invalid, which the linker puts where an instruction cannot be run; the façade knows why.
func PoisonFault() string { return "instruction that cannot be executed" }
