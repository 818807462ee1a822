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

// object is what all views are made of.
//
// Invariant: p points to the bytes of an object of the type that the view is of, at least as long as the layout says;
// Memory keeps them valid while the simulation lives.
type object struct {
	Addr uint64 // simulated kernel address; 0 for no object
	p    unsafe.Pointer
	l    *Layout
}

// newObject allocates an object of size bytes. Kernel objects are aligned to cache lines.
func newObject(m Memory, l *Layout, size uint32) (object, error) {
	addr, b, err := m.Alloc(uint64(size), 64)
	if err != nil {
		return object{}, err
	}
	// Safety: b has size bytes, and Memory keeps them where they are.
	return object{Addr: addr, p: unsafe.Pointer(unsafe.SliceData(b)), l: l}, nil
}

// Valid tells whether the view is of an object.
func (o object) Valid() bool { return o.p != nil }

// The accessors below are the only way to the bytes.
//
// Safety: off comes from the layout, which checked that the field has the accessor's size and lies within the object;
// o.p satisfies object's invariant. Fields are aligned as the C compiler aligned them.

func (o object) u8(off uint32) uint8   { return *(*uint8)(unsafe.Add(o.p, off)) }
func (o object) u16(off uint32) uint16 { return *(*uint16)(unsafe.Add(o.p, off)) }
func (o object) u32(off uint32) uint32 { return *(*uint32)(unsafe.Add(o.p, off)) }
func (o object) i32(off uint32) int32  { return *(*int32)(unsafe.Add(o.p, off)) }
func (o object) u64(off uint32) uint64 { return *(*uint64)(unsafe.Add(o.p, off)) }

func (o object) setU8(off uint32, v uint8)   { *(*uint8)(unsafe.Add(o.p, off)) = v }
func (o object) setU16(off uint32, v uint16) { *(*uint16)(unsafe.Add(o.p, off)) = v }
func (o object) setU32(off uint32, v uint32) { *(*uint32)(unsafe.Add(o.p, off)) = v }
func (o object) setI32(off uint32, v int32)  { *(*int32)(unsafe.Add(o.p, off)) = v }
func (o object) setU64(off uint32, v uint64) { *(*uint64)(unsafe.Add(o.p, off)) = v }

// bytes is a view of n bytes of the object.
func (o object) bytes(off, n uint32) []byte { return unsafe.Slice((*byte)(unsafe.Add(o.p, off)), n) }

// words is a view of n 64-bit words of the object.
func (o object) words(off uint32, n int) []uint64 {
	return unsafe.Slice((*uint64)(unsafe.Add(o.p, off)), n)
}

// bit converts a bool to a C bool.
func bit(b bool) uint8 {
	if b {
		return 1
	}
	return 0
}
