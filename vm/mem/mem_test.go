package mem

import (
	"testing"
	"unsafe"

	"pgregory.net/rapid"
)

func TestEdges(t *testing.T) {
	s, err := New(Options{Reserve: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	a, b, err := s.Alloc(100, 8)
	if err != nil || len(b) != 100 || a%8 != 0 {
		t.Fatalf("Alloc(100, 8) = %#x, %d bytes, %v", a, len(b), err)
	}
	for _, tc := range []struct {
		name string
		addr uint64
		n    uint64
		ok   bool
	}{
		{"inside", a, 100, true},
		{"null", 0, 1, false},
		{"below base", Base - 1, 1, false},
		{"straddles base", Base - 1, 2, false},
		{"end of space", Base + s.Limit(), 1, false},
		{"last byte", Base + s.Limit() - 1, 1, true},
		{"over the end", Base + s.Limit() - 1, 2, false},
		{"wraps", ^uint64(0), 2, false},
		{"huge", a, ^uint64(0), false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := s.Bytes(tc.addr, tc.n) != nil; got != tc.ok {
				t.Errorf("Bytes(%#x, %d) accessible = %v, want %v", tc.addr, tc.n, got, tc.ok)
			}
		})
	}
	if _, _, err := s.Alloc(1<<20, 8); err == nil {
		t.Error("an allocation larger than what is left succeeded")
	}
}

// The control page lies just below the space and is no part of it.
func TestControl(t *testing.T) {
	s, err := New(Options{Reserve: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	c := s.Control()
	if len(c) != PageSize || uintptr(unsafe.Pointer(&c[0]))+PageSize != s.HostBase() {
		t.Errorf("control page of %d bytes at %p, space at %#x", len(c), &c[0], s.HostBase())
	}
	for i := range c {
		c[i] = 0xff
	}
	for i, v := range s.Bytes(Base, PageSize) {
		if v != 0 {
			t.Fatalf("byte %d of the space changed", i)
		}
	}
}

// Live allocations never overlap, are aligned and zeroed, whatever was freed before.
func TestAllocProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, err := New(Options{Reserve: 8 << 20})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		type block struct{ a, n uint64 }
		var live []block
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			if len(live) > 0 && rapid.Bool().Draw(t, "free") {
				i := rapid.IntRange(0, len(live)-1).Draw(t, "which")
				s.Free(live[i].a, live[i].n)
				live = append(live[:i], live[i+1:]...)
				continue
			}
			n := rapid.Uint64Range(1, 20000).Draw(t, "size")
			align := uint64(1) << rapid.IntRange(0, 12).Draw(t, "align")
			a, b, err := s.Alloc(n, align)
			if err != nil {
				t.Fatal(err)
			}
			if a%align != 0 {
				t.Fatalf("%#x is not aligned to %d", a, align)
			}
			for i, v := range b {
				if v != 0 {
					t.Fatalf("byte %d of a new block is %#x", i, v)
				}
				b[i] = 0xff
			}
			for _, o := range live {
				if a < o.a+o.n && o.a < a+n {
					t.Fatalf("[%#x,+%d) overlaps [%#x,+%d)", a, n, o.a, o.n)
				}
			}
			live = append(live, block{a, n})
		}
	})
}
