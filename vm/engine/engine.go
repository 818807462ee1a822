package engine

import (
	"errors"

	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/ir"
	"github.com/schedsim/schedsim/vm/mem"
)

// Limits that every engine keeps.
const (
	// FrameSize is MAX_BPF_STACK: the bytes of stack of one frame.
	FrameSize = 512
	// MaxFrames is MAX_CALL_FRAMES: a program and its calls and callbacks.
	MaxFrames = 16
	// MaxLoops is BPF_MAX_LOOPS: the number of MayGoto that a frame may execute without jumping; the next one jumps, and
	// so does each one after it.
	MaxLoops = 8 << 20
	// MaxTails is MAX_TAIL_CALL_CNT: the number of tail calls of an invocation.
	MaxTails = 33
	// MaxPrograms is the number of programs that code addresses can tell apart.
	MaxPrograms = 1 << 12
	// DefaultBudget is the number of instructions of one invocation when Options say nothing.
	DefaultBudget = 16 << 20
	// DefaultStack is the size of the stack region that the façade hands to an engine: 16 nested programs of as many frames as they may have.
	DefaultStack = 16 * MaxFrames * FrameSize
)

// Env is a set of programs with everything around them. An engine keeps the pointer; the façade changes nothing after
// Compile except through State and Call.
type Env struct {
	Mem *mem.Space
	// Call is handed to every helper and kfunc. The engine sets Call.Sub once, keeps Call.Prog at the program that runs
	// (restoring it when a nested one ends), counts Call.Calls (see State), and looks at Call.Fault after each call:
	// when it is not empty it clears it and ends the program with a Fault at the call. When a callback faults, Call.Sub
	// keeps its Fault, sets Call.Fault to the message and returns 0; back at the call, the program ends with the kept
	// Fault, which says where in the callback it happened.
	//
	// When a function has set Call.Next and no Fault, the engine clears it and does what it says.
	//
	// A tail call adds one to Call.Tails and goes on at the first instruction of the other program, with R1 as it was at the
	// call, all other registers zero, and the frame of the function that called: what the other program returns, that
	// function returns, be it a program or a subprogram, with R1-R5 zero. The other program has the limit of MaxFrames for
	// itself. A callback has no such frame: a tail call there is a Fault, but not one of a subprogram that it calls. Call.Tails
	// is zero when an invocation begins and is kept for the one that it is nested in; more than MaxTails are a Fault.
	// NextOther is the same but for the memory that serves as frame and the budget, which is the other set's.
	//
	// An exception ends all functions up to the program (the one that was invoked, or that went on by a tail call), which
	// goes on at its exception callback with R1 = Call.Cookie, all other registers zero, and its frame; what that returns, the
	// program returns. Without a callback (ir.Program.Exception) it returns Call.Cookie. In a callback and what it calls an
	// exception is a Fault.
	Call *abi.Call
	// TailCall is the number of the one helper that sets Call.Next for tail calls; 0: there is none.
	TailCall int64
	// Progs are the programs; their index is the program number of code addresses (ir.CodeBase).
	Progs []Prog
	// Helpers are the numbered helpers, by kernel number; nil where there is none (calling it is a Fault).
	Helpers []abi.Func
	// ByNumber makes CallReg call helpers too: a number in its register that is one of a helper is no code address. So other
	// virtual machines do it; the kernel has no such calls.
	ByNumber bool
	// The stack region is [StackTop-StackSize, StackTop). A frame that does not fit is a Fault.
	StackTop, StackSize uint64
	// Budget is the number of instructions that an outermost invocation may execute, with all that runs nested in it.
	Budget uint64
	// Arena is the arena of the set, nil if it has none.
	Arena *mem.Arena
	// Inline is what the engine may do without calling helpers.
	Inline Inline
	State  State
}

// Prog is one program of an Env.
type Prog struct {
	Code *ir.Program
	Info *abi.Prog
	// Kfuncs are the functions of Code.Kfuncs, none nil.
	Kfuncs []abi.Func
}

// State is what an engine and the code that it calls share. It is right when no program of the set runs. What was counted is brought
// up to date before a program runs nested, and taken over again afterwards, since that changes it; otherwise helpers and kfuncs must
// ask for it (Code.Sync).
type State struct {
	// Insns is the number of instructions executed since Compile; Limit is where the budget ends.
	Insns, Limit uint64
	// Depth is the number of programs running: 0 outside, 1 in a program, 2 in one that it caused.
	Depth int
}

// ErrNoRoom says that an engine has as many sets in an address space as it can have. Another engine can run the set.
var ErrNoRoom = errors.New("no room for another set of programs")

// Engine makes programs run.
type Engine interface {
	// Name is what flags and reports call the engine.
	Name() string
	// Compile prepares all programs of env; Check has accepted each of them. They may be hostile all the same: running
	// them yields values or Faults. An error means that this engine cannot run the set.
	Compile(env *Env) (Code, error)
}

// Code is a compiled set of programs. Its methods nest: a helper or kfunc may call them.
type Code interface {
	// Run runs program number prog with R1 = ctx and returns its R0.
	Run(prog int, ctx uint64) (r0 uint64, f *Fault)
	// RunSub runs the subprogram at the code address fn with the arguments a as an invocation of its own: an
	// asynchronous callback. (Synchronous callbacks go through Env.Call.Sub and belong to the running program.)
	RunSub(fn uint64, a abi.Args) (r0 uint64, f *Fault)
	// Tail is Run for a program that goes on by a tail call of another set's, after tails tail calls. n is how many there are
	// then.
	Tail(prog int, ctx uint64, tails int32) (r0 uint64, n int32, f *Fault)
	// Sync brings State.Insns and Call.Calls up to date while programs run.
	Sync()
	// Close releases the code. It must not be running.
	Close() error
}

// Compact is a Code that does not need Env.Progs[i].Code.Insns any more.
type Compact interface {
	// Compact lets go of what only listings of the code need; there are none afterwards. The instructions of the programs
	// may be let go of then (ir.Program.Again).
	Compact()
}

// Resolve finds the program and the index in its Subs of the subprogram that starts at the code address fn.
func Resolve(progs []Prog, fn uint64) (prog, sub int, ok bool) {
	off := fn - ir.CodeBase
	p := off >> 24
	if p >= uint64(len(progs)) || off&7 != 0 {
		return 0, 0, false
	}
	at := int32(off & (1<<24 - 1) >> 3)
	for i, s := range progs[p].Code.Functions() {
		if s.Start == at {
			return int(p), i, true
		}
	}
	return 0, 0, false
}

// CodeAddr is the code address of the subprogram that starts at instruction insn of program number prog.
func CodeAddr(prog int, insn int32) uint64 {
	return ir.CodeBase + uint64(prog)<<24 + uint64(insn)<<3
}
