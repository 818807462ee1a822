package maps

import (
	"encoding/binary"
	"testing"

	"pgregory.net/rapid"

	"github.com/schedsim/schedsim/vm/abi"
)

// words are the values of all CPUs as user space sees them.
func words(v []uint64) []byte {
	var b []byte
	for _, w := range v {
		b = binary.LittleEndian.AppendUint64(b, w)
	}
	return b
}

// Per-CPU hashes, with and without eviction, behave as a list of elements from the most recently used on, each with a value
// for each CPU.
func TestPerCPUHashProperties(t *testing.T) {
	const cpus = 4
	type element struct {
		key    byte
		values []uint64
	}
	rapid.Check(t, func(t *rapid.T) {
		tab := table(t, 1)
		limit := rapid.Uint32Range(1, 9).Draw(t, "max")
		spec := Spec{Name: "h", Type: rapid.SampledFrom([]Type{TypePerCPUHash, TypeLRUPerCPUHash}).Draw(t, "type"), KeySize: 3, ValueSize: 8, MaxEntries: limit}
		lru := spec.Type == TypeLRUPerCPUHash
		if lru && rapid.Bool().Draw(t, "no common LRU") {
			spec.Flags = FlagNoCommonLRU
			limit = (limit + cpus - 1) / cpus * cpus
		}
		h := create(t, tab, spec).(*Hash)
		if h.MaxEntries != limit {
			t.Fatalf("max_entries %d, want %d", h.MaxEntries, limit)
		}
		var model []element // most recently used first
		find := func(k byte) int {
			for i, e := range model {
				if e.key == k {
					return i
				}
			}
			return -1
		}
		use := func(i int) {
			e := model[i]
			copy(model[1:i+1], model[:i])
			model[0] = e
		}
		// insert makes room and a new element.
		insert := func(k byte) abi.Errno {
			if len(model) == int(limit) {
				if !lru {
					return abi.E2BIG
				}
				model = model[:limit-1]
			}
			model = append([]element{{k, make([]uint64, cpus)}}, model...)
			return 0
		}
		for range rapid.IntRange(1, 80).Draw(t, "steps") {
			k := rapid.ByteRange(0, 12).Draw(t, "key")
			key, cpu, i := []byte{1, k, 0}, rapid.Int32Range(0, cpus-1).Draw(t, "cpu"), find(k)
			value := rapid.Uint64Max(99).Draw(t, "value")
			switch op := rapid.SampledFrom([]string{"update", "user", "one", "all", "delete", "lookup", "user lookup"}).Draw(t, "op"); op {
			case "update", "user", "one", "all":
				flags := rapid.Uint64Range(0, 3).Draw(t, "flags")
				want := checkFlags(i >= 0, flags)
				if flags == 3 { // not looked at in the kernel where user space sets all CPUs
					if op != "update" {
						continue
					}
					want = abi.EINVAL
				}
				if op == "one" || op == "all" {
					flags, want = 0, 0 // the flags of an update are compared as a whole
				}
				vals := make([]uint64, cpus)
				if want == 0 && i < 0 {
					want = insert(k)
				} else if want == 0 {
					use(i)
				}
				var e abi.Errno
				switch op {
				case "update":
					e = h.Update(key, words([]uint64{value}), flags, cpu)
				case "user":
					for c := range vals {
						vals[c] = value + uint64(c)
					}
					e = UpdateElem(h, key, words(vals), flags)
				case "one":
					e = UpdateElem(h, key, words([]uint64{value}), OneCPU|uint64(cpu)<<32)
				case "all":
					e = UpdateElem(h, key, words([]uint64{value}), AllCPUs)
				}
				if e != want {
					t.Fatalf("%s of %d with flags %d: %v, want %v", op, k, flags, e, want)
				}
				for c := range vals {
					switch {
					case want != 0:
					case op == "user":
						model[0].values[c] = vals[c]
					case op == "all" || c == int(cpu):
						model[0].values[c] = value
					}
				}
			case "delete":
				want := abi.ENOENT
				if i >= 0 {
					want = 0
					model = append(model[:i:i], model[i+1:]...)
				}
				if e := h.Delete(key); e != want {
					t.Fatalf("delete of %d: %v, want %v", k, e, want)
				}
			case "lookup":
				at := h.Lookup(key, cpu)
				if (at != 0) != (i >= 0) {
					t.Fatalf("lookup of %d: %#x, present %v", k, at, i >= 0)
				}
				if i >= 0 {
					if v, _ := tab.Mem.Load(at, 8); v != model[i].values[cpu] {
						t.Fatalf("value %d of %d on cpu %d, want %d", v, k, cpu, model[i].values[cpu])
					}
					use(i)
				}
			case "user lookup": // is no use of the element
				b := make([]byte, UserValueSize(h, 0))
				e := LookupElem(h, key, b, 0)
				if (e == 0) != (i >= 0) || i >= 0 && string(b) != string(words(model[i].values)) {
					t.Fatalf("user lookup of %d: %v, % x", k, e, b)
				}
			}
			if h.Len() != len(model) {
				t.Fatalf("%d elements, want %d", h.Len(), len(model))
			}
		}
		cpu := rapid.Int32Range(0, cpus-1).Draw(t, "cpu")
		n, _ := h.Each(cpu, func(key, value uint64) bool {
			i := find(tab.Mem.Bytes(key, 3)[1])
			if v, _ := tab.Mem.Load(value, 8); i < 0 || v != model[i].values[cpu] {
				t.Fatalf("iteration sees value %d of element %d", v, i)
			}
			if kk, ok := h.KeyOf(value); !ok || kk != key {
				t.Fatalf("KeyOf(%#x) = %#x, %v, want %#x", value, kk, ok, key)
			}
			return true
		})
		if n != len(model) {
			t.Fatalf("iteration saw %d elements, want %d", n, len(model))
		}
	})
}

// An rhash is a hash whose elements keep their fields when they are updated.
func TestRHash(t *testing.T) {
	tab := table(t, 1)
	canceled := 0
	tab.Hooks.Timer = func(uint64) { canceled++ }
	h := create(t, tab, Spec{Name: "h", Type: TypeRHash, KeySize: 4, ValueSize: 32, MaxEntries: 2, Flags: FlagNoPrealloc,
		Fields: []Field{{Kind: Timer, Off: 8, Size: 16}, {Kind: KptrRef, Off: 24, Size: 8}}})
	value := make([]byte, 32)
	for i, want := range []abi.Errno{0, 0, abi.E2BIG} {
		if e := h.Update(u32(uint32(i)), value, Any, 0); e != want {
			t.Errorf("update %d: %v, want %v", i, e, want)
		}
	}
	at := h.Lookup(u32(0), 0)
	tab.Mem.Store(at+24, 8, 77)
	value[0] = 9
	if e := h.Update(u32(0), value, Exist, 0); e != 0 || canceled != 1 {
		t.Errorf("update: %v, %d timers cancelled", e, canceled)
	}
	if v, _ := tab.Mem.Load(at+24, 8); v != 77 || tab.Mem.Bytes(at, 1)[0] != 9 {
		t.Errorf("the field holds %d, the value begins with %d", v, tab.Mem.Bytes(at, 1)[0])
	}
	for _, tc := range []struct {
		key   uint32
		flags uint64
		want  abi.Errno
	}{{0, NoExist, abi.EEXIST}, {5, Exist, abi.ENOENT}, {0, 3, abi.EINVAL}, {0, Lock, abi.EINVAL}} {
		if e := h.Update(u32(tc.key), value, tc.flags, 0); e != tc.want {
			t.Errorf("update of %d with flags %d: %v, want %v", tc.key, tc.flags, e, tc.want)
		}
	}
}
