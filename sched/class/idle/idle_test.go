package idle_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/schedsim/schedsim/sched/class/idle"
	"github.com/schedsim/schedsim/sim"
	"github.com/schedsim/schedsim/sim/topo"
)

// one is a class that can hold one task, for tests. It notes what it hears of idle CPUs.
type one struct {
	m    *sim.Machine
	task *sim.Task
	log  []string
}

func (o *one) Name() string                                              { return "one" }
func (o *one) SelectCPU(t *sim.Task, _ sim.CPU, _ sim.WakeFlags) sim.CPU { return t.CPU() }
func (o *one) Enqueue(_ sim.CPU, t *sim.Task, _ sim.EnqFlags) {
	o.task = t
	o.log = append(o.log, "enqueue")
}
func (o *one) Dequeue(sim.CPU, *sim.Task, sim.DeqFlags) bool { o.task = nil; return true }
func (o *one) Pick(sim.CPU, *sim.Task) *sim.Task             { o.log = append(o.log, "pick"); return o.task }
func (o *one) SetNext(sim.CPU, *sim.Task, bool)              { o.log = append(o.log, "set_next") }
func (o *one) PutPrev(_ sim.CPU, _, next *sim.Task)          { o.log = append(o.log, "put_prev") }
func (o *one) Tick(sim.CPU, *sim.Task)                       {}

func (o *one) Hooks() sim.Hooks {
	note := func(what string) func(sim.CPU) {
		return func(cpu sim.CPU) { o.log = append(o.log, fmt.Sprintf("%s curr=%s", what, o.m.Curr(cpu))) }
	}
	return sim.Hooks{EnterIdle: note("enter idle"), ExitIdle: note("exit idle"), PickIdle: note("pick idle")}
}

func newMachine(t *testing.T) (*sim.Machine, *one, *idle.Class) {
	t.Helper()
	top, err := topo.Flat(1)
	if err != nil {
		t.Fatal(err)
	}
	var o *one
	var c *idle.Class
	m, err := sim.New(sim.Config{Topo: top, Classes: func(m *sim.Machine) []sim.Class {
		o, c = &one{m: m}, idle.New(m)
		return []sim.Class{o, c}
	}})
	if err != nil {
		t.Fatal(err)
	}
	return m, o, c
}

type burst struct{ d []sim.Duration }

func (b *burst) Next(*sim.Task, sim.Time) sim.Step {
	if len(b.d) == 0 {
		return sim.Step{Kind: sim.StepExit}
	}
	d := b.d[0]
	b.d = b.d[1:]
	return sim.Step{Kind: sim.StepRun, Dur: d}
}

// TestNotifications: the other classes hear of idle CPUs where sched_ext does in the kernel, with the current task that
// it would see there.
func TestNotifications(t *testing.T) {
	m, o, _ := newMachine(t)
	if _, err := m.Spawn(sim.TaskSpec{Comm: "a", Behavior: &burst{[]sim.Duration{sim.Millisecond}}}); err != nil {
		t.Fatal(err)
	}
	end := sim.Timer{Fire: func(sim.Time) {}} // so that the clock goes on
	m.Arm(&end, 0, sim.Time(3*sim.Millisecond))
	if err := m.Run(sim.Time(2 * sim.Millisecond)); err != nil {
		t.Fatal(err)
	}
	o.log = append(o.log, "resched")
	m.Resched(0) // nothing to do: an idle to idle transition
	if err := m.Run(sim.Time(3 * sim.Millisecond)); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"enqueue",
		"pick",
		"exit idle curr=swapper/0[0]",
		"set_next",
		"put_prev", // it leaves its autogroup
		"enqueue",
		"set_next",
		"pick",
		"pick",
		"pick idle curr=a[1]",
		"put_prev",
		"enter idle curr=a[1]",
		"resched",
		"pick",
		"pick idle curr=swapper/0[0]",
	}
	if d := cmp.Diff(want, o.log); d != "" {
		t.Errorf("calls (-want +got)\n%s", d)
	}
	if got := m.IdleTime(0); got != 2*sim.Millisecond {
		t.Errorf("idle for %v, want 2ms", got)
	}
}

func TestNobodyJoins(t *testing.T) {
	for _, tc := range []struct {
		name string
		f    func(m *sim.Machine, c *idle.Class)
	}{
		{"enqueue", func(m *sim.Machine, c *idle.Class) { c.Enqueue(0, m.IdleTask(0), 0) }},
		{"dequeue", func(m *sim.Machine, c *idle.Class) { c.Dequeue(0, m.IdleTask(0), 0) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			m, _, c := newMachine(t)
			tc.f(m, c)
		})
	}
}
