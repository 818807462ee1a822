package arm64

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
	a, fp := l.a, hostReg[10]
	r0, r1, r2, r3, r4 := hostReg[0], hostReg[1], hostReg[2], hostReg[3], hostReg[4]
	l.settle(i + 1)
	a.AddImm(W64, regInlined, regInlined, 1, false)
	refused, tooBig, none, done := a.NewLabel(), a.NewLabel(), a.NewLabel(), a.NewLabel()
	a.BZero(W64, r4, true, refused)
	l.cmpU32(r1, engine.MaxLoops)
	a.BCond(HI, tooBig)
	a.MovRR(W32, r1, r1)
	a.BZero(W32, r1, false, none)
	a.Load(8, regT1, At(regContext, native.OffCallLow))
	a.CmpRR(W64, fp, regT1)
	a.BCond(LS, l.faultAfter(at, native.ExitDepth, 0))

	var callee *flow.Sub
	for _, s := range l.known0 {
		if s.Start() == at {
			callee = s
			break
		}
	}
	// A subprogram gives R6-R9 back as it got them; those that the callback reads must begin as zero.
	var kept []Reg
	for r := ir.Reg(6); r <= 9; r++ {
		if callee.Reads(r) {
			kept = append(kept, hostReg[r])
		}
	}
	if len(kept)&1 != 0 {
		kept = append(kept, XZR)
	}
	for k := 0; k < len(kept); k += 2 {
		a.PushPair(regStack, 16, kept[k], kept[k+1])
	}
	// The place of the callback around this loop, the number of rounds, the callback's context and the number of this round lie
	// on the private stack.
	a.Load(8, regT1, At(regContext, native.OffLoopFP))
	a.PushPair(regStack, 16, r1, regT1)
	a.PushPair(regStack, 16, XZR, r3)
	for _, r := range []Reg{fp, regFrame} {
		a.AddImm(W64, r, r, -engine.FrameSize, false)
	}
	a.Store(8, At(regContext, native.OffLoopFP), fp)
	round, back, stop, end := a.NewLabel(), a.NewLabel(), a.NewLabel(), a.NewLabel()
	a.Bind(round)
	a.LoadPair(r1, r2, regStack, 0)
	for r := ir.Reg(0); r <= 9; r++ {
		if r != 1 && r != 2 && callee.Reads(r) {
			a.MovRI(hostReg[r], 0)
		}
	}
	a.Adr(regT1, back)
	a.Push(regStack, regT1)
	a.B(l.subs[at])
	a.Bind(back)
	a.BZero(W64, r0, true, stop)
	a.Load(8, r0, At(regStack, 0))
	a.AddImm(W64, r0, r0, 1, false)
	a.Store(8, At(regStack, 0), r0)
	a.Load(8, regT1, At(regStack, 16))
	a.CmpRR(W64, r0, regT1)
	a.BCond(LO, round)
	a.Bind(end)
	a.AddImm(W64, regStack, regStack, 16, false)
	a.PopPair(XZR, regT1, regStack, 16)
	a.Store(8, At(regContext, native.OffLoopFP), regT1)
	for _, r := range []Reg{fp, regFrame} {
		a.AddImm(W64, r, r, engine.FrameSize, false)
	}
	for k := len(kept); k > 0; k -= 2 {
		a.PopPair(kept[k-2], kept[k-1], regStack, 16)
	}
	a.Bind(done)
	l.zeroArgs(i)
	l.later(func() {
		a.Bind(stop)
		a.Load(8, r0, At(regStack, 0))
		a.AddImm(W64, r0, r0, 1, false)
		a.B(end)
		for _, e := range []struct {
			label Label
			r0    int64
		}{{refused, -int64(abi.EINVAL)}, {tooBig, -int64(abi.E2BIG)}, {none, 0}} {
			a.Bind(e.label)
			a.MovRI(r0, uint64(e.r0))
			a.B(done)
		}
	})
}
