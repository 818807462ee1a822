package amd64

import (
	"math"
	"math/bits"

	"github.com/schedsim/schedsim/vm/ir"
	"github.com/schedsim/schedsim/vm/jit/flow"
	"github.com/schedsim/schedsim/vm/jit/native"
	"github.com/schedsim/schedsim/vm/mem"
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
			m = operandAt(baseOf(in), in.Off)
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

// operandAt is the operand at r + off.
func operandAt(r ir.Reg, off int32) Mem {
	if r == 10 {
		return At(RBP, off)
	}
	return AtIndex(regBias, hostReg[r], off)
}

// address is dst = r + off, the simulated address.
func (l *lowering) address(dst Reg, r ir.Reg, off int32) {
	if r == 10 {
		l.framePointer(dst, off)
	} else {
		l.a.Lea(W64, dst, At(hostReg[r], off))
	}
}

// operate does what a memory instruction does, on the operand m, which uses no temporaries.
func (l *lowering) operate(in *ir.Insn, m Mem) {
	a, size := l.a, in.Op.Size()
	switch op := in.Op; {
	case op >= ir.Lds8 && op <= ir.Lds32:
		a.LoadSX(size, hostReg[in.Dst], m)
	case op.IsLoad():
		a.Load(size, hostReg[in.Dst], m)
	case op >= ir.St8K && op <= ir.St64K:
		if size == 8 && !fits32(in.Imm) {
			a.MovRI(regT2, in.Imm)
			a.Store(8, m, regT2)
		} else {
			a.StoreImm(size, m, int32(in.Imm))
		}
	case op.IsStore():
		a.Store(size, m, l.stored(in))
	default:
		l.atomic(in, m)
	}
}

// stored is the register with the value of in.Src, perhaps regT1.
func (l *lowering) stored(in *ir.Insn) Reg {
	if in.Src != 10 {
		return hostReg[in.Src]
	}
	l.framePointer(regT1, 0)
	if l.far { // which has taken too much away
		l.a.MovRI(regT2, int64(l.arenaShift))
		l.a.AluRR(Add, W64, regT1, regT2)
	}
	return regT1
}

// probe lowers a load that yields 0 where there is no memory.
func (l *lowering) probe(in *ir.Insn) {
	a, d, done := l.a, hostReg[in.Dst], l.a.NewLabel()
	m := l.checked(in.Src, in.Off, in.Op.Size(), func() Label {
		bad := a.NewLabel()
		l.later(func() {
			a.Bind(bad)
			a.Zero(d)
			a.Jmp(done)
		})
		return bad
	})
	l.operate(in, m)
	a.Bind(done)
}

// access returns the operand for size bytes at reg + off, after a check that they may be accessed unless that is known.
// It changes regT2 and the flags. The operand does not use the temporaries.
func (l *lowering) access(i int32, reg ir.Reg, off int32, size int) Mem {
	return l.checked(reg, off, size, func() Label { return l.fault(i, native.ExitMemory) })
}

// checked is access with a label to go to when the check fails.
func (l *lowering) checked(reg ir.Reg, off int32, size int, fail func() Label) Mem {
	if m, ok := l.sure(reg, off, size); ok {
		return m
	}
	l.compareSpace(reg, off, size)
	l.a.Jcc(CondA, fail())
	return operandAt(reg, off)
}

// sure returns the operand for size bytes at reg + off if it is known that they may be accessed.
func (l *lowering) sure(reg ir.Reg, off int32, size int) (Mem, bool) {
	switch place, at := l.set.PlaceOf(&l.facts, reg, off, size); place {
	case flow.Frame:
		return At(RBP, int32(at)), true
	case flow.Fixed: // the address sign-extends from 32 bits
		return At(regBias, int32(mem.Base+uint64(at))), true
	case flow.Inside:
		return operandAt(reg, off), true
	}
	return Mem{}, false
}

// compareSpace compares the place of size bytes at reg + off with the last one in the space: above, they are not in it. It
// changes regT2.
func (l *lowering) compareSpace(reg ir.Reg, off int32, size int) {
	a := l.a
	const minusBase = int64(^mem.Base + 1) // fits 32 bits
	if d := int64(off) + minusBase; d <= math.MaxInt32 {
		l.address(regT2, reg, int32(d))
	} else {
		l.address(regT2, reg, off)
		a.AluRI(Add, W64, regT2, int32(minusBase))
	}
	a.AluRM(Cmp, W64, regT2, l.field(native.OffLimit+8*int32(bits.TrailingZeros(uint(size)))))
}

// atomic lowers an atomic operation on m. Nothing runs beside a program, so that plain instructions do.
func (l *lowering) atomic(in *ir.Insn, m Mem) {
	a, s, size := l.a, l.stored(in), in.Op.Size()
	w := Width(size == 8)
	// The operations come in pairs, 32 and 64 bits, in the same order with and without fetch.
	alu := [4]Alu{Add, Or, And, Xor}
	switch op := in.Op; {
	case op <= ir.AtomicXor64:
		a.AluMR(alu[(op-ir.AtomicAdd32)/2], w, m, s)
	case op <= ir.FetchXor64:
		a.MovRR(W64, regT1, s)
		a.Load(size, regT2, m)
		a.AluRR(alu[(op-ir.FetchAdd32)/2], w, regT1, regT2)
		a.Store(size, m, regT1)
		a.MovRR(W64, s, regT2)
	case op <= ir.Xchg64:
		a.Load(size, regT2, m)
		a.Store(size, m, s)
		a.MovRR(W64, s, regT2)
	default:
		differ := a.NewLabel()
		a.Load(size, regT2, m)
		a.AluRR(Cmp, w, regT2, RAX)
		a.Jcc(CondNE, differ)
		a.Store(size, m, s)
		a.Bind(differ)
		a.MovRR(W64, RAX, regT2)
	}
}
