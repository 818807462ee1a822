package editdist

import "testing"

func TestDistance(t *testing.T) {
	for _, tc := range []struct {
		a, b        string
		limit, want int
	}{
		{"", "", 0, 0},
		{"same", "same", 0, 0},
		{"", "abc", 5, 3},
		{"abc", "", 5, 3},
		{"loop", "lop", 2, 1},
		{"lop", "loop", 2, 1},
		{"loop", "look", 2, 1},
		{"laod", "load", 2, 1},
		{"kitten", "sitting", 3, 3},
		{"kitten", "sitting", 2, 3},
		{"abcdef", "ghijkl", 1, 2},
	} {
		if got := Distance(tc.a, tc.b, tc.limit); got != tc.want {
			t.Errorf("%q, %q up to %d: %d, want %d", tc.a, tc.b, tc.limit, got, tc.want)
		}
	}
}
