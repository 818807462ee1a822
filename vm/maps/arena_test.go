package maps

import (
	"errors"
	"testing"

	"pgregory.net/rapid"

	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/mem"
)

// The ranges are the maximal runs of a set of pages, and the smallest that is large enough is found.
func TestPageRanges(t *testing.T) {
	const pages = 40
	rapid.Check(t, func(t *rapid.T) {
		var r pageRanges
		var free [pages]bool
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			start := rapid.Uint32Range(0, pages-1).Draw(t, "start")
			n := rapid.Uint32Range(1, pages-start).Draw(t, "n")
			all := true
			for p := start; p < start+n; p++ {
				all = all && free[p]
			}
			if r.has(start, n) != all {
				t.Fatalf("has(%d, %d) is %v", start, n, !all)
			}
			set := rapid.Bool().Draw(t, "set")
			if set {
				r.set(start, n)
			} else {
				r.clear(start, n)
			}
			for p := start; p < start+n; p++ {
				free[p] = set
			}
			best, runs := uint32(0), 0
			want := rapid.Uint32Range(1, pages).Draw(t, "want")
			for p := 0; p < pages; p++ {
				q := p
				for q < pages && free[q] {
					q++
				}
				if l := uint32(q - p); l > 0 {
					runs++
					if l >= want && (best == 0 || l < best) {
						best = l
					}
					p = q
				}
			}
			if len(r.byStart) != runs || len(r.bySize) != runs {
				t.Fatalf("%d and %d ranges, want %d", len(r.byStart), len(r.bySize), runs)
			}
			at, ok := r.find(want)
			if ok != (best > 0) || ok && !r.has(at, best) {
				t.Fatalf("find(%d) = %d, %v; want one of %d", want, at, ok, best)
			}
		}
	})
}

// Of ranges that fit equally well the one that came last is taken, as in the kernel's tree.
func TestPageRangesTies(t *testing.T) {
	var r pageRanges
	r.set(10, 2)
	r.set(20, 2)
	r.set(0, 2)
	r.set(30, 5)
	if at, _ := r.find(2); at != 0 {
		t.Errorf("found %d, want 0", at)
	}
	r.clear(0, 1)
	if at, _ := r.find(2); at != 20 {
		t.Errorf("found %d, want 20", at)
	}
	if at, _ := r.find(1); at != 1 {
		t.Errorf("found %d, want 1", at)
	}
}

func TestArenaSpecs(t *testing.T) {
	m, err := mem.New(mem.Options{Reserve: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	tab, err := NewTable(m, 2, 8)
	if err != nil {
		t.Fatal(err)
	}
	good := Spec{Name: "a", Type: TypeArena, Flags: FlagMmapable, MaxEntries: 16, Extra: 1 << 44}
	for _, tc := range []struct {
		name string
		edit func(*Spec)
		want abi.Errno
	}{
		{"key", func(s *Spec) { s.KeySize = 4 }, abi.EINVAL},
		{"no pages", func(s *Spec) { s.MaxEntries = 0 }, abi.EINVAL},
		{"not mmapable", func(s *Spec) { s.Flags = 0 }, abi.EINVAL},
		{"flags", func(s *Spec) { s.Flags |= FlagNoPrealloc }, abi.EINVAL},
		{"address", func(s *Spec) { s.Extra++ }, abi.EINVAL},
		{"too many pages", func(s *Spec) { s.MaxEntries = mem.MaxArenaPages + 1 }, abi.E2BIG},
		{"across 4 GiB", func(s *Spec) { s.Extra = 1<<44 - mem.PageSize }, abi.ERANGE},
		{"too much data", func(s *Spec) { s.DataSize = 17 * mem.PageSize }, abi.EINVAL},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := good
			tc.edit(&s)
			if _, err := tab.New(s); !errors.Is(err, tc.want) {
				t.Errorf("error %v, want %v", err, tc.want)
			}
		})
	}
	mm, err := tab.New(good)
	if err != nil {
		t.Fatal(err)
	}
	a := mm.(*Arena)
	if a.Alloc(1<<44+8, 1) != 0 || a.Alloc(0, 0) != 0 || a.Alloc(0, 17) != 0 || a.Alloc(1<<44+15*mem.PageSize, 2) != 0 {
		t.Error("pages where there can be none")
	}
	if p := a.Alloc(1<<44+4*mem.PageSize, 2); p != 1<<44+4*mem.PageSize {
		t.Errorf("pages at %#x", p)
	}
	// The smaller of the two ranges that are left.
	if p := a.Alloc(0, 3); p != 1<<44 {
		t.Errorf("pages at %#x, want the first", p)
	}
	a.Free(1<<44+4*mem.PageSize, 100, true) // to the end of the arena
	a.Free(1<<44+1000*mem.PageSize, 1, true)
	if a.Mem.Used() != 3 || a.Alloc(0, 13) != 1<<44+3*mem.PageSize {
		t.Errorf("%d pages are mapped", a.Mem.Used())
	}
	a.RunWorker()
	a.Free(1<<44, 16, true)
	data := make([]byte, 3*mem.PageSize)
	data[2*mem.PageSize] = 7
	if !a.Store(1<<44+100, data) || a.Mem.Used() != 4 || a.Bytes(1<<44+100+2*mem.PageSize, 1)[0] != 7 {
		t.Errorf("after a store of three pages from the middle of one: %d pages", a.Mem.Used())
	}
	data[2*mem.PageSize] = 0
	if !a.Store(1<<44+100, data) || a.Bytes(1<<44+100+2*mem.PageSize, 1)[0] != 0 {
		t.Error("zeros were not stored where something was")
	}
	if a.Store(1<<44+15*mem.PageSize, data) || a.Store(1<<44-8, data) {
		t.Error("stored outside of the arena")
	}
	second, err := tab.New(good)
	if err != nil {
		t.Fatal(err)
	}
	b := second.(*Arena)
	at := b.Alloc(1<<44, 1)
	if at != 1<<44 || b.Mem.Shift() == 0 {
		t.Errorf("the second arena of an address space has its first page at %#x, and its window where the first has its own", at)
	}
	b.Bytes(at, 1)[0] = 42
	if p := a.Bytes(1<<44, 1); p != nil && p[0] == 42 {
		t.Error("two arenas share a page")
	}
	tab.Close()
	if len(m.Arenas()) != 0 {
		t.Error("arenas are there after their maps have gone")
	}
}
