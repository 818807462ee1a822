package fair

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/schedsim/schedsim/sim"
)

// TestSetBalancing: a CPU that goes idle looks for tasks elsewhere as often as what it was given says: always, or not at all if it is not
// idle for as long as looking takes.
func TestSetBalancing(t *testing.T) {
	for _, tc := range []struct {
		name string
		b    Balancing
		want bool // a hog is pulled at once
	}{
		{"always of use", Balancing{AvgIdle: sim.Millisecond, Ratio: 1024, Cost: 20 * sim.Microsecond}, true},
		{"too short", Balancing{AvgIdle: 10 * sim.Microsecond, Ratio: 1024, Cost: 20 * sim.Microsecond}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBench(t, "1n1l2c1t", Options{}, sim.Costs{})
			c := b.m.ClassByName("fair").(*Class)
			// The next balancing of an idle CPU is far away.
			tc.b.NextBalance, tc.b.Last, tc.b.Interval = 1000, 0, 8*sim.Millisecond
			tc.b.Call, tc.b.Success, tc.b.Stamp, tc.b.Failed = 600, 300, sim.Time(7), 2
			if !c.SetBalancing(1, tc.b) {
				t.Fatal("nothing to balance with")
			}
			if d := cmp.Diff(tc.b, c.Balancing(1)); d != "" {
				t.Error(d)
			}
			for range 2 {
				b.spawn(sim.TaskSpec{Comm: "hog", CPUs: cpus(0, 1), Behavior: released(2)})
			}
			ran := false
			b.spawn(sim.TaskSpec{Comm: "short", CPUs: cpus(1, 2), Behavior: behave(func(*sim.Task, sim.Time) sim.Step {
				if ran {
					return sim.Step{Kind: sim.StepExit}
				}
				ran = true
				return sim.Step{Kind: sim.StepRun, Dur: 5 * sim.Millisecond}
			})})
			b.run(5*sim.Millisecond + 200*sim.Microsecond)
			if got := b.m.Curr(1).Comm == "hog"; got != tc.want {
				t.Errorf("CPU 1 runs %s", b.m.Curr(1).Comm)
			}
		})
	}
	one := newBench(t, "1n1l1c1t", Options{}, sim.Costs{})
	if one.m.ClassByName("fair").(*Class).SetBalancing(0, Balancing{}) {
		t.Error("a machine of one CPU balances")
	}
}
