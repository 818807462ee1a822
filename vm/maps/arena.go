package maps

import (
	"bytes"

	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/mem"
)

// arenaUser is where user space maps an arena whose declaration leaves the address to it (map_extra 0).
const arenaUser = 0x7f0000000000

// Arena is a map of type arena: pages that programs and user space share. It follows kernel/bpf/arena.c (7.2).
type Arena struct {
	Head
	// Mem are the pages, and what engines need to know of them.
	Mem *mem.Arena

	free  pageRanges
	later []arenaSpan // freed by programs that cannot sleep: a worker takes them soon
}

type arenaSpan struct{ page, n uint32 }

func newArena(h Head) (*Arena, error) {
	a := &Arena{Head: h}
	user := h.Extra
	if user == 0 {
		user = arenaUser
	}
	var err error
	if a.Mem, err = h.t.Mem.NewArena(user, h.MaxEntries); err != nil {
		return nil, err
	}
	a.free.set(0, h.MaxEntries)
	if err := a.fill(h.Data); err != nil {
		a.Mem.Close()
		return nil, err
	}
	return a, nil
}

// fill puts the global variables at the end of the arena, as bpf_object__create_maps does: user space touches their pages
// when it copies them.
func (a *Arena) fill(data []byte) error {
	n := uint32((uint64(a.DataSize) + mem.PageSize - 1) / mem.PageSize)
	if n == 0 {
		return nil
	}
	first := a.MaxEntries - n
	a.free.clear(first, n)
	if err := a.Mem.Map(first, n); err != nil {
		return err
	}
	a.write(a.DataAddr(), data, true)
	return nil
}

// write copies data to mapped pages. On fresh pages zeros are left out, so that the system need not provide memory for them.
func (a *Arena) write(user uint64, data []byte, fresh bool) {
	var zero [mem.PageSize]byte
	for len(data) > 0 {
		n := min(uint64(len(data)), mem.PageSize-user%mem.PageSize)
		if !fresh || !bytes.Equal(data[:n], zero[:n]) {
			copy(a.Mem.Bytes(user, n), data)
		}
		user, data = user+n, data[n:]
	}
}

// Store does what user space does when it writes data at an address: pages that nobody has allocated come into being. False:
// some of it is not in the arena, or there is no room for a page.
func (a *Arena) Store(user uint64, data []byte) bool {
	size, n := uint64(a.MaxEntries)*mem.PageSize, uint64(len(data))
	if off := user - a.Mem.User(); off > size || n > size-off {
		return false
	}
	for len(data) > 0 {
		n := min(uint64(len(data)), mem.PageSize-user%mem.PageSize)
		mapped := a.Mem.Mapped(uint32((user - a.Mem.User()) / mem.PageSize))
		if !mapped && a.Bytes(user, n) == nil {
			return false
		}
		a.write(user, data[:n], !mapped)
		user, data = user+n, data[n:]
	}
	return true
}

// DataAddr is the user address of the global variables in the arena.
func (a *Arena) DataAddr() uint64 {
	n := (uint64(a.DataSize) + mem.PageSize - 1) / mem.PageSize
	return a.Mem.User() + (uint64(a.MaxEntries)-n)*mem.PageSize
}

// page is compute_pgoff.
func (a *Arena) page(user uint64) uint32 {
	return (uint32(user) - uint32(a.Mem.User())) / mem.PageSize
}

// Alloc follows arena_alloc_pages: it returns the user address of n new pages, at the given address unless that is 0; 0 if
// there is no room.
func (a *Arena) Alloc(user uint64, n uint32) uint64 {
	if n == 0 || n > a.MaxEntries {
		return 0
	}
	page := uint32(0)
	if user != 0 {
		page = a.page(user)
		if user%mem.PageSize != 0 || page > a.MaxEntries-n || !a.free.has(page, n) {
			return 0
		}
	} else {
		var ok bool
		if page, ok = a.free.find(n); !ok {
			return 0
		}
	}
	a.free.clear(page, n)
	if a.Mem.Map(page, n) != nil {
		a.free.set(page, n)
		return 0
	}
	return a.Mem.User() + uint64(page)*mem.PageSize
}

// Free follows arena_free_pages: pages within the arena go away, allocated or not. Those of a program that cannot sleep go
// when RunWorker is called.
func (a *Arena) Free(user uint64, n uint32, sleepable bool) {
	// Only the lower half of the address matters.
	off := uint64(uint32(user)&^(mem.PageSize-1)) - uint64(uint32(a.Mem.User()))
	page := off / mem.PageSize
	if n == 0 || off>>63 != 0 || page >= uint64(a.MaxEntries) {
		return
	}
	n = uint32(min(uint64(n), uint64(a.MaxEntries)-page))
	if !sleepable {
		a.later = append(a.later, arenaSpan{uint32(page), n})
		return
	}
	a.free.set(uint32(page), n)
	a.Mem.Unmap(uint32(page), n)
}

// RunWorker follows arena_free_worker, which runs when the program that freed pages has ended: the last freed goes first.
func (a *Arena) RunWorker() {
	for i := len(a.later) - 1; i >= 0; i-- {
		s := a.later[i]
		a.Mem.Unmap(s.page, s.n)
		a.free.set(s.page, s.n)
	}
	a.later = a.later[:0]
}

// Reserve follows arena_reserve_pages: n pages at an address are not given to those who ask for any.
func (a *Arena) Reserve(user uint64, n uint32) abi.Errno {
	page := a.page(user)
	switch {
	case user%mem.PageSize != 0 || n == 0:
		return 0
	case uint64(page)+uint64(n) > uint64(a.MaxEntries):
		return abi.EINVAL
	case !a.free.has(page, n):
		return abi.EBUSY
	}
	a.free.clear(page, n)
	return 0
}

// Bytes returns n bytes at an address as user space sees them: pages that nobody has allocated come into being
// (arena_vm_fault). Nil: they are not in the arena, or there is no room for them.
func (a *Arena) Bytes(user, n uint64) []byte {
	size := uint64(a.MaxEntries) * mem.PageSize
	off := user - a.Mem.User()
	if off > size || n > size-off {
		return nil
	}
	for p := off / mem.PageSize; n > 0 && p <= (off+n-1)/mem.PageSize; p++ {
		if page := uint32(p); !a.Mem.Mapped(page) {
			if a.Flags&FlagSegvOnFault != 0 || a.Mem.Map(page, 1) != nil {
				return nil
			}
			a.free.clear(page, 1)
		}
	}
	return a.Mem.Bytes(user, n)
}

// Lookup: an arena has no elements.
func (a *Arena) Lookup([]byte, int32) uint64 { return 0 }

// Update follows arena_map_update_elem.
func (a *Arena) Update([]byte, []byte, uint64, int32) abi.Errno { return abi.EOPNOTSUPP }

// Delete follows arena_map_delete_elem.
func (a *Arena) Delete([]byte) abi.Errno { return abi.EOPNOTSUPP }

// Next follows arena_map_get_next_key.
func (a *Arena) Next(_, _ []byte) abi.Errno { return abi.EOPNOTSUPP }

// Each is not for arenas.
func (a *Arena) Each(int32, func(key, value uint64) bool) (int, abi.Errno) { return 0, abi.ENOTSUPP }

// KeyOf finds nothing.
func (a *Arena) KeyOf(uint64) (uint64, bool) { return 0, false }

func (a *Arena) release() { a.Mem.Close() }

// checkArena follows arena_map_alloc.
func (s *Spec) checkArena(refuse refusal) error {
	size := uint64(s.MaxEntries) * mem.PageSize
	switch {
	case s.KeySize != 0 || s.ValueSize != 0:
		return refuse(abi.EINVAL, "key size %d and value size %d, an arena has neither", s.KeySize, s.ValueSize)
	case s.MaxEntries == 0:
		return refuse(abi.EINVAL, "max_entries 0")
	case s.Flags&FlagMmapable == 0:
		return refuse(abi.EINVAL, "flag mmapable is missing")
	case s.Extra%mem.PageSize != 0:
		return refuse(abi.EINVAL, "map_extra %#x is no address of a page", s.Extra)
	case s.MaxEntries > mem.MaxArenaPages:
		return refuse(abi.E2BIG, "%d pages, at most %d are possible", s.MaxEntries, mem.MaxArenaPages)
	case s.Extra>>32 != (s.Extra+size-1)>>32:
		return refuse(abi.ERANGE, "%d pages at %#x cross a multiple of 4 GiB", s.MaxEntries, s.Extra)
	case uint64(s.DataSize) > size:
		return refuse(abi.EINVAL, "%d bytes of global variables in an arena of %d", s.DataSize, size)
	}
	return nil
}
