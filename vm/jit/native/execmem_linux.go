//go:build linux && (amd64 || arm64)

package native

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// executable copies code to memory that can be executed and not written.
func executable(code []byte) ([]byte, error) {
	page := unix.Getpagesize() // up to 64 KiB
	b, err := unix.Mmap(-1, 0, (len(code)+page-1)&^(page-1), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return nil, fmt.Errorf("memory for machine code: %w", err)
	}
	copy(b, code)
	// Safety: the bytes are those of the mapping, which stays readable.
	flushInstructions(unsafe.Pointer(unsafe.SliceData(b)), uintptr(len(code)))
	if err := unix.Mprotect(b, unix.PROT_READ|unix.PROT_EXEC); err != nil {
		unix.Munmap(b)
		return nil, fmt.Errorf("executable memory: %w", err)
	}
	return b, nil
}

// newStack maps a private stack of at least size bytes above a page that nothing can touch.
func newStack(size int) ([]byte, error) {
	page := unix.Getpagesize()
	b, err := unix.Mmap(-1, 0, page+(size+page-1)&^(page-1), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return nil, fmt.Errorf("stack for machine code: %w", err)
	}
	if err := unix.Mprotect(b[:page], unix.PROT_NONE); err != nil {
		unix.Munmap(b)
		return nil, fmt.Errorf("stack for machine code: %w", err)
	}
	return b, nil
}

// unmap gives back what executable or newStack returned, if anything.
func unmap(b []byte) error {
	if b == nil {
		return nil
	}
	return unix.Munmap(b)
}

// address is the host address of a mapping.
//
// Safety: mappings do not move, and live until unmap.
func address(b []byte) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(b))) }
