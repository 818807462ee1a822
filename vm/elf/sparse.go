package elf

import (
	"bytes"
	"debug/elf"
	"io"
)

// sparseSize is the size from which sections are read piece by piece: the arenas of real schedulers have megabytes of
// zeros, whose memory stays untouched this way.
const sparseSize = 1 << 20

// readSparse reads the contents of a section, copying only what is not zero.
func readSparse(s *elf.Section) ([]byte, error) {
	const piece = 64 << 10
	var buf, zero [piece]byte
	// A file that is shorter than it says shows that at the end of what the section should have.
	if _, err := s.ReadAt(buf[:1], int64(s.Size)-1); err != nil {
		return nil, io.ErrUnexpectedEOF
	}
	data := make([]byte, s.Size)
	for at := 0; at < len(data); at += piece {
		b := buf[:min(piece, len(data)-at)]
		if n, err := s.ReadAt(b, int64(at)); n < len(b) {
			if err == nil || err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
		if !bytes.Equal(b, zero[:len(b)]) {
			copy(data[at:], b)
		}
	}
	return data, nil
}
