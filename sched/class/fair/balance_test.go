package fair

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/schedsim/schedsim/sim"
)

// cpus are the CPUs from a to b-1.
func cpus(a, b int) []sim.CPU {
	var s []sim.CPU
	for i := a; i < b; i++ {
		s = append(s, sim.CPU(i))
	}
	return s
}

// released is pinned to its first CPUs for a ms, then runs on all n.
func released(n int) sim.Behavior {
	i := 0
	return behave(func(*sim.Task, sim.Time) sim.Step {
		switch i++; i {
		case 1:
			return sim.Step{Kind: sim.StepRun, Dur: sim.Millisecond}
		case 2:
			return sim.Step{Kind: sim.StepSetAffinity, CPUs: cpus(0, n)}
		}
		return sim.Step{Kind: sim.StepRun, Dur: 3600 * sim.Second}
	})
}

// TestBalance starts hogs by fork, or all on one CPU, lets the machine settle, and checks that each gets its share and
// how often they move.
func TestBalance(t *testing.T) {
	for _, tc := range []struct {
		topo     string
		hogs     int
		settle   sim.Duration
		min, max float64 // share of each hog in the 10 s that follow
		moves    [2]int  // in that time
	}{
		{"1n1l4c1t", 3, 100 * sim.Millisecond, 1, 1, [2]int{0, 0}},
		{"1n1l4c1t", 4, 100 * sim.Millisecond, 1, 1, [2]int{0, 0}},
		// One too many: it goes round.
		{"1n1l4c1t", 5, 500 * sim.Millisecond, .70, .92, [2]int{60, 300}},
		{"1n1l4c2t", 4, 200 * sim.Millisecond, 1, 1, [2]int{0, 0}},
		{"1n2l4c1t", 8, 200 * sim.Millisecond, 1, 1, [2]int{0, 0}},
		{"2n1l4c1t", 8, 200 * sim.Millisecond, 1, 1, [2]int{0, 0}},
		{"2n1l4c1t", 9, 500 * sim.Millisecond, .75, .98, [2]int{60, 300}},
		{"2n2l4c2t", 20, 3 * sim.Second, 1, 1, [2]int{0, 0}},
		{"2n2l4c2t", 32, sim.Second, 1, 1, [2]int{0, 0}},
	} {
		for _, how := range []string{"forked", "stacked"} {
			t.Run(fmt.Sprint(tc.topo, "/", tc.hogs, "/", how), func(t *testing.T) {
				b := newBench(t, tc.topo, Options{}, sim.Costs{})
				var hogs []*sim.Task
				for range tc.hogs {
					s := sim.TaskSpec{Comm: "hog", Behavior: hog{}}
					if how == "stacked" {
						s.CPUs, s.Behavior = cpus(0, 1), released(b.m.NrCPUs())
					}
					hogs = append(hogs, b.spawn(s))
				}
				b.from = sim.Time(tc.settle)
				b.run(tc.settle)
				var was []sim.Duration
				for _, h := range hogs {
					was = append(was, b.cpuTime(h))
				}
				b.run(tc.settle + 10*sim.Second)
				moves := 0
				for i, h := range hogs {
					moves += b.migrations[h.PID]
					if got := (b.cpuTime(h) - was[i]).Seconds() / 10; got < tc.min || got > tc.max {
						t.Errorf("hog %d: share %.3f, want %.2f to %.2f", i, got, tc.min, tc.max)
					}
				}
				if moves < tc.moves[0] || moves > tc.moves[1] {
					t.Errorf("%d migrations, want %d to %d", moves, tc.moves[0], tc.moves[1])
				}
			})
		}
	}
}

// TestForkSpreads checks where new tasks go: to idle cores first, to the emptier node and cache.
func TestForkSpreads(t *testing.T) {
	for _, tc := range []struct {
		topo string
		hogs int
	}{{"1n1l4c2t", 4}, {"1n2l4c1t", 4}, {"1n2l2c2t", 4}, {"2n1l4c1t", 6}, {"2n2l4c2t", 16}} {
		t.Run(tc.topo, func(t *testing.T) {
			b := newBench(t, tc.topo, Options{}, sim.Costs{})
			cores, llcs := map[int32]int{}, map[int32]int{}
			tp := b.m.Topo()
			for range tc.hogs {
				h := b.spawn(sim.TaskSpec{Comm: "hog", Behavior: hog{}})
				b.run(sim.Duration(b.m.Now()) + sim.Millisecond)
				cores[tp.CPUs[h.CPU()].Core]++
				llcs[tp.CPUs[h.CPU()].LLC]++
			}
			for id, n := range cores {
				if n > 1 {
					t.Errorf("core %d has %d of %d tasks", id, n, tc.hogs)
				}
			}
			lo, hi := tc.hogs, 0
			for id := range int32(tp.LLCs) {
				lo, hi = min(lo, llcs[id]), max(hi, llcs[id])
			}
			// Between nodes an imbalance is tolerated while little runs.
			if tp.Nodes == 1 && hi-lo > 1 {
				t.Errorf("caches have %d to %d tasks", lo, hi)
			}
		})
	}
}

// TestNewIdle checks that a CPU that goes idle takes a waiting task at once, more often the more it helps.
func TestNewIdle(t *testing.T) {
	b := newBench(t, "1n1l2c1t", Options{Disable: NIRandom}, sim.Costs{})
	b.spawn(sim.TaskSpec{Comm: "napper", CPUs: cpus(1, 2), Behavior: &loop{steps: []sim.Step{
		{Kind: sim.StepRun, Dur: 10 * sim.Millisecond}, {Kind: sim.StepSleep, Dur: 10 * sim.Millisecond}}}})
	a := b.spawn(sim.TaskSpec{Comm: "a", Behavior: hog{}})
	c := b.spawn(sim.TaskSpec{Comm: "c", Behavior: hog{}})
	b.run(10 * sim.Second)
	// Two CPUs, of which the napper takes half of one: nothing is left idle but what its wakeups find it in.
	if got := b.cpuTime(a) + b.cpuTime(c); got < sim.Duration(14.9*float64(sim.Second)) {
		t.Errorf("the hogs got %v of 15 s", got)
	}
	if b.migrations[a.PID]+b.migrations[c.PID] < 100 {
		t.Errorf("%d and %d migrations in 10 s", b.migrations[a.PID], b.migrations[c.PID])
	}
}

// TestPinned checks that balancing gives up on tasks that may not move, and moves those that may.
func TestPinned(t *testing.T) {
	b := newBench(t, "1n1l4c1t", Options{}, sim.Costs{})
	var pinned, free []*sim.Task
	for range 3 {
		pinned = append(pinned, b.spawn(sim.TaskSpec{Comm: "pinned", CPUs: cpus(0, 1), Behavior: hog{}}))
	}
	for range 3 {
		free = append(free, b.spawn(sim.TaskSpec{Comm: "free", CPUs: cpus(0, 1), Behavior: released(4)}))
	}
	b.run(sim.Second)
	var was []sim.Duration
	for _, f := range free {
		was = append(was, b.cpuTime(f))
	}
	b.run(3 * sim.Second)
	for i, f := range free {
		if got := b.cpuTime(f) - was[i]; got < sim.Duration(1.9*float64(sim.Second)) {
			t.Errorf("free task %d got %v of 2 s beside the pinned ones", i, got)
		}
	}
	for _, p := range pinned {
		if p.CPU() != 0 || b.migrations[p.PID] != 0 {
			t.Errorf("%v moved to %d", p, p.CPU())
		}
	}
}

// TestSelectIdle checks where a waking task goes when prev is busy.
func TestSelectIdle(t *testing.T) {
	for _, tc := range []struct {
		name string
		topo string
		busy []sim.CPU
		prev sim.CPU
		want []sim.CPU // any of these
	}{
		{"prev is idle", "1n1l4c1t", cpus(2, 4), 1, cpus(1, 2)},
		{"the next idle one", "1n1l4c1t", cpus(0, 3), 1, cpus(3, 4)},
		{"round the end", "1n1l4c1t", cpus(1, 4), 3, cpus(0, 1)},
		{"nothing idle", "1n1l4c1t", cpus(0, 4), 2, cpus(2, 3)},
		// CPUs 0-3 are first threads, 4-7 their siblings: cores 0 and 1 are busy, 2 and 3 idle.
		{"an idle core", "1n1l4c2t", cpus(0, 2), 0, cpus(2, 4)},
		{"no idle core: the sibling", "1n1l4c2t", cpus(0, 4), 2, cpus(6, 7)},
		{"stays in its cache", "1n2l2c1t", cpus(0, 1), 0, cpus(1, 2)},
		{"its cache is full", "1n2l2c1t", cpus(0, 2), 0, cpus(0, 1)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBench(t, tc.topo, Options{Disable: SISUtil}, sim.Costs{})
			for _, cpu := range tc.busy {
				b.spawn(sim.TaskSpec{Comm: "busy", CPUs: []sim.CPU{cpu}, Behavior: hog{}})
			}
			// The task sleeps from the start; the timer of its CPU will wake it.
			task := b.spawn(sim.TaskSpec{Comm: "t", CPUs: []sim.CPU{tc.prev}, Behavior: &loop{steps: []sim.Step{
				{Kind: sim.StepRun, Dur: 1000}, {Kind: sim.StepSleep, Dur: sim.Second}}}})
			b.run(100 * sim.Millisecond)
			if err := b.m.SetAffinity(task, cpus(0, b.m.NrCPUs())); err != nil {
				t.Fatal(err)
			}
			if task.OnRQ {
				t.Fatal("the task does not sleep")
			}
			// The first search finds out that there is no idle core, if so.
			b.c.SelectCPU(task, tc.prev, sim.WakeTTWU)
			task.K.SetRecentUsedCPU(int32(tc.prev))
			if got := b.c.SelectCPU(task, tc.prev, sim.WakeTTWU); !slices.Contains(tc.want, got) {
				t.Errorf("CPU %d, want one of %v", got, tc.want)
			}
		})
	}
}

// TestNothingLost throws random workloads and changes at random machines: every task stays known to exactly one
// runqueue, and time is conserved.
func TestNothingLost(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		topo := rapid.SampledFrom([]string{"1n1l1c1t", "1n1l2c1t", "1n1l4c1t", "1n1l2c2t", "2n2l2c2t"}).Draw(rt, "topology")
		o := Options{
			Enable:  rapid.SampledFrom([]Feature{0, NextBuddy}).Draw(rt, "enable"),
			Disable: rapid.SampledFrom([]Feature{0, HRTick, RunToParity, DelayDequeue, DelayZero, NIRandom, PlaceLag}).Draw(rt, "disable"),
			Preempt: rapid.SampledFrom([]Preempt{PreemptLazy, PreemptFull}).Draw(rt, "preempt"),
		}
		costs := rapid.SampledFrom([]sim.Costs{{}, {Switch: 1500, Wakeup: 800, Tick: 900, IPI: 700, Migration: 3000,
			MigrationLLC: 9000, MigrationNode: 20000, IdleExit: 1200}}).Draw(rt, "costs")
		b := newBench(rt, topo, o, costs)
		n := b.m.NrCPUs()
		var q sim.WaitQueue
		var tasks []*sim.Task
		for range rapid.IntRange(1, 14).Draw(rt, "tasks") {
			steps := []sim.Step{{Kind: sim.StepRun, Dur: sim.Duration(rapid.Int64Range(20_000, 9_000_000).Draw(rt, "run"))}}
			switch rapid.IntRange(0, 5).Draw(rt, "kind") {
			case 0:
				steps = append(steps, sim.Step{Kind: sim.StepWait, Queue: &q})
			case 1:
				steps = append(steps, sim.Step{Kind: sim.StepWake, Queue: &q, N: 1, Sync: rapid.Bool().Draw(rt, "sync")})
			case 2, 3:
				steps = append(steps, sim.Step{Kind: sim.StepSleep, Dur: sim.Duration(rapid.Int64Range(20_000, 9_000_000).Draw(rt, "sleep"))})
			case 4:
				steps = append(steps, sim.Step{Kind: sim.StepYield})
			}
			if rapid.IntRange(0, 4).Draw(rt, "ends") == 0 {
				steps = append(steps, sim.Step{Kind: sim.StepExit})
			}
			tasks = append(tasks, b.spawn(sim.TaskSpec{
				Comm:     "t",
				Nice:     rapid.IntRange(-20, 19).Draw(rt, "nice"),
				Policy:   rapid.SampledFrom([]sim.Policy{sim.PolicyNormal, sim.PolicyNormal, sim.PolicyBatch, sim.PolicyIdle}).Draw(rt, "policy"),
				Start:    sim.Time(rapid.Int64Range(0, 5_000_000).Draw(rt, "start")),
				Behavior: &loop{steps: steps},
			}))
		}
		for i := range sim.Duration(40) {
			b.run((i + 1) * 2 * sim.Millisecond)
			task := tasks[rapid.IntRange(0, len(tasks)-1).Draw(rt, "task")]
			if task.State == sim.StateDead || task.State == sim.StateNew {
				continue
			}
			switch rapid.IntRange(0, 4).Draw(rt, "change") {
			case 0:
				b.m.SetNice(task, rapid.IntRange(-20, 19).Draw(rt, "renice"))
			case 1:
				lo := rapid.IntRange(0, n-1).Draw(rt, "lo")
				if err := b.m.SetAffinity(task, cpus(lo, rapid.IntRange(lo, n-1).Draw(rt, "hi")+1)); err != nil {
					rt.Fatal(err)
				}
			case 2:
				p := rapid.SampledFrom([]sim.Policy{sim.PolicyNormal, sim.PolicyBatch, sim.PolicyIdle}).Draw(rt, "repolicy")
				if err := b.m.SetScheduler(task, p, 0, task.Nice); err != nil {
					rt.Fatal(err)
				}
			}
			b.check()
			if rt.Failed() {
				rt.FailNow()
			}
		}
		for cpu := range sim.CPU(n) {
			if got, want := b.m.BusyTime(cpu)+b.m.IdleTime(cpu), sim.Duration(b.m.RQClock(cpu)); got != want {
				rt.Fatalf("cpu %d: %v of %v accounted", cpu, got, want)
			}
		}
	})
}

// TestActiveBalance: two hogs begin on the threads of one core, where nothing waits. The one that may is moved to the
// idle core although it runs.
func TestActiveBalance(t *testing.T) {
	b := newBench(t, "1n1l2c2t", Options{}, sim.Costs{})
	one := b.spawn(sim.TaskSpec{Comm: "pinned", CPUs: []sim.CPU{2}, Behavior: hog{}})
	i := 0
	two := b.spawn(sim.TaskSpec{Comm: "free", CPUs: []sim.CPU{0}, Behavior: behave(func(*sim.Task, sim.Time) sim.Step {
		switch i++; i {
		case 1:
			return sim.Step{Kind: sim.StepRun, Dur: sim.Millisecond}
		case 2:
			return sim.Step{Kind: sim.StepSetAffinity, CPUs: cpus(0, 4)}
		}
		return sim.Step{Kind: sim.StepRun, Dur: 3600 * sim.Second}
	})})
	b.run(2 * sim.Second)
	tp := b.m.Topo()
	if tp.CPUs[one.CPU()].Core == tp.CPUs[two.CPU()].Core {
		t.Errorf("both run on core %d", tp.CPUs[one.CPU()].Core)
	}
	if n := b.migrations[two.PID]; n != 1 {
		t.Errorf("the free task moved %d times, want once", n)
	}
	if got := b.cpuTime(two); got < 1999*sim.Millisecond {
		t.Errorf("the free task ran %v of 2 s", got)
	}
}

// TestIdleScan: periodic balancing learns from the utilization how far to look for an idle CPU.
func TestIdleScan(t *testing.T) {
	for _, tc := range []struct {
		hogs int
		want int // 4 * (1 - (1.17 * utilization)^2), rounded down
	}{{0, 4}, {1, 3}, {2, 2}, {4, 0}} {
		t.Run(fmt.Sprint(tc.hogs), func(t *testing.T) {
			b := newBench(t, "1n1l4c1t", Options{}, sim.Costs{})
			for range tc.hogs {
				b.spawn(sim.TaskSpec{Comm: "hog", Behavior: hog{}})
			}
			b.run(2 * sim.Second)
			if got := b.c.llcs[0].nrIdleScan; got != tc.want {
				t.Errorf("%d, want %d", got, tc.want)
			}
		})
	}
}
