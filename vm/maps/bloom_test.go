package maps

import (
	"encoding/binary"
	"testing"

	"pgregory.net/rapid"

	"github.com/schedsim/schedsim/vm/abi"
)

// TestJHash compares with the values that the published driver of lookup3 prints ("Four score and seven years ago") and that
// follow from its definition. lookup3 starts from 0xdeadbeef + length + seed, as the kernel's jhash does.
func TestJHash(t *testing.T) {
	const text = "Four score and seven years ago"
	for _, tc := range []struct {
		key  string
		seed uint32
		want uint32
	}{{"", 0, 0xdeadbeef}, {"", 0xdeadbeef, 0xbd5b7dde}, {text, 0, 0x17770551}, {text, 1, 0xcd628161}} {
		if got := jhash([]byte(tc.key), tc.seed); got != tc.want {
			t.Errorf("jhash(%q, %d) = %#x, want %#x", tc.key, tc.seed, got, tc.want)
		}
	}
}

// A bloom filter never denies what was added; what it says of other values agrees with a set of bits.
func TestBloomProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.Uint32Range(1, 17).Draw(t, "value size")
		spec := Spec{Name: "b", Type: TypeBloomFilter, ValueSize: size, MaxEntries: rapid.Uint32Range(1, 200).Draw(t, "max"), Extra: rapid.Uint64Max(15).Draw(t, "hashes")}
		if rapid.Bool().Draw(t, "zero seed") {
			spec.Flags = FlagZeroSeed
		}
		b := create(t, table(t, 1), spec).(*Bloom)
		n := spec.Extra
		if n == 0 {
			n = 5
		}
		set := map[uint32]bool{}
		gen := rapid.SliceOfN(rapid.ByteMax(3), int(size), int(size))
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			v := gen.Draw(t, "value")
			in := true
			for i := range uint32(n) {
				in = in && set[jhash(v, b.seed+i)&b.mask]
			}
			want := abi.ENOENT
			if in {
				want = 0
			}
			if e := b.Peek(v); e != want {
				t.Fatalf("peek: %v, want %v", e, want)
			}
			if rapid.Bool().Draw(t, "push") {
				if e := b.Push(v, Any); e != 0 || b.Peek(v) != 0 {
					t.Fatalf("push: %v, then peek: %v", e, b.Peek(v))
				}
				for i := range uint32(n) {
					set[jhash(v, b.seed+i)&b.mask] = true
				}
			}
		}
	})
}

func TestBloom(t *testing.T) {
	tab := table(t, 3)
	b := create(t, tab, Spec{Name: "b", Type: TypeBloomFilter, ValueSize: 4, MaxEntries: 1000}).(*Bloom)
	if b.mask+1 != 8192 { // 1000 * 5 / 5 * 7, rounded up
		t.Errorf("%d bits", b.mask+1)
	}
	if small := create(t, tab, Spec{Name: "s", Type: TypeBloomFilter, ValueSize: 4, MaxEntries: 1, Extra: 1}).(*Bloom); small.mask != 63 {
		t.Errorf("%d bits", small.mask+1)
	}
	for i := range uint32(1000) {
		b.Push(u32(i), Any)
	}
	wrong := 0
	for i := range uint32(10000) {
		if b.Peek(binary.LittleEndian.AppendUint32(nil, 1000+i)) == 0 {
			wrong++
		}
	}
	if wrong > 1000 { // about 2 % are expected
		t.Errorf("%d of 10000 values are false positives", wrong)
	}
	for what, e := range map[string]abi.Errno{"push with flags": b.Push(u32(1), Exist), "update": b.Update(nil, u32(1), Any, 0)} {
		if e != abi.EINVAL {
			t.Errorf("%s: %v", what, e)
		}
	}
	if b.Pop(u32(1)) != abi.EOPNOTSUPP || b.Delete(nil) != abi.EOPNOTSUPP || b.Next(nil, nil) != abi.EOPNOTSUPP {
		t.Error("a bloom filter gives something back")
	}
	if _, err := tab.New(Spec{Name: "x", Type: TypeBloomFilter, ValueSize: 4, MaxEntries: 1 << 31}); err == nil {
		t.Error("half a gigabyte of bits")
	}
}
