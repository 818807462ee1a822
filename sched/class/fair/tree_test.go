package fair

import (
	"cmp"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/schedsim/schedsim/sim"
)

// testQueue is a runqueue without a machine, of the reference kernel on n CPUs.
func testQueue(n int, o Options) *runq {
	c := newConfig(o, n, 4_000_000)
	r := new(runq)
	r.init(&c)
	return r
}

// testEntity is an entity of a task with that load weight.
func testEntity(weight uint64) *entity {
	e := &entity{t: &sim.Task{}, weight: weight}
	e.avg.init(weight)
	return e
}

// checkTree checks the colours, the links, the order and the subtree values, and returns the black height.
func checkTree(t *rapid.T, e, up *entity) int {
	if e == nil {
		return 1
	}
	if e.up != up {
		t.Fatalf("parent link of %p is %p, want %p", e, e.up, up)
	}
	if e.red && (isRed(e.left) || isRed(e.right)) {
		t.Fatalf("red node with a red child")
	}
	l, r := checkTree(t, e.left, e), checkTree(t, e.right, e)
	if l != r {
		t.Fatalf("black heights %d and %d", l, r)
	}
	if !e.update() {
		t.Fatalf("stale subtree values")
	}
	if !e.red {
		l++
	}
	return l
}

// order lists the tree from first on.
func (t *tree) order() []*entity {
	var o []*entity
	for e := t.first; e != nil; e = e.next() {
		o = append(o, e)
	}
	return o
}

// TestTree compares the tree with a sorted slice, and the search for the earliest eligible deadline with a scan.
func TestTree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := testQueue(1, Options{})
		base := rapid.SampledFrom([]uint64{0, 1 << 40, ^uint64(0) - 1000}).Draw(t, "base") // virtual time wraps
		r.zeroVruntime = base
		var model []*entity
		r.nrQueued = 2 // the search for the best is short-cut at one
		for range rapid.IntRange(1, 120).Draw(t, "steps") {
			if len(model) == 0 || rapid.IntRange(0, 2).Draw(t, "op") > 0 {
				e := testEntity(rapid.SampledFrom([]uint64{3 << 10, 15 << 10, 1 << 20, 88761 << 10}).Draw(t, "weight"))
				e.onRQ = true
				e.vruntime = base + uint64(rapid.Int64Range(-2000, 2000).Draw(t, "vruntime"))
				e.deadline = e.vruntime + uint64(rapid.Int64Range(0, 500).Draw(t, "vslice"))
				e.slice = uint64(rapid.Int64Range(100, 110).Draw(t, "slice"))
				r.enqueueNode(e)
				model = append(model, e)
				slices.SortStableFunc(model, func(a, b *entity) int { return cmp.Compare(int64(a.deadline-base), int64(b.deadline-base)) })
			} else {
				i := rapid.IntRange(0, len(model)-1).Draw(t, "victim")
				r.dequeueNode(model[i])
				model = slices.Delete(model, i, i+1)
			}

			checkTree(t, r.root, nil)
			if d := gocmp.Diff(model, r.order(), gocmp.Comparer(func(a, b *entity) bool { return a == b }), cmpopts.EquateEmpty()); d != "" {
				t.Fatalf("order (-want +got):\n%s", d)
			}
			var want *entity
			var sum int64
			for _, e := range model {
				if want == nil && r.eligible(e) {
					want = e
				}
				sum += int64(e.vruntime-base) * int64(e.weight)
			}
			if got := r.earliestEligible(); got != want {
				t.Fatalf("earliest eligible: got %p, want %p", got, want)
			}
			if sum != r.sumWVruntime {
				t.Fatalf("sum_w_vruntime %d, want %d", r.sumWVruntime, sum)
			}
			if len(model) > 0 && want == nil {
				t.Fatalf("nothing is eligible")
			}
		}
	})
}

// TestEligible compares the comparison in 128 bits with exact arithmetic at the edges.
func TestEligible(t *testing.T) {
	for _, tc := range []struct {
		name     string
		sum      int64
		weight   uint64
		vruntime uint64
		want     bool
	}{
		{"at the average", 0, 1 << 20, 0, true},
		{"just behind", 0, 1 << 20, ^uint64(0), true},
		{"just ahead", 0, 1 << 20, 1, false},
		{"at a positive average", 5 << 20, 1 << 20, 5, true},
		{"above a positive average", 5<<20 + 1<<20 - 1, 1 << 20, 6, false},
		{"at a negative average", -5 << 20, 1 << 20, ^uint64(4), true},
		{"above a negative average", -5<<20 - 1, 1 << 20, ^uint64(4), false},
		{"product beyond 64 bits, ahead", 1 << 62, 1 << 40, 1 << 50, false},
		{"product beyond 64 bits, behind", -1 << 62, 1 << 40, -(1 << 50) & (1<<64 - 1), true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := testQueue(1, Options{})
			r.zeroVruntime, r.sumWVruntime, r.sumWeight = 0, tc.sum, tc.weight
			if got := r.eligibleAt(tc.vruntime); got != tc.want {
				t.Errorf("eligible: %v, want %v", got, tc.want)
			}
		})
	}
}
