package enginetest

import (
	"github.com/schedsim/schedsim/vm/engine"
	"github.com/schedsim/schedsim/vm/ir"
)

// indirect lets the indirect jumps of each subprogram of p lead to all of its instructions from number first on, by their
// numbers.
func indirect(p *ir.Program, first int32) *ir.Program {
	for k := range p.Subs {
		s := &p.Subs[k]
		for i := s.Start + first; i < s.End; i++ {
			s.Jumps = append(s.Jumps, ir.Jump{Value: i - s.Start, Target: i})
		}
	}
	return p
}

func gotox(r ir.Reg) ir.Insn { return ir.Insn{Op: ir.GotoX, Dst: r} }

// jumpCases are indirect jumps.
func jumpCases() []semantic {
	// table jumps to the instruction whose number is at the context.
	table := func(first int32) *ir.Program {
		return indirect(program("p", []ir.Insn{m(ir.Ld8, 1, 1, 0), k(ir.And64K, 1, 0xf), gotox(1), exit, k(ir.Add64K, 0, 1), k(ir.Add64K, 0, 10), exit}), first)
	}
	at := func(n int64, first int32) *ir.Program {
		p := table(first)
		p.Insns[0] = k(ir.Mov64K, 1, n)
		return p
	}
	return []semantic{
		{name: "indirect jump", progs: []*ir.Program{at(4, 3)}, r0: 11, insns: 6},
		{name: "indirect jump elsewhere", progs: []*ir.Program{at(5, 3)}, r0: 10, insns: 5},
		{name: "indirect jump to the next instruction", progs: []*ir.Program{at(3, 3)}, insns: 4},
		{name: "indirect jump by memory", progs: []*ir.Program{table(0)}, opt: Options{Budget: 50}, fault: &engine.Fault{Insn: 2, Msg: engine.BudgetFault(50)}, insns: 51},
		{name: "indirect jump to before the targets", progs: []*ir.Program{at(2, 3)}, fault: &engine.Fault{Insn: 2, Msg: engine.JumpFault(2)}, insns: 3},
		{name: "indirect jump to behind the targets", progs: []*ir.Program{at(7, 3)}, fault: &engine.Fault{Insn: 2, Msg: engine.JumpFault(7)}, insns: 3},
		{
			name:  "indirect jump to between the targets",
			progs: []*ir.Program{{Name: "p", Insns: []ir.Insn{k(ir.Mov64K, 1, 3), gotox(1), exit, exit, exit}, Subs: []ir.Sub{{End: 5, Jumps: []ir.Jump{{Value: 2, Target: 2}, {Value: 4, Target: 4}}}}}},
			fault: &engine.Fault{Insn: 1, Msg: engine.JumpFault(3)}, insns: 2,
		},
		{
			name: "indirect jump by a number of its own", insns: 3,
			progs: []*ir.Program{{Name: "p", Insns: []ir.Insn{k(ir.Mov64K, 1, 1<<30+5), gotox(1), k(ir.Mov64K, 0, 1), exit}, Subs: []ir.Sub{{End: 4, Jumps: []ir.Jump{{Value: 1 << 30, Target: 2}, {Value: 1<<30 + 5, Target: 3}}}}}},
		},
		{
			name:  "indirect jump far away",
			progs: []*ir.Program{indirect(program("p", []ir.Insn{k(ir.LdImm64, 1, 1<<32+2), gotox(1), exit}), 0)},
			fault: &engine.Fault{Insn: 1, Msg: engine.JumpFault(1<<32 + 2)}, insns: 2,
		},
		{
			name:  "indirect jump to a negative number",
			progs: []*ir.Program{indirect(program("p", []ir.Insn{k(ir.Mov64K, 1, -1), gotox(1), exit}), 0)},
			fault: &engine.Fault{Insn: 1, Msg: engine.JumpFault(1<<64 - 1)}, insns: 2,
		},
		{
			name: "indirect jumps of a subprogram", insns: 3 + 2 + 3 + 1, r0: 5,
			progs: []*ir.Program{indirect(program("p", []ir.Insn{k(ir.Mov64K, 1, 4), call(1), exit},
				[]ir.Insn{k(ir.Add64K, 0, 1), gotox(1), exit, exit, k(ir.Add64K, 0, 4), k(ir.Mov64K, 1, 2), gotox(1)}), 0)},
		},
		{
			name: "indirect jump backwards", opt: Options{Budget: 20}, insns: 20,
			progs: []*ir.Program{indirect(program("p", []ir.Insn{k(ir.Add64K, 0, 1), gotox(2)}), 0)},
			fault: &engine.Fault{Insn: 1, Msg: engine.BudgetFault(20)},
		},
		{
			name: "indirect jump forwards without budget", opt: Options{Budget: 2}, insns: 2,
			progs: []*ir.Program{indirect(program("p", []ir.Insn{k(ir.Mov64K, 1, 2), gotox(1), exit}), 0)},
			fault: &engine.Fault{Insn: 1, Msg: engine.BudgetFault(2)},
		},
		{
			name: "bad indirect jump without budget", opt: Options{Budget: 2}, insns: 2,
			progs: []*ir.Program{indirect(program("p", []ir.Insn{k(ir.Mov64K, 1, 99), gotox(1), exit}), 0)},
			fault: &engine.Fault{Insn: 1, Msg: engine.BudgetFault(2)},
		},
		{
			// Each round adds its number: 0 to 9.
			name: "indirect jump as a loop", r0: 45, insns: 2 + 10*3 + 9 + 1,
			progs: []*ir.Program{indirect(program("p", []ir.Insn{k(ir.Mov64K, 1, 0), k(ir.Mov64K, 2, 2), x(ir.Add64X, 0, 1), k(ir.Add64K, 1, 1), jump(ir.JEq64K, 1, 10, 6), gotox(2), exit}), 0)},
		},
	}
}
