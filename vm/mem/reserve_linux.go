package mem

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// wrap is the distance from Base to simulated address 0, which comes behind the last address.
const wrap = ^Base + 1

// host is where a space lives.
type host struct {
	base unsafe.Pointer // of the control page
	size uint64         // of the space, without the control page
	fd   int            // the memfd, -1 if there is none
	wide bool           // addresses are reserved behind the space for an arena
}

// reserve maps a private page and after it size bytes of a memfd, or of anonymous memory where memfd_create is refused.
// Pages are used when touched. Addresses are reserved up to the end of a window for an arena, if the system gives so many.
func reserve(size uint64) (*host, error) { return reserveOn(size, unix.Getpagesize()) }

// reserveOn is reserve on a system with pages of that size. Where they are larger than ours (arm64 has up to 64 KiB), the space
// begins in the middle of one: then it is one piece of anonymous memory with the control page, without room for an arena.
func reserveOn(size uint64, page int) (*host, error) {
	const flags = unix.MAP_PRIVATE | unix.MAP_ANON | unix.MAP_NORESERVE
	h := &host{size: size, fd: -1, wide: page <= PageSize}
	p, err := unix.MmapPtr(-1, 0, nil, uintptr(h.reserved()), unix.PROT_NONE, flags)
	if err != nil {
		h.wide = false
		if p, err = unix.MmapPtr(-1, 0, nil, uintptr(h.reserved()), unix.PROT_NONE, flags); err != nil {
			return nil, err
		}
	}
	h.base = p
	if page > PageSize {
		err = h.mapPages(0, 0, h.reserved())
	} else {
		err = h.open()
	}
	if err != nil {
		unix.MunmapPtr(p, uintptr(h.reserved())) // the error that matters is err
		return nil, err
	}
	return h, nil
}

func (h *host) reserved() uint64 {
	if h.wide {
		return PageSize + wrap + window + arenaGuard
	}
	return PageSize + h.size
}

// open makes the control page and the space usable.
func (h *host) open() error {
	if _, err := unix.MmapPtr(-1, 0, h.base, PageSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_FIXED); err != nil {
		return err
	}
	fd, err := unix.MemfdCreate("schedsim", unix.MFD_CLOEXEC)
	if err == nil {
		if err = unix.Ftruncate(fd, int64(h.size)); err == nil {
			h.fd = fd
			if err = h.mapPages(PageSize, 0, h.size); err == nil {
				return nil
			}
		}
		h.fd = -1
		unix.Close(fd)
	}
	return h.mapPages(PageSize, 0, h.size)
}

// mapPages makes n bytes at the offset from the control page usable, zeroed: those of the memfd at fileOff, if there is one.
func (h *host) mapPages(off, fileOff, n uint64) error {
	flags := unix.MAP_NORESERVE | unix.MAP_FIXED
	if h.fd >= 0 {
		flags |= unix.MAP_SHARED
	} else {
		flags |= unix.MAP_PRIVATE | unix.MAP_ANON
	}
	_, err := unix.MmapPtr(h.fd, int64(fileOff), unsafe.Add(h.base, off), uintptr(n), unix.PROT_READ|unix.PROT_WRITE, flags)
	return err
}

// space returns the control page and the bytes of the space.
//
// Safety: the mapping lives until close.
func (h *host) space() (control, b []byte) {
	return unsafe.Slice((*byte)(h.base), PageSize), unsafe.Slice((*byte)(unsafe.Add(h.base, PageSize)), h.size)
}

// arena makes n bytes at the kernel-side address start usable, zeroed, and returns them with a function that takes them away.
func (h *host) arena(start, n uint64) ([]byte, func() error, error) {
	if !h.wide {
		return nil, nil, unix.ENOMEM
	}
	if h.fd >= 0 {
		// Anything left of an arena that was here before is thrown away.
		if err := unix.Ftruncate(h.fd, int64(h.size)); err != nil {
			return nil, nil, err
		}
		if err := unix.Ftruncate(h.fd, int64(h.size+n)); err != nil {
			return nil, nil, err
		}
	}
	off := PageSize + wrap + start
	if err := h.mapPages(off, h.size, n); err != nil {
		return nil, nil, err
	}
	at := unsafe.Add(h.base, off)
	unmap := func() error {
		_, err := unix.MmapPtr(-1, 0, at, uintptr(n), unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE|unix.MAP_FIXED)
		if h.fd >= 0 {
			err = firstError(err, unix.Ftruncate(h.fd, int64(h.size)))
		}
		return err
	}
	// Safety: the mapping lives until the space is closed; after unmap nothing may use it.
	return unsafe.Slice((*byte)(at), n), unmap, nil
}

// farArena is arena with a window of its own, and its distance from the one behind the space. Its pages are anonymous memory.
func (h *host) farArena(start, n uint64) (b []byte, shift uint64, free func() error, err error) {
	if !h.wide {
		return nil, 0, nil, unix.ENOMEM
	}
	const size = window + arenaGuard
	p, err := unix.MmapPtr(-1, 0, nil, size, unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE)
	if err != nil {
		return nil, 0, nil, err
	}
	at := unsafe.Add(p, start)
	if _, err = unix.MmapPtr(-1, 0, at, uintptr(n), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE|unix.MAP_FIXED); err != nil {
		unix.MunmapPtr(p, size) // the error that matters is err
		return nil, 0, nil, err
	}
	shift = uint64(uintptr(p)) - uint64(uintptr(h.base)) - PageSize - wrap
	// Safety: the mapping lives until free; after that nothing may use it.
	return unsafe.Slice((*byte)(at), n), shift, func() error { return unix.MunmapPtr(p, size) }, nil
}

// zeroPrivate is zero for anonymous memory.
func zeroPrivate(b []byte) {
	if unix.Madvise(b, unix.MADV_DONTNEED) != nil {
		clear(b)
	}
}

// zero gives whole pages back to the system; they read as zeros afterwards.
func (h *host) zero(b []byte) {
	advice := unix.MADV_DONTNEED
	if h.fd >= 0 {
		advice = unix.MADV_REMOVE
	}
	if unix.Madvise(b, advice) != nil {
		clear(b)
	}
}

// bytes returns n zeroed bytes outside of the garbage collector's heap, used as they are touched.
func (h *host) bytes(n int) ([]byte, func() error, error) {
	b, err := unix.Mmap(-1, 0, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE)
	return b, func() error { return unix.Munmap(b) }, err
}

func (h *host) close() error {
	err := unix.MunmapPtr(h.base, uintptr(h.reserved()))
	if h.fd >= 0 {
		err = firstError(err, unix.Close(h.fd))
	}
	return err
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
