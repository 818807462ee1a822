package arm64

import (
	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/engine"
	"github.com/schedsim/schedsim/vm/ir"
	"github.com/schedsim/schedsim/vm/jit/flow"
	"github.com/schedsim/schedsim/vm/jit/native"
	"github.com/schedsim/schedsim/vm/mem"
)

// conditions are those of the conditional jumps, in groups of four.
var conditions = [...]Cond{EQ, NE, HI, HS, LO, LS, GT, GE, LT, LE, NE}

// jump lowers a jump. A jump that does not go forwards compares the budget, but only when it is taken.
func (l *lowering) jump(i int32, in *ir.Insn) {
	a, to := l.a, l.targets[in.Target]
	switch back := in.Target <= i; {
	case in.Op == ir.Ja && back:
		l.settleFlags(i + 1)
		a.BCond(LE, l.budget(i, to))
		a.B(to)
	case in.Op == ir.Ja:
		l.subtract(l.count.Jump(i+1, in.Target, 0), false)
		if in.Target != i+1 {
			a.B(to)
		}
	case back:
		l.settleFlags(i + 1)
		l.jumpBack(i, in, to, false)
	case l.facts.Seldom(in):
		owed, out := l.count.Seldom(i+1, in.Target), a.NewLabel()
		l.branch(in, out, false)
		l.later(func() {
			a.Bind(out)
			l.subtract(owed(), false)
			a.B(to)
		})
	default:
		l.subtract(l.count.Jump(i+1, in.Target, 0), false)
		l.branch(in, to, false)
	}
}

// jumpBack goes to the label of an instruction that comes before i if the condition of in holds, or with not if it does not.
// The flags are those of a comparison of the budget with zero: where it is used up, instruction i leaves instead of jumping.
func (l *lowering) jumpBack(i int32, in *ir.Insn, to Label, not bool) {
	a := l.a
	last, next := a.NewLabel(), a.NewLabel()
	out := l.budget(i, to)
	a.BCond(LE, last)
	l.branch(in, to, not)
	a.Bind(next)
	l.later(func() {
		a.Bind(last)
		l.branch(in, out, not)
		a.B(next)
	})
}

// skips tells whether all that the conditional jump in at instruction i does is to skip a jump, next.
func (l *lowering) skips(i int32, in, next *ir.Insn) bool {
	_, target := l.targets[i+1]
	return in.Op != ir.Ja && in.Target == i+2 && next.Op == ir.Ja && next.Target != i+2 && !target
}

// jumpUnless lowers the two instructions of skips: one jump for the opposite condition.
func (l *lowering) jumpUnless(i int32, in, next *ir.Insn) {
	to := l.targets[next.Target]
	if next.Target <= i+1 {
		// Who does not jump has not executed the second.
		l.settleFlags(i + 2)
		l.jumpBack(i+1, in, to, true)
		l.count.Owe(i+2, -1)
		return
	}
	l.subtract(l.count.Jump(i+1, next.Target, 1), false)
	l.branch(in, to, true)
	l.count.Owe(i+2, l.count.Owed(i+1))
}

// branch goes to l if the condition of in holds, or with not if it does not.
func (l *lowering) branch(in *ir.Insn, to Label, not bool) {
	a, d := l.a, hostReg[in.Dst]
	flip := Cond(0)
	if not {
		flip = 1
	}
	if in.Op == ir.MayGoto {
		a.Load(8, regT1, At(regStack, 0))
		a.AddImm(W64, regT1, regT1, -1, true)
		a.Store(8, At(regStack, 0), regT1)
		a.BCond(MI^flip, to)
		return
	}
	cond := conditions[(in.Op-ir.JEq64X)/4] ^ flip
	w, imm := form(in.Op, ir.JEq64X)
	test := in.Op >= ir.JSet64X
	if imm {
		k := operand(w, in.Imm)
		switch {
		case !test && k == 0 && (cond == EQ || cond == NE):
			a.BZero(w, d, cond == NE, to)
			return
		case test && a.LogicImm(AndS, w, XZR, d, uint64(k)), !test && a.CmpImm(w, d, k):
			a.BCond(cond, to)
			return
		}
	}
	w, s := l.source(ir.JEq64X, in)
	if test {
		a.AluRR(AndS, w, XZR, d, s)
	} else {
		a.CmpRR(w, d, s)
	}
	a.BCond(cond, to)
}

// callInsn lowers a call.
func (l *lowering) callInsn(i int32, in *ir.Insn) {
	if flow.InPlace(l.set, l, &l.facts, l.prog, l.number, i, in) {
		return
	}
	l.settle(i + 1)
	switch in.Op {
	case ir.CallSub:
		l.callSub(i, func() { l.a.B(l.subs[in.Target]) })
	case ir.CallReg:
		l.callReg(i, in)
	case ir.CallKfunc:
		l.callHost(i, l.prog.Kfuncs[in.Imm])
	default:
		var fn abi.Func
		if uint64(in.Imm) < uint64(len(l.helpers)) {
			fn = l.helpers[in.Imm]
		}
		if fn == nil {
			l.a.B(l.fault(i, native.ExitHelper))
			return
		}
		l.callHost(i, fn)
	}
}

// callSub makes a frame and goes to a subprogram. There is no BL: the link register belongs to Go, and when the subprogram
// leaves for Go and the processor predicts a return to this place instead, that costs more than the whole way.
func (l *lowering) callSub(i int32, jump func()) {
	a, back, fp := l.a, l.a.NewLabel(), hostReg[10]
	a.Load(8, regT1, At(regContext, native.OffCallLow))
	a.CmpRR(W64, fp, regT1)
	a.BCond(LS, l.fault(i, native.ExitDepth))
	a.Adr(regT1, back)
	a.Push(regStack, regT1)
	for _, r := range []Reg{fp, regFrame} {
		a.AddImm(W64, r, r, -engine.FrameSize, false)
	}
	jump()
	a.Bind(back)
	for _, r := range []Reg{fp, regFrame} {
		a.AddImm(W64, r, r, engine.FrameSize, false)
	}
}

// callReg lowers callx: the entry comes from a table with an element for each instruction of the program.
func (l *lowering) callReg(i int32, in *ir.Insn) {
	a, end := l.a, l.a.NewLabel()
	var bad Label
	if l.byNumber == nil {
		bad = l.fault(i, native.ExitTarget)
	} else { // perhaps it is the number of a helper
		bad = a.NewLabel()
		l.later(func() {
			a.Bind(bad)
			a.Store(8, At(regContext, native.OffValue), regT1)
			l.callHost(i, l.byNumber)
			a.B(end)
		})
	}
	a.MovRR(W64, regT1, hostReg[in.Dst]) // where Go finds it
	a.MovRI(regT2, engine.CodeAddr(l.number, 0))
	a.AluRR(Sub, W64, regT2, regT1, regT2)
	a.MovRI(regT3, uint64(len(l.prog.Code.Insns))*8)
	a.CmpRR(W64, regT2, regT3)
	a.BCond(HS, bad)
	a.LogicImm(AndS, W64, XZR, regT2, 7)
	a.BCond(NE, bad)
	// An element of the table has 4 bytes, an address 8 per instruction.
	a.ShiftImm(Lsr, W64, regT2, regT2, 1)
	a.Adr(regT3, l.table)
	a.LoadSX(4, regT2, AtIndex(regT3, regT2))
	a.BZero(W64, regT2, false, bad) // no subprogram starts there
	a.AluRR(Add, W64, regT3, regT3, regT2)
	l.callSub(i, func() { a.Br(regT3) })
	a.Bind(end)
}

// jumpTable is where the indirect jumps of a subprogram lead: an element for each value from first to last.
type jumpTable struct {
	label Label
	jumps []ir.Jump
}

// gotoX lowers an indirect jump of subprogram s. The budget is compared before.
func (l *lowering) gotoX(i int32, in *ir.Insn, s *ir.Sub) {
	a, again := l.a, l.a.NewLabel()
	l.settleFlags(i + 1)
	a.BCond(LE, l.budget(i, again))
	a.Bind(again)
	bad, first, last := l.fault(i, native.ExitTarget), s.Jumps[0].Value, s.Jumps[len(s.Jumps)-1].Value
	if n := len(l.tables); n == 0 || &l.tables[n-1].jumps[0] != &s.Jumps[0] {
		l.tables = append(l.tables, jumpTable{a.NewLabel(), s.Jumps})
	}
	table := l.tables[len(l.tables)-1].label
	a.MovRR(W64, regT1, hostReg[in.Dst]) // where Go finds it
	a.MovRI(regT2, uint64(first))
	a.AluRR(Sub, W64, regT2, regT1, regT2)
	a.MovRI(regT3, uint64(last-first))
	a.CmpRR(W64, regT2, regT3)
	a.BCond(HI, bad)
	a.ShiftImm(Lsl, W64, regT2, regT2, 2)
	a.Adr(regT3, table)
	a.LoadSX(4, regT2, AtIndex(regT3, regT2))
	a.BZero(W64, regT2, false, bad)
	a.AluRR(Add, W64, regT3, regT3, regT2)
	a.Br(regT3)
}

// jumpTable puts a table of gotoX here.
func (l *lowering) jumpTable(t jumpTable) {
	a := l.a
	a.Bind(t.label)
	at, next := a.Pos(), t.jumps[0].Value
	for _, j := range t.jumps {
		for ; next < j.Value; next++ {
			a.Word(0)
		}
		a.Word(uint32(a.Offset(l.targets[j.Target]) - at))
		next++
	}
}

// addresses puts the table of callReg here.
func (l *lowering) addresses() {
	a := l.a
	a.Bind(l.table)
	at := a.Pos()
	for i := range l.prog.Code.Insns {
		if sub, ok := l.subs[int32(i)]; ok {
			a.Word(uint32(a.Offset(sub) - at))
		} else {
			a.Word(0)
		}
	}
}

// callHost leaves for Go, which calls fn and comes back.
func (l *lowering) callHost(i int32, fn abi.Func) {
	a, back := l.a, l.a.NewLabel()
	l.sites = append(l.sites, native.Site{Fn: fn, Insn: l.base + i, Keeps: -1})
	n := uint64(len(l.sites)) * uint64(native.ExitCall)
	a.Adr(regT1, back)
	a.MovRI(regT2, n)
	a.B(l.call)
	a.Bind(back)
	if in := &l.prog.Code.Insns[i]; l.called && in.Op == ir.CallHelper && in.Imm == l.tailCall {
		// After a tail call that was made the subprogram returns.
		stays := a.NewLabel()
		a.Load(8, regT1, At(regContext, native.OffLeaves))
		a.BZero(W64, regT1, false, stays)
		a.Store(8, At(regContext, native.OffLeaves), XZR)
		l.epilogue()
		a.Bind(stays)
	}
}

// What a call of Go puts on the private stack: R10, R9 to R6, and where to go on.
const (
	callSaved = 8
	callBack  = callSaved + 4*8
	callSize  = callBack + 8
)

// spentSize is what a used-up slice of the budget puts there: all registers, and where to go on.
const spentSize = 12 * 8

// runtime emits what all programs of a set share and returns the offsets where Go enters. It enters with regContext alone.
func (l *lowering) runtime() (entry, again int32) {
	a := l.a
	l.done, l.call, l.leave, l.spent = a.NewLabel(), a.NewLabel(), a.NewLabel(), a.NewLabel()
	fp, r0 := hostReg[10], hostReg[0]
	field := func(off int32) Mem { return At(regContext, off) }
	// A new activation of the subprogram at context.value.
	entry = a.Pos()
	l.begin()
	for i := range int32(2) {
		a.LoadPair(hostReg[1+2*i], hostReg[2+2*i], regContext, native.OffArgs+16*i)
	}
	a.Load(8, hostReg[5], field(native.OffArgs+32))
	for _, r := range []int{0, 6, 7, 8, 9} {
		a.MovRI(hostReg[r], 0)
	}
	a.Adr(regT1, l.done)
	a.Push(regStack, regT1)
	a.Load(8, regT2, field(native.OffValue))
	a.Br(regT2)

	// After a call, with context.r0: what the call put on the stack comes back, and R1 to R5 become zero.
	resume := a.NewLabel()
	a.Bind(resume)
	a.Load(8, regStack, field(native.OffSP))
	a.Load(8, r0, field(native.OffR0))
	a.LoadPair(fp, hostReg[9], regStack, 0)
	l.constants()
	a.Load(4, regInlined, field(native.OffCalls))
	a.LoadPair(hostReg[8], hostReg[7], regStack, callSaved+8)
	a.LoadPair(hostReg[6], regT1, regStack, callSaved+24)
	a.AddImm(W64, regStack, regStack, callSize, false)
	for r := 1; r <= 5; r++ {
		a.MovRI(hostReg[r], 0)
	}
	a.Br(regT1)

	// Another slice of the budget.
	again = a.Pos()
	a.Load(8, regStack, field(native.OffBase))
	a.LoadPair(fp, regT1, regStack, spentSize-16)
	l.constants()
	a.MovRI(regInlined, 0)
	for i := range 5 {
		a.LoadPair(hostReg[2*i], hostReg[2*i+1], regStack, int32(16*i))
	}
	a.AddImm(W64, regStack, regStack, spentSize, false)
	a.Br(regT1)

	// The end of an activation.
	a.Bind(l.done)
	a.Store(8, field(native.OffR0), r0)
	a.Store(4, field(native.OffExit), XZR)
	l.toGo()

	// A call: regT1 is where to come back to, regT2 the reason. The private stack keeps what the program wants back, so
	// that another program can run below; the arguments lie on its top.
	a.Bind(l.call)
	a.AddImm(W64, regInlined, regInlined, 1, false)
	a.StorePair(regContext, native.OffArgs, hostReg[1], hostReg[2])
	a.StorePair(regContext, native.OffArgs+16, hostReg[3], hostReg[4])
	a.Store(8, field(native.OffArgs+32), hostReg[5])
	a.PushPair(regStack, callSize, fp, hostReg[9])
	a.StorePair(regStack, callSaved+8, hostReg[8], hostReg[7])
	a.Store(8, At(regStack, callSaved+24), hostReg[6])
	a.Store(8, field(native.OffCallFP), fp)
	a.Store(8, At(regStack, callBack), regT1)
	a.Store(8, field(native.OffSP), regStack)
	a.Adr(regT1, resume)
	a.Store(8, field(native.OffBack), regT1)
	a.Store(8, field(native.OffFresh), XZR)
	a.Store(4, field(native.OffExit), regT2)
	l.toGo()

	// A slice of the budget is used up: regT1 is where to go on, regT2 the reason.
	a.Bind(l.spent)
	a.PushPair(regStack, spentSize, hostReg[0], hostReg[1])
	for i := 1; i < 5; i++ {
		a.StorePair(regStack, int32(16*i), hostReg[2*i], hostReg[2*i+1])
	}
	a.StorePair(regStack, spentSize-16, fp, regT1)
	a.Store(8, field(native.OffSP), regStack)
	a.Store(4, field(native.OffExit), regT2)
	l.toGo()

	// A fault: regT1 is the detail, regT2 the reason.
	a.Bind(l.leave)
	a.Store(4, field(native.OffExit), regT2)
	a.Store(8, field(native.OffValue), regT1)
	a.Store(8, field(native.OffFaultFP), fp)
	l.toGo()
	return entry, again
}

// begin begins an activation but for its arguments.
func (l *lowering) begin() {
	l.a.Load(8, hostReg[10], At(regContext, native.OffFP))
	l.a.Load(8, regStack, At(regContext, native.OffBase))
	l.constants()
	l.a.MovRI(regInlined, 0)
}

// constants loads what does not change within an activation, and the frame that ends at R10.
func (l *lowering) constants() {
	a := l.a
	a.LoadPair(regBias, regHost, regContext, native.OffBias)
	a.LoadPair(regLimit, regLimit+1, regContext, native.OffLimit)
	a.LoadPair(regLimit+2, regLimit+3, regContext, native.OffLimit+16)
	a.Load(8, regLeft, At(regContext, native.OffLeft))
	a.MovRI(regSpace, mem.Base)
	a.AluRR(Add, W64, regFrame, regBias, hostReg[10])
	a.AddImm(W64, regFrame, regFrame, -engine.FrameSize, false)
}

// toGo returns to Go.
func (l *lowering) toGo() {
	l.a.Store(8, At(regContext, native.OffLeft), regLeft)
	l.a.Store(4, At(regContext, native.OffCalls), regInlined)
	l.a.Ret()
}
