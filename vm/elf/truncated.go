package elf

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// explain says what a file lacks that the standard library does not take for ELF.
func explain(r io.ReaderAt, err error) error {
	var hdr [64]byte
	n, _ := r.ReadAt(hdr[:], 0)
	switch {
	case n == 0:
		return fmt.Errorf("not an ELF file: it is empty")
	case !bytes.HasPrefix(hdr[:n], []byte(elf.ELFMAG)[:min(n, 4)]):
		return fmt.Errorf("not an ELF file: it begins with %q", hdr[:min(n, 8)])
	case n < len(hdr):
		return fmt.Errorf("truncated ELF file: the header has %d bytes, the file %d", len(hdr), n)
	case elf.Class(hdr[elf.EI_CLASS]) != elf.ELFCLASS64 || elf.Data(hdr[elf.EI_DATA]) != elf.ELFDATA2LSB:
		return fmt.Errorf("not an ELF file: %w", err)
	}
	at, each := binary.LittleEndian.Uint64(hdr[40:]), uint64(binary.LittleEndian.Uint16(hdr[58:]))
	count, names := uint64(binary.LittleEndian.Uint16(hdr[60:])), uint64(binary.LittleEndian.Uint16(hdr[62:]))
	size := fileSize(r)
	if end := at + each*count; end > size || end < at {
		return fmt.Errorf("truncated ELF file: the headers of its %d sections are bytes %d to %d, the file has %d", count, at, end, size)
	}
	var sh [64]byte
	if names < count && each >= 64 {
		if n, _ := r.ReadAt(sh[:], int64(at+each*names)); n == len(sh) {
			from, n := binary.LittleEndian.Uint64(sh[24:]), binary.LittleEndian.Uint64(sh[32:])
			if end := from + n; end > size || end < from {
				return fmt.Errorf("truncated ELF file: the names of its sections are bytes %d to %d, the file has %d", from, end, size)
			}
		}
	}
	return fmt.Errorf("not an ELF file: %w", err)
}

// missing says where a section should be that could not be read, if it lies behind the end of the file; else it is err.
func (r *reader) missing(s *elf.Section, err error) error {
	if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return err
	}
	return fmt.Errorf("truncated file: it is bytes %d to %d, the file has %d", s.Offset, s.Offset+s.FileSize, fileSize(r.ra))
}

// fileSize is how many bytes a file has, found by reading single ones.
func fileSize(r io.ReaderAt) uint64 {
	has := func(at uint64) bool {
		var b [1]byte
		n, _ := r.ReadAt(b[:], int64(at))
		return n == 1
	}
	end := uint64(1)
	for has(end-1) && end < 1<<62 {
		end *= 2
	}
	from := uint64(0) // all below is there, what is at end-1 is not
	for from+1 < end {
		if mid := from + (end-from)/2; has(mid - 1) {
			from = mid
		} else {
			end = mid
		}
	}
	return from
}
