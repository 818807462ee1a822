package sys

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"
)

func TestPackRecords(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.SampledFrom([]int{8, 16}).Draw(t, "size")
		n := rapid.IntRange(0, 20).Draw(t, "n")
		recs := rapid.SliceOfN(rapid.Byte(), n*size, n*size).Draw(t, "records")
		if got := unpackRecords(packRecords(recs, size), size); !bytes.Equal(got, recs) {
			t.Errorf("%x became %x", recs, got)
		}
	})
	line := []byte{9, 0, 0, 0, 77, 1, 0, 0, 0, 0, 0, 0, 5, 2, 1, 0}
	next := []byte{11, 0, 0, 0, 77, 1, 0, 0, 0, 0, 0, 0, 5, 6, 1, 0}
	if got := len(packRecords(append(line, next...), 16)) - len(packRecords(line, 16)); got > 6 {
		t.Errorf("a line after another has %d bytes", got)
	}
}
