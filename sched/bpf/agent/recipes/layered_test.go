package recipes

import "testing"

// How scx_layered's user space divides CPUs among layers, by values worked out by hand.
func TestLayeredCPUs(t *testing.T) {
	r, err := Open("layered")
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ machine, expr, want string }{
		{"1n1l8c1t", "remainders(8, [100, 100, 100])", "[3, 3, 2]"},
		{"1n1l8c1t", "remainders(7, [1, 2])", "[2, 5]"},
		{"1n1l8c1t", "remainders(7, [0, 0])", "[0, 0]"},
		{"1n1l8c1t", "water(8, [1, 9, 9], [100, 100, 100])", "[1, 4, 3]"},
		{"1n1l8c1t", "water(8, [1, 1, 1], [100, 100, 100])", "[1, 1, 1]"},
		{"1n1l8c1t", "water(9, [9, 9], [100, 200])", "[3, 6]"},
		// A layer that is open wants none, and the others share.
		{"1n1l8c1t", "budgets(8, [9, 0, 9], [100, 100, 100])", "[4, 0, 4]"},
		{"1n1l8c1t", "budgets(8, [2, 0, 3], [100, 100, 100])", "[2, 0, 3]"},
		{"1n1l8c1t", "budgets(2, [9, 9], [1, 100])", "[1, 1]"},
		// Layers begin at nodes of their own and overflow to the next.
		{"2n1l4c1t", "place([2, 0, 3], [4, 4], [100, 100, 100])", "[[2, 0], [0, 0], [2, 1]]"},
		{"2n1l4c1t", "place([4, 4], [4, 4], [100, 100])", "[[4, 0], [0, 4]]"},
		{"2n1l4c1t", "place([6, 2], [4, 4], [100, 100])", "[[4, 2], [0, 2]]"},
		// Of 8 cores in thirds the third layer begins at the sixth from the end; sticky ones turn once more.
		{"1n1l8c1t", "core_order(2, 0)", "[2, 3, 4, 5, 6, 7, 0, 1]"},
		{"1n1l8c1t", "core_order(0, 0)", "[0, 1, 2, 3, 4, 5, 6, 7]"},
		{"1n1l8c1t", "core_order(1, 0)", "[3, 4, 5, 6, 7, 0, 1, 2]"},
		{"1n1l8c2t", "UNIT, len(orders[0][0])", "(2, 8)"},
		// Utilisation, and CPUs that it had: batch may be 80 to 90 % busy, and shrinks by half of the difference.
		{"1n1l8c1t", "[wanted(0, u, n) for u, n in [(0.005, 0), (0.5, 0), (1.8, 2), (1.81, 2), (1.7, 2), (0.8, 2), (0.0, 8), (9.0, 8)]]", "[0, 1, 2, 3, 2, 1, 4, 10]"},
		{"1n1l8c1t", "wanted(1, 5.0, 3)", "0"},
	} {
		t.Run(tc.machine+" "+tc.expr, func(t *testing.T) {
			x := rig(t, tc.machine, r.Script+`
def wanted(i, u, n):
    util[i][0], util[i][1] = u, 0.0
    own[i] = list(range(n))
    return target(i)
`)
			x.gives(t, tc.expr, tc.want)
		})
	}
}
