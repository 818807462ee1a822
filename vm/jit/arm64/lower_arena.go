package arm64

import (
	"math/bits"

	"github.com/schedsim/schedsim/vm/ir"
	"github.com/schedsim/schedsim/vm/jit/native"
	"github.com/schedsim/schedsim/vm/mem"
)

// arenaAccess lowers an access that may be one of the arena. On the host the arena's window begins where the simulated
// addresses end, at address 0 of the next round, so that [regBias + address] leads there too. The straight way is for the
// pages from the start of the window on, which are mapped without a gap in most programs; behind the program are those for
// memory of the space, for other pages, and for what is not mapped.
func (l *lowering) arenaAccess(in *ir.Insn) {
	a, size, base := l.a, in.Op.Size(), baseOf(in)
	if m, ok := l.sure(base, in.Off, size); ok {
		l.operate(in, m)
		return
	}
	other, access, done := a.NewLabel(), a.NewLabel(), a.NewLabel()
	address := hostReg[base]
	if in.Off != 0 {
		address = regT1
		if !a.AddImm(W64, regT1, hostReg[base], int64(in.Off), false) {
			a.MovRI(regT1, uint64(in.Off))
			a.AluRR(Add, W64, regT1, regT1, hostReg[base])
		}
	}
	a.Load(8, regT2, At(regContext, native.OffArenaEnd+8*int32(bits.TrailingZeros(uint(size)))))
	a.CmpRR(W64, address, regT2)
	a.BCond(HS, other)
	a.Bind(access)
	l.shifted(Add)
	l.operate(in, AtIndex(regBias, address))
	l.shifted(Sub)
	a.Bind(done)
	l.later(func() {
		none := a.NewLabel()
		a.Bind(other)
		a.AluRR(Sub, W64, regT2, address, regSpace)
		a.CmpRR(W64, regT2, lastOf(size))
		if l.arenaShift == 0 {
			a.BCond(LS, access)
		} else {
			outside := a.NewLabel()
			a.BCond(HI, outside)
			l.operate(in, AtIndex(regBias, address))
			a.B(done)
			a.Bind(outside)
		}
		a.Load(8, regT3, At(regContext, native.OffArenaTable))
		a.ShiftImm(Lsr, W64, regT2, address, pageBits)
		a.CmpImm(W64, regT2, mem.MaxArenaPages)
		a.BCond(HS, none)
		a.Load(1, regT2, AtIndex(regT3, regT2))
		a.BZero(W32, regT2, false, none)
		if size > 1 {
			a.AddImm(W64, regT2, address, int64(size-1), false)
			a.ShiftImm(Lsr, W64, regT2, regT2, pageBits)
			a.Load(1, regT2, AtIndex(regT3, regT2))
			a.BZero(W32, regT2, false, none)
		}
		a.B(access)
		a.Bind(none)
		switch {
		case in.Op.IsLoad():
			a.MovRI(hostReg[in.Dst], 0)
		case in.Op.WritesSrc():
			a.MovRI(hostReg[in.Src], 0)
		case in.Op == ir.CmpXchg32 || in.Op == ir.CmpXchg64:
			a.MovRI(hostReg[0], 0)
		}
		a.B(done)
	})
}

// shifted adds the distance of the arena's window to the register that leads to everything, or takes it away again. It changes
// regT3.
func (l *lowering) shifted(op Alu) {
	if l.arenaShift != 0 {
		l.a.MovRI(regT3, l.arenaShift)
		l.a.AluRR(op, W64, regBias, regBias, regT3)
	}
}

const pageBits = 12

// The constants of arenaAccess are right: pages have pageBits, and their number fits a comparison.
var _ [0]struct{} = [mem.PageSize - 1<<pageBits + mem.MaxArenaPages - 1<<20]struct{}{}

// cast lowers the casts between address spaces.
func (l *lowering) cast(in *ir.Insn, d, s Reg) {
	a := l.a
	switch {
	case l.arena:
		a.MovRR(W32, d, s)
		if in.Op == ir.CastUser && l.arenaUser != 0 {
			null := a.NewLabel()
			a.BZero(W32, d, false, null)
			a.MovRI(regT1, l.arenaUser)
			a.AluRR(Orr, W64, d, d, regT1)
			a.Bind(null)
		}
	case d != s:
		a.MovRR(W64, d, s)
	}
}
