package fair

import (
	"math/big"
	"testing"

	"pgregory.net/rapid"

	"github.com/schedsim/schedsim/sim"
)

// niceWeights are some load weights, from nice 19 to nice -20.
var niceWeights = []uint64{15 << 10, 110 << 10, 335 << 10, 820 << 10, 1024 << 10, 3121 << 10, 9548 << 10, 88761 << 10}

// realLag is e's lag in ns of real time, positive when it is owed service.
func (r *runq) realLag(e *entity) int64 {
	return int64(r.avgVruntime()-e.vruntime) * int64(e.weight) / nice0Load
}

// run puts e on the CPU for delta ns, as pick, set_next, update_curr and put_prev do.
func (r *runq) runFor(e *entity, delta uint64) {
	if r.curr != e {
		if r.curr != nil {
			r.enqueueNode(r.curr)
			r.curr = nil
		}
		r.dequeueNode(e)
		r.setProtect(e)
		r.curr = e
	}
	r.advance(delta)
}

// TestLagBound checks the bound of EEVDF in the steady state: with requests of at most r and a CPU that is given away no
// later than after a quantum q, -r < lag < max(r, q) for every task at all times.
func TestLagBound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := testQueue(1, Options{})
		n := rapid.IntRange(2, 8).Draw(t, "tasks")
		var es []*entity
		var rmax uint64
		for range n {
			e := testEntity(rapid.SampledFrom(niceWeights).Draw(t, "weight"))
			e.customSlice = true
			e.slice = rapid.Uint64Range(100_000, 10_000_000).Draw(t, "slice")
			rmax = max(rmax, e.slice)
			r.place(e, 0)
			r.join(e)
			es = append(es, e)
		}
		q := rapid.Uint64Range(10_000, 8_000_000).Draw(t, "quantum")
		high := int64(max(rmax, q))
		// V and the vruntimes are rounded: a ns of virtual time is the more real time the heavier the task.
		slack := int64(88761/1024*n + 2)
		for range 300 {
			e := r.pickEEVDF(true)
			left := (e.weight*(e.deadline-e.vruntime) + nice0Load - 1) / nice0Load
			r.runFor(e, min(left, rapid.Uint64Range(1, q).Draw(t, "run")))
			for i, o := range es {
				if l := r.realLag(o); l <= -int64(rmax)-slack || l >= high+slack {
					t.Fatalf("task %d: lag %d outside (-%d, %d)", i, l, rmax, high)
				}
			}
		}
	})
}

// TestAverage compares V with exact arithmetic over joins, leaves, delays and reweights, and checks that lag survives
// them.
func TestAverage(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := testQueue(2, Options{})
		var in, out []*entity
		for range rapid.IntRange(2, 10).Draw(t, "tasks") {
			out = append(out, testEntity(rapid.SampledFrom(niceWeights).Draw(t, "weight")))
		}
		for range 150 {
			switch op := rapid.IntRange(0, 5).Draw(t, "op"); {
			case op == 0 && len(out) > 0:
				e := out[len(out)-1]
				out = out[:len(out)-1]
				want, others := e.vlag, len(in)
				r.place(e, 0)
				r.join(e)
				in = append(in, e)
				// Joining moves the average; the lag that counts is the one afterwards. V is rounded, and the
				// rounding of the others' average weighs the more the heavier they are.
				if got := int64(r.avgVruntime() - e.vruntime); others > 0 && abs(got-want) > 2 {
					t.Fatalf("lag after placement %d, want %d", got, want)
				}
			case op == 1 && len(in) > 1:
				i := rapid.IntRange(0, len(in)-1).Draw(t, "leaves")
				e := in[i]
				sleep := rapid.Bool().Draw(t, "sleep")
				if e == r.curr {
					r.leave(e, sleep)
					r.curr = nil
				} else {
					r.leave(e, sleep)
				}
				in = append(in[:i], in[i+1:]...)
				out = append(out, e)
			case op == 2 && len(in) > 0:
				e := in[rapid.IntRange(0, len(in)-1).Draw(t, "reweighted")]
				before := int64(r.avgVruntime()-e.vruntime) * int64(e.weight)
				limited := r.lag(e, r.avgVruntime()) != int64(r.avgVruntime()-e.vruntime)
				w := rapid.SampledFrom(niceWeights).Draw(t, "weight")
				r.reweight(e, w)
				after := int64(r.avgVruntime()-e.vruntime) * int64(w)
				if !limited && len(in) > 1 && abs(after-before) > 2*int64(max(w, 88761<<10)) {
					t.Fatalf("lag %d after reweight, %d before", after, before)
				}
			case len(in) > 0:
				r.runFor(r.pickEEVDF(true), rapid.Uint64Range(1, 4_000_000).Draw(t, "run"))
			}
			checkAverage(t, r, in)
		}
	})
}

func abs(x int64) int64 { return max(x, -x) }

// checkAverage computes V exactly: it must be the floor of the weighted average.
func checkAverage(t *rapid.T, r *runq, in []*entity) {
	if len(in) != r.nrQueued || len(in) != r.nrRunnable {
		t.Fatalf("%d queued and %d runnable, want %d", r.nrQueued, r.nrRunnable, len(in))
	}
	if len(in) == 0 {
		return
	}
	zero := r.zeroVruntime
	sum, w := new(big.Int), new(big.Int)
	for _, e := range in {
		k := big.NewInt(int64(e.vruntime - zero))
		sum.Add(sum, k.Mul(k, new(big.Int).SetUint64(e.weight)))
		w.Add(w, new(big.Int).SetUint64(e.weight))
	}
	want := new(big.Int).Div(sum, w) // Euclidean: floors for a positive divisor
	if got := int64(r.avgVruntime() - zero); got != want.Int64() {
		t.Fatalf("V %d past the zero point, want %v", got, want)
	}
	if best := r.pickEEVDF(false); best == nil {
		t.Fatalf("nothing is eligible")
	}
	for _, e := range in {
		if e != r.curr && e.up == nil && r.root != e {
			t.Fatalf("a queued task is not in the tree")
		}
	}
}

// TestCalcDelta has values computed by hand from delta * 2^20 / weight.
func TestCalcDelta(t *testing.T) {
	for _, tc := range []struct {
		name          string
		delta, weight uint64
		want          uint64
	}{
		{"nice 0", 1_000_000, 1024 << 10, 1_000_000},
		{"nice 5", 1_000_000, 335 << 10, 3_056_716},
		{"nice 19", 700_000, 15 << 10, 47_786_666},
		{"nice -20", 1_000_000, 88761 << 10, 11_536},
		{"idle", 1_000_000, 3 << 10, 341_333_333},
		{"a day at nice 19", 86_400_000_000_000, 15 << 10, 5_898_240_000_000_000},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := testEntity(tc.weight).calcDeltaFair(tc.delta); got != tc.want {
				t.Errorf("got %d, want %d", got, tc.want)
			}
		})
	}
}

// TestPlace covers the placement rules one by one.
func TestPlace(t *testing.T) {
	const slice = 700_000
	for _, tc := range []struct {
		name           string
		feat           Options
		others         int
		vlag           int64
		rel            bool
		deadline       uint64
		flags          sim.EnqFlags
		vruntime, dead int64 // relative to V before
	}{
		{"alone, lag forgotten", Options{}, 0, -500_000, false, 0, 0, 0, slice},
		{"new task, half a slice", Options{}, 1, 0, false, 0, sim.EnqInitial, 0, slice / 2},
		{"new task, without PLACE_DEADLINE_INITIAL", Options{Disable: PlaceDeadlineInitial}, 1, 0, false, 0, sim.EnqInitial, 0, slice},
		{"negative lag among one", Options{}, 1, -100_000, false, 0, 0, 200_000, 200_000 + slice},
		{"negative lag among three", Options{}, 3, -300_000, false, 0, 0, 400_000, 400_000 + slice},
		{"positive lag among one", Options{}, 1, 100_000, false, 0, 0, -200_000, -200_000 + slice},
		{"without PLACE_LAG", Options{Disable: PlaceLag}, 1, 100_000, false, 0, 0, 0, slice},
		{"relative deadline", Options{}, 1, 100_000, true, 42, 0, -200_000, -200_000 + 42},
		{"without PLACE_REL_DEADLINE", Options{Disable: PlaceRelDeadline}, 1, 0, true, 42, 0, 0, slice},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := testQueue(1, tc.feat)
			for range tc.others {
				e := testEntity(nice0Load)
				r.place(e, 0)
				r.join(e)
			}
			v := r.avgVruntime()
			e := testEntity(nice0Load)
			e.vlag, e.relDeadline, e.deadline = tc.vlag, tc.rel, tc.deadline
			r.place(e, tc.flags)
			if got := int64(e.vruntime - v); got != tc.vruntime {
				t.Errorf("vruntime %d, want %d", got, tc.vruntime)
			}
			if got := int64(e.deadline - v); got != tc.dead {
				t.Errorf("deadline %d, want %d", got, tc.dead)
			}
		})
	}
}

// TestLagLimit checks the clamp of the lag to the longest slice and a tick.
func TestLagLimit(t *testing.T) {
	r := testQueue(1, Options{})
	a, b := testEntity(nice0Load), testEntity(335<<10)
	for _, e := range []*entity{a, b} {
		r.place(e, 0)
		r.join(e)
	}
	r.dequeueNode(b)
	b.vruntime += 1 << 40
	r.enqueueNode(b)
	r.leave(b, true)
	if want := -int64(b.calcDeltaFair(700_000 + 4_000_000)); b.vlag != want {
		t.Errorf("vlag %d, want %d", b.vlag, want)
	}
}
