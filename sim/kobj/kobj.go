package kobj

import "unsafe"

// Memory hands out zeroed memory for kernel objects. Address and bytes stay valid for the life of the simulation.
type Memory interface {
	// Alloc returns size zeroed bytes at a simulated kernel address that is a multiple of align (a power of two).
	Alloc(size, align uint64) (addr uint64, b []byte, err error)
	// Free gives back what Alloc returned.
	Free(addr, size uint64)
}

// Source tells where the fields of kernel types lie; a kernel's BTF is one.
type Source interface {
	// Field returns the byte offset and size of a field by path, for example "task_struct.scx.slice".
	Field(path string) (off, size uint32, ok bool)
	// SizeOf returns the size of a struct by name.
	SizeOf(typ string) (size uint32, ok bool)
}

// Layout holds the offsets of the fields that the machine itself reads and writes.
type Layout struct{}

// NewLayout reads the offsets from src; a missing field is an error that names it.
func NewLayout(src Source) (*Layout, error) { panic("BUG: not built") }

// Compact is a small layout for machines on which no BPF program runs.
func Compact() *Layout { panic("BUG: not built") }

// Task is a view of a task_struct.
type Task struct {
	Addr uint64
	p    unsafe.Pointer
	l    *Layout
}

// CPU is p->thread_info.cpu (task_cpu).
func (t Task) CPU() int32 { return 0 }
