package sim

import (
	"testing"

	"pgregory.net/rapid"
)

// TestAddrTable compares the hash table with a Go map. Few distinct addresses make collisions and reuse frequent.
func TestAddrTable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var a addrTable
		a.grow(8)
		model := map[uint64]*Task{}
		addr := rapid.Custom(func(t *rapid.T) uint64 {
			return 0xffff_8880_0000_1000 + 64*uint64(rapid.IntRange(0, 60).Draw(t, "line"))
		})
		for range rapid.IntRange(1, 300).Draw(t, "steps") {
			x := addr.Draw(t, "addr")
			switch _, ok := model[x]; {
			case ok && rapid.Bool().Draw(t, "remove"):
				a.remove(x)
				delete(model, x)
			case !ok:
				model[x] = &Task{}
				a.put(x, model[x])
			}
			y := addr.Draw(t, "lookup")
			if got := a.get(y); got != model[y] {
				t.Fatalf("get(%#x) = %p, want %p", y, got, model[y])
			}
		}
		for x, want := range model {
			if got := a.get(x); got != want {
				t.Fatalf("at the end: get(%#x) = %p, want %p", x, got, want)
			}
		}
		a.remove(1) // absent: nothing happens
		if a.n != len(model) {
			t.Fatalf("%d entries, want %d", a.n, len(model))
		}
	})
}

func TestAddrTableGarbage(t *testing.T) {
	var a addrTable
	a.grow(8)
	a.put(0xffff_8880_0000_1000, &Task{})
	for _, x := range []uint64{0, 1, 0xffff_8880_0000_1001, 0xffff_8880_0000_0fff, ^uint64(0), 1 << 63} {
		if a.get(x) != nil {
			t.Errorf("get(%#x) found a task", x)
		}
	}
}

func TestNextBit(t *testing.T) {
	s := []uint64{1<<3 | 1<<63, 0, 1}
	for _, tc := range []struct{ from, want int }{
		{0, 3}, {3, 3}, {4, 63}, {63, 63}, {64, 128}, {128, 128}, {129, -1}, {192, -1}, {1000, -1},
	} {
		if got := nextBit(s, tc.from); got != tc.want {
			t.Errorf("nextBit(%d) = %d, want %d", tc.from, got, tc.want)
		}
	}
}
