package recipes

import "testing"

// What scx_rusty's load balancer makes of weights and loads, by values worked out by hand.
func TestRustyLoads(t *testing.T) {
	r, err := Open("rusty")
	if err != nil {
		t.Fatal(err)
	}
	x := rig(t, "2n2l2c1t", r.Script+`
def loads(doms, fully):
    full[0] = fully
    out, most = works_of(doms)
    return [int(v * 1000 + 0.5) for v in out], int(most * 1000 + 0.5)

# What moves: tasks of these loads in each of two or four domains; those that may not leave have a minus, those that prefer
# domain 1 are texts.
sent = []
def send(t, id):
    sent.append((t.work, id))

def domain(id, tasks, all, n):
    loads = [float(v) for v in tasks]
    e = entity("dom", id, total([abs(v) for v in loads]), all / n)
    e["tasks"] = sorted([struct(work = abs(float(v)), doms = 1 << id if float(v) < 0 else 15, preferred = 2 if type(v) == "string" else 0)
                         for v in tasks], key = lambda t: t.work)
    return e

def total(list):
    sum = 0.0
    for v in list:
        sum += v
    return sum

def moves(*tasks):
    sent.clear()
    all = total([abs(float(v)) for list in tasks for v in list])
    doms = [domain(i, tasks[i], all, len(tasks)) for i in range(len(tasks))]
    if len(doms) == 2:
        list = []
        for d in doms:
            put(list, d)
        within(list, 100)
    else:
        list = []
        for n in range(2):
            node = entity("node", n, doms[2 * n]["work"] + doms[2 * n + 1]["work"], all / 2)
            for d in doms[2 * n:2 * n + 2]:
                put(node["doms"], d)
            put(list, node)
        between(list, 100)
    return sent, [int(d["work"]) for d in doms]
`)
	for _, tc := range []struct{ expr, want string }{
		// While the machine has time left, weights do not count.
		{"loads([{51: 2.0}, {10051 - 100: 1.0}], False)", "([200000, 100000], 100000)"},
		// 8 CPUs, and tasks that can all get what their weights say.
		{"loads([{151: 8.0}, {251: 8.0}], True)", "([1208000, 2008000], 10000000)"},
		// One task of weight 9951 would get 9951 of 10359 parts of 8 CPUs: it gets one, and the others, 408 in all, share 7.
		{"loads([{9951: 1.0}, {51: 8.0}], True)", "([58286, 408000], 58286)"},
		// Two of them: 408 parts for 6 CPUs.
		{"loads([{9951: 1.0}, {9951: 1.0, 51: 8.0}], True)", "([68000, 476000], 68000)"},
		// The heavier of two is limited, then the lighter one too.
		{"loads([{9951: 1.0, 1051: 1.0}, {51: 8.0}], True)", "([136000, 408000], 68000)"},
		{"loads([{}, {}], True)", "([0, 0], 10000000)"},
		{"pushes(entity(\"dom\", 0, 106.0, 100.0)), pushes(entity(\"dom\", 0, 105.0, 100.0)), pulls(entity(\"dom\", 0, 94.0, 100.0))", "(True, False, True)"},
		{"pushes(entity(\"node\", 0, 117.0, 100.0)), pushes(entity(\"node\", 0, 118.0, 100.0)), pulls(entity(\"node\", 0, 82.0, 100.0))", "(False, True, True)"},
		{"half_between(entity(\"dom\", 0, 160.0, 100.0), entity(\"dom\", 1, 80.0, 100.0))", "10.0"},
		// 80 beside 40: half of the missing 20 moves.
		{"moves([10, 30, 40], [40])", "([(10.0, 1)], [70, 50])"},
		// Nothing near 10 but 30, which makes it no better: the imbalance would be the same, so it goes.
		{"moves([30, 50], [40])", "([(30.0, 1)], [50, 70])"},
		{"moves([100], [20])", "([], [100, 20])"},
		// Within 5 % of the average.
		{"moves([10] * 10, [10] * 10 + [9])", "([], [100, 109])"},
		{"moves([-10, 30, 40], [40])", "([(30.0, 1)], [50, 70])"},
		// A task that prefers the domain goes before one that fits better.
		{"moves([10, \"15\", 15, 40], [40])", "([(15.0, 1)], [65, 55])"},
		// As much as half of the imbalance leaves a domain at a time.
		{"moves([5] * 20, [])", "([(5.0, 1), (5.0, 1), (5.0, 1), (5.0, 1), (5.0, 1)], [75, 25])"},
		// Between nodes, a task for each domain that takes: 200 beside 40.
		{"moves([20] * 5, [20] * 5, [20], [20])", "([(20.0, 2)], [100, 80, 40, 20])"},
		{"moves([20] * 5, [], [20] * 4, [])", "([], [100, 0, 80, 0])"},
	} {
		t.Run(tc.expr, func(t *testing.T) {
			x.gives(t, tc.expr, tc.want)
		})
	}
}
