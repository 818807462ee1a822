package enginetest

import (
	"fmt"

	"github.com/google/go-cmp/cmp"

	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/engine"
	"github.com/schedsim/schedsim/vm/ir"
)

func callCases(data uint64) []semantic {
	stackTop := data // the data lies right behind the stack
	recurse := program("p", []ir.Insn{call(1), exit}, []ir.Insn{k(ir.Add64K, 6, 1), x(ir.Mov64X, 0, 6), call(1), exit})
	deep := func(frames int64) *ir.Program { // a chain that ends after so many frames
		return program("p",
			[]ir.Insn{k(ir.Mov64K, 1, frames), k(ir.Mov64K, 0, 1), call(1), exit},
			[]ir.Insn{k(ir.Sub64K, 1, 1), k(ir.Add64K, 0, 1), jump(ir.JEq64K, 1, 1, 4), call(1), exit})
	}
	return []semantic{
		{
			name: "call keeps R6 to R10",
			progs: []*ir.Program{program("p",
				[]ir.Insn{k(ir.Mov64K, 6, 1), k(ir.Mov64K, 7, 2), k(ir.Mov64K, 8, 4), k(ir.Mov64K, 9, 8), x(ir.Mov64X, 2, 10), m(ir.St64X, 10, 2, -8), call(1),
					m(ir.Ld64, 3, 10, -8), x(ir.Mov64X, 0, 6), x(ir.Add64X, 0, 7), x(ir.Add64X, 0, 8), x(ir.Add64X, 0, 9), jump(ir.JEq64X, 3, 0, 14), k(ir.Mov64K, 3, 0), exit},
				[]ir.Insn{k(ir.Mov64K, 6, 100), k(ir.Mov64K, 7, 100), k(ir.Mov64K, 8, 100), k(ir.Mov64K, 9, 100), m(ir.St64X, 10, 6, -8), exit})},
			r0: 15,
		},
		{
			name: "callee sees the caller's registers, caller sees its R0 to R5",
			progs: []*ir.Program{program("p",
				[]ir.Insn{k(ir.Mov64K, 0, 1), k(ir.Mov64K, 6, 10), call(1), x(ir.Add64X, 0, 5), exit},
				[]ir.Insn{x(ir.Add64X, 0, 6), k(ir.Mov64K, 5, 100), exit})},
			r0: 111, insns: 8,
		},
		{
			name:  "registers at the start",
			progs: []*ir.Program{program("p", []ir.Insn{x(ir.Sub64X, 1, 0), x(ir.Or64X, 0, 2), x(ir.Or64X, 0, 3), x(ir.Or64X, 0, 4), x(ir.Or64X, 0, 5), x(ir.Or64X, 0, 6), x(ir.Or64X, 0, 7), x(ir.Or64X, 0, 8), x(ir.Or64X, 0, 9), exit})},
		},
		{
			name:  "frames are 512 bytes apart",
			progs: []*ir.Program{program("p", []ir.Insn{x(ir.Mov64X, 6, 10), call(1), x(ir.Sub64X, 6, 0), x(ir.Mov64X, 0, 6), exit}, []ir.Insn{x(ir.Mov64X, 0, 10), exit})},
			r0:    512,
		},
		{
			name:  "the first frame ends where the stack does",
			progs: []*ir.Program{program("p", []ir.Insn{x(ir.Mov64X, 0, 10), exit})},
			r0:    stackTop,
		},
		{name: "as many frames as there may be", progs: []*ir.Program{deep(engine.MaxFrames)}, r0: engine.MaxFrames},
		{name: "one frame more", progs: []*ir.Program{deep(engine.MaxFrames + 1)}, fault: &engine.Fault{Insn: 7, Msg: engine.DepthFault()}},
		{name: "endless recursion", progs: []*ir.Program{recurse}, fault: &engine.Fault{Insn: 4, Msg: engine.DepthFault()}, insns: 1 + (engine.MaxFrames-1)*3},
		{
			name: "stack region used up by calls", opt: Options{Stack: 3 * engine.FrameSize},
			progs: []*ir.Program{recurse}, fault: &engine.Fault{Insn: 4, Msg: engine.StackFault()}, insns: 1 + 2*3,
		},
		{
			name: "callx with the number of a helper", opt: Options{ByNumber: true}, insns: 9,
			progs: []*ir.Program{program("p", []ir.Insn{k(ir.Mov64K, 6, 1), k(ir.Mov64K, 7, HelperFold), k(ir.CallReg, 7, 0), x(ir.Add64X, 0, 1), x(ir.Add64X, 0, 6),
				k(ir.LdImm64, 7, int64(engine.CodeAddr(0, 8))), k(ir.CallReg, 7, 0), exit}, []ir.Insn{exit})},
			r0: fold(&abi.Args{data}) + 1,
			check: func(w *World) string {
				if w.Env.Call.Calls != 1 {
					return fmt.Sprintf("%d calls of helpers", w.Env.Call.Calls)
				}
				return ""
			},
		},
		{
			name: "callx with the number of no helper", opt: Options{ByNumber: true}, progs: []*ir.Program{program("p", []ir.Insn{k(ir.Mov64K, 7, 9999), k(ir.CallReg, 7, 0), exit})},
			fault: &engine.Fault{Insn: 1, Msg: engine.TargetFault(9999)}, insns: 2,
		},
		{
			name: "callx with a helper that refuses", opt: Options{ByNumber: true},
			progs: []*ir.Program{program("p", []ir.Insn{k(ir.Mov64K, 1, 1), k(ir.Mov64K, 7, HelperFault), k(ir.CallReg, 7, 0), exit})},
			fault: &engine.Fault{Insn: 2, Msg: "helper says no"}, insns: 3,
		},
		{
			name:  "callx",
			progs: []*ir.Program{program("p", []ir.Insn{k(ir.LdImm64, 6, int64(engine.CodeAddr(0, 3))), k(ir.CallReg, 6, 0), exit}, []ir.Insn{k(ir.Mov64K, 0, 9), exit})},
			r0:    9, insns: 5,
		},
		{
			name:  "callx to the middle of a function",
			progs: []*ir.Program{program("p", []ir.Insn{k(ir.LdImm64, 6, int64(engine.CodeAddr(0, 4))), k(ir.CallReg, 6, 0), exit}, []ir.Insn{k(ir.Mov64K, 0, 9), exit})},
			fault: &engine.Fault{Insn: 1, Msg: engine.TargetFault(engine.CodeAddr(0, 4))},
		},
		{
			name: "callx to another program",
			progs: []*ir.Program{program("p", []ir.Insn{k(ir.LdImm64, 6, int64(engine.CodeAddr(1, 0))), k(ir.CallReg, 6, 0), exit}),
				program("q", []ir.Insn{exit})},
			fault: &engine.Fault{Insn: 1, Msg: engine.TargetFault(engine.CodeAddr(1, 0))},
		},
		{
			name:  "callx to nowhere",
			progs: []*ir.Program{program("p", []ir.Insn{k(ir.CallReg, 1, 0), exit})},
			fault: &engine.Fault{Msg: engine.TargetFault(data)},
		},
		{
			name:  "helper clears R1 to R5",
			progs: []*ir.Program{program("p", []ir.Insn{k(ir.Mov64K, 4, 7), helper(HelperFold), x(ir.Mov64X, 0, 1), x(ir.Or64X, 0, 2), x(ir.Or64X, 0, 3), x(ir.Or64X, 0, 4), x(ir.Or64X, 0, 5), exit})},
			insns: 8,
		},
		{
			name: "calls are counted and see their arguments",
			progs: []*ir.Program{program("p", []ir.Insn{k(ir.Mov64K, 1, 1), k(ir.Mov64K, 2, 2), k(ir.Mov64K, 3, 3), k(ir.Mov64K, 4, 4), k(ir.Mov64K, 5, 5),
				kfunc(1), kfunc(0), helper(HelperFold), k(ir.Mov64K, 0, 0), exit})},
			check: func(w *World) string {
				if c := w.Env.Call; c.Calls != 3 {
					return fmt.Sprintf("%d calls counted, want 3", c.Calls)
				}
				return cmp.Diff([]TraceEntry{
					{ir.CallKfunc, 1, abi.Args{1, 2, 3, 4, 5}, "p", 6, 1},
					{ir.CallKfunc, 0, abi.Args{}, "p", 7, 2},
					{ir.CallHelper, HelperFold, abi.Args{}, "p", 8, 3},
				}, w.Trace)
			},
		},
		{name: "unknown helper", progs: []*ir.Program{program("p", []ir.Insn{helper(999), exit})}, fault: &engine.Fault{Msg: engine.HelperFault(999)}, insns: 1},
		{name: "negative helper", progs: []*ir.Program{program("p", []ir.Insn{helper(-1), exit})}, fault: &engine.Fault{Msg: engine.HelperFault(-1)}, insns: 1},
		{name: "missing helper", progs: []*ir.Program{program("p", []ir.Insn{helper(1), exit})}, fault: &engine.Fault{Msg: engine.HelperFault(1)}, insns: 1},
		faulty("helper that refuses", 1, "helper says no", k(ir.Mov64K, 1, 1), helper(HelperFault)),
		{
			name: "memory that a helper allocated is there at once",
			progs: []*ir.Program{program("p", []ir.Insn{k(ir.Mov64K, 1, 0xffff), helper(HelperAlloc), x(ir.Mov64X, 6, 0), k(ir.Mov64K, 2, 5),
				m(ir.St64X, 6, 2, 0xff00-8), m(ir.Ld64, 0, 6, 0xff00-8), exit})},
			r0: 5,
		},
	}
}

func budgetCases() []semantic {
	spin := program("p", []ir.Insn{k(ir.Add64K, 0, 1), jump(ir.Ja, 0, 0, 0)})
	count := func(n int64) *ir.Program {
		return program("p", []ir.Insn{k(ir.Mov64K, 0, n), k(ir.Sub64K, 0, 1), jump(ir.JNe64K, 0, 0, 1), exit})
	}
	forward := make([]ir.Insn, 100)
	for i := range forward {
		forward[i] = k(ir.Add64K, 0, 1)
	}
	may := func(n int64) *ir.Program { // adds 1 until may_goto gives up or n is reached
		return program("p", []ir.Insn{jump(ir.MayGoto, 0, 0, 4), k(ir.Add64K, 0, 1), jump(ir.JEq64K, 0, n, 4), jump(ir.Ja, 0, 0, 0), exit})
	}
	return []semantic{
		{name: "endless loop", opt: Options{Budget: 1000}, progs: []*ir.Program{spin}, fault: &engine.Fault{Insn: 1, Msg: engine.BudgetFault(1000)}, insns: 1000},
		{name: "odd budget ends at a jump", opt: Options{Budget: 999}, progs: []*ir.Program{spin}, fault: &engine.Fault{Insn: 1, Msg: engine.BudgetFault(999)}, insns: 1000},
		{name: "jump to itself", opt: Options{Budget: 10}, progs: []*ir.Program{program("p", []ir.Insn{jump(ir.Ja, 0, 0, 0)})}, fault: &engine.Fault{Msg: engine.BudgetFault(10)}, insns: 10},
		{name: "loop within the budget", opt: Options{Budget: 22}, progs: []*ir.Program{count(10)}, insns: 22},
		{name: "loop at its edge", opt: Options{Budget: 20}, progs: []*ir.Program{count(10)}, insns: 22},
		{name: "loop beyond it", opt: Options{Budget: 19}, progs: []*ir.Program{count(10)}, fault: &engine.Fault{Insn: 2, Msg: engine.BudgetFault(19)}, insns: 19},
		{name: "straight code has no limit", opt: Options{Budget: 1}, progs: []*ir.Program{program("p", append(forward, exit))}, r0: 100, insns: 101},
		{name: "no budget at all", opt: Options{Budget: 3}, progs: []*ir.Program{program("p", []ir.Insn{k(ir.Mov64K, 0, 1), k(ir.Mov64K, 0, 2), call(1), exit}, []ir.Insn{exit})},
			fault: &engine.Fault{Insn: 4, Msg: engine.BudgetFault(3)}, insns: 3},
		{name: "may_goto does not jump", progs: []*ir.Program{may(1000)}, r0: 1000, insns: 4*1000 - 1 + 1},
		{name: "may_goto gives up", opt: Options{Budget: 1 << 40}, progs: []*ir.Program{may(-1)}, r0: engine.MaxLoops, insns: 4*engine.MaxLoops + 2},
		{
			name: "may_goto counts per frame", opt: Options{Budget: 1 << 40},
			progs: []*ir.Program{program("p",
				[]ir.Insn{call(1), x(ir.Mov64X, 6, 0), call(1), x(ir.Sub64X, 0, 6), exit},
				[]ir.Insn{k(ir.Mov64K, 0, 0), jump(ir.MayGoto, 0, 0, 4), k(ir.Add64K, 0, 1), jump(ir.Ja, 0, 0, 1), exit})},
		},
		{
			name: "may_goto backwards", opt: Options{Budget: 1 << 40},
			progs: []*ir.Program{program("p", []ir.Insn{jump(ir.Ja, 0, 0, 2), exit, k(ir.Add64K, 0, 1), jump(ir.MayGoto, 0, 0, 1), jump(ir.Ja, 0, 0, 2)})},
			r0:    engine.MaxLoops + 1,
		},
	}
}

func nestedCases() []semantic {
	// sum: a callback that adds its first argument to the number at its second, and stops when it is 5.
	sum := []ir.Insn{m(ir.AtomicAdd64, 2, 1, 0), k(ir.Mov64K, 0, 0), jump(ir.JNe64K, 1, 5, 4), k(ir.Mov64K, 0, 1), exit}
	loop := func(n int64, callback []ir.Insn) *ir.Program {
		main := []ir.Insn{ir.Insn{Op: ir.St64K, Dst: 10, Off: -8}, k(ir.Mov64K, 1, n), k(ir.LdImm64, 2, int64(engine.CodeAddr(0, 8))), x(ir.Mov64X, 3, 10), k(ir.Add64K, 3, -8),
			helper(HelperLoop), m(ir.Ld64, 0, 10, -8), exit}
		return program("p", main, callback)
	}
	run := func(name string, prog int64, then ...ir.Insn) *ir.Program {
		return program(name, append([]ir.Insn{x(ir.Mov64X, 6, 1), x(ir.Mov64X, 2, 1), k(ir.Mov64K, 1, prog), helper(HelperRun)}, append(then, exit)...))
	}
	spin := program("q", []ir.Insn{jump(ir.Ja, 0, 0, 0)})
	// tail: a program that goes on as another one, and adds 1000 to R0 if it cannot.
	tail := func(name string, prog int64) *ir.Program {
		return program(name, []ir.Insn{k(ir.Mov64K, 6, 5), m(ir.St64X, 10, 6, -8), k(ir.Mov64K, 2, prog), helper(HelperTail), k(ir.Add64K, 0, 1000), exit})
	}
	sees := program("q", []ir.Insn{m(ir.Ld8, 7, 1, 0), m(ir.Ld64, 8, 10, -8), x(ir.Or64X, 0, 2), x(ir.Or64X, 0, 3), x(ir.Or64X, 0, 4), x(ir.Or64X, 0, 5),
		x(ir.Or64X, 0, 6), x(ir.Or64X, 0, 9), x(ir.Lsh64X, 8, 7), x(ir.Or64X, 0, 7), x(ir.Or64X, 0, 8), exit})
	return []semantic{
		{
			name: "tail call", progs: []*ir.Program{tail("p", 1), sees}, insns: 4 + 12,
			r0: 0xf1 | 5<<(0xf1&63), // the context and the frame stay, other registers are zero
		},
		{
			name: "tail call that is not made", progs: []*ir.Program{program("p", []ir.Insn{k(ir.Mov64K, 3, 1), helper(HelperTail), k(ir.Add64K, 0, 1), exit})},
			r0: 78, insns: 4,
		},
		{name: "33 tail calls", progs: []*ir.Program{tail("p", 0)}, r0: 1077, insns: 33*4 + 6},
		{
			name: "tail calls are counted per invocation", progs: []*ir.Program{run("p", 1, k(ir.Mov64K, 3, 1), helper(HelperTail)), tail("q", 1)},
			r0: 77, insns: 4 + 33*4 + 6 + 3,
			check: func(w *World) string {
				if w.Env.Call.Next != 0 || len(w.Inner) != 0 {
					return fmt.Sprintf("next %d, faults %v", w.Env.Call.Next, w.Inner)
				}
				return ""
			},
		},
		{
			name: "the program behind a tail call is known", progs: []*ir.Program{tail("p", 1), program("q", []ir.Insn{kfunc(0), k(ir.Mov64K, 0, 0), exit})},
			check: func(w *World) string {
				if len(w.Trace) != 1 || w.Trace[0].CPU != "q" {
					return fmt.Sprintf("trace %v", w.Trace)
				}
				return ""
			},
		},
		{
			name: "fault behind a tail call", progs: []*ir.Program{tail("p", 1), program("q", []ir.Insn{m(ir.Ld8, 0, 9, 0), exit})},
			fault: &engine.Fault{Prog: 1, Msg: engine.ReadFault(1, 0)}, insns: 5,
		},
		{
			name: "callback behind a tail call", progs: []*ir.Program{tail("p", 1), program("q",
				[]ir.Insn{k(ir.Mov64K, 1, 3), k(ir.LdImm64, 2, int64(engine.CodeAddr(1, 4))), helper(HelperLoop), exit}, []ir.Insn{k(ir.Mov64K, 0, 0), exit})},
			r0: 3, insns: 4 + 4 + 6,
		},
		{
			name: "budget ends at a tail call", opt: Options{Budget: 4}, progs: []*ir.Program{tail("p", 1), sees},
			fault: &engine.Fault{Prog: 1, Msg: engine.BudgetFault(4)}, insns: 4,
		},
		{name: "callback", progs: []*ir.Program{loop(4, sum)}, r0: 6, insns: 8 + 4*4},
		{name: "callback that stops", progs: []*ir.Program{loop(60, sum)}, r0: 15},
		{
			name:  "registers of a callback",
			progs: []*ir.Program{loop(1, []ir.Insn{x(ir.Or64X, 0, 3), x(ir.Or64X, 0, 4), x(ir.Or64X, 0, 5), x(ir.Or64X, 0, 6), x(ir.Or64X, 0, 7), x(ir.Or64X, 0, 8), x(ir.Or64X, 0, 9), m(ir.St64X, 2, 0, 0), exit})},
		},
		{
			name: "fault in a callback", progs: []*ir.Program{loop(9, []ir.Insn{k(ir.Mov64K, 0, 0), m(ir.Ld64, 0, 0, 0), exit})},
			fault: &engine.Fault{Insn: 9, Msg: engine.ReadFault(8, 0)}, insns: 8,
		},
		{
			name: "callback that is none", progs: []*ir.Program{program("p", []ir.Insn{k(ir.Mov64K, 1, 1), k(ir.Mov64K, 2, 77), helper(HelperLoop), exit})},
			fault: &engine.Fault{Insn: 2, Msg: engine.TargetFault(77)}, insns: 3,
		},
		{
			name: "callback and program share frames",
			progs: []*ir.Program{program("p",
				[]ir.Insn{k(ir.Mov64K, 1, 1), k(ir.LdImm64, 2, int64(engine.CodeAddr(0, 4))), helper(HelperLoop), exit},
				[]ir.Insn{k(ir.Mov64K, 1, 1), k(ir.LdImm64, 2, int64(engine.CodeAddr(0, 4))), helper(HelperLoop), exit})},
			fault: &engine.Fault{Insn: 4, Msg: engine.DepthFault()}, insns: engine.MaxFrames * 3,
		},
		{
			name: "budget ends in a callback", opt: Options{Budget: 40},
			progs: []*ir.Program{loop(60, []ir.Insn{k(ir.Mov64K, 0, 0), exit})}, fault: &engine.Fault{Insn: 8, Msg: engine.BudgetFault(40)}, insns: 40,
		},
		{
			name:  "nested program",
			progs: []*ir.Program{run("p", 1, k(ir.Add64K, 0, 1), x(ir.Sub64X, 6, 6)), program("q", []ir.Insn{m(ir.Ld8, 0, 1, 0), exit})},
			r0:    0xf2, insns: 9,
			check: func(w *World) string {
				if len(w.Trace) != 1 || w.Trace[0].CPU != "p" {
					return fmt.Sprintf("trace %v", w.Trace)
				}
				return ""
			},
		},
		{
			name:  "the running program is known to what it calls",
			progs: []*ir.Program{run("p", 1, kfunc(0), k(ir.Mov64K, 0, 0)), program("q", []ir.Insn{kfunc(1), exit})},
			check: func(w *World) string {
				var got []string
				for _, e := range w.Trace {
					got = append(got, e.CPU)
				}
				return cmp.Diff([]string{"p", "q", "p"}, got)
			},
		},
		{
			name:  "a nested fault ends the nested program only",
			progs: []*ir.Program{run("p", 1, k(ir.Add64K, 0, 1)), program("q", []ir.Insn{m(ir.Ld8, 0, 9, 0), exit})},
			insns: 7,
			check: func(w *World) string {
				return cmp.Diff([]engine.Fault{{Prog: 1, Msg: engine.ReadFault(1, 0)}}, w.Inner)
			},
		},
		{
			name: "nested programs share the budget", opt: Options{Budget: 100},
			progs: []*ir.Program{run("p", 1, jump(ir.Ja, 0, 0, 4)), spin},
			fault: &engine.Fault{Insn: 4, Msg: engine.BudgetFault(100)}, insns: 101,
			check: func(w *World) string {
				return cmp.Diff([]engine.Fault{{Prog: 1, Msg: engine.BudgetFault(100)}}, w.Inner)
			},
		},
		{
			name: "programs that run themselves", opt: Options{Stack: 5 * engine.FrameSize},
			progs: []*ir.Program{run("p", 0)}, r0: ^uint64(0),
			check: func(w *World) string {
				return cmp.Diff([]engine.Fault{{Msg: engine.StackFault()}}, w.Inner)
			},
		},
	}
}
