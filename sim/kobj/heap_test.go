package kobj

import (
	"testing"

	"pgregory.net/rapid"
)

// TestHeap: live blocks do not overlap, are aligned and zeroed, and keep what is written to them.
func TestHeap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var h Heap
		type chunk struct {
			addr, size uint64
			b          []byte
			mark       byte
		}
		var live []chunk
		for i := range rapid.IntRange(1, 60).Draw(t, "steps") {
			if len(live) > 0 && rapid.IntRange(0, 2).Draw(t, "free") == 0 {
				k := rapid.IntRange(0, len(live)-1).Draw(t, "which")
				h.Free(live[k].addr, live[k].size)
				live = append(live[:k], live[k+1:]...)
				continue
			}
			size := uint64(rapid.IntRange(0, 300).Draw(t, "size"))
			align := uint64(1) << rapid.IntRange(0, 12).Draw(t, "align")
			addr, b, err := h.Alloc(size, align)
			if err != nil {
				t.Fatal(err)
			}
			if addr%align != 0 || addr < heapBase || uint64(len(b)) != size {
				t.Fatalf("Alloc(%d, %d) = %#x, %d bytes", size, align, addr, len(b))
			}
			for _, x := range b {
				if x != 0 {
					t.Fatal("memory is not zeroed")
				}
			}
			for _, o := range live {
				if addr < o.addr+max(o.size, 1) && o.addr < addr+max(size, 1) {
					t.Fatalf("%#x+%d overlaps %#x+%d", addr, size, o.addr, o.size)
				}
			}
			c := chunk{addr, size, b, byte(i + 1)}
			for j := range b {
				b[j] = c.mark
			}
			live = append(live, c)
		}
		for _, c := range live {
			for _, x := range c.b {
				if x != c.mark {
					t.Fatalf("block %#x was overwritten", c.addr)
				}
			}
		}
	})
}

func TestHeapMisuse(t *testing.T) {
	for _, tc := range []struct {
		name string
		f    func(h *Heap, addr uint64)
	}{
		{"free of nothing", func(h *Heap, addr uint64) { h.Free(addr+64, 100) }},
		{"free twice", func(h *Heap, addr uint64) { h.Free(addr, 100); h.Free(addr, 100) }},
		{"free of another size", func(h *Heap, addr uint64) { h.Free(addr, 200) }},
		{"alignment of 3", func(h *Heap, _ uint64) { h.Alloc(8, 3) }},
		{"alignment of 0", func(h *Heap, _ uint64) { h.Alloc(8, 0) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			var h Heap
			addr, _, err := h.Alloc(100, 8)
			if err != nil {
				t.Fatal(err)
			}
			tc.f(&h, addr)
		})
	}
}
