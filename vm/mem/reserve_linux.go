package mem

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// reserve maps a private page and after it size bytes of a memfd, or of anonymous memory where memfd_create is refused.
// Pages are used when touched.
func reserve(size uint64) ([]byte, int, func() error, error) {
	all := uintptr(PageSize + size)
	p, err := unix.MmapPtr(-1, 0, nil, all, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE)
	if err != nil {
		return nil, -1, nil, err
	}
	// Safety: the mapping lives until the closer runs.
	b := unsafe.Slice((*byte)(p), all)
	fd, err := unix.MemfdCreate("schedsim", unix.MFD_CLOEXEC)
	if err == nil {
		if err = unix.Ftruncate(fd, int64(size)); err == nil {
			_, err = unix.MmapPtr(fd, 0, unsafe.Add(p, PageSize), uintptr(size), unix.PROT_READ|unix.PROT_WRITE,
				unix.MAP_SHARED|unix.MAP_NORESERVE|unix.MAP_FIXED)
		}
		if err == nil {
			return b, fd, func() error { return firstError(unix.MunmapPtr(p, all), unix.Close(fd)) }, nil
		}
		unix.Close(fd)
	}
	return b, -1, func() error { return unix.MunmapPtr(p, all) }, nil
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
