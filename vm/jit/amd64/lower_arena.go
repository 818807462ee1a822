package amd64

import (
	"math/bits"

	"github.com/schedsim/schedsim/vm/ir"
	"github.com/schedsim/schedsim/vm/jit/native"
	"github.com/schedsim/schedsim/vm/mem"
)

// arenaAccess lowers an access that may be one of the arena. On the host the arena's window begins where the simulated
// addresses end, at address 0 of the next round, so that [regBias + pointer + off] leads there too. The straight way is for
// the pages from the start of the window on, which are mapped without a gap in most programs; behind the program are those
// for memory of the space, for other pages, and for what is not mapped.
func (l *lowering) arenaAccess(in *ir.Insn) {
	a, size, base := l.a, in.Op.Size(), baseOf(in)
	if m, ok := l.sure(base, in.Off, size); ok {
		l.operate(in, m)
		return
	}
	if l.arenaShift != 0 {
		l.farAccess(in)
		return
	}
	other, access, done := a.NewLabel(), a.NewLabel(), a.NewLabel()
	l.address(regT2, base, in.Off)
	a.AluRM(Cmp, W64, regT2, l.field(native.OffArenaEnd+8*int32(bits.TrailingZeros(uint(size)))))
	a.Jcc(CondAE, other)
	a.Bind(access)
	l.operate(in, operandAt(base, in.Off))
	a.Bind(done)
	l.later(func() {
		none := a.NewLabel()
		a.Bind(other)
		l.compareSpace(base, in.Off, size)
		a.Jcc(CondBE, access)
		l.testPages(in, none)
		a.Jmp(access)
		a.Bind(none)
		l.arenaNothing(in)
		a.Jmp(done)
	})
}

// farAccess is arenaAccess for an arena whose window is somewhere else: the register that leads to everything leads there for
// the time of the access.
func (l *lowering) farAccess(in *ir.Insn) {
	a, size, base := l.a, in.Op.Size(), baseOf(in)
	other, access, done := a.NewLabel(), a.NewLabel(), a.NewLabel()
	l.address(regT2, base, in.Off)
	a.AluRM(Cmp, W64, regT2, l.field(native.OffArenaEnd+8*int32(bits.TrailingZeros(uint(size)))))
	a.Jcc(CondAE, other)
	a.Bind(access)
	a.Push(regBias)
	a.MovRI(regT2, int64(l.arenaShift))
	a.AluRR(Add, W64, regBias, regT2)
	l.far = true
	l.operate(in, operandAt(base, in.Off))
	l.far = false
	a.Pop(regBias)
	a.Bind(done)
	l.later(func() {
		none, outside := a.NewLabel(), a.NewLabel()
		a.Bind(other)
		l.compareSpace(base, in.Off, size)
		a.Jcc(CondA, outside)
		l.operate(in, operandAt(base, in.Off))
		a.Jmp(done)
		a.Bind(outside)
		l.testPages(in, none)
		a.Jmp(access)
		a.Bind(none)
		l.arenaNothing(in)
		a.Jmp(done)
	})
}

// testPages goes on if all bytes of an access lie in mapped pages of the arena, else to none.
func (l *lowering) testPages(in *ir.Insn, none Label) {
	a, size := l.a, in.Op.Size()
	l.address(regT2, baseOf(in), in.Off)
	a.MovRR(W64, regT1, regT2)
	a.ShiftRI(Shr, W64, regT1, pageBits)
	a.AluRI(Cmp, W64, regT1, mem.MaxArenaPages)
	a.Jcc(CondAE, none)
	l.testPage()
	a.Jcc(CondE, none)
	if size > 1 {
		a.Lea(W64, regT1, At(regT2, int32(size-1)))
		a.ShiftRI(Shr, W64, regT1, pageBits)
		l.testPage()
		a.Jcc(CondE, none)
	}
}

// arenaNothing is an access where the arena has nothing.
func (l *lowering) arenaNothing(in *ir.Insn) {
	switch {
	case in.Op.IsLoad():
		l.a.Zero(hostReg[in.Dst])
	case in.Op.WritesSrc():
		l.a.Zero(hostReg[in.Src])
	case in.Op == ir.CmpXchg32 || in.Op == ir.CmpXchg64:
		l.a.Zero(RAX)
	}
}

const pageBits = 12

var _ [0]struct{} = [mem.PageSize - 1<<pageBits]struct{}{}

// testPage tests whether the page regT1 is mapped and changes regT1.
func (l *lowering) testPage() {
	l.a.AluRM(Add, W64, regT1, l.field(native.OffArenaTable))
	l.a.Load(1, regT1, At(regT1, 0))
	l.a.TestRR(W32, regT1, regT1)
}

// cast lowers the casts between address spaces.
func (l *lowering) cast(in *ir.Insn, d, s Reg) {
	a := l.a
	switch {
	case l.arena:
		a.MovRR(W32, d, s)
		if in.Op == ir.CastUser && l.arenaUser != 0 {
			null := a.NewLabel()
			a.TestRR(W32, d, d)
			a.Jcc(CondE, null)
			a.MovRI(regT2, int64(l.arenaUser))
			a.AluRR(Or, W64, d, regT2)
			a.Bind(null)
		}
	case d != s:
		a.MovRR(W64, d, s)
	}
}
