package keep

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestRoom(t *testing.T) {
	for _, tc := range []struct{ size, want int }{
		{0, 0}, {16, 16}, {1280, 1280}, {1281, 2048}, {2049, 4096}, {4097, 8192}, {8193, 16384}, {27264, 32768}, {32768, 32768}, {32769, 32769},
	} {
		if got := room(tc.size); got != tc.want {
			t.Errorf("room(%d) = %d, want %d", tc.size, got, tc.want)
		}
	}
}

func TestSlice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 3000).Draw(t, "n")
		list := Slice[[3]uint64](n)
		if len(list) != 0 || cap(list) < n {
			t.Fatalf("room for %d: %d of %d", n, len(list), cap(list))
		}
		if size := cap(list) * 24; size > 1280 && size <= 32<<10 && (room(size+header)-header)/24 != cap(list) {
			t.Errorf("%d elements are %d bytes, which is no size with a span of its own", n, size)
		}
	})
	list := []int{3, 1, 2}
	copied := Clone(list)
	list[0] = 9
	if !slices.Equal(copied, []int{3, 1, 2}) {
		t.Errorf("the copy is %v", copied)
	}
}

func TestPart(t *testing.T) {
	all := Slice[int](5)
	a, b := Part(&all, []int{1, 2}), Part(&all, []int{3, 4, 5})
	_ = append(a, 9) // is no part of all
	if !slices.Equal(a, []int{1, 2}) || !slices.Equal(b, []int{3, 4, 5}) || &a[0] != &all[0] || &b[0] != &all[2] {
		t.Errorf("%v and %v of %v", a, b, all)
	}
}

func TestStrings(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.SliceOf(rapid.SampledFrom([]string{"", "a", "b", "ab", "name", strings.Repeat("long", 400)})).Draw(t, "strings")
		got := slices.Clone(want)
		var all []*string
		for i := range got {
			all = append(all, &got[i])
		}
		Strings(append(all, all...)...) // also those that are named twice
		if d := cmp.Diff(want, got); d != "" {
			t.Error(d)
		}
	})
}
