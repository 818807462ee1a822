package kfuncs

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"slices"

	"github.com/schedsim/schedsim/vm/abi"
)

// An iterator over bits has in the program's stack the word of bits, or the address of a copy of several, their number, and
// the current bit (struct bpf_iter_bits_kern). The functions follow bpf_iter_bits_new, _next and _destroy
// (kernel/bpf/helpers.c, 7.2).
const (
	bitsSize     = 16
	maxBitsWords = 511 // BITS_ITER_NR_WORDS_MAX
)

// iterMask is the copy of the bits of an open iterator.
type iterMask struct{ addr, size uint64 }

func (h *Host) iterBitsNew(c *abi.Call, a *abi.Args) uint64 {
	b := h.bytes(c, a, 0, bitsSize)
	if b == nil {
		return 0
	}
	binary.LittleEndian.PutUint64(b, 0)
	binary.LittleEndian.PutUint64(b[8:], uint64(^uint32(0))<<32)
	n := uint32(a[2])
	switch {
	case a[1] == 0 || n == 0:
		return abi.EINVAL.Ret()
	case n > maxBitsWords:
		return abi.E2BIG.Ret()
	}
	from := c.Mem.Bytes(a[1], 8*uint64(n))
	switch {
	case from == nil:
		return abi.EFAULT.Ret()
	case n == 1:
		copy(b, from)
	default:
		addr, mask, err := c.Mem.Alloc(8*uint64(n), 8)
		if err != nil {
			return abi.ENOMEM.Ret()
		}
		copy(mask, c.Mem.Bytes(a[1], 8*uint64(n)))
		h.masks = append(h.masks, iterMask{addr, 8 * uint64(n)})
		b = h.bytes(c, a, 0, bitsSize)
		binary.LittleEndian.PutUint64(b, addr)
	}
	binary.LittleEndian.PutUint32(b[8:], 64*n)
	return 0
}

func (h *Host) iterBitsNext(c *abi.Call, a *abi.Args) uint64 {
	b := h.bytes(c, a, 0, bitsSize)
	if b == nil {
		return 0
	}
	n, bit := i32At(b, 8), i32At(b, 12)
	if n == 0 || bit >= n {
		return 0
	}
	words := b[:8]
	if n != 64 {
		i := h.copyOf(c, a, b)
		if i < 0 {
			return 0
		}
		words = c.Mem.Bytes(h.masks[i].addr, h.masks[i].size)
	}
	bit = nextBit(words, n, uint32(bit+1))
	binary.LittleEndian.PutUint32(b[12:], uint32(bit))
	if bit >= n {
		return 0
	}
	return a[0] + 12
}

// nextBit is the first bit that is set of n, from one on; n if there is none.
func nextBit(words []byte, n int32, from uint32) int32 {
	for at := from; at < uint32(n); at = at&^63 + 64 {
		if w := u64At(words, int(at/64*8)) >> (at & 63); w != 0 {
			return int32(at) + int32(bits.TrailingZeros64(w))
		}
	}
	return n
}

func (h *Host) iterBitsDestroy(c *abi.Call, a *abi.Args) uint64 {
	b := h.bytes(c, a, 0, bitsSize)
	if b == nil || i32At(b, 8) <= 64 {
		return 0
	}
	if i := h.copyOf(c, a, b); i >= 0 {
		c.Mem.Free(h.masks[i].addr, h.masks[i].size)
		h.masks = slices.Delete(h.masks, i, i+1)
	}
	return 0
}

// copyOf finds the copy that the iterator b has; -1: that is a fault.
func (h *Host) copyOf(c *abi.Call, a *abi.Args, b []byte) int {
	i := slices.Index(h.masks, iterMask{u64At(b, 0), uint64(i32At(b, 8)) / 8})
	if i < 0 {
		c.Fault = fmt.Sprintf("argument 1: %#x is no iterator", a[0])
	}
	return i
}
