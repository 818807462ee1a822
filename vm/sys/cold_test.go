package sys

import (
	"bytes"
	"testing"
)

func TestCold(t *testing.T) {
	for _, n := range []int{0, 1, coldSize - 1, coldSize, 5*coldSize + 3} {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(i / 100)
		}
		c := freeze(bytes.Clone(b))
		if !bytes.Equal(c.bytes(), b) {
			t.Errorf("%d bytes are others afterwards", n)
		}
		if n >= coldSize && len(c.b) > n/10 {
			t.Errorf("%d bytes that repeat take %d", n, len(c.b))
		}
	}
}
