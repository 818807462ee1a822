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
	for _, n := range []int{0, 1, 65536, size - 1} {
		s.ReaderAt = bytes.NewReader(want[:n])
		if _, err := readSparse(s); err == nil {
			t.Errorf("a file with %d of %d bytes was read", n, size)
		}
	}
}
