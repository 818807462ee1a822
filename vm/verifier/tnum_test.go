package verifier

import (
	"math/bits"
	"testing"

	"pgregory.net/rapid"
)

// smallTnums are all tnums of n bits.
func smallTnums(n int) []tnum {
	var out []tnum
	for mask := range uint64(1) << n {
		for value := range uint64(1) << n {
			if value&mask == 0 {
				out = append(out, tnum{value, mask})
			}
		}
	}
	return out
}

// TestTnumExhaustive checks every operation on all pairs of tnums of four bits and all of their numbers.
func TestTnumExhaustive(t *testing.T) {
	ops := []struct {
		name string
		tnum func(a, b tnum) tnum
		num  func(a, b uint64) uint64
	}{
		{"add", tnum.add, func(a, b uint64) uint64 { return a + b }},
		{"sub", tnum.sub, func(a, b uint64) uint64 { return a - b }},
		{"and", tnum.and, func(a, b uint64) uint64 { return a & b }},
		{"or", tnum.or, func(a, b uint64) uint64 { return a | b }},
		{"xor", tnum.xor, func(a, b uint64) uint64 { return a ^ b }},
		{"mul", tnum.mul, func(a, b uint64) uint64 { return a * b }},
		{"union a", tnum.union, func(a, b uint64) uint64 { return a }},
		{"union b", tnum.union, func(a, b uint64) uint64 { return b }},
	}
	all := smallTnums(4)
	for _, op := range ops {
		t.Run(op.name, func(t *testing.T) {
			for _, a := range all {
				for _, b := range all {
					r := op.tnum(a, b)
					if r.value&r.mask != 0 {
						t.Fatalf("%v, %v: %v is malformed", a, b, r)
					}
					for x := range uint64(16) {
						for y := range uint64(16) {
							if a.contains(x) && b.contains(y) && !r.contains(op.num(x, y)) {
								t.Fatalf("%v, %v: %v lacks the result of %d, %d", a, b, r, x, y)
							}
						}
					}
				}
			}
		})
	}
	t.Run("relations", func(t *testing.T) {
		for _, a := range all {
			for _, b := range all {
				overlaps, covers := false, true
				for x := range uint64(16) {
					in := a.contains(x) && b.contains(x)
					overlaps = overlaps || in
					covers = covers && (a.contains(x) || !b.contains(x))
					if in && !a.intersect(b).contains(x) {
						t.Fatalf("%v and %v: the intersection lacks %d", a, b, x)
					}
				}
				if a.overlaps(b) != overlaps || a.covers(b) != covers {
					t.Fatalf("%v, %v: overlaps %v, covers %v", a, b, a.overlaps(b), a.covers(b))
				}
			}
		}
	})
	t.Run("next", func(t *testing.T) {
		for _, a := range all {
			for z := range uint64(18) {
				want := a.value | a.mask
				for x := uint64(15); x > z; x-- {
					if a.contains(x) {
						want = x
					}
				}
				if got := a.next(z); got != want {
					t.Fatalf("%v.next(%d) = %d, want %d", a, z, got, want)
				}
			}
		}
	})
	t.Run("range", func(t *testing.T) {
		for lo := range uint64(40) {
			for hi := lo; hi < 40; hi++ {
				for x := lo; x <= hi; x++ {
					if !tnumRange(lo, hi).contains(x) {
						t.Fatalf("%d..%d: %v lacks %d", lo, hi, tnumRange(lo, hi), x)
					}
				}
			}
		}
	})
}

// drawTnum draws a number and a tnum around it.
func drawTnum(t *rapid.T, name string) (uint64, tnum) {
	v := drawWord(t, name)
	mask := drawWord(t, name+" mask")
	if rapid.Bool().Draw(t, name+" known") {
		mask = 0
	}
	return v, tnum{v &^ mask, mask}
}

// drawWord prefers numbers at which something happens.
func drawWord(t *rapid.T, name string) uint64 {
	v := rapid.Uint64().Draw(t, name)
	switch rapid.IntRange(0, 4).Draw(t, name+" shape") {
	case 0:
		return v >> (v & 63)
	case 1:
		return -(v >> (v & 63))
	case 2:
		return uint64(1)<<(v&63) - 1 + v>>62
	case 3:
		return uint64(uint32(v)) | 0xffffffff00000000*(v>>63)
	}
	return v
}

func TestTnumUnary(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v, a := drawTnum(t, "a")
		n := rapid.Uint8Range(0, 63).Draw(t, "n")
		for _, c := range []struct {
			name string
			got  tnum
			want uint64
		}{
			{"neg", a.neg(), -v},
			{"shl", a.shl(n), v << n},
			{"shr", a.shr(n), v >> n},
			{"sar", a.sar(n, false), uint64(int64(v) >> n)},
			{"sar32", a.lower().sar(n&31, true), uint64(uint32(int32(v) >> (n & 31)))},
			{"cast 1", a.cast(1), v & 0xff},
			{"cast 8", a.cast(8), v},
			{"swap 2", a.swap(2), uint64(bits.ReverseBytes16(uint16(v)))},
			{"swap 4", a.swap(4), uint64(bits.ReverseBytes32(uint32(v)))},
			{"swap 8", a.swap(8), bits.ReverseBytes64(v)},
			{"with lower", a.withLower(tnumConst(7)), v&^0xffffffff | 7},
		} {
			if !c.got.contains(c.want) {
				t.Fatalf("%s of %#x in %v: %v lacks %#x", c.name, v, a, c.got, c.want)
			}
		}
	})
}
