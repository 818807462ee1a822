package arm64

import (
	"math/bits"

	"github.com/schedsim/schedsim/vm/engine"
	"github.com/schedsim/schedsim/vm/ir"
	"github.com/schedsim/schedsim/vm/jit/flow"
	"github.com/schedsim/schedsim/vm/jit/native"
)

// memory lowers a load, store or atomic operation; false: it is none.
func (l *lowering) memory(i int32, in *ir.Insn) bool {
	size := in.Op.Size()
	switch {
	case size == 0:
		return false
	case in.Arena && l.arena:
		l.arenaAccess(in)
	case in.Proved:
		m, ok := l.sure(baseOf(in), in.Off, size)
		if !ok {
			m = l.inside(baseOf(in), in.Off, size)
		}
		l.operate(in, m)
	case in.Probe:
		l.probe(in)
	default:
		l.operate(in, l.access(i, baseOf(in), in.Off, size))
	}
	return true
}

// baseOf is the register whose value in adds to its offset.
func baseOf(in *ir.Insn) ir.Reg {
	if in.Op.IsLoad() {
		return in.Src
	}
	return in.Dst
}

// operate does what a memory instruction does, on the operand m, which uses no temporary but regT1.
func (l *lowering) operate(in *ir.Insn, m Mem) {
	a, size := l.a, in.Op.Size()
	switch op := in.Op; {
	case op >= ir.Lds8 && op <= ir.Lds32:
		a.LoadSX(size, hostReg[in.Dst], m)
	case op.IsLoad():
		a.Load(size, hostReg[in.Dst], m)
	case op >= ir.St8K && op <= ir.St64K:
		v := XZR
		if k := uint64(in.Imm) & (^uint64(0) >> (64 - 8*size)); k != 0 {
			v = regT2
			a.MovRI(v, k)
		}
		a.Store(size, m, v)
	case op.IsStore():
		a.Store(size, m, hostReg[in.Src])
	default:
		l.atomic(in, m)
	}
}

// probe lowers a load that yields 0 where there is no memory.
func (l *lowering) probe(in *ir.Insn) {
	a, d, done := l.a, hostReg[in.Dst], l.a.NewLabel()
	m := l.checked(in.Src, in.Off, in.Op.Size(), func() Label {
		bad := a.NewLabel()
		l.later(func() {
			a.Bind(bad)
			a.MovRI(d, 0)
			a.B(done)
		})
		return bad
	})
	l.operate(in, m)
	a.Bind(done)
}

// access returns the operand for size bytes at reg + off, after a check that they may be accessed unless that is known.
// It uses regT1, as the operand may, and the flags.
func (l *lowering) access(i int32, reg ir.Reg, off int32, size int) Mem {
	return l.checked(reg, off, size, func() Label { return l.fault(i, native.ExitMemory) })
}

// checked is access with a label to go to when the check fails; regT1 is the offset in the space then.
func (l *lowering) checked(reg ir.Reg, off int32, size int, fail func() Label) Mem {
	if m, ok := l.sure(reg, off, size); ok {
		return m
	}
	a := l.a
	a.AluRR(Sub, W64, regT1, hostReg[reg], regSpace)
	l.add(regT1, off)
	a.CmpRR(W64, regT1, lastOf(size))
	a.BCond(HI, fail())
	return AtIndex(regHost, regT1)
}

// lastOf is the register with the last offset of an access of size bytes.
func lastOf(size int) Reg { return regLimit + Reg(bits.TrailingZeros(uint(size))) }

// sure returns the operand for size bytes at reg + off if it is known that they may be accessed.
func (l *lowering) sure(reg ir.Reg, off int32, size int) (Mem, bool) {
	switch place, at := l.set.PlaceOf(&l.facts, reg, off, size); {
	case place == flow.Frame:
		return l.displaced(regFrame, at+engine.FrameSize, size), true
	case place == flow.Fixed:
		return l.displaced(regHost, at, size), true
	case place == flow.Inside:
		return l.inside(reg, off, size), true
	}
	return Mem{}, false
}

// inside returns the operand for size bytes at reg + off, which may be accessed.
func (l *lowering) inside(reg ir.Reg, off int32, size int) Mem {
	if off == 0 {
		return AtIndex(regBias, hostReg[reg])
	}
	l.a.AluRR(Add, W64, regT1, regBias, hostReg[reg])
	if !Reaches(size, int64(off)) {
		l.add(regT1, off)
		off = 0
	}
	return At(regT1, off)
}

// displaced is the operand [base + disp] for a constant of any size.
func (l *lowering) displaced(base Reg, disp int64, size int) Mem {
	if Reaches(size, disp) {
		return At(base, int32(disp))
	}
	l.a.MovRI(regT1, uint64(disp))
	return AtIndex(base, regT1)
}

// add is r += n. It may use regT2.
func (l *lowering) add(r Reg, n int32) {
	if n != 0 && !l.a.AddImm(W64, r, r, int64(n), false) {
		l.a.MovRI(regT2, uint64(n))
		l.a.AluRR(Add, W64, r, r, regT2)
	}
}

// atomic lowers an atomic operation on m. Nothing runs beside a program, so that plain instructions do.
func (l *lowering) atomic(in *ir.Insn, m Mem) {
	a, s, size := l.a, hostReg[in.Src], in.Op.Size()
	w := Width(size == 8)
	// The operations come in pairs, 32 and 64 bits, in the same order with and without fetch.
	alu := [4]Alu{Add, Orr, And, Eor}
	a.Load(size, regT2, m)
	switch op := in.Op; {
	case op <= ir.AtomicXor64:
		a.AluRR(alu[(op-ir.AtomicAdd32)/2], w, regT2, regT2, s)
		a.Store(size, m, regT2)
	case op <= ir.FetchXor64:
		a.AluRR(alu[(op-ir.FetchAdd32)/2], w, regT3, regT2, s)
		a.Store(size, m, regT3)
		a.MovRR(W64, s, regT2)
	case op <= ir.Xchg64:
		a.Store(size, m, s)
		a.MovRR(W64, s, regT2)
	default:
		differ := a.NewLabel()
		a.CmpRR(w, regT2, hostReg[0])
		a.BCond(NE, differ)
		a.Store(size, m, s)
		a.Bind(differ)
		a.MovRR(W64, hostReg[0], regT2)
	}
}
