package verifier

import (
	"fmt"
	"math/bits"
)

// tnum is a number of which some bits are known ("tristate number", kernel/bpf/tnum.c): bits in mask are unknown, the
// others are those of value.
//
// Invariant: value & mask == 0.
type tnum struct{ value, mask uint64 }

var _ fmt.Stringer = tnum{}

// tnumUnknown knows no bit.
func tnumUnknown() tnum { return tnum{0, ^uint64(0)} }

func tnumConst(v uint64) tnum { return tnum{v, 0} }

// tnumRange is the smallest tnum that has all of lo..hi.
func tnumRange(lo, hi uint64) tnum {
	n := bits.Len64(lo ^ hi)
	if n > 63 {
		return tnumUnknown()
	}
	delta := uint64(1)<<n - 1
	return tnum{lo &^ delta, delta}
}

func (a tnum) isConst() bool        { return a.mask == 0 }
func (a tnum) isUnknown() bool      { return a.mask == ^uint64(0) }
func (a tnum) equals(v uint64) bool { return a.mask == 0 && a.value == v }

// contains tells whether v may be the number.
func (a tnum) contains(v uint64) bool { return v&^a.mask == a.value }

func (a tnum) shl(n uint8) tnum { return tnum{a.value << n, a.mask << n} }
func (a tnum) shr(n uint8) tnum { return tnum{a.value >> n, a.mask >> n} }

// sar shifts arithmetically; narrow treats the number as one of 32 bits.
func (a tnum) sar(n uint8, narrow bool) tnum {
	if narrow {
		return tnum{uint64(uint32(int32(a.value) >> n)), uint64(uint32(int32(a.mask) >> n))}
	}
	return tnum{uint64(int64(a.value) >> n), uint64(int64(a.mask) >> n)}
}

func (a tnum) add(b tnum) tnum {
	sum := a.value + b.value
	carries := (sum + a.mask + b.mask) ^ sum
	mu := carries | a.mask | b.mask
	return tnum{sum &^ mu, mu}
}

func (a tnum) sub(b tnum) tnum {
	diff := a.value - b.value
	borrows := (diff + a.mask) ^ (diff - b.mask)
	mu := borrows | a.mask | b.mask
	return tnum{diff &^ mu, mu}
}

func (a tnum) neg() tnum { return tnumConst(0).sub(a) }

func (a tnum) and(b tnum) tnum {
	v := a.value & b.value
	return tnum{v, (a.value | a.mask) & (b.value | b.mask) &^ v}
}

func (a tnum) or(b tnum) tnum {
	v := a.value | b.value
	return tnum{v, (a.mask | b.mask) &^ v}
}

func (a tnum) xor(b tnum) tnum {
	mu := a.mask | b.mask
	return tnum{(a.value ^ b.value) &^ mu, mu}
}

// mul multiplies as one does by hand: an unknown bit of a adds b or nothing, which is the union of both.
func (a tnum) mul(b tnum) tnum {
	acc := tnumConst(0)
	for a.value|a.mask != 0 {
		switch {
		case a.value&1 != 0:
			acc = acc.add(b)
		case a.mask&1 != 0:
			acc = acc.union(acc.add(b))
		}
		a, b = a.shr(1), b.shl(1)
	}
	return acc
}

// union has every number of a and of b.
func (a tnum) union(b tnum) tnum {
	mu := a.value ^ b.value | a.mask | b.mask
	return tnum{a.value & b.value &^ mu, mu}
}

// intersect has the numbers of both, which must have one in common.
func (a tnum) intersect(b tnum) tnum {
	mu := a.mask & b.mask
	return tnum{(a.value | b.value) &^ mu, mu}
}

// overlaps tells whether a and b may be the same number.
func (a tnum) overlaps(b tnum) bool {
	known := ^a.mask & ^b.mask
	return a.value&known == b.value&known
}

// covers tells whether every number of b is one of a.
func (a tnum) covers(b tnum) bool { return b.mask&^a.mask == 0 && b.value&^a.mask == a.value }

// cast keeps the lower size bytes.
func (a tnum) cast(size int) tnum {
	keep := uint64(1)<<(8*size) - 1
	return tnum{a.value & keep, a.mask & keep}
}

func (a tnum) isAligned(size uint64) bool { return size == 0 || (a.value|a.mask)&(size-1) == 0 }

func (a tnum) lower() tnum      { return a.cast(4) }
func (a tnum) clearLower() tnum { return tnum{a.value >> 32 << 32, a.mask >> 32 << 32} }

// withLower replaces the lower 32 bits.
func (a tnum) withLower(b tnum) tnum { return a.clearLower().or(b.lower()) }

// swap reverses the lower size bytes and clears the others.
func (a tnum) swap(size int) tnum {
	n := 64 - 8*size
	return tnum{bits.ReverseBytes64(a.value << n), bits.ReverseBytes64(a.mask << n)}
}

// next is the smallest number of a above z, or the largest one if there is none. It follows tnum_step (7.2).
func (a tnum) next(z uint64) uint64 {
	top := a.value | a.mask
	switch {
	case z >= top:
		return top
	case z < a.value:
		return a.value
	}
	d := z - a.value
	low := uint64(1)<<bits.Len64(d&^a.mask) - 1
	return a.value | ((d|low|^a.mask)+1)&a.mask
}

// String is the kernel's notation.
// String is a constant as a number, others as value and mask (tnum_strn).
func (a tnum) String() string {
	if a.isConst() {
		if a.value < 1<<16 {
			return unum(a.value)
		}
		return snum(int64(a.value))
	}
	return fmt.Sprintf("(%#x; %#x)", a.value, a.mask)
}
