package verifier

// word is a width of numbers. The verifier uses 32 and 64 bits; 8 bits are for exhaustive tests.
type word interface{ ~uint8 | ~uint32 | ~uint64 }

// cnum is a range on the circle of the numbers of one width (kernel/bpf/cnum.c): the size+1 numbers base, base+1, ...,
// modulo 2^width. One arc stands for a signed and an unsigned range at once, so that neither has to be deduced from the
// other. The arc of 2^width numbers that starts at the largest number is the empty one.
type cnum[T word] struct{ base, size T }

type (
	cnum32 = cnum[uint32]
	cnum64 = cnum[uint64]
)

func cnumAll[T word]() cnum[T]   { return cnum[T]{0, ^T(0)} }
func cnumEmpty[T word]() cnum[T] { return cnum[T]{^T(0), ^T(0)} }

func signBit[T word]() T { return ^(^T(0) >> 1) }

// sext is v as a signed number.
func sext[T word](v T) int64 {
	s := uint64(signBit[T]())
	return int64((uint64(v) ^ s) - s)
}

// urange is the unsigned range lo..hi, lo <= hi.
func urange[T word](lo, hi T) cnum[T] { return cnum[T]{lo, hi - lo} }

// srange is the signed range lo..hi, lo <= hi, both of which fit T.
func srange[T word](lo, hi int64) cnum[T] {
	size := T(hi) - T(lo)
	if size == ^T(0) {
		return cnumAll[T]()
	}
	return cnum[T]{T(lo), size}
}

func (c cnum[T]) isEmpty() bool { return c == cnumEmpty[T]() }

func (c cnum[T]) contains(v T) bool { return !c.isEmpty() && v-c.base <= c.size }

// wraps: the arc passes from the largest number to zero.
func (c cnum[T]) wraps() bool { return c.size > ^T(0)-c.base }

// wrapsSigned: the arc passes from the largest signed number to the smallest.
func (c cnum[T]) wrapsSigned() bool {
	return c.contains(signBit[T]()-1) && c.contains(signBit[T]())
}

func (c cnum[T]) umin() T {
	if c.wraps() {
		return 0
	}
	return c.base
}

func (c cnum[T]) umax() T {
	if c.wraps() {
		return ^T(0)
	}
	return c.base + c.size
}

func (c cnum[T]) smin() int64 {
	if c.wrapsSigned() {
		return sext(signBit[T]())
	}
	return min(sext(c.base), sext(c.base+c.size))
}

func (c cnum[T]) smax() int64 {
	if c.wrapsSigned() {
		return sext(signBit[T]() - 1)
	}
	return max(sext(c.base), sext(c.base+c.size))
}

// intersect has what both have in common, or more: two arcs may meet in two places, which are not one arc; the smaller
// of both then stands for them.
func (c cnum[T]) intersect(d cnum[T]) cnum[T] {
	if c.isEmpty() || d.isEmpty() {
		return cnumEmpty[T]()
	}
	if c.base > d.base {
		c, d = d, c
	}
	// Seen from the start of c, d starts at gap.
	gap := d.base - c.base
	turned := cnum[T]{gap, d.size}
	switch {
	case turned.wraps() && gap <= c.size:
		if c.size <= d.size {
			return c
		}
		return d
	case turned.wraps():
		return cnum[T]{c.base, min(c.size, gap+d.size)}
	case gap <= c.size:
		return cnum[T]{d.base, min(c.size-gap, d.size)}
	}
	return cnumEmpty[T]()
}

// canonical gives the full circle one form. The arc from the largest signed number is left alone, as in the kernel.
func (c cnum[T]) canonical() cnum[T] {
	if c.size == ^T(0) && c.base != 0 && c.base != signBit[T]()-1 {
		c.base = 0
	}
	return c
}

func (c cnum[T]) add(d cnum[T]) cnum[T] {
	switch {
	case c.isEmpty() || d.isEmpty():
		return cnumEmpty[T]()
	case c.size > ^T(0)-d.size:
		return cnumAll[T]()
	}
	return cnum[T]{c.base + d.base, c.size + d.size}.canonical()
}

func (c cnum[T]) neg() cnum[T] {
	if c.isEmpty() {
		return c
	}
	return cnum[T]{-(c.base + c.size), c.size}.canonical()
}

// covers tells whether every number of d is one of c.
func (c cnum[T]) covers(d cnum[T]) bool {
	switch {
	case d.isEmpty():
		return true
	case c.isEmpty():
		return false
	}
	d.base -= c.base
	if d.wraps() && c.size != ^T(0) {
		return false
	}
	return d.base+d.size <= c.size
}

// lower is the range of the lower 32 bits of a number in c.
func lower(c cnum64) cnum32 {
	switch {
	case c.isEmpty():
		return cnumEmpty[uint32]()
	case c.size >= 1<<32-1:
		return cnumAll[uint32]()
	}
	return cnum32{uint32(c.base), uint32(c.size)}
}

// narrow cuts from both ends of c the numbers whose lower 32 bits are not in d. It follows cnum64_cnum32_intersect (7.2).
func narrow(c cnum64, d cnum32) cnum64 {
	if c.isEmpty() || d.isEmpty() {
		return cnumEmpty[uint64]()
	}
	// Turn the circle so that c starts at a multiple of 2^32; there d is from..to.
	from := d.base - uint32(c.base)
	to := from + d.size
	last := uint32(c.size)
	if (cnum32{from, d.size}).wraps() {
		// d is 0..to and from..2^32-1: only the end of c can be between them.
		if last > to && last < from {
			c.size -= uint64(last - to)
		}
		return c
	}
	if c.size < uint64(from) {
		return cnumEmpty[uint64]()
	}
	c.base += uint64(from)
	c.size -= uint64(from)
	var cut uint64
	switch {
	case last < from:
		cut = uint64(last) + 1<<32 - uint64(to)
	case last >= to:
		cut = uint64(last - to)
	}
	if c.size < cut {
		return cnumEmpty[uint64]()
	}
	c.size -= cut
	return c
}
