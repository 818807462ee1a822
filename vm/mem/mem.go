package mem

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"unsafe"
)

// Base is the lowest simulated address.
const Base uint64 = 0xffffffff_80001000

// PageSize is the granularity of AllocPages.
const PageSize = 4096

// DefaultReserve is the size of an address space when Options says nothing.
const DefaultReserve = 1 << 30

// MaxReserve keeps the last page free: addresses there are error values to the kernel (IS_ERR).
const MaxReserve = 1<<31 - 2*PageSize

// Options tune an address space. The zero value reserves DefaultReserve bytes of addresses; pages are used as they are
// touched.
type Options struct {
	Reserve uint64 // bytes of address space; 0 means DefaultReserve
	// ArenaLimit is the number of bytes of an arena that may be mapped at a time; 0 means DefaultArenaLimit.
	ArenaLimit uint64
}

// Space is one simulated address space.
type Space struct {
	host  []byte // the whole reservation
	below []byte // the page before it
	limit uint64 // bytes handed out so far
	// watchers are told of changes of limit and of Arena.low.
	watchers []*func()
	free     map[uint64][]uint64
	at       *host

	arenas     []*Arena
	arenaLimit uint64
}

// New reserves an address space.
func New(o Options) (*Space, error) {
	size := o.Reserve
	if size == 0 {
		size = DefaultReserve
	}
	size = (size + PageSize - 1) &^ (PageSize - 1)
	if size > MaxReserve {
		return nil, fmt.Errorf("address space of %d bytes: at most %d are possible", o.Reserve, uint64(MaxReserve))
	}
	at, err := reserve(size)
	if err != nil {
		return nil, fmt.Errorf("address space of %d bytes: %w", size, err)
	}
	if o.ArenaLimit == 0 {
		o.ArenaLimit = DefaultArenaLimit
	}
	below, host := at.space()
	// The first page stays empty so that no object has offset 0.
	return &Space{host: host, below: below, limit: PageSize, free: map[uint64][]uint64{}, at: at, arenaLimit: o.ArenaLimit}, nil
}

// Close gives the pages back. Nothing may use the space or its slices afterwards.
func (s *Space) Close() error {
	if s.at == nil {
		return nil
	}
	var err error
	for len(s.arenas) > 0 {
		err = errors.Join(err, s.arenas[len(s.arenas)-1].Close())
	}
	at := s.at
	s.at, s.host, s.below, s.limit = nil, nil, nil, 0
	return errors.Join(err, at.close())
}

// Limit is the number of bytes from Base that may be accessed.
func (s *Space) Limit() uint64 { return s.limit }

// Watch has f called each time that Limit, or Arena.Low of an arena, has changed, until stop is called.
func (s *Space) Watch(f func()) (stop func()) {
	w := &f
	s.watchers = append(s.watchers, w)
	return func() { s.watchers = slices.DeleteFunc(s.watchers, func(o *func()) bool { return o == w }) }
}

func (s *Space) changed() {
	for _, f := range s.watchers {
		(*f)()
	}
}

// View returns all accessible bytes: the byte at Base+i is element i. The slice goes stale when Alloc or Close is called;
// it lets an engine check and access memory without a call.
func (s *Space) View() []byte { return s.host[:s.limit] }

// Control is the page before Base. No program can reach it; an engine of machine code keeps its own state there, at a
// constant distance from the register that translates addresses.
func (s *Space) Control() []byte { return s.below }

// HostBase is the host address of Base.
//
// Safety: valid until Close; only machine code and its tests may turn it into a pointer.
func (s *Space) HostBase() uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(s.host))) }

// FD is the memfd behind the pages, -1 if there is none.
func (s *Space) FD() int {
	if s.at == nil {
		return -1
	}
	return s.at.fd
}

// class rounds a size up to its allocation class: 16-byte steps to 256 bytes, then four steps per doubling.
func class(size uint64) uint64 {
	switch {
	case size <= 16:
		return 16
	case size <= 256:
		return (size + 15) &^ 15
	}
	step := uint64(1) << (bits.Len64(size-1) - 3)
	return (size + step - 1) &^ (step - 1)
}

// Alloc returns size zeroed bytes at an address that is a multiple of align, a power of two of at most PageSize.
func (s *Space) Alloc(size, align uint64) (uint64, []byte, error) {
	if align > PageSize || align&(align-1) != 0 {
		panic(fmt.Sprintf("BUG: alignment %d", align))
	}
	c := class(max(size, align, 1))
	if l := s.free[c]; len(l) > 0 {
		for i := len(l) - 1; i >= 0; i-- {
			if a := l[i]; a&(align-1) == 0 {
				s.free[c] = append(l[:i], l[i+1:]...)
				b := s.Bytes(a, size)
				clear(s.Bytes(a, c))
				return a, b, nil
			}
		}
	}
	start := s.limit
	if align > 1 { // Base is page-aligned, so aligning the offset aligns the address
		start = (start + align - 1) &^ (align - 1)
	}
	if start+c > uint64(len(s.host)) || start+c < start {
		return 0, nil, fmt.Errorf("simulated memory: %d bytes wanted, %d of %d are left", size, uint64(len(s.host))-s.limit, len(s.host))
	}
	s.limit = start + c
	s.changed()
	return Base + start, s.host[start : start+size : start+size], nil
}

// Free gives back the size bytes at addr that Alloc returned.
func (s *Space) Free(addr, size uint64) {
	c := class(max(size, 1))
	if !s.contains(addr, c) {
		panic(fmt.Sprintf("BUG: free of %#x, %d bytes", addr, size))
	}
	s.free[c] = append(s.free[c], addr)
}

func (s *Space) contains(addr, n uint64) bool {
	off := addr - Base
	return off < s.limit && n <= s.limit-off
}

// Bytes returns the n bytes at addr, nil if any of them lies outside of what was handed out.
func (s *Space) Bytes(addr, n uint64) []byte {
	if !s.contains(addr, n) {
		return nil
	}
	off := addr - Base
	return s.host[off : off+n : off+n]
}

// Load reads size (1, 2, 4 or 8) little-endian bytes at addr.
func (s *Space) Load(addr uint64, size int) (v uint64, ok bool) {
	b := s.Bytes(addr, uint64(size))
	if b == nil {
		return 0, false
	}
	switch size {
	case 1:
		return uint64(b[0]), true
	case 2:
		return uint64(binary.LittleEndian.Uint16(b)), true
	case 4:
		return uint64(binary.LittleEndian.Uint32(b)), true
	}
	return binary.LittleEndian.Uint64(b), true
}

// Store writes the low size (1, 2, 4 or 8) bytes of v at addr.
func (s *Space) Store(addr uint64, size int, v uint64) bool {
	b := s.Bytes(addr, uint64(size))
	if b == nil {
		return false
	}
	switch size {
	case 1:
		b[0] = byte(v)
	case 2:
		binary.LittleEndian.PutUint16(b, uint16(v))
	case 4:
		binary.LittleEndian.PutUint32(b, uint32(v))
	default:
		binary.LittleEndian.PutUint64(b, v)
	}
	return true
}
