package maps

import (
	"encoding/binary"
	"math/bits"

	"github.com/schedsim/schedsim/vm/abi"
)

// Bloom is a map of type bloom_filter: values can be added, and asked for with false positives. With the flag zero_seed the
// false positives are the kernel's; otherwise they depend on Table.Seed.
type Bloom struct {
	Head
	set   []uint64
	mask  uint32
	seed  uint32
	nhash uint32
}

// newBloom follows bloom_map_alloc.
func newBloom(h Head) (*Bloom, error) {
	b := &Bloom{Head: h, nhash: uint32(h.Extra)}
	if b.nhash == 0 {
		b.nhash = 5
	}
	// 7/5 of the number of bits that would be set without collisions: about 1/ln 2, the best there is.
	n := uint64(h.MaxEntries) * uint64(b.nhash)
	m := n / 5 * 7
	switch {
	case n > 1<<32-1, m > 1<<31:
		return nil, abi.E2BIG // 512 MiB in the kernel
	case m <= 64:
		m = 64
	default:
		m = 1 << bits.Len64(m-1)
	}
	b.set, b.mask = make([]uint64, m/64), uint32(m-1)
	if h.Flags&FlagZeroSeed == 0 {
		b.seed = uint32(mix(h.t.Seed))
	}
	return b, nil
}

// Push follows bloom_map_push_elem.
func (b *Bloom) Push(value []byte, flags uint64) abi.Errno {
	if flags != Any {
		return abi.EINVAL
	}
	for i := range b.nhash {
		h := jhash(value, b.seed+i) & b.mask
		b.set[h/64] |= 1 << (h % 64)
	}
	return 0
}

// Peek follows bloom_map_peek_elem: ENOENT if the value was never added.
func (b *Bloom) Peek(value []byte) abi.Errno {
	for i := range b.nhash {
		h := jhash(value, b.seed+i) & b.mask
		if b.set[h/64]>>(h%64)&1 == 0 {
			return abi.ENOENT
		}
	}
	return 0
}

// Pop is refused: nothing can be taken out.
func (b *Bloom) Pop([]byte) abi.Errno { return abi.EOPNOTSUPP }

// Lookup finds nothing: there are no keys.
func (b *Bloom) Lookup([]byte, int32) uint64 { return 0 }

// Update is refused with EINVAL: Push is what programs call.
func (b *Bloom) Update([]byte, []byte, uint64, int32) abi.Errno { return abi.EINVAL }

// Delete is refused.
func (b *Bloom) Delete([]byte) abi.Errno { return abi.EOPNOTSUPP }

// Next is refused.
func (b *Bloom) Next(_, _ []byte) abi.Errno { return abi.EOPNOTSUPP }

// Each is refused: bpf_for_each_map_elem is not for bloom filters.
func (b *Bloom) Each(int32, func(key, value uint64) bool) (int, abi.Errno) { return 0, abi.ENOTSUPP }

// KeyOf finds nothing: there are no keys.
func (b *Bloom) KeyOf(uint64) (uint64, bool) { return 0, false }

func (b *Bloom) release() { b.set = nil }

// jhash is Bob Jenkins' hash lookup3 with the start value that the kernel's jhash has (include/linux/jhash.h).
func jhash(key []byte, seed uint32) uint32 {
	a := 0xdeadbeef + uint32(len(key)) + seed
	b, c := a, a
	rot := bits.RotateLeft32
	for ; len(key) > 12; key = key[12:] {
		a += binary.LittleEndian.Uint32(key)
		b += binary.LittleEndian.Uint32(key[4:])
		c += binary.LittleEndian.Uint32(key[8:])
		a = (a - c) ^ rot(c, 4)
		c += b
		b = (b - a) ^ rot(a, 6)
		a += c
		c = (c - b) ^ rot(b, 8)
		b += a
		a = (a - c) ^ rot(c, 16)
		c += b
		b = (b - a) ^ rot(a, 19)
		a += c
		c = (c - b) ^ rot(b, 4)
		b += a
	}
	if len(key) == 0 {
		return c
	}
	var tail [12]byte
	copy(tail[:], key)
	a += binary.LittleEndian.Uint32(tail[:])
	b += binary.LittleEndian.Uint32(tail[4:])
	c += binary.LittleEndian.Uint32(tail[8:])
	c = (c ^ b) - rot(b, 14)
	a = (a ^ c) - rot(c, 11)
	b = (b ^ a) - rot(a, 25)
	c = (c ^ b) - rot(b, 16)
	a = (a ^ c) - rot(c, 4)
	b = (b ^ a) - rot(a, 14)
	c = (c ^ b) - rot(b, 24)
	return c
}
