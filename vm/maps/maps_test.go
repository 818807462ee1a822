package maps

import (
	"encoding/binary"
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/mem"
)

type tb interface {
	Helper()
	Fatal(...any)
	Cleanup(func())
}

func space(t tb) *mem.Space {
	t.Helper()
	m, err := mem.New(mem.Options{Reserve: 4 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

func table(t tb, room int) *Table {
	t.Helper()
	tab, err := NewTable(space(t), 4, room)
	if err != nil {
		t.Fatal(err)
	}
	return tab
}

func create(t tb, tab *Table, s Spec) Map {
	t.Helper()
	m, err := tab.New(s)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func u32(v uint32) []byte { return binary.LittleEndian.AppendUint32(nil, v) }

func TestCheck(t *testing.T) {
	const ok = abi.Errno(0)
	for _, tc := range []struct {
		name string
		spec Spec
		want abi.Errno
		text string
	}{
		{"array", Spec{Type: TypeArray, KeySize: 4, ValueSize: 8, MaxEntries: 1}, ok, ""},
		{"array key 8", Spec{Type: TypeArray, KeySize: 8, ValueSize: 8, MaxEntries: 1}, abi.EINVAL, `map "m": key size 8, an array has 4: EINVAL`},
		{"array of none", Spec{Type: TypeArray, KeySize: 4, ValueSize: 8}, abi.EINVAL, `map "m": max_entries 0: EINVAL`},
		{"array no_prealloc", Spec{Type: TypeArray, KeySize: 4, ValueSize: 8, MaxEntries: 1, Flags: FlagNoPrealloc}, abi.EINVAL, `map "m": flags 0x1 are not for type array: EINVAL`},
		{"array too large", Spec{Type: TypeArray, KeySize: 4, ValueSize: 1 << 31, MaxEntries: 1}, abi.E2BIG, `map "m": value size 2147483648: E2BIG`},
		{"array without memory", Spec{Type: TypeArray, KeySize: 4, ValueSize: 8, MaxEntries: 1 << 31}, abi.ENOMEM, ""},
		{"percpu mmapable", Spec{Type: TypePerCPUArray, KeySize: 4, ValueSize: 8, MaxEntries: 1, Flags: FlagMmapable}, abi.EINVAL, ""},
		{"percpu large", Spec{Type: TypePerCPUArray, KeySize: 4, ValueSize: 32<<10 + 1, MaxEntries: 1}, abi.E2BIG, ""},
		{"hash", Spec{Type: TypeHash, KeySize: 1, ValueSize: 1, MaxEntries: 1}, ok, ""},
		{"hash without key", Spec{Type: TypeHash, ValueSize: 1, MaxEntries: 1}, abi.EINVAL, ""},
		{"hash huge element", Spec{Type: TypeHash, KeySize: 8, ValueSize: 1 << 22, MaxEntries: 1}, abi.E2BIG, ""},
		{"hash too many", Spec{Type: TypeHash, KeySize: 8, ValueSize: 8, MaxEntries: 1<<31 + 1}, abi.E2BIG, ""},
		{"lru no_prealloc", Spec{Type: TypeLRUHash, KeySize: 8, ValueSize: 8, MaxEntries: 1, Flags: FlagNoPrealloc}, abi.ENOTSUPP, ""},
		{"queue", Spec{Type: TypeQueue, ValueSize: 4, MaxEntries: 3}, ok, ""},
		{"queue with key", Spec{Type: TypeQueue, KeySize: 4, ValueSize: 4, MaxEntries: 3}, abi.EINVAL, ""},
		{"stack of none", Spec{Type: TypeStack, ValueSize: 4}, abi.EINVAL, ""},
		{"task storage", Spec{Type: TypeTaskStorage, KeySize: 4, ValueSize: 8, Flags: FlagNoPrealloc}, ok, ""},
		{"task storage prealloc", Spec{Type: TypeTaskStorage, KeySize: 4, ValueSize: 8}, abi.EINVAL, `map "m": flag no_prealloc is missing: EINVAL`},
		{"task storage large", Spec{Type: TypeTaskStorage, KeySize: 4, ValueSize: 1 << 16, Flags: FlagNoPrealloc}, abi.E2BIG, ""},
		{"percpu hash", Spec{Type: TypePerCPUHash, KeySize: 3, ValueSize: 8, MaxEntries: 1}, ok, ""},
		{"percpu hash large", Spec{Type: TypePerCPUHash, KeySize: 4, ValueSize: 32<<10 + 1, MaxEntries: 1}, abi.E2BIG, ""},
		{"percpu hash on a node", Spec{Type: TypePerCPUHash, KeySize: 4, ValueSize: 8, MaxEntries: 1, Flags: FlagNumaNode}, abi.EINVAL, ""},
		{"no_common_lru without an LRU", Spec{Type: TypeHash, KeySize: 4, ValueSize: 8, MaxEntries: 1, Flags: FlagNoCommonLRU}, abi.EINVAL, `map "m": flag no_common_lru is for LRU maps: EINVAL`},
		{"rhash", Spec{Type: TypeRHash, KeySize: 4, ValueSize: 8, MaxEntries: 4, Flags: FlagNoPrealloc, Extra: 4}, ok, ""},
		{"rhash hint", Spec{Type: TypeRHash, KeySize: 4, ValueSize: 8, MaxEntries: 4, Flags: FlagNoPrealloc, Extra: 5}, abi.EINVAL, ""},
		{"rhash preallocated", Spec{Type: TypeRHash, KeySize: 4, ValueSize: 8, MaxEntries: 4}, abi.EINVAL, ""},
		{"map_extra of a hash", Spec{Type: TypeHash, KeySize: 4, ValueSize: 8, MaxEntries: 1, Extra: 1}, abi.EINVAL, `map "m": map_extra 0x1, a hash has none: EINVAL`},
		{"trie", Spec{Type: TypeLPMTrie, KeySize: 260, ValueSize: 8, MaxEntries: 1, Flags: FlagNoPrealloc}, ok, ""},
		{"trie key", Spec{Type: TypeLPMTrie, KeySize: 4, ValueSize: 8, MaxEntries: 1, Flags: FlagNoPrealloc}, abi.EINVAL, `map "m": key size 4, a trie has 5 to 260: EINVAL`},
		{"trie preallocated", Spec{Type: TypeLPMTrie, KeySize: 8, ValueSize: 8, MaxEntries: 1}, abi.EINVAL, ""},
		{"bloom", Spec{Type: TypeBloomFilter, ValueSize: 8, MaxEntries: 1, Extra: 15}, ok, ""},
		{"bloom with a key", Spec{Type: TypeBloomFilter, KeySize: 4, ValueSize: 8, MaxEntries: 1}, abi.EINVAL, ""},
		{"bloom with many hashes", Spec{Type: TypeBloomFilter, ValueSize: 8, MaxEntries: 1, Extra: 16}, abi.EINVAL, ""},
		{"ringbuf", Spec{Type: TypeRingBuf, MaxEntries: 8192, Flags: FlagOverwrite}, ok, ""},
		{"ringbuf size", Spec{Type: TypeRingBuf, MaxEntries: 12288}, abi.EINVAL, `map "m": max_entries 12288 is no power of two that is a multiple of the page size: EINVAL`},
		{"ringbuf value", Spec{Type: TypeRingBuf, ValueSize: 4, MaxEntries: 4096}, abi.EINVAL, ""},
		{"user ringbuf that overwrites", Spec{Type: TypeUserRingBuf, MaxEntries: 4096, Flags: FlagOverwrite}, abi.EINVAL, ""},
		{"ringbuf without memory", Spec{Type: TypeRingBuf, MaxEntries: 1 << 31}, abi.ENOMEM, ""},
		{"prog array", Spec{Type: TypeProgArray, KeySize: 4, ValueSize: 4, MaxEntries: 1}, ok, ""},
		{"prog array value", Spec{Type: TypeProgArray, KeySize: 4, ValueSize: 8, MaxEntries: 1}, abi.EINVAL, ""},
		{"prog array read-only", Spec{Type: TypeProgArray, KeySize: 4, ValueSize: 4, MaxEntries: 1, Flags: FlagRdonlyProg}, abi.EINVAL, ""},
		{"perf array", Spec{Type: TypePerfEventArray, KeySize: 4, ValueSize: 4, MaxEntries: 1, Flags: FlagPreserve}, ok, ""},
		{"hash of maps without a template", Spec{Type: TypeHashOfMaps, KeySize: 8, ValueSize: 4, MaxEntries: 1}, abi.EINVAL, ""},
		{"prog array as template", Spec{Type: TypeHashOfMaps, KeySize: 8, ValueSize: 4, MaxEntries: 1, Inner: &Spec{Type: TypeProgArray, KeySize: 4, ValueSize: 4, MaxEntries: 1}}, abi.ENOTSUPP, ""},
		{"kptr in a percpu hash", Spec{Type: TypePerCPUHash, KeySize: 4, ValueSize: 8, MaxEntries: 1, Fields: []Field{{Kind: KptrRef, Size: 8}}}, ok, ""},
		{"kptr in a trie", Spec{Type: TypeLPMTrie, KeySize: 8, ValueSize: 8, MaxEntries: 1, Flags: FlagNoPrealloc, Fields: []Field{{Kind: KptrRef, Size: 8}}}, abi.EOPNOTSUPP, ""},
		{"list in an LRU hash", Spec{Type: TypeLRUHash, KeySize: 4, ValueSize: 16, MaxEntries: 1, Fields: []Field{{Kind: ListHead, Size: 16}}}, ok, ""},
		{"rdonly and wronly", Spec{Type: TypeArray, KeySize: 4, ValueSize: 8, MaxEntries: 1, Flags: FlagRdonlyProg | FlagWronlyProg}, abi.EINVAL, ""},
		{"timer in percpu", Spec{Type: TypePerCPUArray, KeySize: 4, ValueSize: 16, MaxEntries: 1, Fields: []Field{{Kind: Timer, Size: 16}}}, abi.EOPNOTSUPP, `map "m": bpf_timer in a map of type percpu_array: EOPNOTSUPP`},
		{"lock in rdonly", Spec{Type: TypeArray, KeySize: 4, ValueSize: 16, MaxEntries: 1, Flags: FlagRdonlyProg, Fields: []Field{{Kind: SpinLock, Size: 4}}}, abi.EACCES, ""},
		{"field outside", Spec{Type: TypeArray, KeySize: 4, ValueSize: 16, MaxEntries: 1, Fields: []Field{{Kind: Timer, Off: 8, Size: 16}}}, abi.EINVAL, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.spec.Name = "m"
			_, err := table(t, 1).New(tc.spec)
			if tc.want == ok {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if !errors.Is(err, tc.want) {
				t.Errorf("error %v, want %v", err, tc.want)
			}
			if tc.text != "" && err.Error() != tc.text {
				t.Errorf("error %q, want %q", err, tc.text)
			}
		})
	}
	t.Run("unsupported", func(t *testing.T) {
		_, err := table(t, 1).New(Spec{Name: "q", Type: 7})
		if err == nil || err.Error() != `map "q": type stack_trace: not supported` {
			t.Errorf("error %v", err)
		}
	})
}

// Any number is safe as a map pointer, and only the address of a map finds one.
func TestAt(t *testing.T) {
	tab := table(t, 3)
	a := create(t, tab, Spec{Name: "a", Type: TypeArray, KeySize: 4, ValueSize: 8, MaxEntries: 2})
	b := create(t, tab, Spec{Name: "b", Type: TypeQueue, ValueSize: 8, MaxEntries: 2})
	for _, tc := range []struct {
		name string
		addr uint64
		want Map
	}{
		{"first", a.Info().Addr, a},
		{"second", b.Info().Addr, b},
		{"no map there yet", b.Info().Addr + ObjectSize, nil},
		{"inside", a.Info().Addr + 8, nil},
		{"before", a.Info().Addr - ObjectSize, nil},
		{"null", 0, nil},
		{"all ones", ^uint64(0), nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := tab.At(tc.addr); got != tc.want {
				t.Errorf("At(%#x) = %v, want %v", tc.addr, got, tc.want)
			}
		})
	}
}

func TestArray(t *testing.T) {
	tab := table(t, 2)
	a := create(t, tab, Spec{Name: "a", Type: TypeArray, KeySize: 4, ValueSize: 12, MaxEntries: 3, Data: []byte("hello")}).(*Array)
	if got := string(tab.Mem.Bytes(a.Lookup(u32(0), 0), 5)); got != "hello" {
		t.Errorf("initial data %q", got)
	}
	if d := a.Lookup(u32(2), 0) - a.Lookup(u32(1), 0); d != 16 {
		t.Errorf("elements are %d bytes apart, want 16", d)
	}
	for _, tc := range []struct {
		name  string
		key   uint32
		flags uint64
		want  abi.Errno
	}{
		{"any", 2, Any, 0},
		{"exist", 2, Exist, 0},
		{"noexist", 2, NoExist, abi.EEXIST},
		{"beyond", 3, Any, abi.E2BIG},
		{"beyond noexist", 3, NoExist, abi.E2BIG},
		{"bad flags", 2, 3, abi.EINVAL},
		{"lock without a lock", 2, Lock, abi.EINVAL},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := a.Update(u32(tc.key), make([]byte, 12), tc.flags, 0); got != tc.want {
				t.Errorf("%v, want %v", got, tc.want)
			}
		})
	}
	if e := a.Delete(u32(0)); e != abi.EINVAL {
		t.Errorf("delete: %v, want EINVAL", e)
	}
	if at := a.Lookup(u32(3), 0); at != 0 {
		t.Errorf("lookup beyond the end: %#x", at)
	}
	var keys []uint32
	var key []byte
	for next := make([]byte, 4); a.Next(key, next) == 0; {
		keys = append(keys, binary.LittleEndian.Uint32(next))
		key = slices.Clone(next)
	}
	if !slices.Equal(keys, []uint32{0, 1, 2}) {
		t.Errorf("keys %v", keys)
	}
}

// Values of different CPUs are different memory; KeyOf and Each work on each of them.
func TestPerCPUArray(t *testing.T) {
	tab := table(t, 1)
	a := create(t, tab, Spec{Name: "a", Type: TypePerCPUArray, KeySize: 4, ValueSize: 8, MaxEntries: 5}).(*Array)
	seen := map[uint64]bool{}
	for cpu := range int32(4) {
		for i := range uint32(5) {
			at := a.Lookup(u32(i), cpu)
			if at == 0 || seen[at] {
				t.Fatalf("cpu %d, element %d is at %#x", cpu, i, at)
			}
			seen[at] = true
			key, ok := a.KeyOf(at)
			if got, _ := tab.Mem.Load(key, 4); !ok || got != uint64(i) {
				t.Errorf("KeyOf(cpu %d, element %d) = %d, %v", cpu, i, got, ok)
			}
			if _, ok := a.KeyOf(at + 1); ok {
				t.Errorf("KeyOf accepts the middle of element %d", i)
			}
		}
		n, e := a.Each(cpu, func(key, value uint64) bool {
			k, _ := tab.Mem.Load(key, 4)
			return value == a.Lookup(u32(uint32(k)), cpu)
		})
		if n != 5 || e != 0 {
			t.Errorf("Each on cpu %d: %d, %v", cpu, n, e)
		}
	}
	if a.Lookup(u32(0), 4) != 0 || a.Lookup(u32(0), -1) != 0 {
		t.Error("a CPU that does not exist has a value")
	}
}

// Queues and stacks behave as a slice does.
func TestQueueProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tab := table(t, 1)
		max := rapid.Uint32Range(1, 9).Draw(t, "max")
		typ := rapid.SampledFrom([]Type{TypeQueue, TypeStack}).Draw(t, "type")
		q := create(t, tab, Spec{Name: "q", Type: typ, ValueSize: 4, MaxEntries: max}).(*Queue)
		var model []uint32
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			got := []byte{9, 9, 9, 9}
			switch op := rapid.SampledFrom([]string{"push", "push", "force", "pop", "peek", "bad"}).Draw(t, "op"); op {
			case "push", "force":
				v := rapid.Uint32().Draw(t, "value")
				flags, want := Any, abi.Errno(0)
				if op == "force" {
					flags = Exist
				}
				if len(model) == int(max) {
					if op == "push" {
						want = abi.E2BIG
					} else {
						model = model[1:]
					}
				}
				if e := q.Push(u32(v), flags); e != want {
					t.Fatalf("%s: %v, want %v", op, e, want)
				}
				if want == 0 {
					model = append(model, v)
				}
			case "bad":
				if e := q.Push(got, rapid.SampledFrom([]uint64{1, 3, 4, 1 << 40}).Draw(t, "flags")); e != abi.EINVAL {
					t.Fatalf("push with bad flags: %v", e)
				}
			default:
				take := q.Peek
				if op == "pop" {
					take = q.Pop
				}
				e := take(got)
				if len(model) == 0 {
					if e != abi.ENOENT || binary.LittleEndian.Uint32(got) != 0 {
						t.Fatalf("%s of nothing: %v, % x", op, e, got)
					}
					continue
				}
				i := 0
				if typ == TypeStack {
					i = len(model) - 1
				}
				if e != 0 || binary.LittleEndian.Uint32(got) != model[i] {
					t.Fatalf("%s: %v, % x, want %d", op, e, got, model[i])
				}
				if op == "pop" {
					model = slices.Delete(model, i, i+1)
				}
			}
			if q.Len() != len(model) {
				t.Fatalf("%d elements, want %d", q.Len(), len(model))
			}
		}
	})
}

// A hash behaves as a Go map with a limit; addresses of values stay, and iteration sees each element once.
func TestHashProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tab := table(t, 1)
		max := rapid.Uint32Range(1, 100).Draw(t, "max")
		size := rapid.SampledFrom([]uint32{1, 4, 5, 8, 20}).Draw(t, "key size")
		h := create(t, tab, Spec{Name: "h", Type: TypeHash, KeySize: size, ValueSize: 4, MaxEntries: max}).(*Hash)
		model, where := map[string]uint32{}, map[string]uint64{}
		genKey := rapid.Custom(func(t *rapid.T) []byte {
			k := make([]byte, size)
			k[0] = rapid.Byte().Draw(t, "key")
			return k
		})
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			k := genKey.Draw(t, "key")
			_, has := model[string(k)]
			switch rapid.IntRange(0, 3).Draw(t, "op") {
			case 0, 1:
				flags := rapid.Uint64Range(0, 4).Draw(t, "flags")
				want := abi.Errno(0)
				switch {
				case flags > 2:
					want = abi.EINVAL
				case flags == NoExist && has:
					want = abi.EEXIST
				case flags == Exist && !has:
					want = abi.ENOENT
				case !has && len(model) == int(max):
					want = abi.E2BIG
				}
				v := rapid.Uint32().Draw(t, "value")
				if e := h.Update(k, u32(v), flags, 0); e != want {
					t.Fatalf("update with flags %d: %v, want %v", flags, e, want)
				}
				if want == 0 {
					model[string(k)] = v
					if !has {
						where[string(k)] = h.Lookup(k, 0)
					}
				}
			case 2:
				e := h.Delete(k)
				if has != (e == 0) || !has && e != abi.ENOENT {
					t.Fatalf("delete: %v, present %v", e, has)
				}
				delete(model, string(k))
			case 3:
				at := h.Lookup(k, 0)
				if has != (at != 0) {
					t.Fatalf("lookup: %#x, present %v", at, has)
				}
				if has && at != where[string(k)] {
					t.Fatalf("a value moved from %#x to %#x", where[string(k)], at)
				}
			}
			if h.Len() != len(model) {
				t.Fatalf("%d elements, want %d", h.Len(), len(model))
			}
		}
		got := map[string]uint32{}
		var order, byNext []string
		n, _ := h.Each(0, func(key, value uint64) bool {
			k := string(tab.Mem.Bytes(key, uint64(size)))
			v, _ := tab.Mem.Load(value, 4)
			got[k] = uint32(v)
			order = append(order, k)
			if kk, ok := h.KeyOf(value); !ok || kk != key {
				t.Fatalf("KeyOf(%#x) = %#x, %v, want %#x", value, kk, ok, key)
			}
			return true
		})
		if d := cmp.Diff(model, got); d != "" || n != len(model) {
			t.Fatalf("iteration saw %d elements: %s", n, d)
		}
		var key []byte
		for next := make([]byte, size); h.Next(key, next) == 0; key = slices.Clone(next) {
			byNext = append(byNext, string(next))
		}
		if !slices.Equal(order, byNext) {
			t.Fatalf("get_next_key goes %q, iteration %q", byNext, order)
		}
	})
}

// An iteration survives a callback that deletes and adds elements.
func TestHashEachMutates(t *testing.T) {
	tab := table(t, 1)
	h := create(t, tab, Spec{Name: "h", Type: TypeHash, KeySize: 4, ValueSize: 4, MaxEntries: 64}).(*Hash)
	for i := range uint32(64) {
		h.Update(u32(i), u32(i), Any, 0)
	}
	calls := 0
	n, _ := h.Each(0, func(key, value uint64) bool {
		calls++
		for i := range uint32(64) { // delete everything, this element included, then put half of it back
			h.Delete(u32(i))
		}
		for i := range uint32(32) {
			h.Update(u32(1000+i), u32(i), Any, 0)
		}
		return calls < 1000
	})
	if n != calls || n == 0 || n >= 1000 || h.Len() != 32 {
		t.Errorf("%d calls, %d counted, %d elements", calls, n, h.Len())
	}
}

// The LRU map evicts what was used longest ago.
func TestLRU(t *testing.T) {
	tab := table(t, 1)
	h := create(t, tab, Spec{Name: "h", Type: TypeLRUHash, KeySize: 4, ValueSize: 4, MaxEntries: 3}).(*Hash)
	for i := range uint32(3) {
		h.Update(u32(i), u32(i), Any, 0)
	}
	h.Lookup(u32(0), 0)              // 1 is the oldest now
	h.Update(u32(1), u32(9), Any, 0) // 2 is
	h.Update(u32(3), u32(3), Any, 0)
	for i, want := range []bool{true, true, false, true} {
		if got := h.Lookup(u32(uint32(i)), 0) != 0; got != want {
			t.Errorf("key %d present: %v, want %v", i, got, want)
		}
	}
}

// Two maps with the same history iterate in the same order, whatever the process.
func TestHashOrder(t *testing.T) {
	tab := table(t, 1)
	h := create(t, tab, Spec{Name: "h", Type: TypeHash, KeySize: 4, ValueSize: 4, MaxEntries: 8}).(*Hash)
	for i := range uint32(6) {
		h.Update(u32(i), u32(i), Any, 0)
	}
	var got []uint64
	h.Each(0, func(key, _ uint64) bool {
		k, _ := tab.Mem.Load(key, 4)
		got = append(got, k)
		return true
	})
	if want := []uint64{5, 1, 3, 2, 4, 0}; !slices.Equal(got, want) {
		t.Errorf("order %v, want %v: traces of all programs that iterate change with it", got, want)
	}
}

func TestArrayOfMaps(t *testing.T) {
	tab := table(t, 5)
	inner := Spec{Name: "inner", Type: TypeQueue, ValueSize: 4, MaxEntries: 8}
	outer := create(t, tab, Spec{Name: "outer", Type: TypeArrayOfMaps, KeySize: 4, ValueSize: 4, MaxEntries: 3, Inner: &inner}).(*ArrayOfMaps)
	longer := inner
	longer.MaxEntries = 99
	other := inner
	other.ValueSize = 8
	q, w := create(t, tab, longer), create(t, tab, other)
	for _, tc := range []struct {
		name string
		i    uint32
		m    Map
		want abi.Errno
	}{
		{"like the template", 1, q, 0},
		{"other value size", 1, w, abi.EINVAL},
		{"beyond the end", 3, q, abi.E2BIG},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if e := outer.Set(tc.i, tc.m); e != tc.want {
				t.Errorf("%v, want %v", e, tc.want)
			}
		})
	}
	if at := outer.Lookup(u32(1), 0); at != q.Info().Addr || tab.At(at) != q {
		t.Errorf("element 1 is %#x, want %#x", at, q.Info().Addr)
	}
	if outer.Lookup(u32(0), 0) != 0 || outer.Lookup(u32(3), 0) != 0 {
		t.Error("an empty element has a map")
	}
	m, err := outer.NewInner(2)
	if err != nil || outer.Lookup(u32(2), 0) != m.Info().Addr || m.Info().MaxEntries != 8 {
		t.Fatalf("new inner map: %v", err)
	}
	at, limit := m.Info().Addr, tab.Mem.Limit()
	if e := outer.Delete(u32(2)); e != 0 || outer.Delete(u32(2)) != abi.ENOENT || outer.Delete(u32(9)) != abi.E2BIG {
		t.Errorf("delete: %v", e)
	}
	if tab.At(at) != nil {
		t.Error("a map whose only reference was an element is still there")
	}
	if e := outer.Delete(u32(1)); e != 0 || tab.At(q.Info().Addr) != q {
		t.Errorf("delete: %v; the map that somebody else holds too must stay", e)
	}
	if m, err = outer.NewInner(0); err != nil || m.Info().Addr != at || tab.Mem.Limit() != limit {
		t.Fatalf("%v; the place and the memory of a map that is gone are used again", err)
	}
	for i := range uint32(3) {
		if _, err = outer.NewInner(i); i < 2 && err != nil {
			t.Fatal(err)
		}
	}
	if !errors.Is(err, abi.ENOMEM) {
		t.Errorf("a map beyond the table's room: %v", err)
	}
	if _, err := tab.New(Spec{Name: "m", Type: TypeArrayOfMaps, KeySize: 4, ValueSize: 4, MaxEntries: 3}); !errors.Is(err, abi.EINVAL) {
		t.Errorf("without a template: %v", err)
	}
	tab.Close()
}

func TestStorage(t *testing.T) {
	tab := table(t, 2)
	s := create(t, tab, Spec{Name: "s", Type: TypeTaskStorage, KeySize: 4, ValueSize: 16, Flags: FlagNoPrealloc}).(*Storage)
	other := create(t, tab, Spec{Name: "o", Type: TypeTaskStorage, KeySize: 4, ValueSize: 8, Flags: FlagNoPrealloc}).(*Storage)
	at := s.Create(0x1000, []byte("0123456789abcdef"))
	if got := string(tab.Mem.Bytes(at, 16)); got != "0123456789abcdef" {
		t.Errorf("initial value %q", got)
	}
	if s.Of(0x1000) != at || s.Of(0x2000) != 0 || other.Of(0x1000) != 0 {
		t.Error("values are not per owner and map")
	}
	zero := s.Create(0x2000, nil)
	if got := tab.Mem.Bytes(zero, 16); !slices.Equal(got, make([]byte, 16)) {
		t.Errorf("value without an initial one: % x", got)
	}
	if e := s.UpdateOwner(0x1000, make([]byte, 16), NoExist); e != abi.EEXIST {
		t.Errorf("update with noexist: %v", e)
	}
	if e := s.UpdateOwner(0x3000, make([]byte, 16), Exist); e != abi.ENOENT {
		t.Errorf("update with exist: %v", e)
	}
	other.Create(0x1000, nil)
	tab.DropOwner(0x1000)
	if s.Of(0x1000) != 0 || other.Of(0x1000) != 0 || s.Len() != 1 {
		t.Error("values outlive their owner")
	}
	if e := s.DeleteOwner(0x1000); e != abi.ENOENT {
		t.Errorf("second delete: %v", e)
	}
}

// Updates leave special fields alone and stop timers; deletion releases each field once.
func TestFields(t *testing.T) {
	fields := []Field{{Kind: Timer, Off: 8, Size: 16}, {Kind: KptrRef, Off: 24, Size: 8, Pointee: "bpf_cpumask"}}
	for _, tc := range []struct {
		name string
		run  func(m Map)
		want []string
	}{
		{"array update", func(m Map) { m.Update(u32(1), slices.Repeat([]byte{0xee}, 32), Any, 0) }, []string{"timer"}},
		{"hash delete", func(m Map) { m.Delete(u32(1)) }, []string{"timer", "bpf_cpumask"}},
		{"hash update", func(m Map) { m.Update(u32(1), slices.Repeat([]byte{0xee}, 32), Any, 0) }, []string{"timer", "bpf_cpumask"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tab := table(t, 1)
			var got []string
			tab.Hooks = Hooks{
				Timer: func(uint64) { got = append(got, "timer") },
				Kptr: func(f Field, ptr uint64) {
					if ptr != 0x1234 {
						t.Errorf("released %#x", ptr)
					}
					got = append(got, f.Pointee)
				},
			}
			typ := TypeHash
			if tc.name == "array update" {
				typ = TypeArray
			}
			m := create(t, tab, Spec{Name: "m", Type: typ, KeySize: 4, ValueSize: 32, MaxEntries: 2, Fields: fields})
			m.Update(u32(1), make([]byte, 32), Any, 0)
			got = nil
			at := m.Lookup(u32(1), 0)
			tab.Mem.Store(at+24, 8, 0x1234)
			tc.run(m)
			if d := cmp.Diff(tc.want, got); d != "" {
				t.Error(d)
			}
			if b := tab.Mem.Bytes(at, 32); tc.name != "hash delete" && (b[0] != 0xee || b[9] != 0 || b[31] != 0) {
				t.Errorf("value after the update: % x", b)
			}
			got = nil
			tab.Close()
			if want := map[string]int{"array update": 3, "hash delete": 0, "hash update": 1}[tc.name]; len(got) != want {
				t.Errorf("closing released %v, want %d releases", got, want)
			}
		})
	}
}

// What each special field holds is given up by the hook for it, on deletion; an update in place only stops what runs.
func TestFieldHooks(t *testing.T) {
	fields := []Field{{Kind: Workqueue, Off: 0, Size: 16}, {Kind: TaskWork, Off: 16, Size: 8}, {Kind: ListHead, Off: 24, Size: 16},
		{Kind: RBRoot, Off: 40, Size: 16}, {Kind: KptrUnref, Off: 56, Size: 8}, {Kind: Refcount, Off: 64, Size: 4}}
	for _, tc := range []struct {
		name string
		typ  Type
		run  func(m Map)
		want []string
		zero []bool // of each field afterwards
	}{
		{"delete", TypeHash, func(m Map) { m.Delete(u32(1)) }, []string{"wq", "work", "bpf_list_head", "bpf_rb_root"}, []bool{true, true, true, true, true, true}},
		{"evict", TypeLRUHash, func(m Map) { m.Update(u32(2), make([]byte, 72), Any, 0) }, []string{"wq", "work", "bpf_list_head", "bpf_rb_root"}, nil},
		{"update of an array", TypeArray, func(m Map) { m.Update(u32(1), make([]byte, 72), Any, 0) }, []string{"wq", "work"}, []bool{true, true, false, false, false, false}},
		{"user space lets go", TypeArray, func(m Map) { ReleaseUser(m) }, []string{"wq", "work", "wq", "work"}, []bool{true, true, false, false, false, false}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tab := table(t, 1)
			var got []string
			note := func(what string) func(uint64) { return func(uint64) { got = append(got, what) } }
			tab.Hooks = Hooks{Workqueue: note("wq"), TaskWork: note("work"), Graph: func(f Field, _ uint64) { got = append(got, f.Kind.String()) }}
			spec := Spec{Name: "m", Type: tc.typ, KeySize: 4, ValueSize: 72, MaxEntries: 2, Fields: fields}
			if tc.typ == TypeLRUHash {
				spec.MaxEntries = 1
			}
			m := create(t, tab, spec)
			m.Update(u32(1), make([]byte, 72), Any, 0)
			b := tab.Mem.Bytes(m.Lookup(u32(1), 0), 72)
			for i := range b {
				b[i] = 0xee
			}
			got = nil
			tc.run(m)
			if d := cmp.Diff(tc.want, got); d != "" {
				t.Error(d)
			}
			for i, zero := range tc.zero {
				if f := fields[i]; (slices.Max(b[f.Off:f.Off+f.Size]) == 0) != zero {
					t.Errorf("%s is % x", f.Kind, b[f.Off:f.Off+f.Size])
				}
			}
		})
	}
}

func BenchmarkRingBuf(b *testing.B) {
	r := create(b, table(b, 1), Spec{Type: TypeRingBuf, MaxEntries: 1 << 16}).(*RingBuf)
	b.ReportAllocs()
	for b.Loop() {
		at := r.Reserve(64)
		if at == 0 || !r.Commit(at, NoWakeup, false) {
			b.Fatal("no room")
		}
		r.Consume(func([]byte) {})
	}
}

func BenchmarkLookup(b *testing.B) {
	for _, tc := range []struct {
		name string
		spec Spec
	}{
		{"array", Spec{Type: TypeArray, KeySize: 4, ValueSize: 16, MaxEntries: 1024}},
		{"hash", Spec{Type: TypeHash, KeySize: 4, ValueSize: 16, MaxEntries: 1024}},
		{"hash16", Spec{Type: TypeHash, KeySize: 16, ValueSize: 16, MaxEntries: 1024}},
		{"percpu_hash", Spec{Type: TypePerCPUHash, KeySize: 4, ValueSize: 16, MaxEntries: 1024}},
		{"lru_hash", Spec{Type: TypeLRUHash, KeySize: 4, ValueSize: 16, MaxEntries: 1024}},
	} {
		b.Run(tc.name, func(b *testing.B) {
			m := create(b, table(b, 1), tc.spec)
			key, value := make([]byte, tc.spec.KeySize), make([]byte, 16)
			for i := range uint32(1024) {
				binary.LittleEndian.PutUint32(key, i)
				m.Update(key, value, Any, 0)
			}
			i := uint32(0)
			b.ReportAllocs()
			for b.Loop() {
				binary.LittleEndian.PutUint32(key, i&1023)
				i += 7
				if m.Lookup(key, 0) == 0 {
					b.Fatal("missing")
				}
			}
		})
	}
	b.Run("storage", func(b *testing.B) {
		s := create(b, table(b, 1), Spec{Type: TypeTaskStorage, KeySize: 4, ValueSize: 16, Flags: FlagNoPrealloc}).(*Storage)
		for i := range uint64(1024) {
			s.Create(mem.Base+i*8192, nil)
		}
		i := uint64(0)
		b.ReportAllocs()
		for b.Loop() {
			i += 7
			if s.Of(mem.Base+i&1023*8192) == 0 {
				b.Fatal("missing")
			}
		}
	})
}
