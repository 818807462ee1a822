package maps

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/schedsim/schedsim/vm/abi"
)

// lpmKey is a key of a trie: length and data.
func lpmKey(length uint32, data ...byte) []byte {
	return append(binary.LittleEndian.AppendUint32(nil, length), data...)
}

// bitsOf are the first n bits of data as text.
func bitsOf(data []byte, n uint32) string {
	var s []byte
	for i := range n {
		s = append(s, byte('0'+bitAt(data, i)))
	}
	return string(s)
}

// A trie behaves as a Go map from texts of bits, of which a lookup takes the longest that the key begins with.
func TestTrieProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tab := table(t, 1)
		max := rapid.Uint32Range(1, 20).Draw(t, "max")
		size := rapid.SampledFrom([]int{1, 2, 3, 9}).Draw(t, "data size")
		m := create(t, tab, Spec{Name: "t", Type: TypeLPMTrie, KeySize: uint32(4 + size), ValueSize: 4, MaxEntries: max, Flags: FlagNoPrealloc}).(*Trie)
		model, raw := map[string]uint32{}, map[string][]byte{}
		gen := rapid.Custom(func(t *rapid.T) []byte {
			data := bytes.Repeat([]byte{0x55}, size)
			data[0] = byte(rapid.SampledFrom([]int{0, 1, 0x40, 0x42, 0x80, 0xff}).Draw(t, "first"))
			data[size-1] = rapid.SampledFrom([]byte{0, 1, 0xf0}).Draw(t, "last")
			return lpmKey(rapid.Uint32Range(0, uint32(size)*8+1).Draw(t, "length"), data...)
		})
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			key := gen.Draw(t, "key")
			length := binary.LittleEndian.Uint32(key)
			long := length > uint32(size)*8
			s := ""
			if !long {
				s = bitsOf(key[4:], length)
			}
			_, has := model[s]
			switch rapid.IntRange(0, 3).Draw(t, "op") {
			case 0, 1:
				flags, value := rapid.Uint64Range(0, 4).Draw(t, "flags"), rapid.Uint32().Draw(t, "value")
				want := abi.Errno(0)
				switch {
				case long, flags > Exist:
					want = abi.EINVAL
				case has && flags == NoExist:
					want = abi.EEXIST
				case !has && flags == Exist:
					want = abi.ENOENT
				case !has && len(model) == int(max):
					want = abi.ENOSPC
				}
				if e := m.Update(key, u32(value), flags, 0); e != want {
					t.Fatalf("update of %q with flags %d: %v, want %v", s, flags, e, want)
				}
				if want == 0 {
					model[s], raw[s] = value, key
				}
			case 2:
				want := abi.Errno(0)
				switch {
				case long:
					want = abi.EINVAL
				case !has:
					want = abi.ENOENT
				}
				if e := m.Delete(key); e != want {
					t.Fatalf("delete of %q: %v, want %v", s, e, want)
				}
				if want == 0 {
					delete(model, s)
				}
			case 3:
				want, found := uint32(0), false
				for n := 0; n <= len(s) && !long; n++ {
					if v, ok := model[s[:n]]; ok {
						want, found = v, true
					}
				}
				at := m.Lookup(key, 0)
				v, _ := tab.Mem.Load(at, 4)
				if found != (at != 0) || found && uint32(v) != want {
					t.Fatalf("lookup of %q in %v: %d at %#x, want %d, %v", s, model, v, at, want, found)
				}
			}
			if m.Len() != len(model) {
				t.Fatalf("%d prefixes, want %d", m.Len(), len(model))
			}
		}
		var order []string
		var key []byte
		for next := make([]byte, 4+size); m.Next(key, next) == 0; key = slices.Clone(next) {
			s := bitsOf(next[4:], binary.LittleEndian.Uint32(next))
			for _, before := range order {
				if len(before) < len(s) && s[:len(before)] == before {
					t.Fatalf("%q comes before %q: longer prefixes go first", before, s)
				}
			}
			if !bytes.Equal(next, raw[s]) {
				t.Fatalf("key % x, want the bytes of its last update, % x", next, raw[s])
			}
			if order = append(order, s); len(order) > len(model) {
				t.Fatalf("get_next_key goes in circles: %q", order)
			}
		}
		if len(order) != len(model) {
			t.Fatalf("get_next_key found %q of %v", order, model)
		}
		limit := tab.Mem.Limit()
		tab.Close()
		for range 20 {
			tab.Mem.Alloc(16, 8)
		}
		if len(model) >= 20 && tab.Mem.Limit() != limit {
			t.Fatal("the values were not given back")
		}
	})
}

// The order of get_next_key is the example that the kernel's source gives.
func TestTrieOrder(t *testing.T) {
	m := create(t, table(t, 1), Spec{Name: "t", Type: TypeLPMTrie, KeySize: 8, ValueSize: 1, MaxEntries: 8, Flags: FlagNoPrealloc})
	for _, k := range [][]byte{lpmKey(16, 192, 168, 0, 0), lpmKey(24, 192, 168, 0, 0), lpmKey(24, 192, 168, 128, 0), lpmKey(24, 192, 168, 1, 0)} {
		if e := m.Update(k, []byte{1}, Any, 0); e != 0 {
			t.Fatal(e)
		}
	}
	var got []string
	var key []byte
	for next := make([]byte, 8); m.Next(key, next) == 0; key = slices.Clone(next) {
		got = append(got, fmt.Sprintf("%d.%d.%d.%d/%d", next[4], next[5], next[6], next[7], next[0]))
	}
	if d := cmp.Diff([]string{"192.168.0.0/24", "192.168.1.0/24", "192.168.128.0/24", "192.168.0.0/16"}, got); d != "" {
		t.Error(d)
	}
}
