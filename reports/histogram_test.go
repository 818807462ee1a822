package reports

import (
	"math/bits"
	"testing"

	"github.com/HdrHistogram/hdrhistogram-go"
	"pgregory.net/rapid"

	"github.com/schedsim/schedsim/sim"
)

// TestHistogram compares with the implementation of others, whose buckets these are.
func TestHistogram(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		value := rapid.Custom(func(rt *rapid.T) int64 {
			width := rapid.IntRange(0, 42).Draw(rt, "bits")
			return rapid.Int64Range(1<<width>>1, 1<<width).Draw(rt, "value")
		})
		values := rapid.SliceOfN(value, exactSamples+1, 4*exactSamples).Draw(rt, "values")
		part := rapid.IntRange(0, len(values)).Draw(rt, "part")
		want := hdrhistogram.New(1, maxTracked, 3)
		var s, o samples
		var longest int64
		for i, v := range values {
			if err := want.RecordValue(min(v, maxTracked)); err != nil {
				rt.Fatal(err)
			}
			longest = max(longest, v)
			if i < part {
				s.add(sim.Duration(v))
			} else {
				o.add(sim.Duration(v))
			}
		}
		s.merge(&o)
		for rank := int64(1); rank <= s.n; rank += 7 {
			q := (float64(rank) - 0.25) / float64(s.n) // both make the rank of it
			got := s.quantile(q)
			if want := min(want.ValueAtPercentile(q*100), longest); got != want {
				rt.Fatalf("rank %d of %d: %d, want %d", rank, s.n, got, want)
			}
		}
	})
}

func TestHistogramBuckets(t *testing.T) {
	last := -1
	for i := range histSlots {
		v := histHighest(i)
		if v > maxTracked {
			if histIndex(maxTracked) > i {
				t.Fatalf("bucket %d is of %d and more, but %d is in bucket %d", i, v, maxTracked, histIndex(maxTracked))
			}
			break
		}
		if got := histIndex(v); got != i || i != last+1 {
			t.Fatalf("%d is in bucket %d, want %d", v, got, i)
		}
		if next := histIndex(v + 1); next != i+1 {
			t.Fatalf("%d is in bucket %d, want %d", v+1, next, i+1)
		}
		last = i
	}
	if n := bits.Len64(uint64(maxTracked)); n != 41 {
		t.Errorf("the longest duration has %d bits, the buckets are for 41", n)
	}
}
