package helpers

import (
	"encoding/binary"
	"fmt"

	"github.com/schedsim/schedsim/vm/abi"
)

// DynptrType is enum bpf_dynptr_type.
type DynptrType uint8

// The sorts of dynptrs that there are here; others belong to the network and to files.
const (
	DynptrInvalid DynptrType = iota
	DynptrLocal
	DynptrRingBuf
)

// MaxDynptr is DYNPTR_MAX_SIZE, the largest number of bytes behind a dynptr.
const MaxDynptr = 1<<24 - 1

const (
	dynptrSize  = 16 // sizeof(struct bpf_dynptr)
	dynptrShift = 28 // DYNPTR_TYPE_SHIFT
	dynptrROnly = 1 << 31
)

// Dynptr is a copy of the struct bpf_dynptr_kern that a program has on its stack: a pointer, a word with the size and in its
// upper bits the type and whether it is read-only, and an offset. Those bytes are all there is, as in the kernel, so a program
// that changes them gets what they say, as far as it is memory.
type Dynptr struct {
	Data   uint64
	Word   uint32
	Offset uint32
}

// NewDynptr follows bpf_dynptr_init.
func NewDynptr(data uint64, t DynptrType, size uint32) Dynptr {
	return Dynptr{Data: data, Word: size | uint32(t)<<dynptrShift}
}

// LoadDynptr reads the dynptr at addr. When that is no memory, c.Fault is set and ok is false.
func LoadDynptr(c *abi.Call, m abi.Memory, addr uint64) (d Dynptr, ok bool) {
	b := m.Bytes(addr, dynptrSize)
	if b == nil {
		c.Fault = fmt.Sprintf("no dynptr at %#x", addr)
		return d, false
	}
	le := binary.LittleEndian
	return Dynptr{le.Uint64(b), le.Uint32(b[8:]), le.Uint32(b[12:])}, true
}

// Store writes d to addr; the zero Dynptr is a null dynptr. When that is no memory, c.Fault is set.
func (d Dynptr) Store(c *abi.Call, m abi.Memory, addr uint64) {
	b := m.Bytes(addr, dynptrSize)
	if b == nil {
		c.Fault = fmt.Sprintf("no room for a dynptr at %#x", addr)
		return
	}
	le := binary.LittleEndian
	le.PutUint64(b, d.Data)
	le.PutUint32(b[8:], d.Word)
	le.PutUint32(b[12:], d.Offset)
}

// Null tells that d refers to nothing.
func (d Dynptr) Null() bool { return d.Data == 0 }

// ReadOnly follows __bpf_dynptr_is_rdonly.
func (d Dynptr) ReadOnly() bool { return d.Word&dynptrROnly != 0 }

// Type follows bpf_dynptr_get_type.
func (d Dynptr) Type() DynptrType { return DynptrType(d.Word &^ dynptrROnly >> dynptrShift) }

// Len follows __bpf_dynptr_size.
func (d Dynptr) Len() uint64 { return uint64(d.Word & MaxDynptr) }

// Adjust follows bpf_dynptr_adjust: it makes d refer to the bytes from start to end.
func (d *Dynptr) Adjust(start, end uint64) abi.Errno {
	switch size := d.Len(); {
	case d.Null() || start > end:
		return abi.EINVAL
	case start > size || end > size:
		return abi.ERANGE
	}
	d.Offset += uint32(start)
	d.Word = d.Word&^MaxDynptr | uint32(end-start)
	return 0
}

// linear tells that the bytes lie in memory in a row.
func (d Dynptr) linear() bool { return d.Type() == DynptrLocal || d.Type() == DynptrRingBuf }

// check follows bpf_dynptr_check_off_len.
func (d Dynptr) check(off, n uint64) abi.Errno {
	if size := d.Len(); n > size || off > size-n {
		return abi.E2BIG
	}
	return 0
}

func (d Dynptr) at(off uint64) uint64 { return d.Data + uint64(d.Offset) + off }

// Slice follows bpf_dynptr_slice: the address of n bytes from off on, 0 if there are not so many.
func (d Dynptr) Slice(off, n uint64) uint64 {
	if d.Null() || d.check(off, n) != 0 || !d.linear() {
		return 0
	}
	return d.at(off)
}

// SliceRW follows bpf_dynptr_slice_rdwr and, as all bytes here lie in a row, bpf_dynptr_data.
func (d Dynptr) SliceRW(off, n uint64) uint64 {
	if d.Null() || d.ReadOnly() {
		return 0
	}
	return d.Slice(off, n)
}

// Read follows __bpf_dynptr_read: from off on into dst. When memory is not what the dynptr says, c.Fault is set.
func (d Dynptr) Read(c *abi.Call, m abi.Memory, dst []byte, off, flags uint64) abi.Errno {
	if d.Null() || flags != 0 {
		return abi.EINVAL
	}
	if e := d.check(off, uint64(len(dst))); e != 0 {
		return e
	}
	if !d.linear() {
		return abi.EFAULT
	}
	src := m.Bytes(d.at(off), uint64(len(dst)))
	if src == nil {
		c.Fault = fmt.Sprintf("dynptr to %d bytes at %#x, which are not memory", len(dst), d.at(off))
		return 0
	}
	copy(dst, src)
	return 0
}

// Write follows __bpf_dynptr_write: src to off.
func (d Dynptr) Write(c *abi.Call, m abi.Memory, off uint64, src []byte, flags uint64) abi.Errno {
	if d.Null() || d.ReadOnly() {
		return abi.EINVAL
	}
	if e := d.check(off, uint64(len(src))); e != 0 {
		return e
	}
	switch {
	case !d.linear():
		return abi.EFAULT
	case flags != 0:
		return abi.EINVAL
	}
	dst := m.Bytes(d.at(off), uint64(len(src)))
	if dst == nil {
		c.Fault = fmt.Sprintf("dynptr to %d bytes at %#x, which are not memory", len(src), d.at(off))
		return 0
	}
	copy(dst, src)
	return 0
}

func (e *Env) dynptrRows() []row {
	return []row{
		{"dynptr_from_mem", e.dynptrFromMem},
		{"dynptr_read", e.dynptrRead},
		{"dynptr_write", e.dynptrWrite},
		{"dynptr_data", e.dynptrData},
	}
}

// dynptrAt reads the dynptr that the register r points to.
func (e *Env) dynptrAt(c *abi.Call, a *abi.Args, r int, helper string) (Dynptr, bool) {
	d, ok := LoadDynptr(c, e.Mem, a[r])
	e.named(c, helper)
	return d, ok
}

// named puts the helper's name before a fault that has none.
func (e *Env) named(c *abi.Call, helper string) {
	if c.Fault != "" {
		c.Fault = "bpf_" + helper + ": " + c.Fault
	}
}

// setDynptr stores d where the register r points to and returns err, after an error a null dynptr.
func (e *Env) setDynptr(c *abi.Call, a *abi.Args, r int, helper string, d Dynptr, err abi.Errno) uint64 {
	if err != 0 {
		d = Dynptr{}
	}
	d.Store(c, e.Mem, a[r])
	e.named(c, helper)
	return errno(err)
}

// dynptrFromMem follows bpf_dynptr_from_mem: R4 becomes a dynptr to R2 bytes at R1.
func (e *Env) dynptrFromMem(c *abi.Call, a *abi.Args) uint64 {
	const name = "dynptr_from_mem"
	err := abi.Errno(0)
	switch {
	case a[1] > MaxDynptr:
		err = abi.E2BIG
	case a[2] != 0:
		err = abi.EINVAL
	case e.out(c, name, a[0], a[1]) == nil:
		return 0
	}
	return e.setDynptr(c, a, 3, name, NewDynptr(a[0], DynptrLocal, uint32(a[1])), err)
}

// dynptrRead follows bpf_dynptr_read: R2 bytes of the dynptr R3, from R4 on, to R1.
func (e *Env) dynptrRead(c *abi.Call, a *abi.Args) uint64 {
	const name = "dynptr_read"
	dst := e.out(c, name, a[0], a[1])
	if dst == nil {
		return 0
	}
	d, ok := e.dynptrAt(c, a, 2, name)
	if !ok {
		return 0
	}
	err := d.Read(c, e.Mem, dst, a[3], a[4])
	e.named(c, name)
	return errno(err)
}

// dynptrWrite follows bpf_dynptr_write: R4 bytes at R3 to the dynptr R1, from R2 on.
func (e *Env) dynptrWrite(c *abi.Call, a *abi.Args) uint64 {
	const name = "dynptr_write"
	src := e.in(c, name, a[2], a[3])
	if src == nil {
		return 0
	}
	d, ok := e.dynptrAt(c, a, 0, name)
	if !ok {
		return 0
	}
	err := d.Write(c, e.Mem, a[1], src, a[4])
	e.named(c, name)
	return errno(err)
}

// dynptrData follows bpf_dynptr_data: the address of R3 bytes of the dynptr R1, from R2 on.
func (e *Env) dynptrData(c *abi.Call, a *abi.Args) uint64 {
	d, ok := e.dynptrAt(c, a, 0, "dynptr_data")
	if !ok {
		return 0
	}
	return d.SliceRW(a[1], a[2])
}
