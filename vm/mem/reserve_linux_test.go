package mem

import (
	"testing"
	"unsafe"
)

// Where the system has large pages, control page and space are one mapping.
func TestLargePages(t *testing.T) {
	h, err := reserveOn(1<<20, 1<<16)
	if err != nil {
		t.Fatal(err)
	}
	defer h.close()
	control, b := h.space()
	if h.fd != -1 || h.wide || uintptr(unsafe.Pointer(&b[0])) != uintptr(unsafe.Pointer(&control[0]))+PageSize {
		t.Errorf("fd %d, wide %v, control page at %p, space at %p", h.fd, h.wide, &control[0], &b[0])
	}
	for _, part := range [][]byte{control, b[:PageSize], b[len(b)-1:]} {
		for i := range part {
			if part[i] != 0 {
				t.Fatalf("byte %d is %d", i, part[i])
			}
			part[i] = 1
		}
	}
	if _, _, err := h.arena(0, PageSize); err == nil {
		t.Error("there is room for an arena")
	}
}
