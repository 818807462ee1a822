package amd64

import (
	"slices"

	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/engine"
	"github.com/schedsim/schedsim/vm/ir"
	"github.com/schedsim/schedsim/vm/jit/flow"
	"github.com/schedsim/schedsim/vm/jit/native"
)

// conditions are those of the conditional jumps, in groups of four.
var conditions = [...]Cond{CondE, CondNE, CondA, CondAE, CondB, CondBE, CondG, CondGE, CondL, CondLE, CondNE}

// jump lowers a jump. A jump that does not go forwards compares the budget, but only when it is taken.
func (l *lowering) jump(i int32, in *ir.Insn) {
	a, to := l.a, l.targets[in.Target]
	switch back := in.Target <= i; {
	case in.Op == ir.Ja && back:
		l.settleFlags(i + 1)
		a.Jcc(CondG, to)
		a.Jmp(l.exhausted(i, to))
	case in.Op == ir.Ja:
		l.subtract(l.count.Jump(i+1, in.Target, 0))
		if in.Target != i+1 {
			a.Jmp(to)
		}
	case back:
		l.settleFlags(i + 1)
		l.jumpBack(i, in, to, 0)
	case l.facts.Seldom(in):
		owed, out := l.count.Seldom(i+1, in.Target), a.NewLabel()
		a.Jcc(l.compare(in), out)
		l.later(func() {
			a.Bind(out)
			l.subtract(owed())
			a.Jmp(to)
		})
	default:
		l.subtract(l.count.Jump(i+1, in.Target, 0))
		a.Jcc(l.compare(in), to)
	}
}

// jumpBack goes to the label of an instruction that comes before i if the condition of in holds, or with not = 1 if it does
// not. The flags are those of a comparison of the budget with zero: where it is used up, instruction i faults instead of
// jumping.
func (l *lowering) jumpBack(i int32, in *ir.Insn, to Label, not Cond) {
	a := l.a
	last, next := a.NewLabel(), a.NewLabel()
	out := l.exhausted(i, to)
	a.Jcc(CondLE, last)
	a.Jcc(l.compare(in)^not, to)
	a.Bind(next)
	l.later(func() {
		a.Bind(last)
		a.Jcc(l.compare(in)^not, out)
		a.Jmp(next)
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
		l.jumpBack(i+1, in, to, 1)
		l.count.Owe(i+2, -1)
		return
	}
	l.subtract(l.count.Jump(i+1, next.Target, 1))
	l.a.Jcc(l.compare(in)^1, to)
	l.count.Owe(i+2, l.count.Owed(i+1))
}

// compare sets the flags for a conditional jump and returns the condition.
func (l *lowering) compare(in *ir.Insn) Cond {
	a, d := l.a, hostReg[in.Dst]
	if in.Op == ir.MayGoto {
		a.AluMI(Sub, W64, At(RSP, 0), 1)
		return CondS
	}
	if in.Dst == 10 || in.Src == 10 {
		l.simulated()
		defer l.hosted()
	}
	w, imm := form(in.Op, ir.JEq64X)
	test := in.Op >= ir.JSet64X
	s, k := hostReg[in.Src], operand(w, in.Imm)
	if imm && !fits32(k) {
		a.MovRI(regT2, k)
		s, imm = regT2, false
	}
	switch {
	case !imm && test:
		a.TestRR(w, d, s)
	case !imm:
		a.AluRR(Cmp, w, d, s)
	case test:
		a.TestRI(w, d, int32(k))
	case k == 0:
		a.TestRR(w, d, d) // the same flags
	default:
		a.AluRI(Cmp, w, d, int32(k))
	}
	return conditions[(in.Op-ir.JEq64X)/4]
}

// callInsn lowers a call.
func (l *lowering) callInsn(i int32, in *ir.Insn) {
	if flow.InPlace(l.set, l, &l.facts, l.prog, l.number, i, in) {
		return
	}
	l.settle(i + 1)
	switch in.Op {
	case ir.CallSub:
		l.callSub(i, func() { l.a.Jmp(l.subs[in.Target]) })
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
			l.a.Jmp(l.fault(i, native.ExitHelper))
			return
		}
		l.callHost(i, fn)
	}
}

// callSub makes a frame and goes to a subprogram. There is no CALL: when the subprogram leaves for Go and the processor
// predicts a return to this place instead, the misprediction costs more than the whole way to Go and back.
func (l *lowering) callSub(i int32, jump func()) {
	a, back := l.a, l.a.NewLabel()
	a.AluRM(Cmp, W64, RBP, l.field(native.OffCallLow))
	a.Jcc(CondBE, l.fault(i, native.ExitDepth))
	a.LeaLabel(regT1, back)
	a.Push(regT1)
	a.AluRI(Sub, W64, RBP, engine.FrameSize)
	jump()
	a.Bind(back)
	a.AluRI(Add, W64, RBP, engine.FrameSize)
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
			a.Store(8, l.field(native.OffValue), regT2)
			l.callHost(i, l.byNumber)
			a.Jmp(end)
		})
	}
	a.MovRR(W64, regT2, hostReg[in.Dst]) // where Go finds it
	if in.Dst == 10 {
		a.AluRR(Sub, W64, regT2, regBias)
	}
	a.MovRI(regT1, -int64(engine.CodeAddr(l.number, 0)))
	a.AluRR(Add, W64, regT1, regT2)
	a.AluRI(Cmp, W64, regT1, int32(len(l.prog.Code.Insns))*8)
	a.Jcc(CondAE, bad)
	a.TestRI(W32, regT1, 7)
	a.Jcc(CondNE, bad)
	// An element of the table has 4 bytes, an address 8 per instruction. R0 to R9 belong to the program, so the second
	// register that this takes is on the stack.
	a.ShiftRI(Shr, W64, regT1, 1)
	a.Push(RAX)
	a.LeaLabel(RAX, l.table)
	a.LoadSX(4, regT1, AtIndex(RAX, regT1, 0))
	a.AluRR(Add, W64, RAX, regT1) // the table itself where there is no subprogram
	a.TestRR(W64, regT1, regT1)
	a.MovRR(W64, regT1, RAX)
	a.Pop(RAX)
	a.Jcc(CondE, bad)
	a.AluRM(Cmp, W64, RBP, l.field(native.OffCallLow))
	a.Jcc(CondBE, l.fault(i, native.ExitDepth))
	back := a.NewLabel()
	a.LeaLabel(regT2, back)
	a.Push(regT2)
	a.AluRI(Sub, W64, RBP, engine.FrameSize)
	a.JmpR(regT1)
	a.Bind(back)
	a.AluRI(Add, W64, RBP, engine.FrameSize)
	a.Bind(end)
}

// jumpTable is where the indirect jumps of a subprogram lead: an element for each value from first to last.
type jumpTable struct {
	label Label
	jumps []ir.Jump
}

// gotoX lowers an indirect jump of subprogram s. The budget is compared before.
func (l *lowering) gotoX(i int32, in *ir.Insn, s *ir.Sub) {
	a, again, none := l.a, l.a.NewLabel(), l.a.NewLabel()
	l.settleFlags(i + 1)
	a.Jcc(CondLE, l.exhausted(i, again))
	a.Bind(again)
	bad, first, last := l.fault(i, native.ExitTarget), s.Jumps[0].Value, s.Jumps[len(s.Jumps)-1].Value
	if n := len(l.tables); n == 0 || &l.tables[n-1].jumps[0] != &s.Jumps[0] {
		l.tables = append(l.tables, jumpTable{a.NewLabel(), s.Jumps})
	}
	table := l.tables[len(l.tables)-1].label
	value := func() { // where Go finds it
		if in.Dst == 10 {
			l.framePointer(regT2, 0)
			return
		}
		a.MovRR(W64, regT2, hostReg[in.Dst])
	}
	value()
	a.MovRR(W64, regT1, regT2)
	a.AluRI(Sub, W64, regT1, first)
	a.AluRI(Cmp, W64, regT1, last-first)
	a.Jcc(CondA, bad)
	a.ShiftRI(Shl, W64, regT1, 2)
	a.LeaLabel(regT2, table)
	a.LoadSX(4, regT1, AtIndex(regT2, regT1, 0))
	a.TestRR(W64, regT1, regT1)
	a.Jcc(CondE, none)
	a.AluRR(Add, W64, regT1, regT2)
	a.JmpR(regT1)
	l.later(func() {
		a.Bind(none)
		value()
		a.Jmp(bad)
	})
}

// jumpTable puts a table of gotoX here.
func (l *lowering) jumpTable(t jumpTable) {
	a := l.a
	a.Bind(t.label)
	at, next := a.Pos(), t.jumps[0].Value
	for _, j := range t.jumps {
		for ; next < j.Value; next++ {
			a.imm32(0)
		}
		a.imm32(a.Offset(l.targets[j.Target]) - at)
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
			a.imm32(a.Offset(sub) - at)
		} else {
			a.imm32(0)
		}
	}
}

// callHost leaves for Go, which calls fn and comes back. What the program wants back stays on the private stack, so that
// another program can run below.
func (l *lowering) callHost(i int32, fn abi.Func) {
	a, back, in := l.a, l.a.NewLabel(), &l.prog.Code.Insns[i]
	l.sites = append(l.sites, native.Site{Fn: fn, Insn: l.base + i, Keeps: -1})
	site, code := &l.sites[len(l.sites)-1], int32(len(l.sites))*native.ExitCall
	var kept []Reg
	switch {
	case l.called:
		kept = l.push(i, func(ir.Reg) bool { return true })
		a.Store(8, l.field(native.OffSP), RSP)
		a.Store(8, l.field(native.OffCallFP), RBP)
	case l.leaf.is:
		site.Keeps = 0
		kept = l.kept(i, func(ir.Reg) bool { return true })
		for k, r := range kept {
			a.Store(8, l.field(native.OffKept+int32(8*k)), r)
		}
	default:
		// Where the private stack of a program ends is known. What is kept lies behind: signals have a stack of their own.
		site.Keeps = 0
		if l.loops {
			site.Keeps += 8
		}
		kept = l.kept(i, func(ir.Reg) bool { return true })
		for k, r := range kept {
			a.Store(8, At(RSP, int32(-8*(k+1))), r)
		}
		site.Keeps += int32(8 * len(kept))
	}
	for k, r := range args[:l.set.Params(l.prog.Code, in)] {
		a.Store(8, l.field(native.OffArgs+int32(8*k)), r)
	}
	a.LeaLabel(regT1, back)
	a.Store(8, l.field(native.OffBack), regT1)
	a.Store(8, l.field(native.OffLeft), regLeft)
	a.StoreImm(4, l.field(native.OffExit), code)
	if !l.leaf.is || l.leaf.counts {
		a.CountHelper()
		a.StoreHelpers(l.field(native.OffCalls))
	} else {
		a.AluMI(Add, W32, l.field(native.OffCalls), 1)
	}
	if l.volatile {
		a.StoreImm(8, l.field(native.OffFresh), 0)
	}
	if !l.leaf.is || l.leaf.frame {
		a.MovFromX(RBP, xBP)
	}
	if !l.leaf.is {
		a.MovFromX(RSP, xSP)
	}
	a.Ret()

	a.Bind(back)
	if !l.leaf.is {
		a.MovToX(xSP, RSP)
	}
	if !l.leaf.is || l.leaf.frame {
		a.MovToX(xBP, RBP)
	}
	l.fromGo()
	switch {
	case l.called:
		a.Load(8, RBP, At(RAX, native.OffCallFP))
		a.Load(8, RSP, At(RAX, native.OffSP))
	case l.leaf.is:
		if l.leaf.frame {
			a.Load(8, RBP, At(RAX, native.OffFP))
		}
		for k, r := range kept {
			a.Load(8, r, At(RAX, native.OffKept+int32(8*k)))
		}
	default:
		a.Load(8, RBP, At(RAX, native.OffFP))
		a.Load(8, RSP, At(RAX, native.OffBase))
		if l.loops {
			a.Lea(W64, RSP, At(RSP, -8))
		}
		for k, r := range kept {
			a.Load(8, r, At(RSP, int32(-8*(k+1))))
		}
	}
	tail := l.called && in.Op == ir.CallHelper && in.Imm == l.tailCall
	if !l.leaf.is || l.leaf.counts {
		a.LoadHelpers(At(RAX, native.OffCalls))
	}
	if l.known.Live(i, 0) || tail {
		a.Load(8, RAX, At(RAX, native.OffR0))
	}
	if l.called {
		l.pop(kept)
	}
	if tail {
		l.leaveNow()
	}
	l.zeroArgs(i)
}

// leaveNow makes a subprogram return after a tail call that was made (goBack).
func (l *lowering) leaveNow() {
	a, leaves := l.a, l.a.NewLabel()
	a.AluMI(Cmp, W64, l.field(native.OffLeaves), 0)
	a.Jcc(CondNE, leaves)
	l.later(func() {
		a.Bind(leaves)
		a.StoreImm(8, l.field(native.OffLeaves), 0)
		for r := ir.Reg(1); r <= 5; r++ {
			a.Zero(hostReg[r])
		}
		l.epilogue()
	})
}

// kept are those of R6-R9 that are lost and whose values are needed after instruction i.
func (l *lowering) kept(i int32, lost func(ir.Reg) bool) (kept []Reg) {
	for r := ir.Reg(6); r <= 9; r++ {
		// A subprogram gives those that it does not write back as it got them.
		if lost(r) && (l.known.Live(i, r) || l.called && !slices.Contains(l.saved, hostReg[r])) {
			kept = append(kept, hostReg[r])
		}
	}
	return kept
}

// push saves those that are kept and returns them.
func (l *lowering) push(i int32, lost func(ir.Reg) bool) []Reg {
	kept := l.kept(i, lost)
	for _, r := range kept {
		l.a.Push(r)
	}
	return kept
}

// pop is the inverse of push.
func (l *lowering) pop(kept []Reg) {
	for k := len(kept) - 1; k >= 0; k-- {
		l.a.Pop(kept[k])
	}
}

// exhausted returns the label of code for a jump by instruction i to the place to, or the beginning of a subprogram there,
// when the slice of the budget is used up: Go makes a fault of it or comes back. All instructions are counted.
func (l *lowering) exhausted(i int32, to Label) Label {
	a, label := l.a, l.a.NewLabel()
	code := ^((l.base+i)<<native.ExitBits | native.ExitBudget)
	l.later(func() {
		a.Bind(label)
		back := a.NewLabel()
		if !l.leaf.is {
			a.MovRI(regT1, int64(code))
			a.LeaLabel(regT2, to)
			a.Jmp(l.yield)
			return
		}
		l.takeStack()
		a.MovRI(regT1, int64(code))
		a.LeaLabel(regT2, back)
		a.Jmp(l.yield)
		a.Bind(back)
		l.leaveStack()
		a.Jmp(to)
	})
	return label
}

// runtime emits what all programs of a set share and returns the offsets where Go enters: for an activation of any
// subprogram, and to go on after a slice of the budget.
//
// Go enters by JMP and machine code leaves by a RET to Go's CALL, so that the processor's predictions of returns stay
// right.
func (l *lowering) runtime() (entry, again int32) {
	a := l.a
	l.done, l.leave, l.yield = a.NewLabel(), a.NewLabel(), a.NewLabel()

	// A new activation of the subprogram at context.value.
	entry = a.Pos()
	l.leaf = leaf{}
	l.fromGo()
	l.takeStack()
	for i, r := range args {
		a.Load(8, r, l.field(native.OffArgs+8*int32(i)))
	}
	for _, r := range []Reg{RAX, RBX, R13, R14, R15} {
		a.Zero(r)
	}
	a.ZeroHelpers()
	a.LeaLabel(regT1, l.done)
	a.Push(regT1)
	a.JmpM(l.field(native.OffValue))

	// The end of an activation.
	a.Bind(l.done)
	a.Lea(W64, regT2, l.field(0))
	a.Store(8, At(regT2, native.OffR0), RAX)
	a.Store(8, At(regT2, native.OffLeft), regLeft)
	a.StoreHelpers(At(regT2, native.OffCalls))
	a.StoreImm(4, At(regT2, native.OffExit), native.ExitDone)
	l.toGo()

	// The end of a slice: regT1 is the reason, regT2 where to go on.
	all := []Reg{regT2, RBP, RAX, RDI, RSI, RDX, RCX, R8, RBX, R13, R14, R15}
	a.Bind(l.yield)
	for _, r := range all {
		a.Push(r)
	}
	a.Lea(W64, regT2, l.field(0))
	a.Store(4, At(regT2, native.OffExit), regT1)
	a.Store(8, At(regT2, native.OffLeft), regLeft)
	a.StoreHelpers(At(regT2, native.OffCalls))
	a.Store(8, At(regT2, native.OffSP), RSP)
	l.toGo()
	again = a.Pos()
	l.fromGo()
	l.takeStack()
	for i := len(all) - 1; i >= 0; i-- {
		a.Pop(all[i])
	}
	a.ZeroHelpers()
	a.JmpR(regT2)

	// A fault: regT1 is the reason, regT2 the detail.
	a.Bind(l.leave)
	a.Store(4, l.field(native.OffExit), regT1)
	a.Store(8, l.field(native.OffLeft), regLeft)
	a.Store(8, l.field(native.OffValue), regT2)
	a.Store(8, l.field(native.OffFaultFP), RBP)
	a.StoreHelpers(l.field(native.OffCalls))
	l.toGo()
	return entry, again
}

// The XMM registers in which Go's stack pointer and frame pointer are kept while machine code uses those: in memory each way
// back would wait for the store.
const (
	xSP = 2
	xBP = 3
)

// fromGo begins what Go enters, with the context in rax.
func (l *lowering) fromGo() {
	l.a.Load(8, regBias, At(RAX, native.OffBias))
	l.a.Load(8, regLeft, At(RAX, native.OffLeft))
}

// toGo returns to Go.
func (l *lowering) toGo() {
	l.a.MovFromX(RBP, xBP)
	l.a.MovFromX(RSP, xSP)
	l.a.Ret()
}
