package sim_test

import (
	"testing"

	"github.com/schedsim/schedsim/sim"
)

// TestPlace: a sleeping task that was placed wakes on its new CPU, by that CPU's timer; one that runs, or may not be there, stays.
func TestPlace(t *testing.T) {
	for _, tc := range []struct {
		name    string
		allowed []sim.CPU
		at      sim.Time // of placing it on CPU 1
		want    bool
		on      sim.CPU // where it then runs
	}{
		{"asleep", nil, sim.Time(3 * ms), true, 1},
		{"may not", []sim.CPU{0}, sim.Time(3 * ms), false, 0},
		{"running", nil, sim.Time(500 * us), false, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := newRig(t, 2, func(c *sim.Config, _ *rig) { c.Costs = sim.Costs{Timer: 1000} })
			task := g.spawn(t, "a", steps(run(ms), sim.Step{Kind: sim.StepSleepUntil, At: sim.Time(5 * ms)}, run(ms)), tc.allowed...)
			var tm sim.Timer
			placed := false
			tm.Fire = func(sim.Time) { placed = g.Place(task, 1) }
			g.Arm(&tm, 0, tc.at)
			var where sim.Timer
			where.Fire = func(sim.Time) {
				if task.CPU() != tc.on || !task.OnCPU {
					t.Errorf("on CPU %d, running %t, want CPU %d", task.CPU(), task.OnCPU, tc.on)
				}
			}
			g.Arm(&where, 0, sim.Time(5*ms+500*us))
			g.run(t, sim.Time(10*ms))
			if placed != tc.want {
				t.Errorf("placed %t, want %t", placed, tc.want)
			}
		})
	}
}

func TestOn(t *testing.T) {
	g := newRig(t, 2, nil)
	g.On(1, func() {
		if g.ThisCPU() != 1 {
			t.Errorf("this CPU is %d", g.ThisCPU())
		}
	})
	if g.ThisCPU() != 0 {
		t.Errorf("afterwards this CPU is %d", g.ThisCPU())
	}
}
