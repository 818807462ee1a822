package mem

import (
	"errors"
	"fmt"
	"slices"
)

const (
	// window is the size of the addresses of an arena as programs see them: they have 32 bits.
	window = 1 << 32
	// arenaGuard is what stays unused behind the window: an access that begins in it may reach over its end.
	arenaGuard = 1 << 16
	// MaxArenaPages is the number of pages that fit in the window.
	MaxArenaPages = window / PageSize
	// DefaultArenaLimit is the number of bytes of an arena that may be mapped when Options says nothing.
	DefaultArenaLimit = 1 << 30
)

// ErrArenaFull is the error of a mapping that Options.ArenaLimit forbids.
var ErrArenaFull = errors.New("arena: the limit of mapped pages is reached")

// Arena is the memory of a BPF arena: pages that are mapped one by one, which programs see at 32-bit addresses (the
// kernel side: the low half of the user address), and user space at 64-bit ones.
//
// Behind the last simulated address comes address 0, and there the window of the arena lies on the host: generated code
// reaches it through the same register as everything else. It follows kern_vm_start and PROBE_MEM32 (kernel/bpf/arena.c,
// 7.2), except that here no page fault tells a page that is not mapped: a table does. A second arena has its window elsewhere:
// Shift bytes further.
type Arena struct {
	s     *Space
	user  uint64
	start uint64 // address of the first page in the window
	host  []byte // the pages, from start on
	table []byte // by page of the window: 1 where mapped; one more for accesses over the end
	low   uint64 // everything below this address in the window is mapped
	used  uint64 // pages mapped
	shift uint64
	zero  func(b []byte)
	free  []func() error
}

// NewArena makes an arena of that many pages, none mapped. User is the address of the first one for user space, a multiple
// of PageSize; the pages must not cross a multiple of 4 GiB. Programs of an arena cannot reach another of the same space.
func (s *Space) NewArena(user uint64, pages uint32) (*Arena, error) {
	size := uint64(pages) * PageSize
	if user%PageSize != 0 || pages == 0 || user>>32 != (user+size-1)>>32 {
		panic(fmt.Sprintf("BUG: arena of %d pages at %#x", pages, user))
	}
	a := &Arena{s: s, user: user, start: uint64(uint32(user)), zero: s.at.zero}
	var err error
	var free func() error
	if slices.ContainsFunc(s.arenas, func(o *Arena) bool { return o.shift == 0 }) {
		a.host, a.shift, free, err = s.at.farArena(a.start, size)
		a.zero = zeroPrivate
	} else {
		a.host, free, err = s.at.arena(a.start, size)
	}
	if err != nil {
		return nil, fmt.Errorf("arena of %d bytes: %w", size, err)
	}
	a.free = append(a.free, free)
	if a.table, free, err = s.at.bytes(MaxArenaPages + 1); err != nil {
		a.Close()
		return nil, fmt.Errorf("arena: %w", err)
	}
	a.free = append(a.free, free)
	s.arenas = append(s.arenas, a)
	return a, nil
}

// Arenas are the arenas of the space in the order in which they were made.
func (s *Space) Arenas() []*Arena { return s.arenas }

// Shift is the distance on the host from the window behind the last simulated address to that of the arena: 0 for one arena
// of a space. Only machine code needs it.
func (a *Arena) Shift() uint64 { return a.shift }

// Close takes all pages away. Nothing may use the arena or its slices afterwards.
func (a *Arena) Close() error {
	var err error
	if a.s.at != nil { // else everything went away with the space
		for _, f := range a.free {
			err = errors.Join(err, f())
		}
	}
	a.s.arenas = slices.DeleteFunc(a.s.arenas, func(o *Arena) bool { return o == a })
	a.free, a.host, a.table, a.low = nil, nil, nil, 0
	return err
}

// User is the address of the first page for user space.
func (a *Arena) User() uint64 { return a.user }

// Pages is the number of pages, mapped or not.
func (a *Arena) Pages() uint32 { return uint32(len(a.host) / PageSize) }

// Used is the number of pages that are mapped.
func (a *Arena) Used() uint64 { return a.used }

// Low is a number of bytes from the start of the window that are all mapped; it lets generated code compare instead of
// looking at the Table.
func (a *Arena) Low() uint64 { return a.low }

// Table has a byte per page of the window and one more: 1 where it is mapped. It lies outside of the heap and must not be
// changed.
func (a *Arena) Table() []byte { return a.table }

// Map maps n pages from the given one on. Those that were not mapped are zero.
func (a *Arena) Map(page, n uint32) error {
	t := a.pages(page, n)
	more := uint64(0)
	for _, mapped := range t {
		more += uint64(1 - mapped)
	}
	if (a.used+more)*PageSize > a.s.arenaLimit {
		return ErrArenaFull
	}
	for i := range t {
		t[i] = 1
	}
	a.used += more
	for a.table[a.low/PageSize] != 0 {
		a.low += PageSize
	}
	a.s.changed()
	return nil
}

// Unmap takes n pages away, mapped or not.
func (a *Arena) Unmap(page, n uint32) {
	t := a.pages(page, n)
	for i := range t {
		a.used -= uint64(t[i])
		t[i] = 0
	}
	a.low = min(a.low, a.start+uint64(page)*PageSize)
	a.s.changed()
	b := a.host[uint64(page)*PageSize:][:uint64(n)*PageSize]
	if n <= 4 {
		clear(b) // cheaper than a system call
	} else {
		a.zero(b)
	}
}

// Mapped tells whether a page is mapped.
func (a *Arena) Mapped(page uint32) bool { return a.pages(page, 1)[0] != 0 }

// pages is the part of the table of n pages.
func (a *Arena) pages(page, n uint32) []byte {
	if uint64(page)+uint64(n) > uint64(a.Pages()) {
		panic(fmt.Sprintf("BUG: pages %d+%d of an arena that has %d", page, n, a.Pages()))
	}
	return a.table[a.start/PageSize+uint64(page):][:n]
}

// At returns the n bytes (at most a page) at a kernel-side address, nil if any of them is not mapped.
func (a *Arena) At(addr, n uint64) []byte {
	if addr >= window || a.table[addr/PageSize] == 0 || a.table[(addr+n-1)/PageSize] == 0 {
		return nil
	}
	off := addr - a.start
	return a.host[off : off+n : off+n]
}

// Bytes returns the n bytes at a user address, nil if any of them is not mapped.
func (a *Arena) Bytes(user, n uint64) []byte {
	off := user - a.user
	if off > uint64(len(a.host)) || n > uint64(len(a.host))-off {
		return nil
	}
	for p := off / PageSize; n > 0 && p <= (off+n-1)/PageSize; p++ {
		if !a.Mapped(uint32(p)) {
			return nil
		}
	}
	return a.host[off : off+n : off+n]
}
