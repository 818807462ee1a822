package sys

import (
	"bytes"

	"github.com/schedsim/schedsim/vm/abi"
)

// UserMemory is the memory of the process that makes calls. Addresses come from it and may be anything.
type UserMemory interface {
	// Read copies len(b) bytes at addr to b; false if any of them cannot be read.
	Read(addr uint64, b []byte) bool
	// Write copies b to addr; false if any byte cannot be written, then nothing is promised of the others.
	Write(addr uint64, b []byte) bool
}

var _ UserMemory = (*Buffers)(nil)

// Buffers is the memory of a process that is Go code: it gives addresses to slices.
type Buffers struct {
	list []buffer // by address
	next uint64
}

type buffer struct {
	addr uint64
	b    []byte
}

// buffersBase is the address of the first buffer, where a user process might have its heap.
const buffersBase = 0x5555_0000_0000

// Add gives b an address; what calls write there appears in b. The address of an empty slice is valid for no bytes.
func (m *Buffers) Add(b []byte) uint64 {
	if m.next == 0 {
		m.next = buffersBase
	}
	addr := m.next
	m.next += uint64(len(b)+15)&^15 + 16 // a gap, so that running over a buffer's end is a fault
	m.list = append(m.list, buffer{addr, b})
	return addr
}

// AddString is Add of a C string.
func (m *Buffers) AddString(s string) uint64 { return m.Add(append([]byte(s), 0)) }

// Reset forgets all buffers. Addresses may come back.
func (m *Buffers) Reset() {
	clear(m.list)
	m.list, m.next = m.list[:0], 0
	if cap(m.list) > fewBuffers {
		m.list = nil // they were for a whole object
	}
}

// fewBuffers is what most calls do with.
const fewBuffers = 16

// at finds n bytes at addr.
func (m *Buffers) at(addr uint64, n int) []byte {
	lo, hi := 0, len(m.list)
	for lo < hi { // the last buffer that starts at or before addr
		if mid := (lo + hi) / 2; m.list[mid].addr <= addr {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	if lo == 0 {
		return nil
	}
	b := m.list[lo-1]
	off := addr - b.addr
	if off > uint64(len(b.b)) || uint64(n) > uint64(len(b.b))-off {
		return nil
	}
	return b.b[off : off+uint64(n)]
}

// Read copies from a buffer.
func (m *Buffers) Read(addr uint64, b []byte) bool {
	src := m.at(addr, len(b))
	return (src != nil || len(b) == 0) && copy(b, src) == len(b)
}

// Write copies to a buffer.
func (m *Buffers) Write(addr uint64, b []byte) bool {
	dst := m.at(addr, len(b))
	return (dst != nil || len(b) == 0) && copy(dst, b) == len(b)
}

// read copies n bytes of the caller; n was checked to be sane.
func (c *call) read(addr uint64, n uint64) ([]byte, error) {
	b := make([]byte, n)
	if err := c.readTo(addr, b); err != nil {
		return nil, err
	}
	return b, nil
}

func (c *call) readTo(addr uint64, b []byte) error {
	if len(b) > 0 && !c.p.mem.Read(addr, b) {
		return refuse(abi.EFAULT, "%d bytes at %#x cannot be read", len(b), addr)
	}
	return nil
}

func (c *call) write(addr uint64, b []byte) error {
	if len(b) > 0 && !c.p.mem.Write(addr, b) {
		return refuse(abi.EFAULT, "%d bytes at %#x cannot be written", len(b), addr)
	}
	return nil
}

// cString reads a string of fewer than limit bytes as strncpy_from_user does: ok is false if it does not end before.
func (c *call) cString(addr uint64, limit int) (s string, ok bool, err error) {
	var out []byte
	for len(out) < limit {
		// Never across a 64-byte line at a time: what follows the string need not exist.
		n := min(64-int(addr&63), limit-len(out))
		b := make([]byte, n)
		for !c.p.mem.Read(addr, b) {
			if len(b) == 1 {
				return "", false, refuse(abi.EFAULT, "string at %#x cannot be read", addr)
			}
			b = b[:(len(b)+1)/2]
		}
		if i := bytes.IndexByte(b, 0); i >= 0 {
			return string(append(out, b[:i]...)), true, nil
		}
		out = append(out, b...)
		addr += uint64(len(b))
	}
	return string(out), false, nil
}
