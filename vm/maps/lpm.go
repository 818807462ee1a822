package maps

import (
	"encoding/binary"
	"math/bits"

	"github.com/schedsim/schedsim/vm/abi"
)

// Trie is a map of type lpm_trie: a key is the length of a prefix in bits (4 bytes) and its data; a lookup finds the longest
// prefix of the key that is in the map. Values are in memory, nodes are Go's. Updating a prefix keeps its value's address.
type Trie struct {
	Head
	root  *node
	count int
	data  uint32 // bytes of data in a key
}

// node is one prefix. Without a value it only joins its two children, which differ in their first bit behind it.
type node struct {
	child [2]*node
	len   uint32
	data  []byte
	value uint64 // address, 0: an intermediate node
}

func newTrie(h Head) *Trie { return &Trie{Head: h, data: h.KeySize - 4} }

// prefix takes a key apart; ok is false if it is longer than its data.
func (t *Trie) prefix(key []byte) (n uint32, data []byte, ok bool) {
	n = binary.LittleEndian.Uint32(key)
	return n, key[4:t.KeySize], n <= t.data*8
}

func bitAt(data []byte, i uint32) int { return int(data[i/8] >> (7 - i%8) & 1) }

// match is the number of bits in which the node and the prefix agree, as far as both go (longest_prefix_match).
func (n *node) match(length uint32, data []byte) uint32 {
	limit := min(n.len, length)
	for i := range n.data {
		if d := n.data[i] ^ data[i]; d != 0 {
			return min(uint32(i)*8+uint32(bits.LeadingZeros8(d)), limit)
		}
	}
	return limit
}

// Lookup follows trie_lookup_elem.
func (t *Trie) Lookup(key []byte, _ int32) uint64 {
	length, data, ok := t.prefix(key)
	if !ok {
		return 0
	}
	found := uint64(0)
	for n := t.root; n != nil; n = n.child[bitAt(data, n.len)] {
		m := n.match(length, data)
		if m == t.data*8 {
			return n.value
		}
		if m < n.len {
			break
		}
		if n.value != 0 {
			found = n.value
		}
	}
	return found
}

// slot walks to where the prefix is or would be: an empty place, the node itself, or one that goes on after a shorter prefix
// than its own has in common. path, if not nil, is called with each place before the last.
func (t *Trie) slot(length uint32, data []byte, path func(**node)) (at **node, match uint32) {
	at = &t.root
	for *at != nil {
		n := *at
		match = n.match(length, data)
		if n.len != match || n.len == length {
			break
		}
		if path != nil {
			path(at)
		}
		at = &n.child[bitAt(data, n.len)]
	}
	return at, match
}

// Update follows trie_update_elem.
func (t *Trie) Update(key, value []byte, flags uint64, _ int32) abi.Errno {
	length, data, ok := t.prefix(key)
	if flags > Exist || !ok {
		return abi.EINVAL
	}
	at, match := t.slot(length, data, nil)
	old := *at
	if exact := old != nil && old.len == match; exact && old.value != 0 {
		if flags == NoExist {
			return abi.EEXIST
		}
		old.data = append([]byte(nil), data...) // bits behind the prefix may differ
		copy(t.t.Mem.Bytes(old.value, uint64(t.ValueSize)), value)
		return 0
	}
	switch {
	case flags == Exist:
		return abi.ENOENT
	case t.count == int(t.MaxEntries):
		return abi.ENOSPC
	}
	addr, b, err := t.t.Mem.Alloc(uint64(t.ValueSize), 8)
	if err != nil {
		return abi.ENOMEM
	}
	copy(b, value)
	t.count++
	n := &node{len: length, data: append([]byte(nil), data...), value: addr}
	switch {
	case old == nil:
		*at = n
	case old.len == match: // it was there without a value
		old.data, old.value = n.data, addr
	case match == length: // between old and what is above it
		n.child[bitAt(old.data, match)] = old
		*at = n
	default:
		join := &node{len: match, data: old.data}
		bit := bitAt(data, match)
		join.child[bit], join.child[1-bit] = n, old
		*at = join
	}
	return 0
}

// Delete follows trie_delete_elem.
func (t *Trie) Delete(key []byte) abi.Errno {
	length, data, ok := t.prefix(key)
	if !ok {
		return abi.EINVAL
	}
	var above **node
	at, match := t.slot(length, data, func(n **node) { above = n })
	n := *at
	if n == nil || n.len != length || n.len != match || n.value == 0 {
		return abi.ENOENT
	}
	t.count--
	t.t.Mem.Free(n.value, uint64(t.ValueSize))
	n.value = 0
	switch {
	case n.child[0] != nil && n.child[1] != nil: // it joins them from now on
	case n.child[0] != nil:
		*at = n.child[0]
	case n.child[1] != nil:
		*at = n.child[1]
	case above != nil && (*above).value == 0: // the other child takes the place of the node that joined both
		other := (*above).child[0]
		if other == n {
			other = (*above).child[1]
		}
		*above = other
	default:
		*at = nil
	}
	return 0
}

// Len is the number of prefixes.
func (t *Trie) Len() int { return t.count }

// Next follows trie_get_next_key: longer prefixes come before those that they begin with.
func (t *Trie) Next(key, next []byte) abi.Errno {
	if t.root == nil {
		return abi.ENOENT
	}
	n := leftmost(t.root)
	if key != nil {
		if length, data, ok := t.prefix(key); ok {
			var path []*node
			at, match := t.slot(length, data, func(n **node) { path = append(path, *n) })
			if cur := *at; cur != nil && cur.len == match && cur.value != 0 {
				if n = after(cur, path); n == nil {
					return abi.ENOENT
				}
			}
		}
	}
	binary.LittleEndian.PutUint32(next, n.len)
	copy(next[4:t.KeySize], n.data)
	return 0
}

// leftmost is where the walk of a subtree starts.
func leftmost(n *node) *node {
	found := n
	for n != nil {
		if n.value == 0 {
			n = n.child[0]
			continue
		}
		found = n
		if n = found.child[0]; n == nil {
			n = found.child[1]
		}
	}
	return found
}

// after is the prefix that comes after n, whose ancestors are path; nil if n is the last one.
func after(n *node, path []*node) *node {
	for i := len(path) - 1; i >= 0; i-- {
		p := path[i]
		if p.child[0] == n && p.child[1] != nil {
			return leftmost(p.child[1])
		}
		if p.value != 0 {
			return p
		}
		n = p
	}
	return nil
}

// Each is refused: bpf_for_each_map_elem is not for tries.
func (t *Trie) Each(int32, func(key, value uint64) bool) (int, abi.Errno) { return 0, abi.ENOTSUPP }

// KeyOf finds nothing: there are no keys in memory.
func (t *Trie) KeyOf(uint64) (uint64, bool) { return 0, false }

func (t *Trie) release() {
	var free func(n *node)
	free = func(n *node) {
		if n == nil {
			return
		}
		free(n.child[0])
		free(n.child[1])
		if n.value != 0 {
			t.t.Mem.Free(n.value, uint64(t.ValueSize))
		}
	}
	free(t.root)
	t.root = nil
}
