package amd64

import (
	"math/bits"

	"github.com/schedsim/schedsim/vm/ir"
)

// hostReg is the machine register of each BPF register, as in the kernel's JIT for this machine. That of R10 holds the host
// address of what R10 points to: processors forward what was stored at [rbp+8] to a load from there at once, but not where an
// address has an index. Instructions that want the value of R10 make it.
var hostReg = [11]Reg{RAX, RDI, RSI, RDX, RCX, R8, RBX, R13, R14, R15, RBP}

// args are those of R1-R5.
var args = hostReg[1:6]

// The registers that have no BPF register.
const (
	regBias = R12 // host address of simulated address 0
	regLeft = R9  // instructions left of the budget
	regT1   = R10 // temporaries within one BPF instruction
	regT2   = R11
)

// form splits an operation of a group of four (64-bit and 32-bit, by register and by constant) into its parts.
func form(op, first ir.Op) (w Width, imm bool) {
	n := (op - first) & 3
	return n < 2, n&1 == 1
}

// operand returns the operand of a K operation as the operation sees it.
func operand(w Width, imm int64) int64 {
	if w == W32 {
		return int64(int32(imm))
	}
	return imm
}

// alu lowers an arithmetic instruction; false: it is none.
func (l *lowering) alu(in *ir.Insn) bool {
	switch {
	case in.Src != 10 || in.Op.IsJump() || in.Op.IsCall() || in.Op.Size() > 0:
		return l.compute(in)
	case in.Op == ir.Mov64X:
		l.framePointer(hostReg[in.Dst], 0)
		return true
	}
	l.simulated()
	done := l.compute(in)
	l.hosted()
	return done
}

// framePointer is d = R10 + off.
func (l *lowering) framePointer(d Reg, off int32) {
	if off == 0 {
		l.a.MovRR(W64, d, RBP)
	} else {
		l.a.Lea(W64, d, At(RBP, off))
	}
	l.a.AluRR(Sub, W64, d, regBias)
}

// simulated makes rbp the value of R10, hosted the host address that it is otherwise; the latter keeps the flags.
func (l *lowering) simulated() { l.a.AluRR(Sub, W64, RBP, regBias) }
func (l *lowering) hosted()    { l.a.Lea(W64, RBP, AtIndex(RBP, regBias, 0)) }

// pointsToFrame tells whether in, instruction i, and next set a register to R10 and add a constant to it.
func (l *lowering) pointsToFrame(i int32, in, next *ir.Insn) bool {
	_, target := l.targets[i+1]
	return in.Op == ir.Mov64X && in.Src == 10 && next.Op == ir.Add64K && next.Dst == in.Dst && fits32(next.Imm) && !target && !l.known.Dead(i+1)
}

func (l *lowering) compute(in *ir.Insn) bool {
	a, d := l.a, hostReg[in.Dst]
	s := hostReg[in.Src]
	switch op := in.Op; {
	case op >= ir.Add64X && op <= ir.Add32K:
		l.binary(Add, ir.Add64X, in)
	case op >= ir.Sub64X && op <= ir.Sub32K:
		l.binary(Sub, ir.Sub64X, in)
	case op >= ir.Or64X && op <= ir.Or32K:
		l.binary(Or, ir.Or64X, in)
	case op >= ir.And64X && op <= ir.And32K:
		l.binary(And, ir.And64X, in)
	case op >= ir.Xor64X && op <= ir.Xor32K:
		l.binary(Xor, ir.Xor64X, in)
	case op >= ir.Mul64X && op <= ir.Mul32K:
		w, imm := form(op, ir.Mul64X)
		switch k := operand(w, in.Imm); {
		case !imm:
			a.IMulRR(w, d, s)
		case fits32(k):
			a.IMulRI(w, d, d, int32(k))
		default:
			a.MovRI(regT2, k)
			a.IMulRR(w, d, regT2)
		}
	case op >= ir.Div64X && op <= ir.SMod32K:
		l.divide(in)
	case op >= ir.Lsh64X && op <= ir.Lsh32K:
		l.shift(Shl, ir.Lsh64X, in)
	case op >= ir.Rsh64X && op <= ir.Rsh32K:
		l.shift(Shr, ir.Rsh64X, in)
	case op >= ir.Arsh64X && op <= ir.Arsh32K:
		l.shift(Sar, ir.Arsh64X, in)
	default:
		return l.move(in, d, s)
	}
	return true
}

// move lowers moves, negations and byte swaps.
func (l *lowering) move(in *ir.Insn, d, s Reg) bool {
	a := l.a
	switch in.Op {
	case ir.Mov64X:
		if d != s {
			a.MovRR(W64, d, s)
		}
	case ir.CastKern, ir.CastUser:
		l.cast(in, d, s)
	case ir.Mov32X:
		a.MovRR(W32, d, s)
	case ir.Mov64K, ir.LdImm64:
		if in.Imm == 0 {
			a.Zero(d)
		} else {
			a.MovRI(d, in.Imm)
		}
	case ir.Mov32K:
		if uint32(in.Imm) == 0 {
			a.Zero(d)
		} else {
			a.MovRI(d, int64(uint32(in.Imm)))
		}
	case ir.Neg64:
		a.Unary(Neg, W64, d)
	case ir.Neg32:
		a.Unary(Neg, W32, d)
	case ir.MovSX8to64:
		a.MovSX(1, W64, d, s)
	case ir.MovSX16to64:
		a.MovSX(2, W64, d, s)
	case ir.MovSX32to64:
		a.MovSX(4, W64, d, s)
	case ir.MovSX8to32:
		a.MovSX(1, W32, d, s)
	case ir.MovSX16to32:
		a.MovSX(2, W32, d, s)
	case ir.LE16:
		a.MovZX(2, d, d)
	case ir.LE32:
		a.MovRR(W32, d, d)
	case ir.LE64:
	case ir.BE16, ir.BSwap16:
		a.Rol16(d, 8)
		a.MovZX(2, d, d)
	case ir.BE32, ir.BSwap32:
		a.Bswap(W32, d)
	case ir.BE64, ir.BSwap64:
		a.Bswap(W64, d)
	default:
		return false
	}
	return true
}

// binary lowers an operation with a two-operand form.
func (l *lowering) binary(op Alu, first ir.Op, in *ir.Insn) {
	a, d := l.a, hostReg[in.Dst]
	w, imm := form(in.Op, first)
	switch k := operand(w, in.Imm); {
	case !imm:
		a.AluRR(op, w, d, hostReg[in.Src])
	case fits32(k):
		a.AluRI(op, w, d, int32(k))
	default:
		a.MovRI(regT2, k)
		a.AluRR(op, w, d, regT2)
	}
}

// shift lowers a shift; the machine masks counts as BPF does.
func (l *lowering) shift(op Shift, first ir.Op, in *ir.Insn) {
	a, d, s := l.a, hostReg[in.Dst], hostReg[in.Src]
	w, imm := form(in.Op, first)
	if imm {
		n := byte(in.Imm) & 63
		if w == W32 {
			n &= 31
		}
		switch {
		case n != 0:
			a.ShiftRI(op, w, d, n)
		case w == W32:
			a.MovRR(W32, d, d) // zero the upper half
		}
		return
	}
	switch {
	case l.bmi2:
		a.ShiftX(op, w, d, d, s)
	case s == RCX && d != RCX:
		a.ShiftCL(op, w, d)
	case d == RCX:
		a.MovRR(W64, regT2, RCX)
		a.MovRR(W32, RCX, s)
		a.ShiftCL(op, w, regT2)
		a.MovRR(W64, RCX, regT2)
	default:
		a.MovRR(W64, regT2, RCX)
		a.MovRR(W32, RCX, s)
		a.ShiftCL(op, w, d)
		a.MovRR(W64, RCX, regT2)
	}
}

// divide lowers the eight divisions. The machine divides RDX:RAX, which are R3 and R0; a divisor of 0 and, signed, of -1
// would trap and go their own way.
func (l *lowering) divide(in *ir.Insn) {
	op := in.Op
	signed := op >= ir.SDiv64X && op <= ir.SDiv32K || op >= ir.SMod64X
	mod := op >= ir.Mod64X
	w, imm := form(op, ir.Div64X)
	d := hostReg[in.Dst]
	if imm {
		l.divideImm(d, w, signed, mod, operand(w, in.Imm))
		return
	}
	l.divideReg(d, hostReg[in.Src], w, signed, mod)
}

func (l *lowering) divideImm(d Reg, w Width, signed, mod bool, k int64) {
	a := l.a
	if k == 0 {
		l.divideByZero(d, w, mod)
		return
	}
	if signed && k == -1 {
		l.divideByMinusOne(d, w, mod)
		return
	}
	u := uint64(k)
	if w == W32 {
		u = uint64(uint32(k))
	}
	if !signed && u&(u-1) == 0 {
		l.dividePower(d, w, mod, bits.TrailingZeros64(u))
		return
	}
	if !signed {
		l.divideConst(d, w, mod, u)
		return
	}
	// The divisor needs a register: one of the temporaries, or d, whose value moves to RAX.
	by := d
	switch d {
	case RAX:
		by = regT1
		a.MovRR(W64, regT2, RDX)
	case RDX:
		by = regT2
		a.MovRR(W64, regT1, RAX)
		a.MovRR(W64, RAX, RDX)
	default:
		a.MovRR(W64, regT1, RAX)
		a.MovRR(W64, regT2, RDX)
		a.MovRR(W64, RAX, d)
	}
	if w == W32 {
		a.MovRI(by, int64(u))
	} else {
		a.MovRI(by, k)
	}
	l.divideBy(d, by, w, signed, mod)
}

// dividePower divides by 1<<n.
func (l *lowering) dividePower(d Reg, w Width, mod bool, n int) {
	a := l.a
	switch {
	case !mod && n == 0, mod && n >= 32 && w == W32:
		a.MovRR(w, d, d)
	case !mod:
		a.ShiftRI(Shr, w, d, byte(n))
	case n == 0:
		a.Zero(d)
	case n < 31 || n == 31 && w == W32:
		a.AluRI(And, W32, d, int32(uint32(1)<<n-1)) // the rest of the 64 bits is zero as well
	case n == 31:
		a.AluRI(And, W32, d, 1<<31-1)
	case n == 32:
		a.MovRR(W32, d, d)
	default:
		a.MovRI(regT2, int64(uint64(1)<<n-1))
		a.AluRR(And, W64, d, regT2)
	}
}

func (l *lowering) divideByZero(d Reg, w Width, mod bool) {
	switch {
	case !mod:
		l.a.Zero(d)
	case w == W32:
		l.a.MovRR(W32, d, d)
	}
}

func (l *lowering) divideByMinusOne(d Reg, w Width, mod bool) {
	if mod {
		l.a.Zero(d)
		return
	}
	l.a.Unary(Neg, w, d)
}

// divideReg divides by s.
func (l *lowering) divideReg(d, s Reg, w Width, signed, mod bool) {
	a := l.a
	special, done := a.NewLabel(), a.NewLabel()
	if signed {
		// s + 1 is 0 or 1.
		a.Lea(w, regT2, At(s, 1))
		a.AluRI(Cmp, w, regT2, 1)
		a.Jcc(CondBE, special)
	} else {
		a.TestRR(w, s, s)
		a.Jcc(CondE, special)
	}
	by := s
	if d != RAX || s == RAX {
		a.MovRR(W64, regT1, RAX)
		if s == RAX {
			by = regT1
		}
	}
	if d != RDX || s == RDX {
		a.MovRR(W64, regT2, RDX)
		if s == RDX {
			by = regT2
		}
	}
	if d != RAX {
		a.MovRR(W64, RAX, d)
	}
	l.divideBy(d, by, w, signed, mod)
	l.later(func() {
		a.Bind(special)
		if signed {
			minusOne := a.NewLabel()
			a.TestRR(w, s, s)
			a.Jcc(CondNE, minusOne)
			l.divideByZero(d, w, mod)
			a.Jmp(done)
			a.Bind(minusOne)
			l.divideByMinusOne(d, w, mod)
		} else {
			l.divideByZero(d, w, mod)
		}
		a.Jmp(done)
	})
	a.Bind(done)
}

// divideBy divides RAX by by, puts the result into d and brings RAX and RDX back from regT1 and regT2 where they are not
// d.
func (l *lowering) divideBy(d, by Reg, w Width, signed, mod bool) {
	a := l.a
	if signed {
		a.SignExtendAcc(w)
		a.Unary(IDiv, w, by)
	} else {
		a.Zero(RDX)
		a.Unary(Div, w, by)
	}
	res := RAX
	if mod {
		res = RDX
	}
	if d != res {
		a.MovRR(W64, d, res)
	}
	if d != RAX {
		a.MovRR(W64, RAX, regT1)
	}
	if d != RDX {
		a.MovRR(W64, RDX, regT2)
	}
}
