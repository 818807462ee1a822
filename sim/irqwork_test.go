package sim_test

import (
	"slices"
	"testing"

	"github.com/schedsim/schedsim/sched/class/idle"
	"github.com/schedsim/schedsim/sim"
	"github.com/schedsim/schedsim/sim/topo"
)

// TestIRQWork: works run once per request, in order, on their CPU: at once after the event on the CPU that queued them,
// after an interrupt elsewhere.
func TestIRQWork(t *testing.T) {
	tp, err := topo.Flat(2)
	if err != nil {
		t.Fatal(err)
	}
	m, err := sim.New(sim.Config{
		Topo: tp, Costs: sim.Costs{IPI: 100},
		Classes: func(m *sim.Machine) []sim.Class { return []sim.Class{newRR(m), idle.New(m)} },
	})
	if err != nil {
		t.Fatal(err)
	}
	type ran struct {
		name string
		cpu  sim.CPU
		at   sim.Time
	}
	var got []ran
	var here, there, again sim.IRQWork
	note := func(name string) { got = append(got, ran{name, m.ThisCPU(), m.Now()}) }
	here.Do = func() {
		note("here")
		m.QueueIRQWork(m.ThisCPU(), &again)
	}
	there.Do = func() { note("there") }
	again.Do = func() { note("again") }
	timer := sim.Timer{Fire: func(sim.Time) {
		if !m.QueueIRQWork(1, &there) || !m.QueueIRQWork(0, &here) || m.QueueIRQWork(0, &here) {
			t.Error("queued twice, or not at all")
		}
		note("timer")
	}}
	m.Arm(&timer, 0, 1000)
	if err := m.Run(5000); err != nil {
		t.Fatal(err)
	}
	want := []ran{{"timer", 0, 1000}, {"here", 0, 1000}, {"again", 0, 1000}, {"there", 1, 1100}}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
