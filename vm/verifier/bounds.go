package verifier

import (
	"math"
	"math/bits"
)

// num is what is known of a 64-bit value: its bits, its range, and the range of its lower half. A value is possible when
// all three have it.
type num struct {
	bits tnum
	r64  cnum64
	r32  cnum32
}

func unknownNum() num {
	return num{bits: tnumUnknown(), r64: cnumAll[uint64](), r32: cnumAll[uint32]()}
}

func knownNum(v uint64) num {
	return num{bits: tnumConst(v), r64: cnum64{v, 0}, r32: cnum32{uint32(v), 0}}
}

func (n *num) setKnown32(v uint32) {
	n.bits = n.bits.clearLower().or(tnumConst(uint64(v)))
	n.r32 = cnum32{v, 0}
}

func (n *num) unbound() { n.r64, n.r32 = cnumAll[uint64](), cnumAll[uint32]() }

func (n *num) umin() uint64   { return n.r64.umin() }
func (n *num) umax() uint64   { return n.r64.umax() }
func (n *num) smin() int64    { return n.r64.smin() }
func (n *num) smax() int64    { return n.r64.smax() }
func (n *num) umin32() uint32 { return n.r32.umin() }
func (n *num) umax32() uint32 { return n.r32.umax() }
func (n *num) smin32() int32  { return int32(n.r32.smin()) }
func (n *num) smax32() int32  { return int32(n.r32.smax()) }

// may tells whether v is possible.
func (n *num) may(v uint64) bool {
	return n.bits.contains(v) && n.r64.contains(v) && n.r32.contains(uint32(v))
}

// width is the number of bits that the value needs.
func (n *num) width() int { return bits.Len64(n.umax()) }

// impossible: no value is left.
func (n *num) impossible() bool { return n.r64.isEmpty() || n.r32.isEmpty() }

// tnumArc is the arc around the numbers of t, whose sign bit is signBit.
func tnumArc[T word](value, mask T) cnum[T] {
	s := signBit[T]()
	if (value|mask)&s != 0 {
		return srange[T](sext(value|mask&s), sext(value|mask&^s))
	}
	return urange(value, value|mask)
}

func (n *num) narrowByBits32() {
	n.r32 = n.r32.intersect(tnumArc(uint32(n.bits.value), uint32(n.bits.mask)))
}

// narrowByBits64 follows __update_reg64_bounds (7.2): beside the arc of the bits, at most one possible number between the
// bounds is found by stepping.
func (n *num) narrowByBits64() {
	n.r64 = n.r64.intersect(tnumArc(n.bits.value, n.bits.mask))
	lo, hi := n.umin(), n.umax()
	next := n.bits.next(lo)
	top := n.bits.value | n.bits.mask
	switch in := n.bits.contains(lo); {
	case in && next > hi:
		*n = knownNum(lo)
	case !in && next == top:
		*n = knownNum(top)
	case !in && next <= hi && n.bits.next(next) > hi:
		*n = knownNum(next)
	}
}

func (n *num) narrowByBits() {
	n.narrowByBits32()
	n.narrowByBits64()
}

// sync lets the three parts learn from each other. It follows reg_bounds_sync (kernel/bpf/verifier.c, 7.2).
func (n *num) sync() {
	if n.impossible() {
		return
	}
	n.narrowByBits()
	for range 2 {
		n.r32 = n.r32.intersect(lower(n.r64))
		n.r64 = narrow(n.r64, n.r32)
	}
	t := n.bits.intersect(tnumRange(n.umin(), n.umax()))
	t32 := t.lower().intersect(tnumRange(uint64(n.umin32()), uint64(n.umax32())))
	n.bits = t.clearLower().or(t32)
	n.narrowByBits()
}

// sane tells whether the parts agree: it is false for a value that cannot be. It follows reg_bounds_sanity_check.
func (n *num) sane() bool {
	switch {
	case n.impossible():
		return false
	case n.bits.isConst() && (n.r64.size != 0 || n.r64.base != n.bits.value):
		return false
	case uint32(n.bits.mask) == 0 && (n.r32.size != 0 || n.r32.base != uint32(n.bits.value)):
		return false
	}
	return true
}

// repair forgets the ranges of a value whose parts do not agree, which happens on paths that cannot be taken.
func (n *num) repair() {
	if !n.sane() {
		n.unbound()
	}
}

// zext clears the upper half.
func (n *num) zext() {
	n.bits = n.bits.lower()
	n.r64 = urange(uint64(n.umin32()), uint64(n.umax32()))
}

// truncate keeps the lower size bytes. It follows coerce_reg_to_size.
func (n *num) truncate(size int) {
	n.bits = n.bits.cast(size)
	mask := uint64(1)<<(8*size) - 1
	if lo, hi := n.umin(), n.umax(); lo&^mask == hi&^mask {
		n.r64 = urange(lo&mask, hi&mask)
	} else {
		n.r64 = urange(0, mask)
	}
	if size < 4 {
		n.r32 = cnumAll[uint32]()
	}
	n.sync()
}

func sextBytes(v uint64, size int) int64 {
	k := 64 - 8*size
	return int64(v<<k) >> k
}

// signExtend makes 64 bits of the lower size bytes. It follows coerce_reg_to_size_sx.
func (n *num) signExtend(size int) {
	if n.bits.isConst() {
		*n = knownNum(uint64(sextBytes(n.bits.value, size)))
		return
	}
	lo, hi := n.smin(), n.smax()
	if k := 8 * size; lo>>k == hi>>k {
		a, b := sextBytes(uint64(lo), size), sextBytes(uint64(hi), size)
		lo, hi = min(a, b), max(a, b)
		if (lo >= 0) == (hi >= 0) {
			n.r64, n.r32 = srange[uint64](lo, hi), srange[uint32](lo, hi)
			n.bits = tnumRange(uint64(lo), uint64(hi))
			return
		}
	}
	top := int64(1)<<(8*size-1) - 1
	n.r64, n.r32, n.bits = srange[uint64](-top-1, top), srange[uint32](-top-1, top), tnumUnknown()
}

// signExtend32 makes 32 bits of the lower size bytes; the caller clears the upper half. It follows
// coerce_subreg_to_size_sx.
func (n *num) signExtend32(size int) {
	if n.bits.isConst() {
		v := uint32(sextBytes(n.bits.value, size))
		n.bits, n.r32 = tnumConst(uint64(v)), cnum32{v, 0}
		return
	}
	lo, hi := int64(n.smin32()), int64(n.smax32())
	if k := 8 * size; lo>>k == hi>>k {
		a, b := sextBytes(uint64(lo), size), sextBytes(uint64(hi), size)
		lo, hi = min(a, b), max(a, b)
		if (lo >= 0) == (hi >= 0) {
			n.r32, n.bits = srange[uint32](lo, hi), tnumRange(uint64(lo), uint64(hi)).lower()
			return
		}
	}
	top := int64(1)<<(8*size-1) - 1
	n.r32, n.bits = srange[uint32](-top-1, top), tnumUnknown().lower()
}

// limitS32 narrows the value to a signed range of 32 bits that it is known to be in.
func (n *num) limitS32(lo, hi int32) {
	n.r32 = srange[uint32](max(int64(n.smin32()), int64(lo)), min(int64(n.smax32()), int64(hi)))
	n.r64 = srange[uint64](max(n.smin(), int64(lo)), min(n.smax(), int64(hi)))
	n.sync()
}

const (
	maxVarOff = 1 << 29 // BPF_MAX_VAR_OFF
	maxVarSiz = 1 << 29 // BPF_MAX_VAR_SIZ
	minS64    = math.MinInt64
)
