package arm64

import (
	"math/bits"

	"github.com/schedsim/schedsim/vm/ir"
)

// hostReg is the machine register of each BPF register, as in the kernel's JIT for this machine.
var hostReg = [11]Reg{X7, X0, X1, X2, X3, X4, X19, X20, X21, X22, X25}

// The registers that have no BPF register.
const (
	regSpace   = X5  // mem.Base
	regStack   = X6  // the private stack
	regInlined = X8  // helpers that ran without a call
	regHost    = X11 // host address of mem.Base
	regLimit   = X12 // and the next three: the last offset of an access of 1, 2, 4 and 8 bytes
	regLeft    = X23 // instructions left of the budget
	regBias    = X24 // host address of simulated address 0
	regContext = X26
	regFrame   = X27 // host address of the own stack frame

	regT1 = X9 // temporaries within one BPF instruction
	regT2 = X10
	regT3 = X16
	regT4 = X17
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

// constant puts the operand k of a K operation into r.
func (l *lowering) constant(w Width, r Reg, k int64) {
	if w == W32 {
		k = int64(uint32(k))
	}
	l.a.MovRI(r, uint64(k))
}

// alu lowers an arithmetic instruction; false: it is none.
func (l *lowering) alu(in *ir.Insn) bool {
	switch op := in.Op; {
	case op >= ir.Add64X && op <= ir.Add32K:
		l.binary(Add, ir.Add64X, in)
	case op >= ir.Sub64X && op <= ir.Sub32K:
		l.binary(Sub, ir.Sub64X, in)
	case op >= ir.Or64X && op <= ir.Or32K:
		l.binary(Orr, ir.Or64X, in)
	case op >= ir.And64X && op <= ir.And32K:
		l.binary(And, ir.And64X, in)
	case op >= ir.Xor64X && op <= ir.Xor32K:
		l.binary(Eor, ir.Xor64X, in)
	case op >= ir.Mul64X && op <= ir.Mul32K:
		w, s := l.source(ir.Mul64X, in)
		l.a.Mul(w, hostReg[in.Dst], hostReg[in.Dst], s)
	case op >= ir.Div64X && op <= ir.SMod32K:
		l.divide(in)
	case op >= ir.Lsh64X && op <= ir.Lsh32K:
		l.shift(Lsl, ir.Lsh64X, in)
	case op >= ir.Rsh64X && op <= ir.Rsh32K:
		l.shift(Lsr, ir.Rsh64X, in)
	case op >= ir.Arsh64X && op <= ir.Arsh32K:
		l.shift(Asr, ir.Arsh64X, in)
	default:
		return l.move(in)
	}
	return true
}

// move lowers moves, negations and byte swaps.
func (l *lowering) move(in *ir.Insn) bool {
	a, d, s := l.a, hostReg[in.Dst], hostReg[in.Src]
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
		a.MovRI(d, uint64(in.Imm))
	case ir.Mov32K:
		a.MovRI(d, uint64(uint32(in.Imm)))
	case ir.Neg64:
		a.AluRR(Sub, W64, d, XZR, d)
	case ir.Neg32:
		a.AluRR(Sub, W32, d, XZR, d)
	case ir.MovSX8to64:
		a.SignExtend(1, W64, d, s)
	case ir.MovSX16to64:
		a.SignExtend(2, W64, d, s)
	case ir.MovSX32to64:
		a.SignExtend(4, W64, d, s)
	case ir.MovSX8to32:
		a.SignExtend(1, W32, d, s)
	case ir.MovSX16to32:
		a.SignExtend(2, W32, d, s)
	case ir.LE16:
		a.ZeroExtend(2, d, d)
	case ir.LE32:
		a.MovRR(W32, d, d)
	case ir.LE64:
	case ir.BE16, ir.BSwap16:
		a.Rev16(d, d)
		a.ZeroExtend(2, d, d)
	case ir.BE32, ir.BSwap32:
		a.Rev(W32, d, d)
	case ir.BE64, ir.BSwap64:
		a.Rev(W64, d, d)
	default:
		return false
	}
	return true
}

// source returns the width of an operation of a group of four and a register with its operand, regT1 if it is a constant.
func (l *lowering) source(first ir.Op, in *ir.Insn) (Width, Reg) {
	w, imm := form(in.Op, first)
	if !imm {
		return w, hostReg[in.Src]
	}
	l.constant(w, regT1, operand(w, in.Imm))
	return w, regT1
}

// binary lowers an addition, a subtraction or a logical operation.
func (l *lowering) binary(op Alu, first ir.Op, in *ir.Insn) {
	a, d := l.a, hostReg[in.Dst]
	if w, imm := form(in.Op, first); imm {
		done := false
		switch k := operand(w, in.Imm); op {
		case Add:
			done = a.AddImm(w, d, d, k, false)
		case Sub:
			done = a.AddImm(w, d, d, -k, false)
		default:
			done = a.LogicImm(op, w, d, d, uint64(k))
		}
		if done {
			return
		}
	}
	w, s := l.source(first, in)
	a.AluRR(op, w, d, d, s)
}

// shift lowers a shift; the machine masks counts as BPF does.
func (l *lowering) shift(op Alu, first ir.Op, in *ir.Insn) {
	a, d := l.a, hostReg[in.Dst]
	w, imm := form(in.Op, first)
	if !imm {
		a.AluRR(op, w, d, d, hostReg[in.Src])
		return
	}
	switch n := uint32(in.Imm) & (w.bits() - 1); {
	case n != 0:
		a.ShiftImm(op, w, d, d, n)
	case w == W32:
		a.MovRR(W32, d, d) // zero the upper half
	}
}

// divide lowers the eight divisions. The machine's quotient of anything and zero is zero, and that of the smallest number
// and -1 is the smallest number: what BPF defines. The remainder follows from the quotient, so that it is the dividend
// where the divisor is zero.
func (l *lowering) divide(in *ir.Insn) {
	a, d, op := l.a, hostReg[in.Dst], in.Op
	signed := op >= ir.SDiv64X && op <= ir.SDiv32K || op >= ir.SMod64X
	mod := op >= ir.Mod64X
	if w, imm := form(op, ir.Div64X); imm && !signed {
		if k := operand(w, in.Imm); k > 0 && k&(k-1) == 0 {
			l.dividePower(d, w, mod, uint32(bits.TrailingZeros64(uint64(k))))
			return
		}
	}
	w, s := l.source(ir.Div64X, in)
	div := UDiv
	if signed {
		div = SDiv
	}
	if !mod {
		a.AluRR(div, w, d, d, s)
		return
	}
	a.AluRR(div, w, regT2, d, s)
	a.MSub(w, d, regT2, s, d)
}

// dividePower divides by 1<<n, which is positive in the width.
func (l *lowering) dividePower(d Reg, w Width, mod bool, n uint32) {
	switch {
	case !mod:
		l.a.ShiftImm(Lsr, w, d, d, n)
	case n == 0:
		l.a.MovRI(d, 0)
	default:
		l.a.LogicImm(And, w, d, d, 1<<n-1)
	}
}
