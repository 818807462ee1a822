package enginetest

import (
	"fmt"

	"github.com/google/go-cmp/cmp"

	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/engine"
	"github.com/schedsim/schedsim/vm/ir"
)

// tailTo makes program number prog go on, and returns 1000 more than the helper if it does not.
func tailTo(prog int64) []ir.Insn {
	return []ir.Insn{k(ir.Mov64K, 2, prog), k(ir.Mov64K, 3, 0), helper(HelperTail), k(ir.Add64K, 0, 1000), exit}
}

// throw throws the number n.
func throw(n int64) []ir.Insn {
	return []ir.Insn{k(ir.Mov64K, 1, n), kfunc(KfuncThrow), k(ir.Mov64K, 0, -1), exit}
}

// catching makes the last subprogram of p its exception callback.
func catching(p *ir.Program) *ir.Program {
	p.Exception = int32(len(p.Subs) - 1)
	return p
}

// ors makes R0 the disjunction of the registers.
func ors(regs ...ir.Reg) []ir.Insn {
	insns := []ir.Insn{k(ir.Mov64K, 0, 0)}
	for _, r := range regs {
		insns = append(insns, x(ir.Or64X, 0, r))
	}
	return append(insns, exit)
}

// save sets R6-R9 to odd numbers before then.
func save(then ...ir.Insn) []ir.Insn {
	return append([]ir.Insn{k(ir.Mov64K, 6, 1), k(ir.Mov64K, 7, 3), k(ir.Mov64K, 8, 5), k(ir.Mov64K, 9, 7)}, then...)
}

// sum is R0 plus what save set.
var sum = []ir.Insn{x(ir.Add64X, 0, 6), x(ir.Add64X, 0, 7), x(ir.Add64X, 0, 8), x(ir.Add64X, 0, 9), exit}

func cat(parts ...[]ir.Insn) []ir.Insn {
	var out []ir.Insn
	for _, p := range parts {
		out = append(out, p...)
	}
	return out
}

// tailCases are tail calls of subprograms and callbacks; nestedCases has those of programs.
func tailCases() []semantic {
	seven := program("q", []ir.Insn{k(ir.Mov64K, 6, 100), k(ir.Mov64K, 7, 100), k(ir.Mov64K, 8, 100), k(ir.Mov64K, 9, 100), k(ir.Mov64K, 1, 100), k(ir.Mov64K, 5, 100), k(ir.Mov64K, 0, 7), exit})
	callback := func(insn int32) []ir.Insn { // runs the callback at insn once
		return []ir.Insn{k(ir.Mov64K, 1, 1), k(ir.LdImm64, 2, int64(engine.CodeAddr(0, insn))), helper(HelperLoop), exit}
	}
	rounds := func(n int64, insn int32, then ...ir.Insn) []ir.Insn {
		return append([]ir.Insn{k(ir.Mov64K, 1, n), k(ir.LdImm64, 2, int64(engine.CodeAddr(0, insn))), k(ir.Mov64K, 3, 0), k(ir.Mov64K, 4, 0), helper(HelperRounds)}, then...)
	}
	nine := func() *ir.Program { // eight frames, if it is the first
		return program("q", []ir.Insn{k(ir.Mov64K, 1, 8), k(ir.Mov64K, 0, 1), call(1), exit},
			[]ir.Insn{k(ir.Sub64K, 1, 1), k(ir.Add64K, 0, 1), jump(ir.JEq64K, 1, 1, 4), call(1), exit})
	}
	return []semantic{
		{
			name:  "the other program returns for the subprogram, whose caller has its registers",
			progs: []*ir.Program{program("p", cat(save(call(1)), sum), cat(save(), tailTo(1))), seven}, r0: 7 + 16, insns: 5 + 7 + 8 + 5,
		},
		{
			name: "it leaves no arguments", progs: []*ir.Program{program("p", cat([]ir.Insn{call(1)}, ors(1, 2, 3, 4, 5)), tailTo(1)), seven},
		},
		{
			name:  "it has the frame of the subprogram",
			progs: []*ir.Program{program("p", []ir.Insn{x(ir.Mov64X, 6, 10), call(1), x(ir.Sub64X, 6, 0), x(ir.Mov64X, 0, 6), exit}, tailTo(1)), program("q", []ir.Insn{x(ir.Mov64X, 0, 10), exit})},
			r0:    512,
		},
		{
			name:  "registers of the other program",
			progs: []*ir.Program{program("p", save(k(ir.Mov64K, 1, 64), call(1), exit), tailTo(1)), program("q", ors(1, 2, 3, 4, 5, 6, 7, 8, 9))}, r0: 64,
		},
		{
			name: "a subprogram whose tail call is not made", progs: []*ir.Program{program("p", cat(save(call(1)), sum), []ir.Insn{k(ir.Mov64K, 3, 1), helper(HelperTail), exit})}, r0: 77 + 16,
		},
		{
			name: "subprograms of the other program make tail calls", r0: 7 + 1 + 1,
			progs: []*ir.Program{program("p", []ir.Insn{call(1), k(ir.Add64K, 0, 1), exit}, tailTo(1)), program("q", []ir.Insn{call(1), k(ir.Add64K, 0, 1), exit}, tailTo(2)), seven},
		},
		{
			name: "so does the other program, in place", r0: 7 + 1, insns: 1 + 3 + 3 + 8 + 2,
			progs: []*ir.Program{program("p", []ir.Insn{call(1), k(ir.Add64K, 0, 1), exit}, tailTo(1)), program("q", tailTo(2)), seven},
		},
		{
			// Each program but the last adds one; the subprograms' calls count for all.
			name: "33 tail calls of subprograms", progs: []*ir.Program{program("p", []ir.Insn{call(1), k(ir.Add64K, 0, 1), exit}, tailTo(0))}, r0: 1077 + 34,
		},
		{
			name:  "more tail calls than there may be",
			progs: []*ir.Program{program("p", []ir.Insn{call(1), exit}, []ir.Insn{k(ir.Mov64K, 2, 0), k(ir.Mov64K, 3, 4), helper(HelperTail), exit})},
			fault: &engine.Fault{Insn: 4, Msg: engine.TailFault(1, 1, engine.MaxTails, false)}, insns: 34 * 4,
		},
		{
			name:  "the other program has frames of its own",
			progs: []*ir.Program{program("p", []ir.Insn{k(ir.Mov64K, 1, 0), call(1), exit}, []ir.Insn{call(2), exit}, tailTo(1)), nine()}, r0: 8,
		},
		{
			name: "but no other stack", opt: Options{Stack: 9 * engine.FrameSize},
			progs: []*ir.Program{program("p", []ir.Insn{k(ir.Mov64K, 1, 0), call(1), exit}, []ir.Insn{call(2), exit}, tailTo(1)), nine()},
			fault: &engine.Fault{Prog: 1, Insn: 7, Msg: engine.StackFault()},
		},
		{
			name:  "fault in the other program",
			progs: []*ir.Program{program("p", []ir.Insn{call(1), exit}, tailTo(1)), program("q", []ir.Insn{k(ir.Mov64K, 0, 0), m(ir.Ld8, 0, 9, 0), exit})},
			fault: &engine.Fault{Prog: 1, Insn: 1, Msg: engine.ReadFault(1, 0)}, insns: 6,
		},
		{
			name: "budget ends in the other program", opt: Options{Budget: 100},
			progs: []*ir.Program{program("p", []ir.Insn{call(1), exit}, tailTo(1)), program("q", []ir.Insn{jump(ir.Ja, 0, 0, 0)})},
			fault: &engine.Fault{Prog: 1, Msg: engine.BudgetFault(100)}, insns: 100,
		},
		{
			name: "what ran in the other program counts", opt: Options{Budget: 20},
			progs: []*ir.Program{program("p", []ir.Insn{call(1), k(ir.Add64K, 0, 1), jump(ir.Ja, 0, 0, 1)}, tailTo(1)), seven},
			fault: &engine.Fault{Insn: 2, Msg: engine.BudgetFault(20)}, insns: 20,
		},
		{
			name:  "who runs is known",
			progs: []*ir.Program{program("p", []ir.Insn{call(1), kfunc(0), exit}, tailTo(1)), program("q", []ir.Insn{kfunc(0), exit})},
			r0:    fold0,
			check: func(w *World) string {
				var got []string
				for _, e := range w.Trace {
					got = append(got, e.CPU)
				}
				return cmp.Diff([]string{"q", "p"}, got)
			},
		},
		{
			name: "tail call from a callback", progs: []*ir.Program{program("p", callback(4), tailTo(0))},
			fault: &engine.Fault{Insn: 6, Msg: engine.TailFault(1, 1, 0, true)}, insns: 6,
		},
		{
			name: "tail call from a subprogram of a callback", progs: []*ir.Program{program("p", callback(4), []ir.Insn{call(2), k(ir.Sub64K, 0, 7), exit}, tailTo(1)), seven},
			r0: 1, insns: 3 + 1 + 3 + 8 + 2 + 1,
		},
		{
			name: "tail call from the callback of a loop", opt: Options{}, progs: []*ir.Program{program("p", rounds(3, 6, exit), tailTo(0))},
			fault: &engine.Fault{Insn: 8, Msg: engine.TailFault(1, 1, 0, true)}, insns: 8,
		},
		{
			name: "tail call from a subprogram of the callback of a loop", progs: []*ir.Program{program("p", save(rounds(3, 14, sum...)...), []ir.Insn{call(2), k(ir.Sub64K, 0, 7), exit}, tailTo(1)), seven},
			r0: 3 + 16,
		},
		{
			name:  "tail call from a subprogram that loops",
			progs: []*ir.Program{program("p", []ir.Insn{call(1), exit}, rounds(3, 12, tailTo(1)...), []ir.Insn{k(ir.Mov64K, 0, 0), exit}), seven}, r0: 7,
		},
		{
			name: "tail call to a program of another set", progs: []*ir.Program{program("p", []ir.Insn{k(ir.Mov64K, 1, 8), k(ir.Mov64K, 3, 2), helper(HelperTail), exit})},
			r0: foldOther, insns: 3,
		},
		{
			name: "tail call of a subprogram to a program of another set", r0: foldOther + 16,
			progs: []*ir.Program{program("p", cat(save(k(ir.Mov64K, 1, 8), call(1)), sum), []ir.Insn{k(ir.Mov64K, 3, 2), helper(HelperTail), exit})},
		},
		{
			name:  "fault of a program of another set",
			progs: []*ir.Program{program("p", []ir.Insn{k(ir.Mov64K, 1, 4), call(1), exit}, []ir.Insn{k(ir.Mov64K, 3, 2), helper(HelperTail), exit})},
			fault: &engine.Fault{Insn: 4, Msg: "another program says no"}, insns: 4,
		},
		{
			name: "as what a program of another set goes on", progs: []*ir.Program{program("p", tailTo(0))}, r0: 1077,
			check: func(w *World) string {
				before := w.Env.State.Insns
				r0, n, f := w.Code.Tail(0, 0, 30)
				if r0 != 1077 || n != 33 || f != nil || w.Env.State.Insns-before != 3*3+5 {
					return fmt.Sprintf("after 30 tail calls: %d, %d, %v, %d instructions", r0, n, f, w.Env.State.Insns-before)
				}
				if r0, f = w.Code.Run(0, 0); r0 != 1077 || f != nil || w.Env.State.Insns-before != 3*3+5+33*3+5 {
					return fmt.Sprintf("and then: %d, %v, %d instructions", r0, f, w.Env.State.Insns-before)
				}
				return ""
			},
		},
		{
			name:  "tail call from an asynchronous callback",
			progs: []*ir.Program{program("p", []ir.Insn{exit}, tailTo(0))},
			check: func(w *World) string {
				r := w.RunSub(engine.CodeAddr(0, 1), abi.Args{})
				return cmp.Diff(&engine.Fault{Insn: 3, Msg: engine.TailFault(1, 1, 0, true)}, r.Fault)
			},
		},
	}
}

// fold0 and foldOther are what kfunc0 returns for arguments of 0, and other for the context 8.
var (
	fold0     = fold(&abi.Args{})
	foldOther = fold(&abi.Args{8, 1})
)

// throwCases are exceptions.
func throwCases() []semantic {
	caught := []ir.Insn{x(ir.Mov64X, 0, 1), k(ir.Add64K, 0, 10000), exit}
	return []semantic{
		{name: "exception without a callback", progs: []*ir.Program{program("p", throw(5))}, r0: 5, insns: 2},
		{name: "exception of a subprogram without a callback", progs: []*ir.Program{program("p", []ir.Insn{call(1), exit}, []ir.Insn{call(2), exit}, throw(-1))}, r0: ^uint64(0), insns: 4},
		{name: "exception", progs: []*ir.Program{catching(program("p", throw(5), caught))}, r0: 10005, insns: 5},
		{name: "exception of a subprogram", progs: []*ir.Program{catching(program("p", []ir.Insn{call(1), exit}, []ir.Insn{call(2), exit}, throw(5), caught))}, r0: 10005, insns: 7},
		{
			name:  "registers of the callback",
			progs: []*ir.Program{catching(program("p", save(k(ir.Mov64K, 0, 1), k(ir.Mov64K, 2, 1), call(1), exit), save(throw(64)...), ors(0, 1, 2, 3, 4, 5, 6, 7, 8, 9)))}, r0: 64,
		},
		{
			name:  "the callback has the frame of the program",
			progs: []*ir.Program{catching(program("p", []ir.Insn{{Op: ir.St64K, Dst: 10, Off: -8, Imm: 33}, call(1), exit}, throw(5), []ir.Insn{m(ir.Ld64, 0, 10, -8), x(ir.Add64X, 0, 1), exit}))}, r0: 38,
		},
		{
			name: "the callback calls and throws", // the second time the count of instructions ends it
			opt:  Options{Budget: 50}, progs: []*ir.Program{catching(program("p", throw(5), throw(6)))},
			fault: &engine.Fault{Insn: 4, Msg: engine.BudgetFault(50)}, insns: 50,
		},
		{
			name: "may_goto of the callback", opt: Options{Budget: 1 << 40},
			progs: []*ir.Program{catching(program("p", []ir.Insn{jump(ir.MayGoto, 0, 0, 1), call(1), exit}, throw(0),
				[]ir.Insn{jump(ir.MayGoto, 0, 0, 3), k(ir.Add64K, 0, 1), jump(ir.Ja, 0, 0, 0), exit}))}, r0: engine.MaxLoops,
		},
		{
			name: "budget ends at the callback", opt: Options{Budget: 2}, progs: []*ir.Program{catching(program("p", throw(5), caught))},
			fault: &engine.Fault{Insn: 4, Msg: engine.BudgetFault(2)}, insns: 2,
		},
		{
			name:  "exception in a callback",
			progs: []*ir.Program{catching(program("p", []ir.Insn{k(ir.Mov64K, 1, 1), k(ir.LdImm64, 2, int64(engine.CodeAddr(0, 4))), helper(HelperLoop), exit}, throw(5), caught))},
			fault: &engine.Fault{Insn: 5, Msg: engine.ThrowFault()}, insns: 5,
		},
		{
			name: "exception in a subprogram of the callback of a loop",
			progs: []*ir.Program{catching(program("p", []ir.Insn{k(ir.Mov64K, 1, 1), k(ir.LdImm64, 2, int64(engine.CodeAddr(0, 5))), k(ir.Mov64K, 4, 0), helper(HelperRounds), exit},
				[]ir.Insn{call(2), exit}, throw(5), caught))},
			fault: &engine.Fault{Insn: 8, Msg: engine.ThrowFault()}, insns: 7,
		},
		{
			name: "exception behind a loop", r0: 10005,
			progs: []*ir.Program{catching(program("p", []ir.Insn{k(ir.Mov64K, 1, 3), k(ir.LdImm64, 2, int64(engine.CodeAddr(0, 6))), k(ir.Mov64K, 4, 0), helper(HelperRounds), call(2), exit},
				[]ir.Insn{k(ir.Mov64K, 0, 0), exit}, throw(5), caught))},
		},
		{
			name: "exception after a fault in a loop", progs: []*ir.Program{catching(program("p",
				[]ir.Insn{m(ir.Ld64, 6, 1, 0), k(ir.Mov64K, 7, 0), m(ir.St64X, 1, 7, 0), k(ir.Mov64K, 1, 1), k(ir.LdImm64, 2, int64(engine.CodeAddr(0, 11))), k(ir.Mov64K, 4, 0),
					jump(ir.JNe64K, 6, 0, 9), k(ir.Mov64K, 1, 5), kfunc(KfuncThrow), helper(HelperRounds), exit},
				[]ir.Insn{m(ir.Ld64, 0, 9, 0), exit}, caught))},
			fault: &engine.Fault{Insn: 11, Msg: engine.ReadFault(8, 0)},
			check: func(w *World) string {
				if r := w.Run(0, w.Data); r.R0 != 10005 || r.Fault != nil {
					return fmt.Sprintf("the second run gives %d, %v", r.R0, r.Fault)
				}
				return ""
			},
		},
		{
			name: "a nested program throws for itself",
			progs: []*ir.Program{catching(program("p", []ir.Insn{k(ir.Mov64K, 1, 1), helper(HelperRun), exit}, caught)),
				program("q", []ir.Insn{call(1), exit}, throw(5))}, r0: 5,
		},
		{
			name:  "the program that a tail call went on as catches",
			progs: []*ir.Program{catching(program("p", cat(save(call(1)), sum), tailTo(1), caught)), program("q", []ir.Insn{call(1), exit}, save(throw(5)...))}, r0: 5 + 16,
		},
		{
			name:  "and with its own callback",
			progs: []*ir.Program{program("p", tailTo(1)), catching(program("q", []ir.Insn{call(1), exit}, throw(5), caught))}, r0: 10005,
		},
		{
			name:  "exception in an asynchronous callback",
			progs: []*ir.Program{catching(program("p", []ir.Insn{exit}, throw(5), caught))},
			check: func(w *World) string {
				r := w.RunSub(engine.CodeAddr(0, 1), abi.Args{})
				return cmp.Diff(&engine.Fault{Insn: 2, Msg: engine.ThrowFault()}, r.Fault)
			},
		},
	}
}
