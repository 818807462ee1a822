package maps

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/schedsim/schedsim/vm/abi"
)

// What bpf() answers, by type of map: one case that works and one that does not for each command.
func TestCommands(t *testing.T) {
	tab := table(t, 16)
	inner := Spec{Name: "inner", Type: TypeHash, KeySize: 4, ValueSize: 4, MaxEntries: 2}
	one := create(t, tab, inner)
	const owner = 0x1000
	tab.Hooks.FD = func(m *Head, fd int32) (uint64, abi.Errno) {
		switch {
		case fd != 3:
			return 0, abi.EBADF
		case m.Type.ofMaps():
			return one.Info().Addr, 0
		case m.Type == TypeProgArray:
			return 7, 0
		}
		return owner, 0
	}
	maps := map[string]Map{}
	for name, s := range map[string]Spec{
		"array": {Type: TypeArray, KeySize: 4, ValueSize: 4, MaxEntries: 2}, "pcpu": {Type: TypePerCPUArray, KeySize: 4, ValueSize: 4, MaxEntries: 2},
		"hash": {Type: TypeHash, KeySize: 4, ValueSize: 4, MaxEntries: 2}, "queue": {Type: TypeQueue, ValueSize: 4, MaxEntries: 2},
		"bloom": {Type: TypeBloomFilter, ValueSize: 4, MaxEntries: 2}, "ring": {Type: TypeRingBuf, MaxEntries: 4096},
		"task": {Type: TypeTaskStorage, KeySize: 4, ValueSize: 4, Flags: FlagNoPrealloc}, "prog": {Type: TypeProgArray, KeySize: 4, ValueSize: 4, MaxEntries: 2},
		"perf": {Type: TypePerfEventArray, KeySize: 4, ValueSize: 4, MaxEntries: 2}, "maps": {Type: TypeArrayOfMaps, KeySize: 4, ValueSize: 4, MaxEntries: 2, Inner: &inner},
		"hmaps": {Type: TypeHashOfMaps, KeySize: 8, ValueSize: 4, MaxEntries: 2, Inner: &inner},
	} {
		s.Name = name
		maps[name] = create(t, tab, s)
	}
	key8 := make([]byte, 8)
	for _, tc := range []struct {
		m, cmd     string
		key, value []byte
		flags      uint64
		want       abi.Errno
		out        uint32 // the first word of the value afterwards
	}{
		{"array", "update", u32(1), u32(5), 0, 0, 5},
		{"array", "update", u32(2), u32(5), 0, abi.E2BIG, 5},
		{"array", "update", u32(1), u32(5), OneCPU, abi.EINVAL, 5},
		{"array", "lookup", u32(1), u32(0), 0, 0, 5},
		{"array", "lookup", u32(2), u32(0), 0, abi.ENOENT, 0},
		{"array", "lookup", u32(1), u32(0), Lock, abi.EINVAL, 0},
		{"array", "delete", u32(1), nil, 0, abi.EINVAL, 0},
		{"array", "take", u32(1), u32(0), 0, abi.ENOTSUPP, 0},
		{"pcpu", "update", u32(1), make([]byte, 32), NoExist, abi.EEXIST, 0},
		{"pcpu", "update", u32(1), u32(8), OneCPU | 2<<32, 0, 8},
		{"pcpu", "update", u32(1), u32(8), OneCPU | 4<<32, abi.ERANGE, 8},
		{"pcpu", "lookup", u32(1), u32(0), OneCPU | 2<<32, 0, 8},
		{"pcpu", "lookup", u32(1), u32(9), OneCPU | 1<<32, 0, 0},
		{"pcpu", "lookup", u32(1), u32(9), AllCPUs, abi.EINVAL, 9},
		{"hash", "update", u32(1), u32(5), Exist, abi.ENOENT, 5},
		{"hash", "update", u32(1), u32(5), 0, 0, 5},
		{"hash", "take", u32(1), u32(0), 0, 0, 5},
		{"hash", "take", u32(1), u32(0), 0, abi.ENOENT, 0},
		{"hash", "take", u32(1), u32(0), Exist, abi.EINVAL, 0},
		{"queue", "update", nil, u32(6), 0, 0, 6},
		{"queue", "lookup", nil, u32(0), 0, 0, 6},
		{"queue", "take", nil, u32(0), Lock, abi.EINVAL, 0},
		{"queue", "take", nil, u32(0), 0, 0, 6},
		{"queue", "take", nil, u32(0), 0, abi.ENOENT, 0},
		{"queue", "delete", nil, nil, 0, abi.EINVAL, 0},
		{"bloom", "update", nil, u32(6), 0, 0, 6},
		{"bloom", "lookup", nil, u32(6), 0, 0, 6},
		{"bloom", "take", nil, u32(6), 0, abi.ENOTSUPP, 6},
		{"ring", "lookup", nil, u32(6), 0, abi.ENOTSUPP, 6},
		{"ring", "update", nil, u32(6), 0, abi.ENOTSUPP, 6},
		{"task", "lookup", u32(3), u32(6), 0, abi.ENOENT, 6},
		{"task", "update", u32(4), u32(6), 0, abi.EBADF, 6},
		{"task", "update", u32(3), u32(6), Exist, abi.ENOENT, 6},
		{"task", "update", u32(3), u32(6), NoExist, 0, 6},
		{"task", "lookup", u32(3), u32(0), 0, 0, 6},
		{"task", "delete", u32(3), nil, 0, 0, 0},
		{"task", "delete", u32(3), nil, 0, abi.ENOENT, 0},
		{"prog", "update", u32(1), u32(3), 0, 0, 3},
		{"prog", "update", u32(1), u32(4), 0, abi.EBADF, 4},
		{"prog", "update", u32(2), u32(3), 0, abi.E2BIG, 3},
		{"prog", "update", u32(1), u32(3), NoExist, abi.EINVAL, 3},
		{"prog", "lookup", u32(1), u32(0), 0, 0, 7},
		{"prog", "lookup", u32(0), u32(0), 0, abi.ENOENT, 0},
		{"prog", "delete", u32(1), nil, 0, 0, 0},
		{"prog", "delete", u32(1), nil, 0, abi.ENOENT, 0},
		{"perf", "update", u32(1), u32(3), 0, 0, 3},
		{"perf", "lookup", u32(1), u32(0), 0, abi.ENOTSUPP, 0},
		{"maps", "lookup", u32(1), u32(0), 0, abi.ENOENT, 0},
		{"maps", "update", u32(1), u32(3), 0, 0, 3},
		{"maps", "lookup", u32(1), u32(0), 0, 0, one.Info().ID},
		{"hmaps", "update", key8, u32(3), Exist, abi.ENOENT, 3},
		{"hmaps", "update", key8, u32(3), 0, 0, 3},
		{"hmaps", "update", key8, u32(3), NoExist, abi.EEXIST, 3},
		{"hmaps", "lookup", key8, u32(0), 0, 0, one.Info().ID},
		{"hmaps", "delete", key8, nil, 0, 0, 0},
		{"hmaps", "lookup", key8, u32(0), 0, abi.ENOENT, 0},
	} {
		t.Run(tc.m+" "+tc.cmd, func(t *testing.T) {
			m := maps[tc.m]
			var e abi.Errno
			switch tc.cmd {
			case "lookup":
				e = LookupElem(m, tc.key, tc.value, tc.flags)
			case "update":
				e = UpdateElem(m, tc.key, tc.value, tc.flags)
			case "delete":
				e = DeleteElem(m, tc.key)
			case "take":
				e = LookupAndDelete(m, tc.key, tc.value, tc.flags)
			}
			if e != tc.want || tc.value != nil && binary.LittleEndian.Uint32(tc.value) != tc.out {
				t.Errorf("%v, value % x, want %v, %d", e, tc.value, tc.want, tc.out)
			}
		})
	}
	h := maps["hash"]
	if Freeze(h) != 0 || Freeze(h) != abi.EBUSY || UpdateElem(h, u32(1), u32(1), 0) != abi.EPERM || DeleteElem(h, u32(1)) != abi.EPERM || h.Update(u32(1), u32(1), 0, 0) != 0 {
		t.Error("a frozen map is written by user space, or not by programs")
	}
	for name, want := range map[string]uint32{"array": 4, "pcpu": 32, "queue": 4, "maps": 4, "ring": 0} {
		if got := UserValueSize(maps[name], 0); got != want {
			t.Errorf("value of %s: %d bytes, want %d", name, got, want)
		}
	}
	maps["prog"].(*FDArray).Set(0, 9)
	if ReleaseUser(maps["prog"]); LookupElem(maps["prog"], u32(0), u32(0), 0) != abi.ENOENT {
		t.Error("a prog_array without users keeps its programs")
	}
}

// Values shown to user space have zeros where special fields are.
func TestShowFields(t *testing.T) {
	tab := table(t, 1)
	m := create(t, tab, Spec{Name: "m", Type: TypeArray, KeySize: 4, ValueSize: 24, MaxEntries: 1, Fields: []Field{{Kind: KptrRef, Off: 8, Size: 8}}})
	copy(tab.Mem.Bytes(m.Lookup(u32(0), 0), 24), bytes.Repeat([]byte{0xee}, 24))
	got := make([]byte, 24)
	if e := LookupElem(m, u32(0), got, 0); e != 0 || got[7] != 0xee || got[8] != 0 || got[15] != 0 || got[16] != 0xee {
		t.Errorf("%v, % x", e, got)
	}
	if e := Freeze(m); e != abi.ENOTSUPP {
		t.Errorf("freeze: %v", e)
	}
}

// A walk in batches of any size finds each element once, whatever the type of map, and deletes it if told to.
func TestBatchProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tab := table(t, 1)
		typ := rapid.SampledFrom([]Type{TypeHash, TypeLRUHash, TypePerCPUHash, TypeRHash, TypeLPMTrie, TypeArray}).Draw(t, "type")
		s := Spec{Name: "m", Type: typ, KeySize: 8, ValueSize: 4, MaxEntries: 64}
		hash := true
		switch typ {
		case TypeLPMTrie:
			s.Flags, hash = FlagNoPrealloc, false
		case TypeRHash:
			s.Flags = FlagNoPrealloc
		case TypeArray:
			s.KeySize, hash = 4, false
			s.MaxEntries = rapid.Uint32Range(1, 64).Draw(t, "entries")
		}
		m := create(t, tab, s)
		size := UserValueSize(m, 0)
		n := int(s.MaxEntries)
		if typ != TypeArray {
			n = rapid.IntRange(0, 64).Draw(t, "entries")
		}
		up := &Batch{Count: uint32(n)}
		want := map[string]string{}
		for i := range n {
			key := binary.LittleEndian.AppendUint32(nil, uint32(i))
			if s.KeySize == 8 {
				key = append(u32(32), byte(i*37), byte(i), 0, 0)
			}
			value := bytes.Repeat([]byte{byte(i), 0, 0, 0, 0, 0, 0, 0}, int(size+7)/8)[:size]
			up.Keys, up.Values = append(up.Keys, key...), append(up.Values, value...)
			want[string(key)] = string(value)
		}
		if e := UpdateBatch(m, up); e != 0 || int(up.Count) != n {
			t.Fatalf("update: %v, %d of %d", e, up.Count, n)
		}
		take := hash && rapid.Bool().Draw(t, "delete")
		if typ == TypeRHash && take {
			t.Skip("deletes the element that the cursor names")
		}
		step := rapid.Uint32Range(16, 80).Draw(t, "step")
		got := map[string]string{}
		var cursor []byte
		for rounds := 0; ; rounds++ {
			b := &Batch{In: cursor, Out: make([]byte, 8), Keys: make([]byte, step*s.KeySize), Values: make([]byte, step*size), Count: step}
			f := LookupBatch
			if take {
				f = LookupAndDeleteBatch
			}
			e := f(m, b)
			for i := range b.Count {
				k := string(slot(b.Keys, i, s.KeySize))
				if _, twice := got[k]; twice {
					t.Fatalf("% x came twice", k)
				}
				got[k] = string(slot(b.Values, i, size))
			}
			cursor = b.Out[:s.KeySize]
			if e == abi.ENOENT {
				break
			}
			if e != 0 || rounds > 100 {
				t.Fatalf("round %d: %v", rounds, e)
			}
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Fatal(d)
		}
		down := &Batch{Keys: slices.Clone(up.Keys), Count: uint32(n)}
		e := DeleteBatch(m, down)
		switch {
		case typ == TypeArray && e != abi.ENOTSUPP:
			t.Fatalf("delete: %v", e)
		case typ != TypeArray && !take && (e != 0 || int(down.Count) != n):
			t.Fatalf("delete: %v, %d of %d", e, down.Count, n)
		case take && n > 0 && (e != abi.ENOENT || down.Count != 0):
			t.Fatalf("delete of what is gone: %v, %d", e, down.Count)
		}
	})
}

func TestBatchErrors(t *testing.T) {
	tab := table(t, 4)
	h := create(t, tab, Spec{Name: "h", Type: TypeHash, KeySize: 4, ValueSize: 4, MaxEntries: 4})
	full := create(t, tab, Spec{Name: "f", Type: TypeHash, KeySize: 4, ValueSize: 4, MaxEntries: 1})
	q := create(t, tab, Spec{Name: "q", Type: TypeQueue, ValueSize: 4, MaxEntries: 4})
	h.Update(u32(1), u32(1), Any, 0)
	room := func(n uint32) *Batch {
		return &Batch{Keys: make([]byte, 16), Values: make([]byte, 16), Out: make([]byte, 4), Count: n}
	}
	with := func(b *Batch, f func(b *Batch)) *Batch { f(b); return b }
	for _, tc := range []struct {
		name  string
		run   func(Map, *Batch) abi.Errno
		m     Map
		b     *Batch
		want  abi.Errno
		count uint32
	}{
		{"nothing wanted", LookupBatch, h, room(0), 0, 0},
		{"flags", LookupBatch, h, with(room(4), func(b *Batch) { b.Flags = 1 }), abi.EINVAL, 4},
		{"element flags", LookupBatch, h, with(room(4), func(b *Batch) { b.ElemFlags = OneCPU }), abi.EINVAL, 4},
		{"cursor beyond the end", LookupBatch, h, with(room(4), func(b *Batch) { b.In = u32(99) }), abi.ENOENT, 0},
		{"no room for values", LookupBatch, h, with(room(4), func(b *Batch) { b.Values = nil }), abi.EFAULT, 0},
		{"not for queues", LookupBatch, q, room(4), abi.ENOTSUPP, 4},
		{"not for queues", UpdateBatch, q, room(4), abi.ENOTSUPP, 4},
		{"not for queues", LookupAndDeleteBatch, q, room(4), abi.ENOTSUPP, 4},
		{"stops where the map is full", UpdateBatch, full, with(room(3), func(b *Batch) { b.Keys = []byte{1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0} }), abi.E2BIG, 1},
		{"stops at what is not there", DeleteBatch, full, with(room(2), func(b *Batch) { b.Keys = []byte{1, 0, 0, 0, 2, 0, 0, 0} }), abi.ENOENT, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if e := tc.run(tc.m, tc.b); e != tc.want || tc.b.Count != tc.count {
				t.Errorf("%v, %d, want %v, %d", e, tc.b.Count, tc.want, tc.count)
			}
		})
	}
}

// A map of maps holds what it was given until it is given something else; a hash of maps does so for keys of any size.
func TestHashOfMaps(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tab := table(t, 32)
		inner := Spec{Name: "inner", Type: TypeArray, KeySize: 4, ValueSize: 8, MaxEntries: 2}
		if rapid.Bool().Draw(t, "any size") {
			inner.Flags = FlagInnerMap
		}
		m := create(t, tab, Spec{Name: "m", Type: TypeHashOfMaps, KeySize: 2, ValueSize: 4, MaxEntries: 4, Inner: &inner}).(*HashOfMaps)
		longer := inner
		longer.MaxEntries = 9
		mine := create(t, tab, longer)
		model := map[byte]uint64{}
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			k := rapid.ByteMax(6).Draw(t, "key")
			key := []byte{k, 1}
			_, has := model[k]
			full := !has && len(model) == 4
			switch rapid.IntRange(0, 3).Draw(t, "op") {
			case 0:
				want := abi.Errno(0)
				switch {
				case inner.Flags == 0: // only in an array whose size does not matter
					want = abi.EINVAL
				case full:
					want = abi.E2BIG
				}
				if e := m.Set(key, mine, Any); e != want {
					t.Fatalf("set: %v, want %v", e, want)
				}
				if want == 0 {
					model[k] = mine.Info().Addr
				}
			case 1:
				in, err := m.NewInner(key)
				if (err != nil) != full {
					t.Fatalf("new: %v", err)
				}
				if err == nil {
					model[k] = in.Info().Addr
				}
			case 2:
				if e := m.Delete(key); has != (e == 0) {
					t.Fatalf("delete: %v", e)
				}
				delete(model, k)
			case 3:
				if at := m.Lookup(key, 0); at != model[k] {
					t.Fatalf("lookup: %#x, want %#x", at, model[k])
				}
			}
			alive := map[uint64]bool{mine.Info().Addr: true, m.Addr: true}
			for _, a := range model {
				alive[a] = true
			}
			for _, x := range tab.All() {
				if x != nil && !alive[x.Info().Addr] {
					t.Fatalf("map %d is still there", x.Info().ID)
				}
				if x != nil {
					delete(alive, x.Info().Addr)
				}
			}
			if len(alive) > 0 {
				t.Fatalf("%d maps are gone", len(alive))
			}
		}
		tab.Close()
	})
}
