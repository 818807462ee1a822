package sim_test

import (
	"testing"

	"github.com/schedsim/schedsim/sim"
)

// TestSoftirq: the callback of a program's timer comes when its CPU is through with the interrupt and on its way to the softirq; where CPUs
// take turns, that may be in its next one (hrtimer_interrupt, hrtimer_run_softirq).
func TestSoftirq(t *testing.T) {
	costs := sim.Costs{Timer: 1450, Softirq: 1000, InsnPS: 2000}
	for _, tc := range []struct {
		name        string
		turn        sim.Duration
		hogs        int
		costs       sim.Costs
		now, clock  sim.Duration // after the time for which the timer is set: of the callback, and by its CPU's clock
		laterAtMost sim.Duration // than that
	}{
		{"without a price", 0, 2, sim.Costs{Timer: 1450}, 0, 1450, 0},
		{"without turns", 0, 2, costs, 0, 2450, 0},
		{"alone", 20 * us, 1, costs, 2450, 2450, 0},
		{"the other CPU has turns too", 20 * us, 2, costs, 2450, 2450, 20 * us},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := newRig(t, 2, func(c *sim.Config, _ *rig) { c.Costs, c.Turn = tc.costs, tc.turn })
			for i := range tc.hogs {
				g.spawn(t, "hog", forever(run(sim.Second)), sim.CPU(i))
			}
			fired := 0
			var tm sim.Timer
			next := sim.Time(2*ms + 7*us)
			tm.Fire = func(now sim.Time) {
				if !g.Softirq(&tm) {
					return
				}
				fired++
				if d := now.Sub(next); d < tc.now || d > tc.now+tc.laterAtMost {
					t.Errorf("%v: callback after %v, want %v and at most %v more", next, d, tc.now, tc.laterAtMost)
				}
				if d := g.RQClock(0).Sub(next); d < tc.clock || d > tc.clock+tc.laterAtMost {
					t.Errorf("%v: callback at %v by the CPU's clock, want %v and at most %v more", next, d, tc.clock, tc.laterAtMost)
				}
				next = next.Add(ms + us)
				g.Arm(&tm, 0, next)
			}
			g.Arm(&tm, 0, next)
			g.run(t, sim.Time(30*ms))
			if fired < 25 {
				t.Errorf("%d callbacks", fired)
			}
		})
	}
}

// TestTimerWakeups: where CPUs take turns, tasks whose sleep ends at one time are woken one after the other, each after what comes before it
// is queued (hrtimer_wakeup, try_to_wake_up).
func TestTimerWakeups(t *testing.T) {
	costs := sim.Costs{Timer: 1450, Queue: 3250, Wakeup: 650, InsnPS: 2000}
	for _, tc := range []struct {
		name string
		turn sim.Duration
		want []sim.Duration // after the end of the sleep
	}{
		{"at once", 0, []sim.Duration{0, 0, 0}},
		{"turns", 20 * us, []sim.Duration{4700, 8600, 12500}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := newRig(t, 2, func(c *sim.Config, _ *rig) { c.Costs, c.Turn = costs, tc.turn })
			at := sim.Time(2 * ms)
			for range tc.want {
				g.spawn(t, "sleeper", steps(sim.Step{Kind: sim.StepSleepUntil, At: at}, run(ms)), 0)
			}
			g.run(t, sim.Time(3*ms))
			var got []sim.Duration
			for _, r := range g.records {
				if r.Kind == sim.KindWakeup && r.At >= at {
					got = append(got, r.At.Sub(at))
				}
			}
			if len(got) != len(tc.want) {
				t.Fatalf("%d wakeups, want %d", len(got), len(tc.want))
			}
			for i := range got {
				if got[i] != tc.want[i] {
					t.Errorf("wakeup %d after %v, want %v", i, got[i], tc.want[i])
				}
			}
		})
	}
}
