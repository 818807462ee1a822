package mem

import "golang.org/x/sys/unix"

// reserve maps size bytes of a memfd, or of anonymous memory where memfd_create is refused. Pages are used when touched.
func reserve(size uint64) ([]byte, int, func() error, error) {
	fd, err := unix.MemfdCreate("schedsim", unix.MFD_CLOEXEC)
	if err == nil {
		if err = unix.Ftruncate(fd, int64(size)); err == nil {
			b, err := unix.Mmap(fd, 0, int(size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_NORESERVE)
			if err == nil {
				return b, fd, func() error { return firstError(unix.Munmap(b), unix.Close(fd)) }, nil
			}
		}
		unix.Close(fd)
	}
	b, err := unix.Mmap(-1, 0, int(size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE)
	if err != nil {
		return nil, -1, nil, err
	}
	return b, -1, func() error { return unix.Munmap(b) }, nil
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
