//go:build !linux

package mem

// reserve takes Go memory for a page and size bytes after it: the system backs it with pages as they are touched.
func reserve(size uint64) ([]byte, int, func() error, error) {
	return make([]byte, PageSize+size), -1, nil, nil
}
