package kobj

import (
	"fmt"
	"unsafe"
)

// heapBase is where a Heap's addresses start: the kernel's direct map on x86-64.
const heapBase uint64 = 0xffff_8880_0000_1000

// Heap is Memory in Go memory, for machines on which no BPF program runs. The zero value is ready to use. Addresses
// are the same in every run that allocates the same sizes in the same order.
type Heap struct {
	end  uint64 // offset of the next new address from heapBase
	free map[uint64][]block
	live map[uint64][]uint64
}

type block struct {
	addr  uint64
	words []uint64
}

// Alloc implements Memory.
func (h *Heap) Alloc(size, align uint64) (uint64, []byte, error) {
	if align == 0 || align&(align-1) != 0 || align > 4096 {
		panic(fmt.Sprintf("BUG: alignment %d", align))
	}
	// All blocks are aligned to their size class of cache lines, so that one list per size is enough.
	class := heapClass(size)
	if h.live == nil {
		h.free, h.live = map[uint64][]block{}, map[uint64][]uint64{}
	}
	if l := h.free[class]; len(l) > 0 && l[len(l)-1].addr%align == 0 {
		b := l[len(l)-1]
		h.free[class] = l[:len(l)-1]
		clear(b.words)
		h.live[b.addr] = b.words
		return b.addr, asBytes(b.words, size), nil
	}
	h.end = (h.end + align - 1) &^ (align - 1)
	addr := heapBase + h.end
	h.end += class
	words := make([]uint64, class/8)
	h.live[addr] = words
	return addr, asBytes(words, size), nil
}

// Free implements Memory.
func (h *Heap) Free(addr, size uint64) {
	words, ok := h.live[addr]
	if !ok || uint64(len(words))*8 != heapClass(size) {
		panic(fmt.Sprintf("BUG: free of %#x, %d bytes", addr, size))
	}
	delete(h.live, addr)
	class := heapClass(size)
	h.free[class] = append(h.free[class], block{addr, words})
}

// heapClass rounds a size up to cache lines.
func heapClass(size uint64) uint64 { return (max(size, 1) + 63) &^ 63 }

// asBytes is a view of the first n bytes of w.
func asBytes(w []uint64, n uint64) []byte {
	// Safety: n is at most 8*len(w): heapClass rounded it up.
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(w))), n)
}
