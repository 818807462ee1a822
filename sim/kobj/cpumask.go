package kobj

import (
	"math/bits"
	"unsafe"
)

// CPUMask is a view of a cpumask in kernel-object memory. Bits beyond the machine's CPUs are neither read nor written.
type CPUMask struct {
	Addr  uint64
	words []uint64
}

// NewCPUMask allocates an empty cpumask.
func NewCPUMask(m Memory, l *Layout) (CPUMask, error) {
	o, err := newObject(m, l, l.maskBytes)
	if err != nil {
		return CPUMask{}, err
	}
	return CPUMask{Addr: o.Addr, words: o.words(0, l.maskWords)}, nil
}

// MaskAt is a view of the cpumask whose bytes are b, at the simulated address addr. A short b is padded by no one: it
// must hold a whole cpumask of layout l, 8-byte aligned; if it does not, the result is not Valid.
func MaskAt(l *Layout, addr uint64, b []byte) CPUMask {
	if len(b) < 8*l.maskWords || addr%8 != 0 {
		return CPUMask{}
	}
	// Safety: the length was checked just now; the caller vouches for the alignment, which the address shows.
	return CPUMask{Addr: addr, words: unsafe.Slice((*uint64)(unsafe.Pointer(unsafe.SliceData(b))), l.maskWords)}
}

// Free gives a mask of NewCPUMask back to m.
func (c CPUMask) Free(m Memory, l *Layout) { m.Free(c.Addr, uint64(l.maskBytes)) }

// Valid tells whether the view is of a mask.
func (c CPUMask) Valid() bool { return c.words != nil }

// Words is the mask itself, for code that works on whole words; bit i%64 of word i/64 is CPU i.
func (c CPUMask) Words() []uint64 { return c.words }

// Test tells whether cpu is in the mask; a cpu beyond the mask is not.
func (c CPUMask) Test(cpu int32) bool {
	w := uint32(cpu) >> 6
	return w < uint32(len(c.words)) && c.words[w]>>(uint32(cpu)&63)&1 != 0
}

// Set puts cpu into the mask; a cpu beyond the mask is ignored.
func (c CPUMask) Set(cpu int32) {
	if w := uint32(cpu) >> 6; w < uint32(len(c.words)) {
		c.words[w] |= 1 << (uint32(cpu) & 63)
	}
}

// Clear takes cpu out of the mask.
func (c CPUMask) Clear(cpu int32) {
	if w := uint32(cpu) >> 6; w < uint32(len(c.words)) {
		c.words[w] &^= 1 << (uint32(cpu) & 63)
	}
}

// TestAndClear takes cpu out of the mask and tells whether it was in.
func (c CPUMask) TestAndClear(cpu int32) bool {
	had := c.Test(cpu)
	c.Clear(cpu)
	return had
}

// TestAndSet puts cpu into the mask and tells whether it was in already.
func (c CPUMask) TestAndSet(cpu int32) bool {
	had := c.Test(cpu)
	c.Set(cpu)
	return had
}

// Zero empties the mask.
func (c CPUMask) Zero() { clear(c.words) }

// Fill puts the CPUs from 0 to n-1 into the mask and takes all others out (cpumask_setall for n CPUs).
func (c CPUMask) Fill(n int) {
	for i := range c.words {
		switch left := n - 64*i; {
		case left >= 64:
			c.words[i] = ^uint64(0)
		case left > 0:
			c.words[i] = 1<<left - 1
		default:
			c.words[i] = 0
		}
	}
}

// Copy makes the mask equal to o.
func (c CPUMask) Copy(o CPUMask) {
	n := copy(c.words, o.words)
	clear(c.words[n:])
}

// CopyWords makes the mask equal to the words of a topo.Set or of another mask.
func (c CPUMask) CopyWords(w []uint64) {
	n := copy(c.words, w)
	clear(c.words[n:])
}

// And, Or, Xor and AndNot set the mask to the result of the operation on a and b and, as the kernel's functions do,
// And and AndNot tell whether it is not empty.
func (c CPUMask) And(a, b CPUMask) bool {
	var any uint64
	for i := range c.words {
		c.words[i] = a.words[i] & b.words[i]
		any |= c.words[i]
	}
	return any != 0
}

// AndNot sets the mask to the CPUs of a that are not in b and tells whether there are any.
func (c CPUMask) AndNot(a, b CPUMask) bool {
	var any uint64
	for i := range c.words {
		c.words[i] = a.words[i] &^ b.words[i]
		any |= c.words[i]
	}
	return any != 0
}

// Or sets the mask to the CPUs of a or b.
func (c CPUMask) Or(a, b CPUMask) {
	for i := range c.words {
		c.words[i] = a.words[i] | b.words[i]
	}
}

// Xor sets the mask to the CPUs that are in exactly one of a and b.
func (c CPUMask) Xor(a, b CPUMask) {
	for i := range c.words {
		c.words[i] = a.words[i] ^ b.words[i]
	}
}

// Equal tells whether both masks have the same CPUs.
func (c CPUMask) Equal(o CPUMask) bool {
	for i, w := range c.words {
		if w != o.words[i] {
			return false
		}
	}
	return true
}

// Subset tells whether every CPU of c is in o.
func (c CPUMask) Subset(o CPUMask) bool {
	for i, w := range c.words {
		if w&^o.words[i] != 0 {
			return false
		}
	}
	return true
}

// Intersects tells whether some CPU is in both masks.
func (c CPUMask) Intersects(o CPUMask) bool {
	for i, w := range c.words {
		if w&o.words[i] != 0 {
			return true
		}
	}
	return false
}

// Empty tells whether the mask has no CPU.
func (c CPUMask) Empty() bool {
	for _, w := range c.words {
		if w != 0 {
			return false
		}
	}
	return true
}

// Full tells whether the mask has all CPUs from 0 to n-1.
func (c CPUMask) Full(n int) bool { return c.Weight() >= n }

// Weight is the number of CPUs in the mask.
func (c CPUMask) Weight() int {
	n := 0
	for _, w := range c.words {
		n += bits.OnesCount64(w)
	}
	return n
}

// First returns the lowest CPU of the mask, -1 if it is empty.
func (c CPUMask) First() int32 { return c.Next(-1) }

// Next returns the lowest CPU of the mask above cpu, -1 if there is none.
func (c CPUMask) Next(cpu int32) int32 {
	i := cpu + 1
	w := int(i >> 6)
	if w >= len(c.words) {
		return -1
	}
	if x := c.words[w] >> (i & 63); x != 0 {
		return i + int32(bits.TrailingZeros64(x))
	}
	for w++; w < len(c.words); w++ {
		if x := c.words[w]; x != 0 {
			return int32(w<<6 + bits.TrailingZeros64(x))
		}
	}
	return -1
}

// Last returns the highest CPU of the mask, -1 if it is empty.
func (c CPUMask) Last() int32 {
	for w := len(c.words) - 1; w >= 0; w-- {
		if x := c.words[w]; x != 0 {
			return int32(w<<6 + 63 - bits.LeadingZeros64(x))
		}
	}
	return -1
}

// FirstAnd returns the lowest CPU that is in both masks, -1 if there is none.
func (c CPUMask) FirstAnd(o CPUMask) int32 { return c.NextAnd(o, -1) }

// NextAnd returns the lowest CPU above cpu that is in both masks, -1 if there is none.
func (c CPUMask) NextAnd(o CPUMask, cpu int32) int32 {
	i := cpu + 1
	w := int(i >> 6)
	if w >= len(c.words) || w >= len(o.words) {
		return -1
	}
	if x := c.words[w] & o.words[w] >> (i & 63) << (i & 63); x != 0 {
		return int32(w<<6 + bits.TrailingZeros64(x))
	}
	for w++; w < len(c.words) && w < len(o.words); w++ {
		if x := c.words[w] & o.words[w]; x != 0 {
			return int32(w<<6 + bits.TrailingZeros64(x))
		}
	}
	return -1
}
