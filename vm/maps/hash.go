package maps

import (
	"bytes"
	"encoding/binary"
	"math/bits"

	"github.com/schedsim/schedsim/vm/abi"
)

// Hash is a map of type hash or lru_hash: chained, with a fixed number of buckets. An element in memory is its key, padded
// to 8 bytes, then its value; elements are allocated in chunks as they are needed and reused by the map itself, newest
// first. Chains are Go's.
//
// An LRU map evicts the element that was looked up or updated longest ago. The kernel's order is approximate (reference
// bits, batches per CPU), this one is exact.
type Hash struct {
	Head
	buckets []int32 // first element of each chain, -1 at its end
	elems   []elem
	free    int32 // first free element, -1 if none; chained through next
	count   int
	chunks  []uint64 // address of each chunkElems elements
	valOff  uint64   // of the value in an element
	size    uint64   // of an element
	// LRU list: most recently used first.
	newest, oldest int32
}

// elem is the Go half of an element.
type elem struct {
	next         int32
	hash         uint32
	live         bool
	newer, older int32
	gen          uint32 // grows with each deletion, so that an iteration notices reuse
}

const (
	chunkElems = 64
	maxBuckets = 1 << 18
)

func newHash(h Head) *Hash {
	n := 1
	for n < int(h.MaxEntries) && n < maxBuckets {
		n *= 2
	}
	m := &Hash{Head: h, buckets: make([]int32, n), free: -1, newest: -1, oldest: -1, valOff: roundUp8(h.KeySize)}
	m.size = m.valOff + roundUp8(h.ValueSize)
	for i := range m.buckets {
		m.buckets[i] = -1
	}
	return m
}

// hashKey is a multiplicative hash over 8-byte words, with a finish that spreads into the low bits.
func hashKey(key []byte, seed uint64) uint32 {
	h := seed ^ uint64(len(key))*0x9e3779b97f4a7c15
	for len(key) >= 8 {
		h = mix(h ^ binary.LittleEndian.Uint64(key))
		key = key[8:]
	}
	var tail uint64
	for i, b := range key {
		tail |= uint64(b) << (8 * i)
	}
	return uint32(mix(h ^ tail))
}

func mix(v uint64) uint64 {
	hi, lo := bits.Mul64(v^0xa0761d6478bd642f, 0xe7037ed1a0b428db)
	return hi ^ lo
}

func (m *Hash) addr(i int32) uint64 { return m.chunks[i/chunkElems] + uint64(i%chunkElems)*m.size }

func (m *Hash) keyBytes(i int32) []byte { return m.t.Mem.Bytes(m.addr(i), uint64(m.KeySize)) }

// find returns the element of the key, -1 if there is none, and the key's hash.
func (m *Hash) find(key []byte) (int32, uint32) {
	h := hashKey(key, m.t.Seed)
	for i := m.buckets[int(h)&(len(m.buckets)-1)]; i >= 0; i = m.elems[i].next {
		if m.elems[i].hash == h && bytes.Equal(m.keyBytes(i), key) {
			return i, h
		}
	}
	return -1, h
}

// Lookup follows htab_map_lookup_elem.
func (m *Hash) Lookup(key []byte, _ int32) uint64 {
	i, _ := m.find(key)
	if i < 0 {
		return 0
	}
	m.touch(i)
	return m.addr(i) + m.valOff
}

// Update follows htab_map_update_elem.
func (m *Hash) Update(key, value []byte, flags uint64, _ int32) abi.Errno {
	if flags&^Lock > Exist || flags&Lock != 0 && m.field(SpinLock) == nil {
		return abi.EINVAL
	}
	i, h := m.find(key)
	if e := checkFlags(i >= 0, flags); e != 0 {
		return e
	}
	if i >= 0 {
		at := m.addr(i) + m.valOff
		if flags&Lock == 0 {
			m.freeFields(at)
		}
		m.copyValue(m.t.Mem.Bytes(at, uint64(m.ValueSize)), value)
		m.touch(i)
		return 0
	}
	i, e := m.alloc()
	if e != 0 {
		return e
	}
	b := m.t.Mem.Bytes(m.addr(i), m.size)
	clear(b)
	copy(b, key)
	m.copyValue(b[m.valOff:m.valOff+uint64(m.ValueSize)], value)
	bucket := &m.buckets[int(h)&(len(m.buckets)-1)]
	el := &m.elems[i]
	el.next, el.hash, el.live = *bucket, h, true
	*bucket = i
	m.count++
	m.link(i)
	return 0
}

// alloc takes a free element, E2BIG if the map is full and ENOMEM if memory is.
func (m *Hash) alloc() (int32, abi.Errno) {
	if m.count >= int(m.MaxEntries) {
		if m.Type != TypeLRUHash {
			return -1, abi.E2BIG
		}
		m.remove(m.oldest)
	}
	if m.free >= 0 {
		i := m.free
		m.free = m.elems[i].next
		return i, 0
	}
	if len(m.elems) == len(m.chunks)*chunkElems {
		a, _, err := m.t.Mem.Alloc(m.chunkBytes(), 8)
		if err != nil {
			return -1, abi.ENOMEM
		}
		m.chunks = append(m.chunks, a)
	}
	m.elems = append(m.elems, elem{})
	return int32(len(m.elems) - 1), 0
}

// chunkBytes is the size of a chunk; small maps have one smaller one.
func (m *Hash) chunkBytes() uint64 { return m.size * uint64(min(chunkElems, m.MaxEntries)) }

// Delete follows htab_map_delete_elem.
func (m *Hash) Delete(key []byte) abi.Errno {
	i, _ := m.find(key)
	if i < 0 {
		return abi.ENOENT
	}
	m.remove(i)
	return 0
}

func (m *Hash) remove(i int32) {
	el := &m.elems[i]
	p := &m.buckets[int(el.hash)&(len(m.buckets)-1)]
	for *p != i {
		p = &m.elems[*p].next
	}
	*p = el.next
	m.unlink(i)
	m.count--
	m.freeFields(m.addr(i) + m.valOff)
	el.live, el.next = false, m.free
	el.gen++
	m.free = i
}

// touch makes i the most recently used element.
func (m *Hash) touch(i int32) {
	if m.Type == TypeLRUHash && m.newest != i {
		m.unlink(i)
		m.link(i)
	}
}

func (m *Hash) link(i int32) {
	el := &m.elems[i]
	el.newer, el.older = -1, m.newest
	if m.newest >= 0 {
		m.elems[m.newest].newer = i
	} else {
		m.oldest = i
	}
	m.newest = i
}

func (m *Hash) unlink(i int32) {
	el := &m.elems[i]
	if el.newer >= 0 {
		m.elems[el.newer].older = el.older
	} else {
		m.newest = el.older
	}
	if el.older >= 0 {
		m.elems[el.older].newer = el.newer
	} else {
		m.oldest = el.newer
	}
}

// Len is the number of elements.
func (m *Hash) Len() int { return m.count }

// Next follows htab_map_get_next_key: the order is that of Each.
func (m *Hash) Next(key, next []byte) abi.Errno {
	b, i := 0, int32(-1)
	if key != nil {
		var h uint32
		if i, h = m.find(key); i >= 0 {
			i = m.elems[i].next
			b = int(h)&(len(m.buckets)-1) + 1
		}
	}
	for ; i < 0; b++ {
		if b == len(m.buckets) {
			return abi.ENOENT
		}
		i = m.buckets[b]
	}
	copy(next, m.keyBytes(i))
	return 0
}

// Each follows bpf_for_each_hash_elem. Elements that f deletes before their turn are left out; whether ones that it adds
// are seen depends on their bucket.
func (m *Hash) Each(_ int32, f func(key, value uint64) bool) (int, abi.Errno) {
	n := 0
	type ref struct {
		i   int32
		gen uint32
	}
	var chain []ref
	for b := range m.buckets {
		chain = chain[:0]
		for i := m.buckets[b]; i >= 0; i = m.elems[i].next {
			chain = append(chain, ref{i, m.elems[i].gen})
		}
		for _, r := range chain {
			if el := &m.elems[r.i]; !el.live || el.gen != r.gen {
				continue
			}
			n++
			if a := m.addr(r.i); !f(a, a+m.valOff) {
				return n, 0
			}
		}
	}
	return n, 0
}

// KeyOf returns the address of the key in memory, which stands before the value.
func (m *Hash) KeyOf(value uint64) (uint64, bool) {
	for c, a := range m.chunks {
		off := value - m.valOff - a
		if off >= m.chunkBytes() {
			continue
		}
		i := uint64(c*chunkElems) + off/m.size
		return value - m.valOff, off%m.size == 0 && i < uint64(len(m.elems)) && m.elems[i].live
	}
	return 0, false
}

func (m *Hash) release() {
	for i := range m.elems {
		if m.elems[i].live {
			m.freeFields(m.addr(int32(i)) + m.valOff)
		}
	}
	for _, a := range m.chunks {
		m.t.Mem.Free(a, m.chunkBytes())
	}
}
