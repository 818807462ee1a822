package sim_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/schedsim/schedsim/sched/class/fair"
	"github.com/schedsim/schedsim/sched/class/idle"
	"github.com/schedsim/schedsim/sim"
	"github.com/schedsim/schedsim/sim/topo"
)

// timing is a machine whose tasks tell when they come to an end.
type timing struct {
	*sim.Machine
	t    *testing.T
	ends map[string]sim.Time
}

func newTiming(t *testing.T, shape string, costs sim.Costs) *timing {
	t.Helper()
	tp, err := topo.Parse(shape)
	if err != nil {
		t.Fatal(err)
	}
	x := &timing{t: t, ends: map[string]sim.Time{}}
	x.Machine, err = sim.New(sim.Config{Topo: tp, Costs: costs, Classes: func(m *sim.Machine) []sim.Class {
		return []sim.Class{fair.New(m), idle.New(m)}
	}, Sink: sim.SinkFunc(func(r *sim.Record) {
		if r.Kind == sim.KindExit {
			x.ends[x.TaskByPID(r.Task).Comm] = r.At
		}
	})})
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// once is a behaviour of some steps and the end.
type once []sim.Step

func (o *once) Next(*sim.Task, sim.Time) sim.Step {
	if len(*o) == 0 {
		return sim.Step{Kind: sim.StepExit}
	}
	s := (*o)[0]
	*o = (*o)[1:]
	return s
}

func work(d sim.Duration) sim.Step { return sim.Step{Kind: sim.StepRun, Dur: d} }
func nap(d sim.Duration) sim.Step  { return sim.Step{Kind: sim.StepSleep, Dur: d} }

func (x *timing) add(comm string, cpu sim.CPU, start sim.Time, steps ...sim.Step) *sim.Task {
	x.t.Helper()
	b := once(steps)
	t, err := x.Spawn(sim.TaskSpec{Comm: comm, CPUs: []sim.CPU{cpu}, Start: start, Behavior: &b})
	if err != nil {
		x.t.Fatal(err)
	}
	return t
}

func (x *timing) end(comm string, want sim.Duration) {
	x.t.Helper()
	if err := x.Run(sim.Time(sim.Second)); err != nil {
		x.t.Fatal(err)
	}
	if got := x.ends[comm]; got != sim.Time(want) {
		x.t.Errorf("%s ended at %v, want %v", comm, got, sim.Time(want))
	}
}

// A CPU that changes its speed in the middle of a step does the rest at the new speed.
func TestSetSpeed(t *testing.T) {
	x := newTiming(t, "1n1l2c1t", sim.Costs{})
	x.add("a", 0, 0, work(20*ms))
	x.add("b", 1, 0, work(20*ms))
	if err := x.Run(sim.Time(10 * ms)); err != nil {
		t.Fatal(err)
	}
	if err := x.SetSpeed(0, sim.FullSpeed/2); err != nil {
		t.Fatal(err)
	}
	x.end("b", 20*ms)
	x.end("a", 30*ms) // 10 ms of work at half speed
	for _, speed := range []int{0, sim.FullSpeed + 1} {
		if err := x.SetSpeed(0, speed); !errors.Is(err, sim.EINVAL) {
			t.Errorf("speed %d: %v", speed, err)
		}
	}
	if err := x.SetSpeed(2, 1); !errors.Is(err, sim.ENODEV) {
		t.Errorf("CPU 2: %v", err)
	}
}

// A machine without a delay for it keeps its speed, whatever is asked; one with it follows, not below a quarter.
func TestRequestSpeed(t *testing.T) {
	for _, tc := range []struct {
		delay sim.Duration
		want  int
		end   sim.Duration
	}{{0, 1024, 20 * ms}, {10 * ms, 256, 10*ms + 40*ms}} {
		t.Run(fmt.Sprint(tc.delay), func(t *testing.T) {
			x := newTiming(t, "1n1l1c1t", sim.Costs{SpeedDelay: tc.delay})
			x.add("a", 0, 0, work(20*ms))
			x.RequestSpeed(0, 1)
			x.end("a", tc.end)
			if got := x.Speed(0); got != tc.want {
				t.Errorf("speed %d, want %d", got, tc.want)
			}
		})
	}
}

// Threads of a core slow each other down while both work, and only then.
func TestSMT(t *testing.T) {
	// CPUs 0 and 2 share a core, as do 1 and 3.
	x := newTiming(t, "1n1l2c2t", sim.Costs{SMT: 512})
	x.add("a", 0, 0, work(20*ms))
	x.add("b", 2, sim.Time(10*ms), work(5*ms))
	x.add("c", 1, 0, work(20*ms))
	// b needs 10 ms at half speed; a has then done 10 + 5 ms and needs 5 more.
	x.end("b", 20*ms)
	x.end("a", 25*ms)
	x.end("c", 20*ms)
}

// A CPU that has been idle for long is in a deeper state, which it takes longer to leave.
func TestDeepIdle(t *testing.T) {
	x := newTiming(t, "1n1l1c1t", sim.Costs{IdleExit: 2 * sim.Microsecond, DeepIdleAfter: 5 * ms, DeepIdleExit: 100 * sim.Microsecond})
	x.add("a", 0, sim.Time(ms), work(ms), nap(2*ms), work(ms), nap(10*ms), work(ms))
	us := sim.Microsecond
	x.end("a", 1*ms+2*us+ms+2*ms+2*us+ms+10*ms+100*us+ms)
}

// A CPU whose states are limited does not enter one that takes longer to leave.
func TestLimitIdle(t *testing.T) {
	for _, tc := range []struct{ limit, exit sim.Duration }{
		{0, 100 * sim.Microsecond}, {100 * sim.Microsecond, 100 * sim.Microsecond}, {99 * sim.Microsecond, 2 * sim.Microsecond},
	} {
		x := newTiming(t, "1n1l1c1t", sim.Costs{IdleExit: 2 * sim.Microsecond, DeepIdleAfter: 5 * ms, DeepIdleExit: 100 * sim.Microsecond})
		x.LimitIdle(0, tc.limit)
		x.add("a", 0, sim.Time(ms), work(ms), nap(10*ms), work(ms))
		x.end("a", 1*ms+2*sim.Microsecond+ms+10*ms+tc.exit+ms)
	}
}

// A task pays for a move as much as it had filled its caches.
func TestWarmup(t *testing.T) {
	for _, tc := range []struct {
		name string
		ran  sim.Duration
		want sim.Duration // price
	}{{"warm", 10 * ms, 800 * sim.Microsecond}, {"half", 2 * ms, 400 * sim.Microsecond}, {"cold", ms / 4, 50 * sim.Microsecond}} {
		t.Run(tc.name, func(t *testing.T) {
			x := newTiming(t, "1n1l2c1t", sim.Costs{Migration: 800 * sim.Microsecond, Warmup: 4 * ms})
			x.add("a", 0, 0, work(tc.ran), sim.Step{Kind: sim.StepSetAffinity, CPUs: []sim.CPU{1}}, work(ms))
			x.end("a", tc.ran+tc.want+ms)
		})
	}
}

// Kill ends a task that runs, waits or sleeps, once.
func TestKill(t *testing.T) {
	x := newTiming(t, "1n1l1c1t", sim.Costs{})
	runs := x.add("runs", 0, 0, work(sim.Second))
	waits := x.add("waits", 0, 0, work(sim.Second))
	sleeps := x.add("sleeps", 0, 0, nap(sim.Second))
	if err := x.Run(sim.Time(10 * ms)); err != nil {
		t.Fatal(err)
	}
	for _, p := range []*sim.Task{runs, waits, sleeps} {
		if err := x.Kill(p); err != nil {
			t.Error(err)
		}
	}
	if err := x.Run(sim.Time(20 * ms)); err != nil {
		t.Fatal(err)
	}
	for _, p := range []*sim.Task{runs, waits, sleeps} {
		if at, ok := x.ends[p.Comm]; !ok || at != sim.Time(10*ms) {
			t.Errorf("%s ended at %v (%v)", p.Comm, at, ok)
		}
		if err := x.Kill(p); !errors.Is(err, sim.ESRCH) {
			t.Errorf("killed twice: %v", err)
		}
	}
	if x.NrTasks() != 0 {
		t.Errorf("%d tasks are left", x.NrTasks())
	}
}

// A task that must not migrate stays where it is when its CPUs change, and leaves when it may (migrate_disable).
func TestMigrateDisable(t *testing.T) {
	x := newTiming(t, "1n1l2c1t", sim.Costs{})
	a := x.add("a", 0, 0, work(100*ms))
	x.add("b", 0, 0, work(100*ms))
	x.MigrateDisable(a)
	if err := x.Run(sim.Time(20 * ms)); err != nil {
		t.Fatal(err)
	}
	if a.K.CPUsPtr() == a.K.CPUsMask().Addr {
		t.Error("p->cpus_ptr shows all of p->cpus_mask after the task was switched out")
	}
	if err := x.SetAffinity(a, []sim.CPU{1}); err != nil {
		t.Fatal(err)
	}
	if err := x.Run(sim.Time(40 * ms)); err != nil {
		t.Fatal(err)
	}
	if a.CPU() != 0 {
		t.Errorf("on CPU %d", a.CPU())
	}
	if err := x.MigrateEnable(a); err != nil {
		t.Fatal(err)
	}
	if err := x.Run(sim.Time(41 * ms)); err != nil {
		t.Fatal(err)
	}
	if a.CPU() != 1 || a.K.CPUsPtr() != a.K.CPUsMask().Addr {
		t.Errorf("on CPU %d", a.CPU())
	}
	if err := x.MigrateEnable(a); !errors.Is(err, sim.EINVAL) {
		t.Errorf("enabled twice: %v", err)
	}
}

// TestRunClock: a run by the task's clock ends when the clock says so, overheads in between included; one by work does not.
func TestRunClock(t *testing.T) {
	x := newTiming(t, "1n1l2c1t", sim.Costs{Switch: 50_000, Tick: 100_000})
	x.add("clock", 0, 0, sim.Step{Kind: sim.StepRunClock, Dur: 10 * ms})
	x.add("work", 1, 0, work(10*ms))
	x.end("clock", 10*ms+50_000) // the switch comes before, the ticks at 4 and 8 ms are in it
	x.end("work", 10*ms+250_000)
}

// TestLook: where CPUs take turns, a task finds the end of a run by its clock that came in the turn of another CPU when it looks next,
// and one that came in its own at once.
func TestLook(t *testing.T) {
	const look = 1600 * sim.Nanosecond
	end := func(length, look sim.Duration) sim.Time {
		g := newRig(t, 2, func(c *sim.Config, _ *rig) { c.Turn, c.Look, c.Costs.InsnPS = 20*us, look, 2000 })
		g.spawn(t, "hog", forever(run(sim.Second)), 0)
		g.spawn(t, "clock", steps(sim.Step{Kind: sim.StepRunClock, Dur: length}), 1)
		g.run(t, sim.Time(ms))
		for _, r := range g.records {
			if r.Kind == sim.KindExit {
				return r.At
			}
		}
		t.Fatalf("a run of %v does not end", length)
		return 0
	}
	later, same := 0, 0
	for length := 100 * us; length < 120*us; length += 130 {
		at, looked := end(length, 0), end(length, look)
		if looked < at || looked.Sub(at) >= look {
			t.Errorf("%v: ends at %v, with looks at %v", length, at, looked)
		}
		if looked > at {
			later++
		} else {
			same++
		}
	}
	if later < 20 || same < 20 {
		t.Errorf("looks have %d runs end later, %d not", later, same)
	}
}
