package amd64

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// executable copies code to memory that can be executed and not written.
func executable(code []byte) ([]byte, error) {
	b, err := unix.Mmap(-1, 0, (len(code)+4095)&^4095, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return nil, fmt.Errorf("memory for machine code: %w", err)
	}
	copy(b, code)
	if err := unix.Mprotect(b, unix.PROT_READ|unix.PROT_EXEC); err != nil {
		unix.Munmap(b)
		return nil, fmt.Errorf("executable memory: %w", err)
	}
	return b, nil
}

// newStack maps a private stack of at least size bytes above a page that nothing can touch.
func newStack(size int) ([]byte, error) {
	b, err := unix.Mmap(-1, 0, 4096+(size+4095)&^4095, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return nil, fmt.Errorf("stack for machine code: %w", err)
	}
	if err := unix.Mprotect(b[:4096], unix.PROT_NONE); err != nil {
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
