package verifier

import (
	"math"
	"math/bits"

	"github.com/schedsim/schedsim/vm/ir"
)

// aluKind is a binary operation without its width and operand form.
type aluKind uint8

const (
	aluAdd aluKind = iota
	aluSub
	aluMul
	aluDiv
	aluSDiv
	aluMod
	aluSMod
	aluOr
	aluAnd
	aluXor
	aluLsh
	aluRsh
	aluArsh
	aluMov
)

func (k aluKind) String() string {
	return [...]string{"+=", "-=", "*=", "/=", "s/=", "%=", "s%=", "|=", "&=", "^=", "<<=", ">>=", "s>>=", "="}[k]
}

// splitALU takes a binary operation apart.
func splitALU(op ir.Op) (k aluKind, wide, byReg bool) {
	n := op - ir.Add64X
	return aluKind(n >> 2), n&2 == 0, n&1 == 0
}

// computable tells whether anything is known of the result: shifts and divisions need a constant operand. It follows
// is_safe_to_compute_dst_reg_range.
func computable(k aluKind, wide bool, src *num) bool {
	known := src.bits.isConst() && src.r64.size == 0
	if !wide {
		known = uint32(src.bits.mask) == 0 && src.r32.size == 0
	}
	switch k {
	case aluDiv, aluSDiv, aluMod, aluSMod:
		return known
	case aluLsh, aluRsh, aluArsh:
		width := uint64(64)
		if !wide {
			width = 32
		}
		return known && src.umax() < width
	}
	return true
}

// alu applies dst = dst k src. It follows adjust_scalar_min_max_vals (7.2) without its forks.
func (d *num) alu(k aluKind, wide bool, src num) {
	if !computable(k, wide, &src) {
		*d = unknownNum()
		return
	}
	switch k {
	case aluAdd:
		d.r32, d.r64, d.bits = d.r32.add(src.r32), d.r64.add(src.r64), d.bits.add(src.bits)
	case aluSub:
		d.r32, d.r64, d.bits = d.r32.add(src.r32.neg()), d.r64.add(src.r64.neg()), d.bits.sub(src.bits)
	case aluMul:
		d.bits = d.bits.mul(src.bits)
		d.r32, d.r64 = mulArc32(d, &src), mulArc64(d, &src)
	case aluDiv, aluSDiv:
		if wide && src.umin() == 0 || !wide && src.umin32() == 0 {
			*d = knownNum(0)
			break
		}
		d.div(k == aluSDiv, wide, &src)
	case aluMod, aluSMod:
		if wide && src.umin() == 0 || !wide && src.umin32() == 0 {
			break // the dividend stays
		}
		d.mod(k == aluSMod, wide, &src)
	case aluAnd, aluOr, aluXor:
		d.bitwise(k, &src)
	case aluLsh:
		d.lsh(wide, &src)
	case aluRsh:
		d.rsh(wide, &src)
	case aluArsh:
		d.arsh(wide, &src)
	}
	if !wide {
		d.zext()
	}
	d.sync()
}

// negate applies dst = -dst.
func (d *num) negate(wide bool) {
	old := *d
	*d = knownNum(0)
	d.r32, d.r64, d.bits = d.r32.add(old.r32.neg()), d.r64.add(old.r64.neg()), old.bits.neg()
	if !wide {
		d.zext()
	}
	d.sync()
}

func mulS64(a, b int64) (int64, bool) {
	if a == 0 || b == 0 {
		return 0, true
	}
	p := a * b
	return p, p/b == a && !(a == -1 && b == math.MinInt64) && !(b == -1 && a == math.MinInt64)
}

func mulArc64(d, s *num) cnum64 {
	u := cnumAll[uint64]()
	hi1, lo1 := bits.Mul64(d.umax(), s.umax())
	hi2, lo2 := bits.Mul64(d.umin(), s.umin())
	if hi1 == 0 && hi2 == 0 {
		u = urange(lo2, lo1)
	}
	return u.intersect(mulSigned[uint64](d.smin(), d.smax(), s.smin(), s.smax(), math.MinInt64, math.MaxInt64))
}

func mulArc32(d, s *num) cnum32 {
	u := cnumAll[uint32]()
	if hi := uint64(d.umax32()) * uint64(s.umax32()); hi <= math.MaxUint32 {
		u = urange(d.umin32()*s.umin32(), uint32(hi))
	}
	return u.intersect(mulSigned[uint32](int64(d.smin32()), int64(d.smax32()), int64(s.smin32()), int64(s.smax32()), math.MinInt32, math.MaxInt32))
}

// mulSigned is the range of the products of two signed ranges: that of the products of their ends, where none overflows.
func mulSigned[T word](a, b, c, d, least, most int64) cnum[T] {
	lo, hi := int64(math.MaxInt64), int64(math.MinInt64)
	for _, x := range [2]int64{a, b} {
		for _, y := range [2]int64{c, d} {
			p, ok := mulS64(x, y)
			if !ok || p < least || p > most {
				return cnumAll[T]()
			}
			lo, hi = min(lo, p), max(hi, p)
		}
	}
	return srange[T](lo, hi)
}

// forget64 and forget32 keep one half of what is known after an operation on that half.
func (d *num) forget64() { d.r64, d.bits = cnumAll[uint64](), tnumUnknown() }
func (d *num) forget32() { d.r32, d.bits = cnumAll[uint32](), tnumUnknown() }

// div divides by a constant that is not zero.
func (d *num) div(signed, wide bool, src *num) {
	switch {
	case signed && wide:
		d.r64 = divSigned[uint64](d.smin(), d.smax(), src.smin(), math.MinInt64)
		d.forget32()
	case signed:
		d.r32 = divSigned[uint32](int64(d.smin32()), int64(d.smax32()), int64(src.smin32()), math.MinInt32)
		d.forget64()
	case wide:
		d.r64 = urange(d.umin()/src.umin(), d.umax()/src.umin())
		d.forget32()
	default:
		d.r32 = urange(d.umin32()/src.umin32(), d.umax32()/src.umin32())
		d.forget64()
	}
}

// divSigned divides the range lo..hi by v; least/-1 overflows to least.
func divSigned[T word](lo, hi, v, least int64) cnum[T] {
	if lo == least && v == -1 {
		if hi == least {
			return srange[T](least, least)
		}
		return cnumAll[T]()
	}
	return srange[T](min(lo/v, hi/v), max(lo/v, hi/v))
}

// mod is the remainder by a constant that is not zero.
func (d *num) mod(signed, wide bool, src *num) {
	switch {
	case signed && wide:
		if r, ok := modSigned[uint64](d.smin(), d.smax(), src.smin()); ok {
			d.r64 = r
			d.forget32()
		}
	case signed:
		if r, ok := modSigned[uint32](int64(d.smin32()), int64(d.smax32()), int64(src.smin32())); ok {
			d.r32 = r
			d.forget64()
		}
	case wide:
		if top := src.umin() - 1; d.umax() > top {
			d.r64 = urange(0, top)
			d.forget32()
		}
	default:
		if top := src.umin32() - 1; d.umax32() > top {
			d.r32 = urange(0, top)
			d.forget64()
		}
	}
}

// modSigned: the remainder has the dividend's sign and is smaller than |v|. It is not ok if the range does not change.
func modSigned[T word](lo, hi, v int64) (cnum[T], bool) {
	abs := uint64(v)
	if v < 0 {
		abs = -abs
	}
	top := int64(abs - 1)
	switch {
	case lo >= -top && hi <= top:
		return cnum[T]{}, false
	case lo >= 0:
		return srange[T](0, min(hi, top)), true
	case hi <= 0:
		return srange[T](max(lo, -top), 0), true
	}
	return srange[T](-top, top), true
}

func (d *num) bitwise(k aluKind, s *num) {
	bothKnown := d.bits.isConst() && s.bits.isConst()
	bothKnown32 := uint32(d.bits.mask) == 0 && uint32(s.bits.mask) == 0
	switch k {
	case aluAnd:
		d.bits = d.bits.and(s.bits)
	case aluOr:
		d.bits = d.bits.or(s.bits)
	default:
		d.bits = d.bits.xor(s.bits)
	}
	least, most := d.bits.value, d.bits.value|d.bits.mask
	if bothKnown {
		*d = knownNum(d.bits.value)
		return
	}
	switch k {
	case aluAnd:
		d.r64 = urange(least, max(least, min(d.umax(), s.umax())))
		if !bothKnown32 {
			d.r32 = urange(uint32(least), max(uint32(least), min(d.umax32(), s.umax32())))
		}
	case aluOr:
		d.r64 = urange(min(most, max(d.umin(), s.umin())), most)
		if !bothKnown32 {
			d.r32 = urange(min(uint32(most), max(d.umin32(), s.umin32())), uint32(most))
		}
	default:
		d.r64 = urange(least, most)
		if !bothKnown32 {
			d.r32 = urange(uint32(least), uint32(most))
		}
	}
	if bothKnown32 {
		d.r32 = cnum32{uint32(least), 0}
	}
	if k != aluXor {
		d.narrowByBits()
	}
}

// lsh32 is the range of the lower half after a shift by n.
func (d *num) lsh32(n uint64) cnum32 {
	if n > 31 || uint64(d.umax32()) > 1<<(31-n) {
		return cnumAll[uint32]()
	}
	return urange(d.umin32()<<n, d.umax32()<<n)
}

func (d *num) lsh(wide bool, s *num) {
	n := s.umin()
	if !wide {
		n = uint64(s.umin32())
		d.r32 = d.lsh32(n)
		d.bits = d.bits.lower().shl(uint8(n)).lower()
		d.r64 = cnumAll[uint64]()
		d.narrowByBits32()
		return
	}
	u, sg := cnumAll[uint64](), cnumAll[uint64]()
	if n == 32 {
		sg = srange[uint64](int64(d.smin32())<<32, int64(d.smax32())<<32)
	}
	if d.umax() <= 1<<(63-n) {
		u = urange(d.umin()<<n, d.umax()<<n)
	}
	d.r64, d.r32 = u.intersect(sg), d.lsh32(n)
	d.bits = d.bits.shl(uint8(n))
	d.narrowByBits()
}

func (d *num) rsh(wide bool, s *num) {
	if !wide {
		n := s.umin32()
		d.bits = d.bits.lower().shr(uint8(n))
		d.r32 = urange(d.umin32()>>n, d.umax32()>>n)
		d.r64 = cnumAll[uint64]()
		d.narrowByBits32()
		return
	}
	n := s.umin()
	d.bits = d.bits.shr(uint8(n))
	d.r64 = urange(d.umin()>>n, d.umax()>>n)
	d.r32 = cnumAll[uint32]()
	d.narrowByBits()
}

func (d *num) arsh(wide bool, s *num) {
	if !wide {
		n := s.umin32()
		d.r32 = srange[uint32](int64(d.smin32()>>n), int64(d.smax32()>>n))
		d.bits = d.bits.lower().sar(uint8(n), true)
		d.r64 = cnumAll[uint64]()
		d.narrowByBits32()
		return
	}
	n := s.umin()
	d.r64 = srange[uint64](d.smin()>>n, d.smax()>>n)
	d.bits = d.bits.sar(uint8(n), false)
	d.r32 = cnumAll[uint32]()
	d.narrowByBits()
}

// swapBytes applies a byte order operation (ir.LE16 to ir.BSwap64); the machine is little endian. It tells whether the
// value may have changed. It follows scalar_byte_swap.
func (d *num) swapBytes(op ir.Op) (changed bool) {
	size := 2 << ((op - ir.LE16) % 3)
	swap := op >= ir.BE16
	if swap {
		d.bits = d.bits.swap(size)
		d.unbound()
	}
	if size < 8 {
		d.truncate(size)
	}
	d.sync()
	return swap || size < 8
}
