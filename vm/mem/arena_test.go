package mem

import (
	"errors"
	"testing"

	"pgregory.net/rapid"
)

const user = 1 << 44

func newArena(t testing.TB, o Options, user uint64, pages uint32) (*Space, *Arena) {
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	a, err := s.NewArena(user, pages)
	if err != nil {
		t.Fatal(err)
	}
	return s, a
}

func TestArenaEdges(t *testing.T) {
	_, a := newArena(t, Options{Reserve: 1 << 20}, user, MaxArenaPages)
	for _, m := range [][2]uint32{{0, 2}, {4, 1}, {MaxArenaPages - 1, 1}} {
		if err := a.Map(m[0], m[1]); err != nil {
			t.Fatal(err)
		}
	}
	if a.Low() != 2*PageSize || a.Used() != 4 {
		t.Errorf("%d bytes from the start, %d pages mapped, want 8192 and 4", a.Low(), a.Used())
	}
	for _, tc := range []struct {
		name    string
		addr, n uint64
		ok      bool
	}{
		{"first", 0, 8, true},
		{"across two pages", PageSize - 1, 2, true},
		{"into an unmapped page", 2*PageSize - 1, 2, false},
		{"out of an unmapped page", 4*PageSize - 1, 2, false},
		{"unmapped", 3 * PageSize, 1, false},
		{"island", 4*PageSize + 8, 8, true},
		{"end of the window", 1<<32 - 8, 8, true},
		{"over the end of the window", 1<<32 - 4, 8, false},
		{"behind the window", 1 << 32, 1, false},
		{"user address", user, 1, false},
		{"all ones", ^uint64(0), 1, false},
		{"kernel", Base, 8, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := a.At(tc.addr, tc.n) != nil; got != tc.ok {
				t.Errorf("At(%#x, %d) is there: %v, want %v", tc.addr, tc.n, got, tc.ok)
			}
			want := tc.ok && tc.addr < 1<<32
			if got := a.Bytes(user+tc.addr, tc.n) != nil; got != want {
				t.Errorf("Bytes(%#x, %d) is there: %v, want %v", user+tc.addr, tc.n, got, want)
			}
		})
	}
	a.Unmap(0, 1)
	if a.Low() != 0 || a.At(0, 1) != nil || a.At(PageSize, 1) == nil {
		t.Errorf("after the first page is gone: %d bytes from the start", a.Low())
	}
}

// An arena whose pages begin in the middle of a 4 GiB window, as when user space maps it anywhere.
func TestArenaInTheMiddle(t *testing.T) {
	const start = 0x7f7d26200000
	_, a := newArena(t, Options{Reserve: 1 << 20}, start, 3)
	if err := a.Map(1, 2); err != nil {
		t.Fatal(err)
	}
	a.Bytes(start+PageSize, 1)[0] = 42
	if b := a.At(0x26201000, 1); b == nil || b[0] != 42 {
		t.Errorf("At(0x26201000) = %v, want 42", b)
	}
	if a.At(0x26200000, 1) != nil || a.At(0x26203000, 1) != nil || a.At(0x1000, 1) != nil || a.Low() != 0 {
		t.Error("pages that are not mapped are there")
	}
}

func TestArenaLimit(t *testing.T) {
	s, a := newArena(t, Options{Reserve: 1 << 20, ArenaLimit: 3 * PageSize}, user, 16)
	if err := a.Map(1, 2); err != nil {
		t.Fatal(err)
	}
	if err := a.Map(1, 3); err != nil { // two of them are mapped already
		t.Fatal(err)
	}
	if err := a.Map(9, 1); !errors.Is(err, ErrArenaFull) || a.Used() != 3 {
		t.Errorf("page over the limit: %v, %d pages mapped", err, a.Used())
	}
	// Each arena has its own limit, and only one the window behind the space.
	b, err := s.NewArena(user, 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Map(0, 1); err != nil || a.Shift() != 0 || b.Shift() == 0 {
		t.Errorf("%v; shifts %#x and %#x", err, a.Shift(), b.Shift())
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if a, err = s.NewArena(user, 1); err != nil || a.Shift() != 0 {
		t.Fatalf("after the first has gone: %v", err)
	}
}

// Whatever is mapped and unmapped, the arena is as a table of pages that are zero when they are mapped.
func TestArenaPages(t *testing.T) {
	const pages = 24
	s, err := New(Options{Reserve: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	rapid.Check(t, func(t *rapid.T) {
		a, err := s.NewArena(user, pages)
		if err != nil {
			t.Fatal(err)
		}
		defer a.Close()
		model := map[uint32]byte{}
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			page := rapid.Uint32Range(0, pages-1).Draw(t, "page")
			n := rapid.Uint32Range(1, pages-page).Draw(t, "n")
			switch rapid.IntRange(0, 2).Draw(t, "step") {
			case 0:
				if err := a.Map(page, n); err != nil {
					t.Fatal(err)
				}
				for p := page; p < page+n; p++ {
					model[p] += 0
				}
			case 1:
				a.Unmap(page, n)
				for p := page; p < page+n; p++ {
					delete(model, p)
				}
			default:
				if b := a.Bytes(user+uint64(page)*PageSize+7, 1); b != nil {
					b[0]++
					model[page]++
				}
			}
			low := uint64(0)
			for ok := true; ok; _, ok = model[uint32(low)] {
				if _, ok := model[uint32(low)]; !ok {
					break
				}
				low++
			}
			if a.Low() != low*PageSize || a.Used() != uint64(len(model)) {
				t.Fatalf("%d bytes from the start, %d pages; want %d and %d", a.Low(), a.Used(), low*PageSize, len(model))
			}
			for p := range uint32(pages) {
				v, ok := model[p]
				if b := a.At(uint64(p)*PageSize+7, 1); ok != (b != nil) || ok && b[0] != v {
					t.Fatalf("page %d: %v, want %d (mapped: %v)", p, b, v, ok)
				}
			}
		}
	})
}
