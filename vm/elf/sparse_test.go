package elf

import (
	"bytes"
	"debug/elf"
	"testing"
)

func TestReadSparse(t *testing.T) {
	const size = 3<<20 + 12345
	want := make([]byte, size)
	for _, at := range []int{0, 65535, 65536, 1 << 20, size - 1} {
		want[at] = byte(at) | 1
	}
	s := &elf.Section{SectionHeader: elf.SectionHeader{Size: size}, ReaderAt: bytes.NewReader(want)}
	got, err := readSparse(s)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes, %v; want the section's %d", len(got), err, size)
	}
	// What is zero at the end is left out, but for less than a piece.
	for _, last := range []int{-1, 0, 100_000, 2 << 20} {
		some := make([]byte, size)
		copy(some, want[:last+1])
		if last >= 0 {
			some[last] = 1
		}
		s.ReaderAt = bytes.NewReader(some)
		if got, err := readSparse(s); err != nil || len(got) > last+1+64<<10 || !bytes.Equal(got, some[:len(got)]) || bytes.Trim(some[len(got):], "\x00") != nil {
			t.Errorf("with %d bytes: %d bytes, %v", last+1, len(got), err)
		}
	}
	for _, n := range []int{0, 1, 65536, size - 1} {
		s.ReaderAt = bytes.NewReader(want[:n])
		if _, err := readSparse(s); err == nil {
			t.Errorf("a file with %d of %d bytes was read", n, size)
		}
	}
}
