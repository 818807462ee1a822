package reports

import "math/bits"

// histogram counts durations in buckets that are at most one part in 1024 wide, those below 2048 ns exactly: the buckets of an
// HDR histogram of three digits. It is made for many histograms that get few samples each at a time, one per task: it takes
// them by the batch, and its counts are in chunks that exist only where there are samples. One flat array of counts would
// be a miss of the cache and of the TLB for nearly every sample.
type histogram struct {
	chunks [histChunks]*[histChunk]uint64
}

const (
	histBits   = 10 // a bucket is one part in 2^histBits of its value
	histChunk  = 128
	histSlots  = 1 << histBits * (41 - histBits + 1) // values have up to 41 bits: maxTracked
	histChunks = histSlots / histChunk
)

// histIndex is the bucket of v, which is at most maxTracked.
func histIndex(v int64) int {
	e := max(bits.Len64(uint64(v))-(histBits+1), 0)
	return e<<histBits + int(v>>e)
}

// histHighest is the largest value of a bucket.
func histHighest(i int) int64 {
	e := max(i>>histBits-1, 0)
	return int64(i-e<<histBits+1)<<e - 1
}

// addAll counts values.
func (h *histogram) addAll(values []int64) {
	for _, v := range values {
		h.count(histIndex(min(v, maxTracked)), 1)
	}
}

func (h *histogram) count(i int, n uint64) {
	c := h.chunks[i/histChunk]
	if c == nil {
		c = new([histChunk]uint64)
		h.chunks[i/histChunk] = c
	}
	c[i%histChunk] += n
}

// merge adds the counts of o.
func (h *histogram) merge(o *histogram) {
	for i, from := range o.chunks {
		if from == nil {
			continue
		}
		for j, n := range from {
			if n != 0 {
				h.count(i*histChunk+j, n)
			}
		}
	}
}

// ranked is the largest value of the bucket that holds the sample of a rank, 1 for the smallest; 0 if there are not so many.
func (h *histogram) ranked(rank int64) int64 {
	left := uint64(rank)
	for i, c := range h.chunks {
		if c == nil {
			continue
		}
		for j, n := range c {
			if n >= left {
				return histHighest(i*histChunk + j)
			}
			left -= n
		}
	}
	return 0
}
