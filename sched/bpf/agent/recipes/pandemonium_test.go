package recipes

import "testing"

// What scx_pandemonium's loop measures and decides, by values worked out by hand.
func TestPandemoniumLoop(t *testing.T) {
	r, err := Open("pandemonium")
	if err != nil {
		t.Fatal(err)
	}
	// A second that was as it should be, and what is different of one that was not.
	const second = `
def signals(**but):
    s = {"p99": 4000 * US, "p99_interactive": 0, "io": 30, "rescues": 0, "wakeups": 0, "scatter": 0, "degree": 2.0, "disorder": 0.0,
         "determinism": None, "position": 0.5, "release": 0}
    s.update(but)
    return struct(**s)

def start():
    base = {"slice_ns": 1 * MS, "preempt_thresh_ns": 1 * MS, "batch_slice_ns": 20 * MS, "lat_cri_thresh_high": 32, "lat_cri_thresh_low": 8,
            "affinity_mode": 2, "sojourn_thresh_ns": 2 * MS, "burst_slice_ns": 1 * MS, "codel_eq_ns": 0}
    x = experts(base)
    for _ in range(3):
        weigh(x, signals(), MIXED, 10 * MS)
    return x

def then(**but):
    x = start()
    k = weigh(x, signals(**but), MIXED, 10 * MS)
    return [k[name] for name in ["slice_ns", "preempt_thresh_ns", "batch_slice_ns", "sojourn_thresh_ns", "burst_slice_ns", "affinity_mode"]]

def often(n, **but):
    x = start()
    for _ in range(n):
        k = weigh(x, signals(**but), MIXED, 10 * MS)
    return k["slice_ns"], k["affinity_mode"], [int(w * 1000 + 1e-9) for w in x["weights"][MIXED]]
`
	x := rig(t, "1n2l4c2t", r.Script+second)
	for _, tc := range []struct{ expr, want string }{
		{"[mean_degree(s) for s in [[1, 2], [3, 1, 2], [1, 2, 3, 4], [5, 5, 5, 5], [2, 1, 2, 1, 2]]]", "[0.0, 2.0, 1.5, 1.5, 2.4]"},
		{"[disorder(s) for s in [[1], [1, 2, 3, 4], [4, 3, 2, 1], [1, 1, 1]]]", "[0.0, 0.0, 0.0, 0.0]"},
		{"int(disorder([1, 3, 2, 4, 1]) * 1000000)", "613147"},             // ln 3 / ln 6
		{"int(disorder([1, 2, 3, 2, 3, 1, 2, 0, 0]) * 1000000)", "712726"}, // of 7 once, once, twice and thrice the same
		{"determinism([1, 2, 3, 4, 5, 6, 7])", "None"},
		{"determinism([4] * 16)", "1.0"},
		{"determinism([0, 9] * 8)", "1.0"},
		{"determinism([1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096])", "0.9444444444444444"},
		{"determinism([0, 100, 3, 60, 20, 90, 45, 10])", "0.0"},
		{"[p99([0] * 12), p99([100] + [0] * 11), p99([98, 0, 0, 2] + [0] * 8), p99([0] * 11 + [1])]", "[0, 10000, 100000, 20000000]"},
		{"[int(1000000 * exp(v)) for v in [0, -0.33465, -1.0, -3.0]]", "[1000000, 715588, 367879, 49787]"},
		{"[int(1000000 * ln(v)) for v in [0.0625, 0.5, 1.0, 7.0]]", "[-2772588, -693147, 0, 1945910]"},
		{"[regime_of(i, d, e) for i, d, e in [(60, 2.0, 0.9), (60, 3.5, 0.9), (60, 3.5, 0.5), (10, 2.0, 0.0), (30, 2.0, 0.0), (5, 3.6, 0.86)]]", "[0, 1, 0, 2, 1, 1]"},
		{"[regime_knobs(g, 40 * MS)[\"slice_ns\"] for g in [LIGHT, MIXED, HEAVY]]", "[2000000, 1000000, 4000000]"},
		{"[regime_knobs(HEAVY, tau)[\"slice_ns\"] for tau in [1 * MS, 13333333]]", "[500000, 1999918]"},
		{"[regime_knobs(g, 10 * MS)[\"batch_slice_ns\"] for g in [LIGHT, MIXED, HEAVY]]", "[20000000, 15000000, 20000000]"},
		{"[regime_knobs(HEAVY, 40 * MS)[k] for k in [\"preempt_thresh_ns\", \"sojourn_thresh_ns\", \"affinity_mode\"]]", "[2000000, 5999755, 1]"},
		// Nothing went wrong, and the wait is no longer short: the knobs stay.
		{"then()", "[1000000, 1000000, 20000000, 2000000, 1000000, 2]"},
		// The wait is twice what may be: losses of 0, 0.5, 1, 0.6, 0.3 and 0.9, and a step of 0.675/4.3.
		{"then(p99 = 10 * MS)", "[995289, 1000000, 19935062, 4995289, 995245, 2]"},
		{"then(p99_interactive = 10 * MS) == then(p99 = 10 * MS)", "True"},
		// Rescues blame four, but not where the programs' controller has moved.
		{"then(rescues = 1) != then()", "True"},
		{"[then(rescues = 9, position = p) == then() for p in [0.1, 0.95, 0.5]]", "[True, True, False]"},
		// Of what repeats, only the first time counts: rescues and much scatter, unless it grows.
		{"often(1, rescues = 1) == often(9, rescues = 1)", "True"},
		{"often(1, scatter = 50) == often(9, scatter = 50)", "True"},
		{"often(1, scatter = 20) == often(1)", "True"},
		// Tasks that sleep for long leave nothing to the expert of I/O; short sleeps leave it more.
		{"often(1, io = 0)[2][IO] < often(1)[2][IO], often(1, io = 100)[2][IO] > often(1)[2][IO]", "(True, True)"},
		// More wakeups than a part of tau, with rescues.
		{"then(wakeups = 10000000, rescues = 1) != then(rescues = 1), then(wakeups = 10000000) == then()", "(True, True)"},
		// What was regular is not any more: the first of the experts but the balanced one has less to say.
		{"[often(1, **b)[2][LATENCY] < 40 for b in [{\"degree\": 3.5}, {\"disorder\": 0.2}, {\"disorder\": 0.1}]]", "[True, True, False]"},
		// Long waits go on: the slice follows the expert of latency.
		{"often(60, p99 = 20 * MS)", "(899015, 2, [281, 613, 7, 21, 65, 9])"},
		{"converged(start(), MIXED)", "False"},
	} {
		t.Run(tc.expr, func(t *testing.T) {
			x.gives(t, tc.expr, tc.want)
		})
	}
	// On up to four CPUs no slice is longer than 1 ms.
	rig(t, "1n1l4c1t", r.Script).gives(t, `regime_knobs(HEAVY, 40 * MS)["slice_ns"]`, "1000000")
}
