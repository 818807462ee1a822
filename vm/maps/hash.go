package maps

import (
	"bytes"
	"encoding/binary"
	"math/bits"

	"github.com/schedsim/schedsim/vm/abi"
)

// Hash is a map of type hash, lru_hash, percpu_hash, lru_percpu_hash or rhash: chained, with a fixed number of buckets. An
// element in memory is its key, padded to 8 bytes, then its value, or its values CPU by CPU; elements are allocated in chunks
// as they are needed and reused by the map itself, newest first. Chains are Go's.
//
// An LRU map evicts the element that a program looked up, or anyone updated, longest ago. The kernel's order is approximate
// (reference bits, batches per CPU, with no_common_lru a list for each CPU), this one is exact.
type Hash struct {
	Head
	index  abi.Index
	elems  []elem // what else is known of index.Elems
	free   int32  // first free element, -1 if none; chained through Next
	count  int
	chunks []uint64 // address of each chunkElems elements
	start  uint64   // what the hash of a key begins with
	valOff uint64   // of the first value in an element
	val    uint64   // bytes of a value, padded
	cpus   uint64   // values of an element
	size   uint64   // of an element
	// LRU list: most recently used first.
	newest, oldest int32
	// drop, if not nil, releases what an element holds when it goes away.
	drop func(i int32)
}

// elem is the Go half of an element.
type elem struct {
	live         bool
	newer, older int32
	gen          uint32 // grows with each deletion, so that an iteration notices reuse
}

const (
	chunkElems = 64
	maxBuckets = 1 << 18
)

func newHash(h Head) *Hash {
	m := makeHash(h, roundUp8(h.ValueSize))
	return &m
}

// makeHash makes a hash whose values take val bytes.
func makeHash(h Head, val uint64) Hash {
	if n := uint32(h.t.NrCPUs); h.Flags&FlagNoCommonLRU != 0 { // as many entries for each CPU, follows htab_map_alloc
		if up := (uint64(h.MaxEntries) + uint64(n) - 1) / uint64(n) * uint64(n); up <= 1<<32-1 {
			h.MaxEntries = uint32(up)
		} else {
			h.MaxEntries = h.MaxEntries / n * n
		}
	}
	n := 1
	for n < int(h.MaxEntries) && n < maxBuckets {
		n *= 2
	}
	m := Hash{Head: h, index: abi.Index{Buckets: make([]int32, n)}, free: -1, newest: -1, oldest: -1, valOff: roundUp8(h.KeySize), val: val, cpus: 1}
	if h.Type.PerCPU() {
		m.cpus = uint64(h.t.NrCPUs)
	}
	m.size = m.valOff + m.val*m.cpus
	if h.Flags&FlagZeroSeed == 0 {
		m.start = h.t.Seed
	}
	m.start ^= uint64(h.KeySize) * hashLen
	for i := range m.index.Buckets {
		m.index.Buckets[i] = -1
	}
	return m
}

const hashLen = 0x9e3779b97f4a7c15

// hashKey is a multiplicative hash over 8-byte words, with a finish that spreads into the low bits.
func hashKey(key []byte, h uint64) uint32 {
	for len(key) >= 8 {
		h = mix(h ^ binary.LittleEndian.Uint64(key))
		key = key[8:]
	}
	var tail uint64
	if len(key) == 4 {
		tail = uint64(binary.LittleEndian.Uint32(key))
	} else {
		for i, b := range key {
			tail |= uint64(b) << (8 * i)
		}
	}
	return uint32(mix(h ^ tail))
}

func mix(v uint64) uint64 {
	hi, lo := bits.Mul64(v^abi.HashXor, abi.HashMul)
	return hi ^ lo
}

func (m *Hash) addr(i int32) uint64 { return m.index.Elems[i].Addr }

func (m *Hash) keyBytes(i int32) []byte { return m.t.Mem.Bytes(m.addr(i), uint64(m.KeySize)) }

// Leaf describes the map to an engine of machine code: where its index is, what a hash of a key begins with, and where in an
// element the values are, for a number of CPUs (1: they share one). ok is false if a lookup is not that simple: the element that was used
// longest ago must be known, or elements are maps.
func (m *Hash) Leaf() (index *abi.Index, seed, value, stride, cpus uint64, ok bool) {
	return &m.index, m.start, m.valOff, m.val, m.cpus, !m.Type.lru() && m.drop == nil
}

// find returns the element of the key, -1 if there is none, and the key's hash.
func (m *Hash) find(key []byte) (int32, uint32) {
	switch len(key) { // most keys are integers
	case 4:
		word := uint64(binary.LittleEndian.Uint32(key))
		return m.findWord(word, uint32(mix(m.start^word)))
	case 8:
		word := binary.LittleEndian.Uint64(key)
		return m.findWord(word, uint32(mix(mix(m.start^word))))
	}
	return m.findBytes(key)
}

// findWord is find for a key that is an integer: those are in the index too.
func (m *Hash) findWord(word uint64, h uint32) (int32, uint32) {
	elems := m.index.Elems
	for i := *m.bucket(h); uint64(i) < uint64(len(elems)); {
		e := &elems[i]
		if e.Key == word {
			return i, h
		}
		i = e.Next
	}
	return -1, h
}

// word is a key as an integer, 0 if it has another size.
func word(key []byte) uint64 {
	switch len(key) {
	case 4:
		return uint64(binary.LittleEndian.Uint32(key))
	case 8:
		return binary.LittleEndian.Uint64(key)
	}
	return 0
}

func (m *Hash) findBytes(key []byte) (int32, uint32) {
	h := hashKey(key, m.start)
	for i := *m.bucket(h); i >= 0; i = m.index.Elems[i].Next {
		if m.index.Elems[i].Hash == h && bytes.Equal(m.keyBytes(i), key) {
			return i, h
		}
	}
	return -1, h
}

// Lookup follows htab_map_lookup_elem and its relatives.
func (m *Hash) Lookup(key []byte, cpu int32) uint64 {
	i, _ := m.find(key)
	if i < 0 || uint64(uint32(cpu)) >= m.cpus && m.cpus != 1 {
		return 0
	}
	if m.Type.lru() {
		m.touch(i)
	}
	return m.value(i, cpu)
}

// PerCPU tells whether each CPU has values of its own.
func (m *Hash) PerCPU() bool { return m.cpus != 1 }

// value is the address of the value of element i.
func (m *Hash) value(i int32, cpu int32) uint64 {
	a := m.addr(i) + m.valOff
	if m.cpus != 1 {
		a += uint64(cpu) * m.val
	}
	return a
}

// Update follows htab_map_update_elem, for per-CPU maps htab_map_update_elem_in_place: a new element is zero for other CPUs.
func (m *Hash) Update(key, value []byte, flags uint64, cpu int32) abi.Errno {
	lockable := m.Type == TypeHash || m.Type == TypeRHash
	if flags&^Lock > Exist || flags&Lock != 0 && (!lockable || m.field(SpinLock) == nil) {
		return abi.EINVAL
	}
	i, inserted, e := m.place(key, flags)
	if e != 0 {
		return e
	}
	at := m.value(i, cpu)
	switch {
	case inserted, len(m.Fields) == 0:
	case m.cpus != 1 || m.Type == TypeRHash:
		m.cancelFields(at)
	case flags&Lock == 0:
		m.freeFields(at)
	}
	m.copyValue(m.t.Mem.Bytes(at, uint64(m.ValueSize)), value)
	return 0
}

// updateAll follows bpf_percpu_hash_update: user space sets the values of all CPUs, or those that the flags say.
func (m *Hash) updateAll(key, value []byte, flags uint64) abi.Errno {
	if flags&Lock != 0 || uint32(flags) > uint32(AllCPUs) {
		return abi.EINVAL
	}
	i, _, e := m.place(key, flags)
	if e != 0 {
		return e
	}
	for cpu := range int32(m.cpus) {
		if flags&OneCPU != 0 && cpu != int32(flags>>32) {
			continue
		}
		at, v := m.value(i, cpu), value
		if flags&(OneCPU|AllCPUs) == 0 {
			v = value[uint64(cpu)*m.val:]
		}
		m.copyValue(m.t.Mem.Bytes(at, uint64(m.ValueSize)), v[:m.ValueSize])
		m.cancelFields(at)
	}
	return 0
}

// place finds or makes the element for an update.
func (m *Hash) place(key []byte, flags uint64) (i int32, inserted bool, e abi.Errno) {
	i, h := m.find(key)
	if e := checkFlags(i >= 0, flags); e != 0 {
		return 0, false, e
	}
	if i >= 0 {
		if m.Type.lru() {
			m.touch(i)
		}
		return i, false, 0
	}
	if i, e = m.alloc(); e != 0 {
		return 0, false, e
	}
	b := m.t.Mem.Bytes(m.addr(i), m.size)
	clear(b)
	copy(b, key)
	bucket := m.bucket(h)
	el := &m.index.Elems[i]
	el.Next, el.Hash, el.Key = *bucket, h, word(key)
	m.elems[i].live = true
	*bucket = i
	m.count++
	m.link(i)
	return i, true, 0
}

// bucket is the start of the chain for a hash.
func (m *Hash) bucket(h uint32) *int32 { return &m.index.Buckets[int(h)&(len(m.index.Buckets)-1)] }

// alloc takes a free element, E2BIG if the map is full and ENOMEM if memory is.
func (m *Hash) alloc() (int32, abi.Errno) {
	if m.count >= int(m.MaxEntries) {
		if !m.Type.lru() {
			return -1, abi.E2BIG
		}
		m.remove(m.oldest)
	}
	if m.free >= 0 {
		i := m.free
		m.free = m.index.Elems[i].Next
		return i, 0
	}
	if len(m.elems) == len(m.chunks)*chunkElems {
		a, _, err := m.t.Mem.Alloc(m.chunkBytes(), 8)
		if err != nil {
			return -1, abi.ENOMEM
		}
		m.chunks = append(m.chunks, a)
	}
	i := len(m.elems)
	m.elems = append(m.elems, elem{})
	m.index.Elems = append(m.index.Elems, abi.IndexElem{Addr: m.chunks[i/chunkElems] + uint64(i%chunkElems)*m.size})
	return int32(i), 0
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
	el, in := &m.elems[i], &m.index.Elems[i]
	p := m.bucket(in.Hash)
	for *p != i {
		p = &m.index.Elems[*p].Next
	}
	*p = in.Next
	m.unlink(i)
	m.count--
	m.releaseValues(i)
	el.live, in.Next = false, m.free
	el.gen++
	m.free = i
}

// releaseValues gives up what the values of element i hold.
func (m *Hash) releaseValues(i int32) {
	if m.drop != nil {
		m.drop(i)
		return
	}
	if len(m.Fields) > 0 {
		for cpu := range int32(m.cpus) {
			m.freeFields(m.value(i, cpu))
		}
	}
}

// touch makes i the most recently used element of an LRU map.
func (m *Hash) touch(i int32) {
	if m.newest != i {
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

// Counted is the number of elements where the kernel keeps one for programs (bpf_map.elem_count): all hashes but rhash.
func (m *Hash) Counted() int {
	if m.Type == TypeRHash {
		return 0
	}
	return m.count
}

// Next follows htab_map_get_next_key: the order is that of Each.
func (m *Hash) Next(key, next []byte) abi.Errno {
	b, i := 0, int32(-1)
	if key != nil {
		var h uint32
		if i, h = m.find(key); i >= 0 {
			i = m.index.Elems[i].Next
			b = int(h)&(len(m.index.Buckets)-1) + 1
		}
	}
	for ; i < 0; b++ {
		if b == len(m.index.Buckets) {
			return abi.ENOENT
		}
		i = m.index.Buckets[b]
	}
	copy(next, m.keyBytes(i))
	return 0
}

// Each follows bpf_for_each_hash_elem. Elements that f deletes before their turn are left out; whether ones that it adds
// are seen depends on their bucket.
func (m *Hash) Each(cpu int32, f func(key, value uint64) bool) (int, abi.Errno) {
	n := 0
	type ref struct {
		i   int32
		gen uint32
	}
	var chain []ref
	for b := range m.index.Buckets {
		chain = chain[:0]
		for i := m.index.Buckets[b]; i >= 0; i = m.index.Elems[i].Next {
			chain = append(chain, ref{i, m.elems[i].gen})
		}
		for _, r := range chain {
			if el := &m.elems[r.i]; !el.live || el.gen != r.gen {
				continue
			}
			n++
			if !f(m.addr(r.i), m.value(r.i, cpu)) {
				return n, 0
			}
		}
	}
	return n, 0
}

// KeyOf returns the address of the key in memory, which stands before the value.
func (m *Hash) KeyOf(value uint64) (uint64, bool) {
	for c, a := range m.chunks {
		off := value - a
		if off >= m.chunkBytes() {
			continue
		}
		i, in := uint64(c*chunkElems)+off/m.size, off%m.size-m.valOff
		if in >= m.size || in%m.val != 0 || i >= uint64(len(m.elems)) || !m.elems[i].live {
			return 0, false
		}
		return m.addr(int32(i)), true
	}
	return 0, false
}

func (m *Hash) release() {
	for i := range m.elems {
		if m.elems[i].live {
			m.releaseValues(int32(i))
		}
	}
	for _, a := range m.chunks {
		m.t.Mem.Free(a, m.chunkBytes())
	}
}
