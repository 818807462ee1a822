package amd64

import (
	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/engine"
	"github.com/schedsim/schedsim/vm/ir"
	"github.com/schedsim/schedsim/vm/jit/flow"
	"github.com/schedsim/schedsim/vm/jit/native"
)

// Loop lowers a call of bpf_loop by instruction i whose callback is the subprogram at instruction at: a loop around a call. A
// callback starts with all registers zero but R1 and R2; of the others those matter that it reads.
func (l *lowering) Loop(i, at int32) {
	a := l.a
	l.settle(i + 1)
	a.CountHelper()
	refused, tooBig, none, done := a.NewLabel(), a.NewLabel(), a.NewLabel(), a.NewLabel()
	a.TestRR(W64, RCX, RCX)
	a.Jcc(CondNE, refused)
	a.AluRI(Cmp, W32, RDI, engine.MaxLoops)
	a.Jcc(CondA, tooBig)
	a.MovRR(W32, RDI, RDI)
	a.TestRR(W32, RDI, RDI)
	a.Jcc(CondE, none)
	a.AluRM(Cmp, W64, RBP, l.field(native.OffCallLow))
	a.Jcc(CondBE, l.faultAfter(at, native.ExitDepth, 0))

	var callee *flow.Sub
	for _, s := range l.known0 {
		if s.Start() == at {
			callee = s
			break
		}
	}
	kept := l.push(i, callee.Reads)
	// The place of the callback around this loop, the number of rounds, the callback's context and the number of this round lie
	// on the private stack.
	a.Load(8, regT1, l.field(native.OffLoopFP))
	a.Push(regT1)
	a.Push(RDI)
	a.Push(RDX)
	a.PushImm(0)
	a.AluRI(Sub, W64, RBP, engine.FrameSize)
	a.Store(8, l.field(native.OffLoopFP), RBP)
	round, back, stop, end := a.NewLabel(), a.NewLabel(), a.NewLabel(), a.NewLabel()
	a.Bind(round)
	a.Load(8, RDI, At(RSP, 0))
	a.Load(8, RSI, At(RSP, 8))
	for r := ir.Reg(0); r <= 9; r++ {
		if r != 1 && r != 2 && callee.Reads(r) {
			a.Zero(hostReg[r])
		}
	}
	a.LeaLabel(regT1, back)
	a.Push(regT1)
	a.Jmp(l.subs[at])
	a.Bind(back)
	a.TestRR(W64, RAX, RAX)
	a.Jcc(CondNE, stop)
	a.Load(8, RAX, At(RSP, 0))
	a.AluRI(Add, W64, RAX, 1)
	a.Store(8, At(RSP, 0), RAX)
	a.AluRM(Cmp, W64, RAX, At(RSP, 16))
	a.Jcc(CondB, round)
	a.Bind(end)
	a.AluRI(Add, W64, RSP, 24)
	a.Pop(regT1)
	a.Store(8, l.field(native.OffLoopFP), regT1)
	a.AluRI(Add, W64, RBP, engine.FrameSize)
	l.pop(kept)
	a.Bind(done)
	l.zeroArgs(i)
	l.later(func() {
		a.Bind(stop)
		a.Load(8, RAX, At(RSP, 0))
		a.AluRI(Add, W64, RAX, 1)
		a.Jmp(end)
		for _, e := range []struct {
			label Label
			r0    int64
		}{{refused, -int64(abi.EINVAL)}, {tooBig, -int64(abi.E2BIG)}, {none, 0}} {
			a.Bind(e.label)
			a.MovRI(RAX, e.r0)
			a.Jmp(done)
		}
	})
}
