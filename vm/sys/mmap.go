package sys

import (
	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/maps"
	"github.com/schedsim/schedsim/vm/mem"
)

// Segment is a part of what a process sees when it maps a map: Len bytes at byte At of the mapping are those at byte Off of
// the address space's memfd (mem.Space.FD).
type Segment struct {
	At, Off, Len uint64
	// ReadOnly: user space may not write there, however the map was opened.
	ReadOnly bool
}

// Mmap tells what mmap(2) of a map's descriptor shows, the whole of it; write asks for PROT_WRITE. It follows bpf_map_mmap
// and the map_mmap functions, with the same error numbers. A mapping does not hold the map: whoever makes one keeps a
// descriptor open.
func (p *Process) Mmap(fd int, write bool) ([]Segment, error) {
	m, f, err := fdObject[*Map](p, fd)
	switch {
	case err != nil:
		return nil, err
	case write && !f.write:
		return nil, abi.EACCES
	case len(m.spec.Fields) > 0:
		return nil, refuse(abi.ENOTSUPP, "map %q has special fields", m.name)
	}
	var segs []Segment
	switch mm := m.m.(type) {
	case *maps.Array:
		if mm.Stride != 0 {
			return nil, abi.ENOTSUPP
		}
		if m.flags&maps.FlagMmapable == 0 {
			return nil, refuse(abi.EINVAL, "map %q cannot be mapped", m.name)
		}
		n := (mm.Elem*uint64(mm.MaxEntries) + mem.PageSize - 1) &^ (mem.PageSize - 1)
		segs = []Segment{{0, mm.Base - mem.Base, n, false}}
	case *maps.RingBuf:
		// The consumer's page, the producer's, and the data twice in a row.
		at, size := mm.Mmap()-mem.Base, mm.Size()
		user := m.spec.Type == maps.TypeUserRingBuf
		segs = []Segment{
			{0, at, mem.PageSize, user},
			{mem.PageSize, at + mem.PageSize, mem.PageSize, !user},
			{2 * mem.PageSize, at + 2*mem.PageSize, size, !user},
			{2*mem.PageSize + size, at + 2*mem.PageSize, size, !user},
		}
	default:
		return nil, abi.ENOTSUPP
	}
	switch {
	case write && m.frozen:
		return nil, abi.EPERM
	case write && m.flags&maps.FlagRdonlyProg != 0:
		return nil, abi.EACCES
	}
	return segs, nil
}

// Store does what a process does when it writes to the mapping of a map, at byte at: pages of an arena come to be as they are
// touched.
func (p *Process) Store(fd int, at uint64, data []byte) error {
	m, f, err := fdObject[*Map](p, fd)
	switch {
	case err != nil:
		return err
	case !f.write || m.frozen:
		return refuse(abi.EPERM, "map %q cannot be written", m.name)
	}
	var dst []byte
	switch mm := m.m.(type) {
	case *maps.Arena:
		end := at + uint64(len(data))
		if end < at || end > uint64(mm.MaxEntries)*mem.PageSize {
			return refuse(abi.EFAULT, "map %q: bytes %d to %d are outside", m.name, at, end)
		}
		if !mm.Store(mm.Mem.User()+at, data) {
			return refuse(abi.ENOMEM, "map %q: no pages for bytes %d to %d", m.name, at, end)
		}
		return nil
	case *maps.Array:
		if mm.Stride == 0 && at <= mm.Elem*uint64(mm.MaxEntries) {
			dst = p.k.opt.Mem.Bytes(mm.Base+at, min(uint64(len(data)), mm.Elem*uint64(mm.MaxEntries)-at))
		}
	}
	if len(dst) < len(data) {
		return refuse(abi.EFAULT, "map %q: bytes %d to %d are outside", m.name, at, at+uint64(len(data)))
	}
	copy(dst, data)
	return nil
}
