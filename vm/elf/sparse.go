package elf

import (
	"bytes"
	"debug/elf"
	"io"
	"slices"
)

// sparseSize is the size from which sections are read piece by piece: the arenas of real schedulers have megabytes of
// zeros, which nobody needs to keep.
const sparseSize = 1 << 20

// readSparse reads the contents of a section up to the last byte that is not zero, or a few more.
func readSparse(s *elf.Section) ([]byte, error) {
	const piece = 64 << 10
	var buf, zero [piece]byte
	// A file that is shorter than it says shows that at the end of what the section should have.
	if _, err := s.ReadAt(buf[:1], int64(s.Size)-1); err != nil {
		return nil, io.ErrUnexpectedEOF
	}
	var data []byte
	for at := uint64(0); at < s.Size; at += piece {
		b := buf[:min(piece, s.Size-at)]
		if n, err := s.ReadAt(b, int64(at)); n < len(b) {
			if err == nil || err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
		if bytes.Equal(b, zero[:len(b)]) {
			continue
		}
		if end := at + uint64(len(b)); end > uint64(cap(data)) {
			more := make([]byte, len(data), min(s.Size, max(end, 2*uint64(cap(data)))))
			copy(more, data)
			data = more
		}
		data = data[:at+uint64(len(b))]
		copy(data[at:], b)
	}
	return slices.Clip(data), nil
}
