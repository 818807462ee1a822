package recipes

import (
	"strings"
	"testing"
)

// What cells get CPUs, by what scx_mitosis's cell manager says of itself.
func TestMitosisCells(t *testing.T) {
	r, err := Open("mitosis")
	if err != nil {
		t.Fatal(err)
	}
	x := rig(t, "1n1l4c1t", r.Script)
	for _, tc := range []struct{ expr, want string }{
		{"assign([(0, None)], [0, 1, 2, 3])", "{0: [0, 1, 2, 3]}"},
		{"assign([(0, None), (1, None), (2, None)], list(range(8)))", "{0: [0, 1, 2], 1: [3, 4, 5], 2: [6, 7]}"},
		// A cgroup with a cpuset has it, and the others share the rest as 3 to 2, which is what they want of 8.
		{"assign([(0, None), (1, [0, 1]), (2, None)], list(range(8)))", "{0: [2, 3, 4, 5], 1: [0, 1], 2: [6, 7]}"},
		// Two want 2 and 3: the one that has less gets them.
		{"assign([(0, None), (1, [0, 1, 2, 3]), (2, [2, 3])], list(range(6)))", "{0: [4, 5], 1: [0, 1], 2: [2, 3]}"},
		// Both have enough: what they both want is divided evenly.
		{"assign([(0, None), (1, [0, 1, 2, 3, 4, 5]), (2, [4, 5, 6, 7, 8, 9])], list(range(11)))", "{0: [10], 1: [0, 1, 2, 3, 4], 2: [6, 7, 8, 9, 5]}"},
		// Nobody stays without.
		{"split([0, 1], [(1, 100), (2, 1)])", "{1: [0], 2: [1]}"},
		{"split([0, 1, 2], [(1, 2), (2, 0), (3, 1)])", "{1: [0, 1], 2: [], 3: [2]}"},
		{"split([0, 1, 2], [(1, 0), (2, 0)])", "{1: [0, 1], 2: [2]}"},
	} {
		t.Run(tc.expr, func(t *testing.T) {
			x.gives(t, tc.expr, tc.want)
		})
	}
	for _, tc := range []struct{ expr, want string }{
		{"assign([(0, None), (1, None)], [0])", "needs a CPU for each of 2 cells, there are 1"},
		{"assign([(0, None), (1, [0, 1])], [0, 1])", "has no CPU left for cell 0"},
	} {
		if _, err := x.evalExpr(&node{file: "x.json", line: 1}, tc.expr, x.base); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %s", tc.expr, err, tc.want)
		}
	}
}
