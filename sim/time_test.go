package sim_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/schedsim/schedsim/sched/class/idle"
	"github.com/schedsim/schedsim/sim"
	"github.com/schedsim/schedsim/sim/topo"
)

// of returns the records of the given kinds, as text.
func (g *rig) of(kinds ...sim.Kind) []string {
	var out []string
	for _, r := range g.records {
		for _, k := range kinds {
			if r.Kind == k {
				out = append(out, strings.TrimSpace(encode(r)))
			}
		}
	}
	return out
}

// stamps is a behaviour that takes steps and notes when each began.
type stamps struct {
	steps []sim.Step
	at    []sim.Time
}

func (s *stamps) Next(_ *sim.Task, now sim.Time) sim.Step {
	s.at = append(s.at, now)
	if len(s.at) > len(s.steps) {
		return sim.Step{Kind: sim.StepExit}
	}
	return s.steps[len(s.at)-1]
}

func TestStepTimes(t *testing.T) {
	wall := func(d sim.Duration) sim.Step { return sim.Step{Kind: sim.StepRunWall, Dur: d} }
	until := func(at sim.Time) sim.Step { return sim.Step{Kind: sim.StepSleepUntil, At: at} }
	var q sim.WaitQueue
	for _, tc := range []struct {
		name  string
		steps []sim.Step
		hogs  int // tasks that compete on the only CPU, slices of 10 ms
		want  []sim.Time
	}{
		{"run and sleep", []sim.Step{run(3 * ms), sleep(2 * ms), run(ms)}, 0, []sim.Time{0, 3e6, 5e6, 6e6}},
		{"run of nothing", []sim.Step{run(0), run(-1), run(ms)}, 0, []sim.Time{0, 0, 0, 1e6}},
		{"sleep of nothing", []sim.Step{sleep(0), sleep(-5), run(ms)}, 0, []sim.Time{0, 0, 0, 1e6}},
		{"sleep until", []sim.Step{run(ms), until(4e6), until(2e6), run(ms)}, 0, []sim.Time{0, 1e6, 4e6, 4e6, 5e6}},
		// With a competitor the slice of 10 ms ends at the tick of 12 ms.
		{"CPU time while preempted", []sim.Step{run(14 * ms)}, 1, []sim.Time{0, 26e6}},
		{"wall time while preempted", []sim.Step{wall(14 * ms)}, 1, []sim.Time{0, 24e6}},
		{"wall time alone", []sim.Step{wall(14 * ms)}, 0, []sim.Time{0, 14e6}},
		{"wait with a timeout", []sim.Step{{Kind: sim.StepWait, Queue: &q, Dur: 3 * ms}, run(ms)}, 0, []sim.Time{0, 3e6, 4e6}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := newRig(t, 1, nil)
			s := &stamps{steps: tc.steps}
			g.spawn(t, "a", s)
			for range tc.hogs {
				g.spawn(t, "hog", forever(run(sim.Second)))
			}
			g.run(t, sim.Time(100*ms))
			if d := cmp.Diff(tc.want, s.at); d != "" {
				t.Errorf("steps began at (-want +got)\n%s", d)
			}
			if q.Len() != 0 {
				t.Errorf("%d tasks are left in the queue", q.Len())
			}
		})
	}
}

// TestTicks: ticks lie on multiples of 4 ms of boot time on all CPUs, in order of CPU, and only where a task runs.
func TestTicks(t *testing.T) {
	g := newRig(t, 3, nil)
	start := func(comm string, at sim.Time, d sim.Duration, cpu sim.CPU) {
		spec := sim.TaskSpec{Comm: comm, Start: at, CPUs: []sim.CPU{cpu}, Behavior: steps(run(d))}
		if _, err := g.Spawn(spec); err != nil {
			t.Fatal(err)
		}
	}
	start("a", 1e6, 9*ms, 0)  // 1..10
	start("b", 6e6, 2*ms, 2)  // 6..8: ends before the tick of that moment
	start("c", 8e6, 5*ms, 1)  // 8..13: starts too late for the tick of that moment
	start("d", 30e6, 3*ms, 0) // 30..33
	start("e", 12e6, ms, 0)   // 12..13: runs at once, but just since then
	g.run(t, sim.Time(sim.Second))
	want := []string{
		"4000000 6 cpu=0 task=1 0 0 0",
		"8000000 6 cpu=0 task=1 0 0 0",
		"12000000 6 cpu=1 task=3 0 0 0",
		"32000000 6 cpu=0 task=4 0 0 0",
	}
	if d := cmp.Diff(want, g.of(sim.KindTick)); d != "" {
		t.Errorf("ticks (-want +got)\n%s", d)
	}
	if g.Now() != 33e6 {
		t.Errorf("the run ended at %v, want 33ms: nothing can happen after that", g.Now())
	}
}

// TestCosts adds up one wakeup on another, idle CPU, by hand.
func TestCosts(t *testing.T) {
	g := newRig(t, 2, func(c *sim.Config, _ *rig) { c.Costs = costs })
	var q sim.WaitQueue
	a := &stamps{steps: []sim.Step{{Kind: sim.StepWait, Queue: &q}, run(50 * us)}}
	b := &stamps{steps: []sim.Step{run(100 * us), {Kind: sim.StepWake, Queue: &q}, run(100 * us)}}
	g.spawn(t, "a", a, 1)
	g.spawn(t, "b", b, 0)
	g.run(t, sim.Time(3*ms))
	const (
		aWaits = 1300 + 3000 + 1100 // IPI to CPU 1, idle exit, switch
		bRuns  = 3000 + 1100        // idle exit, switch
		bWakes = bRuns + 100_000
		bGoes  = bWakes + 700           // the wakeup
		aPick  = bWakes + 1300 + 3000   // IPI, idle exit
		aRuns  = aPick + 1100           // switch; no migration
		bEnds  = bWakes + 700 + 100_000 //
		aEnds  = aPick + 1100 + 50_000  //
	)
	if d := cmp.Diff([]sim.Time{aWaits, aRuns, aEnds}, a.at); d != "" {
		t.Errorf("steps of a began at (-want +got)\n%s", d)
	}
	if d := cmp.Diff([]sim.Time{bRuns, bWakes, bGoes, bEnds}, b.at); d != "" {
		t.Errorf("steps of b began at (-want +got)\n%s", d)
	}
	// A task's CPU time includes the overhead while it was current.
	if got, want := g.BusyTime(0), sim.Duration(1100+100_000+700+100_000); got != want {
		t.Errorf("CPU 0 was busy for %v, want %v", got, want)
	}
}

func TestMigrationCosts(t *testing.T) {
	for _, tc := range []struct {
		name string
		to   sim.CPU
		want sim.Duration
	}{
		{"other thread", 8, 0},
		{"same cache", 1, 2000},
		{"other cache", 2, 5000},
		{"other node", 4, 9000},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := newRig(t, 1, func(c *sim.Config, _ *rig) {
				top, err := topo.Parse("2n2l2c2t")
				if err != nil {
					t.Fatal(err)
				}
				c.Topo = top
				c.Costs = sim.Costs{Migration: 2000, MigrationLLC: 5000, MigrationNode: 9000}
			})
			s := &stamps{steps: []sim.Step{run(us), sleep(us), run(us)}}
			a := g.spawn(t, "a", s, 0)
			g.run(t, 1500)
			if err := g.SetAffinity(a, []sim.CPU{tc.to}); err != nil {
				t.Fatal(err)
			}
			g.run(t, sim.Time(ms))
			// The step after the sleep is asked for when the CPU has dealt with the migration.
			if got := s.at[2].Sub(2000); got != tc.want {
				t.Errorf("migration took %v, want %v", got, tc.want)
			}
		})
	}
}

// TestMoveCost: the CPU that moves a queued task pays for it; choosing another CPU for one that is woken is part of the wakeup.
func TestMoveCost(t *testing.T) {
	for _, tc := range []struct {
		name  string
		steps []sim.Step
		want  sim.Duration
	}{
		{"queued", []sim.Step{run(ms)}, 3500},
		{"asleep", []sim.Step{sleep(2 * ms), run(us)}, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := newRig(t, 2, func(c *sim.Config, _ *rig) { c.Costs = sim.Costs{Move: 3500} })
			a := g.spawn(t, "a", &stamps{steps: tc.steps}, 0)
			b := g.spawn(t, "b", &stamps{steps: tc.steps}, 0)
			g.spawn(t, "hog", forever(run(sim.Second)), 0)
			g.run(t, 1500)
			before := g.RQClock(0)
			if err := g.SetAffinity(b, []sim.CPU{1}); err != nil {
				t.Fatal(err)
			}
			if got := g.RQClock(0).Sub(before); got != tc.want {
				t.Errorf("CPU 0 pays %v, want %v", got, tc.want)
			}
			if got := g.RQClock(1).Sub(g.Now()); got != 0 {
				t.Errorf("CPU 1 pays %v", got)
			}
			g.run(t, sim.Time(3*ms))
			if a.CPU() != 0 || b.CPU() != 1 {
				t.Errorf("a on %d, b on %d", a.CPU(), b.CPU())
			}
		})
	}
}

func TestCapacity(t *testing.T) {
	g := newRig(t, 2, func(c *sim.Config, _ *rig) { c.Topo.CPUs[1].Capacity = 300 })
	big, little := &stamps{steps: []sim.Step{run(3 * ms)}}, &stamps{steps: []sim.Step{run(3 * ms)}}
	g.spawn(t, "big", big, 0)
	g.spawn(t, "little", little, 1)
	g.run(t, sim.Time(sim.Second))
	if big.at[1] != 3e6 {
		t.Errorf("on a full CPU it took %v, want 3ms", big.at[1])
	}
	// Ticks at 4 and 8 ms bring the work up to date in between: nothing may be lost to rounding.
	if want := sim.Time((3_000_000*1024 + 299) / 300); little.at[1] != want {
		t.Errorf("on a CPU of capacity 300 it took %v, want %v", little.at[1], want)
	}
}

// TestCharge: overhead that arrives while a task runs keeps it from its work, on any CPU.
func TestCharge(t *testing.T) {
	for _, tc := range []struct {
		name   string
		charge sim.CPU // from a timer of CPU 0
		want   sim.Time
	}{
		{"own CPU", 0, 1e6 + 5000},
		{"another CPU", 1, 1e6 + 5000},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := newRig(t, 2, nil)
			s := &stamps{steps: []sim.Step{run(ms)}}
			g.spawn(t, "a", s, tc.charge)
			tm := sim.Timer{Fire: func(sim.Time) {
				g.Charge(tc.charge, sim.CostCallback, 2000)
				g.Charge(tc.charge, sim.CostCallback, 3000)
				g.Charge(tc.charge, sim.CostCallback, 0)
				if got := g.RQClock(tc.charge); got != 500_000+5000 {
					t.Errorf("clock %v, want 505µs", got)
				}
			}}
			g.Arm(&tm, 0, 500_000)
			g.run(t, sim.Time(sim.Second))
			if s.at[1] != tc.want {
				t.Errorf("the task was done at %v, want %v", s.at[1], tc.want)
			}
			if n := len(g.of(sim.KindOverhead)); n != 2 {
				t.Errorf("%d records of overhead, want 2", n)
			}
		})
	}
}

func TestTimers(t *testing.T) {
	g := newRig(t, 2, nil)
	var log []string
	note := func(s string) { log = append(log, s) }
	var once, twice, never sim.Timer
	once.Fire = func(now sim.Time) { note("once " + now.String()) }
	twice.Fire = func(now sim.Time) {
		note("twice " + now.String())
		if g.ThisCPU() != 1 {
			t.Errorf("ThisCPU = %d in a timer of CPU 1", g.ThisCPU())
		}
		if len(log) == 2 {
			g.Arm(&twice, 1, 0) // in the past: now
		}
	}
	never.Fire = func(sim.Time) { note("never") }
	g.Arm(&once, 0, 5e6)
	g.Arm(&once, 0, 2e6) // replaces
	g.Arm(&twice, 1, 2e6)
	g.Arm(&never, 0, 1e6)
	if !g.Cancel(&never) || g.Cancel(&never) || never.Armed() {
		t.Error("Cancel does not tell that the timer was armed once")
	}
	if !once.Armed() || once.At() != 2e6 {
		t.Errorf("armed %t for %v, want true for 2ms", once.Armed(), once.At())
	}
	g.run(t, sim.Time(sim.Second))
	if d := cmp.Diff([]string{"once 2ms", "twice 2ms", "twice 2ms"}, log); d != "" {
		t.Errorf("timers (-want +got)\n%s", d)
	}
}

// TestEndlessTimer: a timer that is always armed for now ends Run with an error instead of hanging it. The run can go on
// once the timer is gone.
func TestEndlessTimer(t *testing.T) {
	g := newRig(t, 2, nil)
	g.spawn(t, "a", forever(run(ms)))
	var tm sim.Timer
	tm.Fire = func(now sim.Time) { g.Arm(&tm, 1, now) }
	g.Arm(&tm, 1, sim.Time(ms))
	for range 2 {
		err := g.Run(sim.Time(sim.Second))
		var e *sim.LockupError
		if !errors.As(err, &e) || e.CPU != 1 || e.At != sim.Time(ms) || e.Events < 1<<20 {
			t.Fatalf("Run: %v (%+v)", err, e)
		}
	}
	g.Cancel(&tm)
	g.run(t, sim.Time(sim.Second))
	if g.Now() != sim.Time(sim.Second) {
		t.Errorf("the run went on to %v, want 1s", g.Now())
	}
}

// TestRunUntil: events at the end of a run belong to it, and the clock moves on to it while something is to come.
func TestRunUntil(t *testing.T) {
	g := newRig(t, 1, nil)
	s := &stamps{steps: []sim.Step{run(2 * ms), run(2 * ms)}}
	g.spawn(t, "a", s)
	g.run(t, 2e6)
	if len(s.at) != 2 || g.Now() != 2e6 {
		t.Errorf("at %v %d steps had begun, want 2 at 2ms", g.Now(), len(s.at))
	}
	g.run(t, 3e6)
	if g.Now() != 3e6 {
		t.Errorf("Now = %v, want 3ms", g.Now())
	}
	g.run(t, 9e6)
	if g.Now() != 4e6 || g.NrTasks() != 0 {
		t.Errorf("Now = %v with %d tasks, want 4ms with none", g.Now(), g.NrTasks())
	}
	tm := sim.Timer{Fire: func(sim.Time) { g.Stop() }}
	g.spawn(t, "b", forever(run(ms)))
	g.Arm(&tm, 0, 6e6)
	g.run(t, 9e6)
	if g.Now() != 6e6 {
		t.Errorf("stopped at %v, want 6ms", g.Now())
	}
	g.run(t, 9e6)
	if g.Now() != 9e6 {
		t.Errorf("after Stop and Run: %v, want 9ms", g.Now())
	}
}

// TestWaitQueue: waiters are woken in order of arrival, no more than asked for.
func TestWaitQueue(t *testing.T) {
	g := newRig(t, 1, nil)
	var q sim.WaitQueue
	wake := func(n int32) sim.Step { return sim.Step{Kind: sim.StepWake, Queue: &q, N: n} }
	for _, c := range []string{"a", "b", "c", "d"} {
		g.spawn(t, c, steps(sim.Step{Kind: sim.StepWait, Queue: &q}, run(us)))
	}
	g.spawn(t, "waker", steps(run(ms), wake(1), run(ms), wake(2), run(ms), wake(0), run(ms), wake(0)))
	g.run(t, sim.Time(sim.Second))
	want := []string{
		"1000000 2 cpu=0 task=1 0 0 0",
		"2000000 2 cpu=0 task=2 0 0 0",
		"2000000 2 cpu=0 task=3 0 0 0",
		"3000000 2 cpu=0 task=4 0 0 0",
	}
	if d := cmp.Diff(want, g.of(sim.KindWakeup)[5:]); d != "" {
		t.Errorf("wakeups (-want +got)\n%s", d)
	}
	if q.Len() != 0 || g.NrTasks() != 0 {
		t.Errorf("%d waiters and %d tasks at the end", q.Len(), g.NrTasks())
	}
}

// TestWaitQueueMiddle: a waiter that leaves by its timeout leaves the others in order.
func TestWaitQueueMiddle(t *testing.T) {
	g := newRig(t, 1, nil)
	var q sim.WaitQueue
	wait := func(d sim.Duration) sim.Behavior {
		return steps(sim.Step{Kind: sim.StepWait, Queue: &q, Dur: d}, run(us))
	}
	g.spawn(t, "a", wait(0))
	g.spawn(t, "b", wait(ms))
	g.spawn(t, "c", wait(0))
	g.spawn(t, "d", wait(2*ms))
	g.run(t, sim.Time(3*ms))
	if q.Len() != 2 {
		t.Fatalf("%d waiters, want a and c", q.Len())
	}
	if n := g.WakeQueue(&q, 5, 0); n != 2 {
		t.Errorf("WakeQueue woke %d tasks, want 2", n)
	}
	g.run(t, sim.Time(4*ms))
	var woken []string
	for _, r := range g.records {
		if r.Kind == sim.KindExit {
			woken = append(woken, fmt.Sprint(r.Task))
		}
	}
	if d := cmp.Diff([]string{"2", "4", "1", "3"}, woken); d != "" {
		t.Errorf("order of ends (-want +got)\n%s", d)
	}
}

// TestIdleExit: an interrupt on a CPU that is just leaving the idle state does not make that any faster.
func TestIdleExit(t *testing.T) {
	g := newRig(t, 1, func(c *sim.Config, _ *rig) { c.Costs.IdleExit = 5 * us })
	s := &stamps{steps: []sim.Step{sleep(ms), run(ms)}}
	g.spawn(t, "a", s)
	g.run(t, sim.Time(500*us))
	tm := sim.Timer{Fire: func(sim.Time) {}}
	g.Arm(&tm, 0, sim.Time(1007*us)) // the sleep ends at 1005
	g.run(t, sim.Time(sim.Second))
	if d := cmp.Diff([]sim.Time{5000, 1_010_000, 2_010_000}, s.at); d != "" {
		t.Errorf("steps began at (-want +got)\n%s", d)
	}
}

// TestStopCPU: a stopper's work runs above all classes, once for each time that it is queued.
func TestStopCPU(t *testing.T) {
	g := newRig(t, 2, nil)
	g.spawn(t, "hog", forever(run(sim.Second)), 1)
	g.run(t, sim.Time(ms))
	n := 0
	w := sim.StopWork{Do: func() {
		n++
		if c := g.Curr(1); c.Comm != "migration/1" || g.ThisCPU() != 1 {
			t.Errorf("work runs in %s on cpu %d", c, g.ThisCPU())
		}
	}}
	other := sim.StopWork{Do: func() { n += 10 }}
	if !g.StopCPU(1, &w) || g.StopCPU(1, &w) || !g.StopCPU(1, &other) {
		t.Error("StopCPU does not tell that the work is queued already")
	}
	g.run(t, sim.Time(2*ms))
	if n != 11 || g.Curr(1).Comm != "hog" {
		t.Errorf("work was done %d times, %s runs", n, g.Curr(1))
	}
	if !g.StopCPU(1, &w) {
		t.Error("StopCPU refuses work that was done")
	}
	g.run(t, sim.Time(3*ms))
	if n != 12 || g.NrRunning(1) != 1 {
		t.Errorf("work was done %d times, %d tasks run", n, g.NrRunning(1))
	}
}

// TestIRQWork: works run in order, before the CPU goes on with its task, and once for each time that they are queued;
// a remote CPU gets them by an interrupt.
func TestIRQWork(t *testing.T) {
	g := newRig(t, 2, func(c *sim.Config, _ *rig) { c.Costs.IPI = 3 * us })
	g.spawn(t, "hog", forever(run(sim.Second)), 0)
	g.run(t, sim.Time(ms))
	var log []string
	note := func(what string) { log = append(log, fmt.Sprintf("%s on cpu %d at %v", what, g.ThisCPU(), g.Now())) }
	remote := sim.IRQWork{Do: func() { note("remote") }}
	second := sim.IRQWork{Do: func() { note("second") }}
	first := sim.IRQWork{Do: func() { note("first"); g.QueueIRQWork(1, &remote) }}
	tm := sim.Timer{Fire: func(sim.Time) {
		if !g.QueueIRQWork(0, &first) || g.QueueIRQWork(0, &first) || !g.QueueIRQWork(0, &second) {
			t.Error("QueueIRQWork does not tell that the work is queued already")
		}
		note("timer")
	}}
	g.Arm(&tm, 0, sim.Time(2*ms))
	g.run(t, sim.Time(3*ms))
	g.QueueIRQWork(0, &second) // from outside
	g.run(t, sim.Time(4*ms))
	want := []string{
		"timer on cpu 0 at 2ms",
		"first on cpu 0 at 2ms",
		"second on cpu 0 at 2ms",
		"remote on cpu 1 at 2.003ms",
		"second on cpu 0 at 3ms",
	}
	if d := cmp.Diff(want, log); d != "" {
		t.Errorf("works (-want +got)\n%s", d)
	}
}

// TestHandOver: a task does not run before the CPU that wakes it, or switches away from it, is through with that by its own clock, however
// soon another CPU finds the task.
func TestHandOver(t *testing.T) {
	for _, tc := range []struct {
		name  string
		costs sim.Costs
		act   func(g *rig, b *sim.Task) // in a timer of CPU 0, at 2 ms
		want  sim.Duration              // after 2 ms: when b can go on
	}{
		{"woken at once", sim.Costs{IPI: us}, func(g *rig, b *sim.Task) { g.Wake(b, 0) }, us},
		{"woken by a CPU that is busy for less", sim.Costs{IPI: 3 * us},
			func(g *rig, b *sim.Task) { g.Charge(0, sim.CostTimer, 2*us); g.Wake(b, 0) }, 3 * us},
		{"woken by a CPU that is busy for longer", sim.Costs{IPI: us},
			func(g *rig, b *sim.Task) { g.Charge(0, sim.CostTimer, 5*us); g.Wake(b, 0) }, 5 * us},
		{"busy later", sim.Costs{IPI: us},
			func(g *rig, b *sim.Task) { g.Wake(b, 0); g.Charge(0, sim.CostTimer, 5*us) }, us},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := newRig(t, 2, func(c *sim.Config, _ *rig) { c.Costs = tc.costs })
			g.spawn(t, "hog", forever(run(sim.Second)), 0)
			var q sim.WaitQueue
			b := g.spawn(t, "b", steps(sim.Step{Kind: sim.StepWait, Queue: &q}, run(sim.Second)), 1)
			tm := sim.Timer{Fire: func(sim.Time) { tc.act(g, b) }}
			g.Arm(&tm, 0, sim.Time(2*ms))
			g.run(t, sim.Time(3*ms))
			if got := ms - g.CPUTime(b); got != tc.want {
				t.Errorf("b went on after %v, want %v", got, tc.want)
			}
		})
	}
}

// TestReschedLazy: a running remote CPU schedules at its next interrupt, an idle or the own one at once.
func TestReschedLazy(t *testing.T) {
	g := newRig(t, 2, nil)
	g.spawn(t, "a", forever(run(sim.Second)), 0)
	b := g.spawn(t, "b", forever(run(sim.Second)), 1)
	g.spawn(t, "c", forever(run(sim.Second)), 1)
	g.run(t, sim.Time(ms))
	tm := sim.Timer{Fire: func(sim.Time) {
		g.rr.left[b.Index] = 0 // b may be replaced from now on
		g.ReschedLazy(1)
	}}
	g.Arm(&tm, 0, sim.Time(2*ms))
	g.run(t, sim.Time(3*ms))
	if g.Curr(1) != b || g.NeedResched(1) {
		t.Errorf("at 3ms %s runs, want b until the tick", g.Curr(1))
	}
	g.run(t, sim.Time(4*ms))
	if g.Curr(1).Comm != "c" {
		t.Errorf("at 4ms %s runs, want c", g.Curr(1))
	}
}

// late is a class whose Pick wakes a task of a higher class, once: the machine must ask the higher class again.
type late struct {
	*rr
	wake func()
}

func (l *late) Pick(cpu sim.CPU, prev *sim.Task) *sim.Task {
	if f := l.wake; f != nil {
		l.wake = nil
		f()
	}
	return l.rr.Pick(cpu, prev)
}

func TestPickStartsAgain(t *testing.T) {
	var low *late
	g := newRig(t, 1, func(c *sim.Config, g *rig) {
		c.Classes = func(m *sim.Machine) []sim.Class {
			g.rr = newRR(m)
			low = &late{rr: newRR(m)}
			low.name = "low"
			return []sim.Class{g.rr, low, idle.New(m)}
		}
	})
	high := g.spawn(t, "high", steps(sleep(sim.Second), run(ms)))
	g.run(t, sim.Time(ms))
	g.SetClassFor(func(*sim.Task) sim.Class { return low })
	g.spawn(t, "low", forever(run(sim.Second)))
	low.wake = func() { g.Wake(high, 0) }
	g.run(t, sim.Time(ms))
	if g.Curr(0) != high {
		t.Errorf("%s runs, want %s, which woke up while a lower class picked", g.Curr(0), high)
	}
	if g.NextClass(0).Name() != "fair" || !g.ClassAbove(g.NextClass(0), low) {
		t.Errorf("next class is %s, want fair", g.NextClass(0).Name())
	}
}

func TestForkRefused(t *testing.T) {
	var cancelled, died int
	g := newRig(t, 1, func(c *sim.Config, g *rig) {
		mk := c.Classes
		c.Classes = func(m *sim.Machine) []sim.Class {
			cl := mk(m)
			g.rr.hooks.Fork = func(t *sim.Task) error {
				if t.Comm == "bad" {
					return errRefused
				}
				return nil
			}
			g.rr.hooks.CancelFork = func(*sim.Task) { cancelled++ }
			g.rr.hooks.Dead = func(*sim.Task) { died++ }
			return cl
		}
	})
	_, err := g.Spawn(sim.TaskSpec{Comm: "bad", Behavior: steps()})
	if err == nil || err.Error() != `task "bad": no memory` {
		t.Errorf("Spawn: %v", err)
	}
	if cancelled != 1 || g.NrTasks() != 0 || g.TaskByPID(1) != nil {
		t.Errorf("cancelled %d times, %d tasks, PID 1 is %v", cancelled, g.NrTasks(), g.TaskByPID(1))
	}
	g.spawn(t, "good", steps(sim.Step{Kind: sim.StepFork, Spawn: &sim.TaskSpec{Comm: "bad", Behavior: steps()}}))
	if err := g.Run(sim.Time(ms)); err == nil || err.Error() != `task good[2]: fork: task "bad": no memory` {
		t.Errorf("Run: %v", err)
	}
}

type refusal string

func (r refusal) Error() string { return string(r) }

const errRefused = refusal("no memory")

// TestTimerInterrupt: sleeps that end at one time on one CPU end before the CPU schedules; another CPU does not wait for it.
func TestTimerInterrupt(t *testing.T) {
	for _, tc := range []struct {
		name string
		cpus [2]sim.CPU
		want []string
	}{
		{"one interrupt", [2]sim.CPU{0, 0}, []string{"waking a", "waking b", "switch to a"}},
		{"two interrupts", [2]sim.CPU{0, 1}, []string{"waking a", "switch to a", "waking b", "switch to b"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var log []string
			var g *rig
			g = newRig(t, 2, func(c *sim.Config, _ *rig) {
				c.Sink = sim.SinkFunc(func(r *sim.Record) {
					switch p := g.TaskByPID(r.Task); {
					case r.At != sim.Time(ms) || p == nil:
					case r.Kind == sim.KindWaking:
						log = append(log, "waking "+p.Comm)
					case r.Kind == sim.KindSwitch:
						log = append(log, "switch to "+p.Comm)
					}
				})
			})
			for i, comm := range []string{"a", "b"} {
				g.spawn(t, comm, forever(sim.Step{Kind: sim.StepSleepUntil, At: sim.Time(ms)}, run(ms)), tc.cpus[i])
			}
			g.run(t, sim.Time(2*ms))
			if d := cmp.Diff(tc.want, log); d != "" {
				t.Error(d)
			}
		})
	}
}
