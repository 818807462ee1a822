package ext

import (
	"testing"

	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/sim"
)

// groupTable is a policy with one group of tasks: ops.dispatch takes the group out of where groups are, takes a task of it and puts it
// back, with a lock around each. Each part takes step. empty counts the calls that found no group.
func groupTable(k *Kernel, step sim.Duration, empty *int) *ops.Table {
	there := true
	tb := fifoTable(k)
	tb.Cost = func() sim.Duration { return step }
	tb.Dispatch = func(sim.CPU, *sim.Task) {
		k.Pace()
		if !there {
			*empty++
			return
		}
		there = false
		k.DSQMoveToLocal(0, 0)
		k.Pace()
		there = true
	}
	return tb
}

// TestPace: a CPU whose slice ends in the tick in which another's does finds the group taken out if the other loses its turn in between.
// It keeps its task, though others wait. Where CPUs do not take turns, or dispatching takes no time, nobody looks in between.
func TestPace(t *testing.T) {
	us := sim.Microsecond
	for _, tc := range []struct {
		name string
		turn sim.Duration
		step sim.Duration
		want bool
	}{
		{"turns", 20 * us, 3 * us, true},
		{"no time", 20 * us, 0, false},
		{"no turns", 0, 3 * us, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			costs := sim.Costs{InsnPS: 2000, Switch: 4 * us, Tick: 3 * us, Preempt: 2 * us}
			r := newRig(t, rigOptions{topo: "1n1l4c1t", costs: costs, turn: tc.turn})
			empty := 0
			r.enable(groupTable(r.k, tc.step, &empty))
			for range 8 {
				r.spawn(sim.TaskSpec{Comm: "hog", Behavior: hog()})
			}
			r.run(ms(1000))
			if e := r.k.ExitInfo(); e != nil {
				t.Fatalf("%+v", e)
			}
			if kept := r.k.Events().DispatchKeepLast; (empty > 0) != tc.want || (kept > 0) != tc.want {
				t.Errorf("%d calls found no group, %d tasks were kept; want some: %t", empty, kept, tc.want)
			}
			var ran sim.Duration
			r.m.Tasks(func(h *sim.Task) { ran += r.m.CPUTime(h) })
			if want := 4 * sim.Second; ran < want-sim.Millisecond || ran > want {
				t.Errorf("%v of CPU time, want all of %v", ran, want)
			}
		})
	}
}

// TestPaceInvariants: whatever comes while CPUs are in the middle of a pick, no task is lost or in two places.
func TestPaceInvariants(t *testing.T) {
	us := sim.Microsecond
	empty := 0
	for seed := range uint64(8) {
		costs := sim.Costs{InsnPS: 2000, Switch: 4 * us, Tick: 3 * us, Preempt: 2 * us, Timer: us, Wakeup: us, Queue: 3 * us, Block: 4 * us, IdleExit: 2 * us}
		r := newRig(t, rigOptions{topo: "1n1l4c1t", costs: costs, turn: 20 * us, seed: seed})
		r.enable(groupTable(r.k, 5*us, &empty))
		rng := r.m.Rand("naps")
		for i := range 12 {
			b := &steps{}
			for range 7 {
				b.list = append(b.list, run(sim.Duration(rng.Int64N(3_000_000))), sleep(sim.Duration(rng.Int64N(1_000_000))))
			}
			s := sim.TaskSpec{Comm: "nap", Behavior: b}
			if i < 3 {
				s.Behavior = hog()
			}
			if i == 5 {
				s.Policy, s.RTPrio = sim.PolicyFIFO, 1
			}
			r.spawn(s)
		}
		for at := sim.Time(0); at < ms(200); at += ms(1) / 16 {
			r.run(at)
			if err := r.k.check(); err != nil {
				t.Fatalf("seed %d, %v: %v", seed, at, err)
			}
		}
		if e := r.k.ExitInfo(); e != nil {
			t.Fatalf("seed %d: %+v", seed, e)
		}
	}
	if empty == 0 {
		t.Error("nobody looked in between")
	}
}
