package amd64

import "math/bits"

// Division by a constant that is no power of two, by multiplication: with s = ceil(log2 k) and M = ceil(2^(W+s) / k), which
// has W+1 bits, x / k = x*M >> (W+s) for all x of W bits (Granlund and Montgomery, "Division by invariant integers using
// multiplication", 1994).

// reciprocal returns M without its topmost bit, and s, for a constant k of w bits.
func reciprocal(w uint, k uint64) (m uint64, s uint) {
	s = uint(bits.Len64(k - 1))
	// M - 2^w = ceil(2^w * (2^s - k) / k); in 64 bits 2^s may overflow to 0, and the subtraction is right all the same.
	hi := uint64(1)<<s - k
	if w == 32 {
		return ((1<<s-k)<<32 + k - 1) / k, s
	}
	q, r := bits.Div64(hi, 0, k)
	if r != 0 {
		q++
	}
	return q, s
}

// divideConst divides d by k, unsigned and neither 0 nor a power of two.
func (l *lowering) divideConst(d Reg, w Width, mod bool, k uint64) {
	a := l.a
	if w == W32 {
		// x*M of 65 bits: x*(M-2^32) has at most 64, and the rest is x itself, 32 bits further up.
		m, s := reciprocal(32, k)
		a.MovRR(W32, regT1, d)
		a.MovRI(regT2, int64(m))
		a.IMulRR(W64, regT2, regT1)
		a.ShiftRI(Shr, W64, regT2, 32)
		a.AluRR(Add, W64, regT2, regT1) // 33 bits
		a.ShiftRI(Shr, W64, regT2, byte(s))
		l.quotient(d, w, mod, k)
		return
	}
	m, s := reciprocal(64, k)
	// The upper half of the product needs RDX and RAX. t = mulhi(x, m); x/k = (((x-t)>>1) + t) >> (s-1), without overflow.
	switch d {
	case RAX:
		a.MovRR(W64, regT1, RAX)
		a.MovRR(W64, regT2, RDX)
		a.MovRI(RDX, signed(m))
		a.Unary(Mul, W64, RDX)
		a.MovRR(W64, RAX, RDX) // t
		a.MovRR(W64, RDX, regT2)
		a.MovRR(W64, regT2, regT1)
		a.AluRR(Sub, W64, regT2, RAX)
		a.ShiftRI(Shr, W64, regT2, 1)
		a.AluRR(Add, W64, regT2, RAX)
	case RDX:
		a.MovRR(W64, regT1, RDX)
		a.MovRR(W64, regT2, RAX)
		a.MovRI(RAX, signed(m))
		a.Unary(Mul, W64, RDX)
		a.MovRR(W64, RAX, regT2)
		a.MovRR(W64, regT2, regT1)
		a.AluRR(Sub, W64, regT2, RDX)
		a.ShiftRI(Shr, W64, regT2, 1)
		a.AluRR(Add, W64, regT2, RDX)
	default:
		a.MovRR(W64, regT1, RAX)
		a.MovRR(W64, regT2, RDX)
		a.MovRI(RAX, signed(m))
		a.Unary(Mul, W64, d)
		a.MovRR(W64, RAX, regT1)
		a.MovRR(W64, regT1, RDX) // t
		a.MovRR(W64, RDX, regT2)
		a.MovRR(W64, regT2, d)
		a.AluRR(Sub, W64, regT2, regT1)
		a.ShiftRI(Shr, W64, regT2, 1)
		a.AluRR(Add, W64, regT2, regT1)
		a.MovRR(W64, regT1, d)
	}
	if s > 1 {
		a.ShiftRI(Shr, W64, regT2, byte(s-1))
	}
	l.quotient(d, w, mod, k)
}

// quotient puts the quotient regT2 into d, or the rest of regT1 when mod.
func (l *lowering) quotient(d Reg, w Width, mod bool, k uint64) {
	a := l.a
	if !mod {
		a.MovRR(w, d, regT2)
		return
	}
	if v := int64(k); fits32(v) || w == W32 {
		a.IMulRI(w, regT2, regT2, int32(uint32(k)))
	} else {
		a.MovRI(d, v)
		a.IMulRR(w, regT2, d)
	}
	a.MovRR(w, d, regT1)
	a.AluRR(Sub, w, d, regT2)
}
