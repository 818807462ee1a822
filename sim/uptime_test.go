package sim_test

import (
	"testing"

	"github.com/schedsim/schedsim/sched/class/fair"
	"github.com/schedsim/schedsim/sched/class/idle"
	"github.com/schedsim/schedsim/sim"
	"github.com/schedsim/schedsim/sim/topo"
)

// TestBoot: clocks and kernel objects count from the boot, the machine's own time from its beginning.
func TestBoot(t *testing.T) {
	tp, err := topo.Flat(1)
	if err != nil {
		t.Fatal(err)
	}
	config := sim.Config{Topo: tp, Classes: func(m *sim.Machine) []sim.Class { return []sim.Class{fair.New(m), idle.New(m)} }}
	config.Boot = -1
	if _, err := sim.New(config); err == nil {
		t.Error("a boot in the future is possible")
	}
	config.Boot = 7 * sim.Second
	m, err := sim.New(config)
	if err != nil {
		t.Fatal(err)
	}
	task, err := m.Spawn(sim.TaskSpec{Comm: "t", Behavior: endless{}})
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Run(sim.Time(sim.Second)); err != nil {
		t.Fatal(err)
	}
	const initial = 1<<32 - 300*250 // INITIAL_JIFFIES
	for name, got := range map[string][2]uint64{
		"now":        {uint64(m.Now()), 1e9},
		"uptime":     {uint64(m.Uptime()), 8e9},
		"ticks":      {m.Ticks(), 250},
		"jiffies":    {m.Jiffies(), initial + 8*250},
		"start_time": {task.K.StartTime(), 7e9},
		"exec_start": {task.K.ExecStart(), 7e9},
	} {
		if got[0] != got[1] {
			t.Errorf("%s is %d, want %d", name, got[0], got[1])
		}
	}
	if clock := m.RQ(0).Clock(); clock < 7e9 || clock > 8e9 {
		t.Errorf("rq.clock is %d", clock)
	}
}

// endless never ends.
type endless struct{}

func (endless) Next(*sim.Task, sim.Time) sim.Step {
	return sim.Step{Kind: sim.StepRun, Dur: sim.Second}
}
