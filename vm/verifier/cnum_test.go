package verifier

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

func arcs8() []cnum[uint8] {
	var out []cnum[uint8]
	for base := 0; base < 256; base += 5 {
		for _, size := range []int{0, 1, 2, 3, 60, 100, 126, 127, 128, 129, 200, 253, 254, 255} {
			out = append(out, cnum[uint8]{uint8(base), uint8(size)})
		}
	}
	return append(out, cnumEmpty[uint8](), cnum[uint8]{127, 255}, cnum[uint8]{127, 0}, cnum[uint8]{128, 255}, cnum[uint8]{255, 0})
}

func members8(c cnum[uint8]) (m [256]bool) {
	if c.isEmpty() {
		return m
	}
	for i := 0; i <= int(c.size); i++ {
		m[uint8(int(c.base)+i)] = true
	}
	return m
}

// TestCnumExhaustive checks ranges of eight bits against the sets of their numbers.
func TestCnumExhaustive(t *testing.T) {
	arcs := arcs8()
	sets := make([][256]bool, len(arcs))
	for i, c := range arcs {
		sets[i] = members8(c)
		for v, in := range sets[i] {
			if c.contains(uint8(v)) != in {
				t.Fatalf("%v contains %d: %v", c, v, !in)
			}
			if !in {
				continue
			}
			if uint8(v) < c.umin() || uint8(v) > c.umax() || int64(int8(v)) < c.smin() || int64(int8(v)) > c.smax() {
				t.Fatalf("%v: %d is out of its bounds", c, v)
			}
			if !c.neg().contains(-uint8(v)) {
				t.Fatalf("-%v = %v lacks -%d", c, c.neg(), v)
			}
		}
	}
	for i, c := range arcs {
		for j, d := range arcs {
			inter := c.intersect(d)
			subset, common, sum := true, false, c.add(d)
			for v := range 256 {
				subset = subset && (sets[i][v] || !sets[j][v])
				if sets[i][v] && sets[j][v] {
					common = true
					if !inter.contains(uint8(v)) {
						t.Fatalf("%v and %v: %v lacks %d", c, d, inter, v)
					}
				}
			}
			if common == inter.isEmpty() {
				t.Fatalf("%v and %v: %v", c, d, inter)
			}
			if c.covers(d) != subset {
				t.Fatalf("%v covers %v: %v", c, d, !subset)
			}
			if !c.isEmpty() && !d.isEmpty() {
				for _, x := range []uint8{c.base, c.base + c.size, c.base + c.size/2} {
					for _, y := range []uint8{d.base, d.base + d.size, d.base + d.size/2} {
						if !sum.contains(x + y) {
							t.Fatalf("%v + %v = %v lacks %d + %d", c, d, sum, x, y)
						}
					}
				}
			}
		}
	}
}

func TestCnumRanges(t *testing.T) {
	for lo := math.MinInt8; lo <= math.MaxInt8; lo += 3 {
		for hi := lo; hi <= math.MaxInt8; hi += 5 {
			c := srange[uint8](int64(lo), int64(hi))
			if c.smin() != int64(lo) || c.smax() != int64(hi) {
				t.Fatalf("srange(%d, %d) has %d..%d", lo, hi, c.smin(), c.smax())
			}
		}
	}
	for lo := range 256 {
		for hi := lo; hi < 256; hi++ {
			if c := urange(uint8(lo), uint8(hi)); c.umin() != uint8(lo) || c.umax() != uint8(hi) {
				t.Fatalf("urange(%d, %d) has %d..%d", lo, hi, c.umin(), c.umax())
			}
		}
	}
}

// drawArc draws an arc that has v.
func drawArc[T word](t *rapid.T, name string, v T) cnum[T] {
	before, after := T(drawWord(t, name+" before")), T(drawWord(t, name+" after"))
	switch rapid.IntRange(0, 3).Draw(t, name+" arc") {
	case 0:
		return cnum[T]{v, 0}
	case 1:
		return cnumAll[T]()
	}
	if before > ^T(0)-after {
		return cnumAll[T]()
	}
	c := cnum[T]{v - before, before + after}.canonical()
	if c.isEmpty() {
		return cnumAll[T]()
	}
	return c
}

// TestNarrow: no number whose lower half is in d is cut off.
func TestNarrow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := drawWord(t, "v")
		c, d := drawArc(t, "c", v), drawArc(t, "d", uint32(v))
		if r := narrow(c, d); !r.contains(v) || !c.covers(r) {
			t.Fatalf("narrow(%v, %v) = %v, v %#x", c, d, r, v)
		}
		if !lower(c).contains(uint32(v)) {
			t.Fatalf("lower(%v) = %v lacks %#x", c, lower(c), v)
		}
	})
}
