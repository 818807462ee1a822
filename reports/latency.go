package reports

import (
	"math"
	"slices"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/schedsim/schedsim/sim"
)

// samples holds durations for percentiles: a few exactly, many in a histogram.
type samples struct {
	few []int64                 // all while h is nil; then those that are not in it yet
	h   *hdrhistogram.Histogram // nil until there are more than exactSamples
	n   int64
	max int64
	sum int64
}

// exactSamples is how many samples are kept as they are, and how many go into the histogram at a time: a histogram takes 260 kB, so
// that a sample at a time would miss the cache, and most tasks never need one.
const exactSamples = 4096

// maxTracked is the longest duration that the histogram tells apart, about 18 minutes; the maximum stays exact.
const maxTracked = int64(1) << 40

func (s *samples) add(d sim.Duration) {
	v := max(int64(d), 0)
	s.n++
	s.sum += v
	s.max = max(s.max, v)
	if len(s.few) == exactSamples {
		s.spill()
	}
	s.few = append(s.few, v)
}

// spill counts in the histogram what is not there yet.
func (s *samples) spill() {
	if s.h == nil {
		s.h = hdrhistogram.New(1, maxTracked, 3)
	}
	s.record(s.few)
	s.few = s.few[:0]
}

func (s *samples) record(values []int64) {
	for _, v := range values {
		if err := s.h.RecordValue(min(v, maxTracked)); err != nil {
			panic("BUG: histogram: " + err.Error())
		}
	}
}

// merge adds the samples of o.
func (s *samples) merge(o *samples) {
	s.n += o.n
	s.sum += o.sum
	s.max = max(s.max, o.max)
	if o.h == nil && s.h == nil && len(s.few)+len(o.few) <= exactSamples {
		s.few = append(s.few, o.few...)
		return
	}
	s.spill()
	s.record(o.few)
	if o.h != nil {
		s.h.Merge(o.h)
	}
}

// quantile returns the smallest sample that at least q (0 to 1) of all do not exceed.
func (s *samples) quantile(q float64) int64 {
	if s.n == 0 {
		return 0
	}
	rank := max(int64(math.Ceil(float64(q*float64(s.n)))), 1)
	if s.h == nil {
		slices.Sort(s.few)
		return s.few[rank-1]
	}
	s.spill()
	// The histogram rounds percent * n / 100 to a rank in its own way; a quarter below the rank meets it in any.
	return min(s.h.ValueAtPercentile((float64(rank)-0.25)/float64(s.n)*100), s.max)
}

// Latency sums up durations, in ns.
type Latency struct {
	Count int64 `json:"count"`
	Mean  int64 `json:"mean_ns"`
	P50   int64 `json:"p50_ns"`
	P99   int64 `json:"p99_ns"`
	Max   int64 `json:"max_ns"`
}

func (s *samples) latency() Latency {
	if s.n == 0 {
		return Latency{}
	}
	return Latency{s.n, s.sum / s.n, s.quantile(0.50), s.quantile(0.99), s.max}
}
