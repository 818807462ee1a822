package sys

import (
	"fmt"

	"github.com/klauspost/compress/zstd"
)

// cold are bytes that are kept for those who might ask: bytecode, records and types of programs that run. Many of them are kept
// compressed.
type cold struct {
	b   []byte
	len int // when they are not compressed; 0: they never were
}

// coldSize is from where on compressing is worth its time.
const coldSize = 64 << 10

// freeze makes cold bytes of b, which it may keep.
func freeze(b []byte) cold {
	if len(b) < coldSize {
		return cold{b: b}
	}
	e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true),
		zstd.WithWindowSize(256<<10))
	if err != nil {
		panic(fmt.Sprintf("BUG: zstd: %v", err))
	}
	z := e.EncodeAll(b, make([]byte, 0, len(b)/2))
	return cold{b: append(make([]byte, 0, len(z)), z...), len: len(b)}
}

// bytes are the bytes as they were.
func (c cold) bytes() []byte {
	if c.len == 0 {
		return c.b
	}
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true))
	if err != nil {
		panic(fmt.Sprintf("BUG: zstd: %v", err))
	}
	defer d.Close()
	b, err := d.DecodeAll(c.b, make([]byte, 0, c.len))
	if err != nil || len(b) != c.len {
		panic(fmt.Sprintf("BUG: %d compressed bytes: %v", len(c.b), err))
	}
	return b
}
