//go:build !linux

package mem

// host is where a space lives: Go memory, which the system backs with pages as they are touched.
type host struct {
	control, b []byte
	fd         int
}

func reserve(size uint64) (*host, error) {
	all := make([]byte, PageSize+size)
	return &host{all[:PageSize:PageSize], all[PageSize:], -1}, nil
}

// space returns the control page and the bytes of the space.
func (h *host) space() (control, b []byte) { return h.control, h.b }

// arena returns n bytes. They have no place behind the space; only machine code needs that.
func (h *host) arena(_, n uint64) ([]byte, func() error, error) {
	return make([]byte, n), func() error { return nil }, nil
}

func (h *host) farArena(_, n uint64) ([]byte, uint64, func() error, error) {
	return make([]byte, n), 1, func() error { return nil }, nil
}

func zeroPrivate(b []byte)    { clear(b) }
func (h *host) zero(b []byte) { clear(b) }

func (h *host) bytes(n int) ([]byte, func() error, error) {
	return make([]byte, n), func() error { return nil }, nil
}

func (h *host) close() error { return nil }
