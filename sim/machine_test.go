package sim_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/schedsim/schedsim/sched/class/idle"
	"github.com/schedsim/schedsim/sim"
	"github.com/schedsim/schedsim/sim/kobj"
	"github.com/schedsim/schedsim/sim/topo"
)

// encode is a record as bytes, for comparisons of whole runs.
func encode(r sim.Record) string {
	return fmt.Sprintf("%d %d cpu=%d task=%d %d %d %d\n", r.At, r.Kind, r.CPU, r.Task, r.A, r.B, r.Aux)
}

func (g *rig) trace() string {
	var b strings.Builder
	for _, r := range g.records {
		b.WriteString(encode(r))
	}
	return b.String()
}

// costs are overheads of the right order of magnitude, all different.
var costs = sim.Costs{
	Switch: 1100, Wakeup: 700, Tick: 900, IPI: 1300, Migration: 2000, MigrationLLC: 5000, MigrationNode: 9000, IdleExit: 3000,
}

// anything draws the behaviour of a task that does all sorts of things n times and ends.
func anything(t *rapid.T, name string, queues []*sim.WaitQueue, cpus int) sim.Behavior {
	pick := rapid.IntRange(0, len(queues)-1)
	dur := rapid.Int64Range(0, 3_000_000)
	var s []sim.Step
	for range rapid.IntRange(1, 12).Draw(t, name+" steps") {
		switch rapid.IntRange(0, 11).Draw(t, "kind") {
		case 0, 1, 2, 3:
			s = append(s, run(sim.Duration(dur.Draw(t, "run"))))
		case 4, 5:
			s = append(s, sleep(sim.Duration(dur.Draw(t, "sleep"))))
		case 6:
			s = append(s, sim.Step{Kind: sim.StepRunWall, Dur: sim.Duration(dur.Draw(t, "wall"))})
		case 7:
			s = append(s, sim.Step{Kind: sim.StepWait, Queue: queues[pick.Draw(t, "wait")], Dur: 5 * ms})
		case 8:
			s = append(s, sim.Step{Kind: sim.StepWake, Queue: queues[pick.Draw(t, "wake")], N: int32(rapid.IntRange(0, 2).Draw(t, "n"))})
		case 9:
			s = append(s, sim.Step{Kind: sim.StepYield}, run(us))
		case 10:
			s = append(s, sim.Step{Kind: sim.StepSetNice, N: int32(rapid.IntRange(-20, 19).Draw(t, "nice"))})
		case 11:
			c := rapid.IntRange(0, cpus-1)
			s = append(s, sim.Step{Kind: sim.StepSetAffinity, CPUs: []sim.CPU{sim.CPU(c.Draw(t, "cpu")), sim.CPU(c.Draw(t, "cpu"))}})
		}
		if rapid.IntRange(0, 20).Draw(t, "fork") == 0 {
			child := &sim.TaskSpec{Comm: name + "-child", Behavior: steps(run(sim.Duration(dur.Draw(t, "child")))), Thread: true}
			s = append(s, sim.Step{Kind: sim.StepFork, Spawn: child})
		}
	}
	return steps(s...)
}

// TestConservation: whatever tasks do, each CPU is either busy or idle at all times, the tasks' CPU time is the CPUs'
// busy time, a task that may run is not forgotten, and each runs only where it may.
func TestConservation(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cpus := rapid.IntRange(1, 4).Draw(t, "cpus")
		var used sim.Duration // of tasks that have ended
		allowed := func(g *rig, r *sim.Record) {
			if r.Kind == sim.KindSwitch && r.Task != 0 {
				task := g.TaskByPID(r.Task)
				if !task.K.Allows(int32(r.CPU)) {
					t.Fatalf("%s runs on cpu %d, allowed are %v", task, r.CPU, task.K.CPUs().Words())
				}
			}
		}
		g := newRig(t, cpus, func(c *sim.Config, g *rig) {
			if rapid.Bool().Draw(t, "costs") {
				c.Costs = costs
			}
			c.Sink = sim.SinkFunc(func(r *sim.Record) { allowed(g, r) })
			mk := c.Classes
			c.Classes = func(m *sim.Machine) []sim.Class {
				cl := mk(m)
				g.rr.hooks.Dead = func(t *sim.Task) { used += t.SumExec }
				return cl
			}
		})
		queues := []*sim.WaitQueue{{}, {}}
		for i := range rapid.IntRange(1, 8).Draw(t, "tasks") {
			name := fmt.Sprintf("t%d", i)
			spec := sim.TaskSpec{Comm: name, Behavior: anything(t, name, queues, cpus), Start: sim.Time(rapid.IntRange(0, 5_000_000).Draw(t, "start"))}
			if _, err := g.Spawn(spec); err != nil {
				t.Fatal(err)
			}
		}
		check := func() {
			total := used
			g.Tasks(func(t *sim.Task) { total += g.CPUTime(t) })
			var busy, stop sim.Duration
			for c := range sim.CPU(cpus) {
				wall := g.RQClock(c)
				if b, i := g.BusyTime(c), g.IdleTime(c); b+i != sim.Duration(wall) {
					t.Fatalf("at %v: cpu %d: busy %v + idle %v != %v", g.Now(), c, b, i, wall)
				}
				busy += g.BusyTime(c)
			}
			for i := range int32(g.MaxIndex()) {
				if s := g.TaskByIndex(i); s != nil && strings.HasPrefix(s.Comm, "migration/") {
					stop += g.CPUTime(s)
				}
			}
			if total+stop != busy {
				t.Fatalf("at %v: tasks used %v, stoppers %v, CPUs were busy %v", g.Now(), total, stop, busy)
			}
		}
		for range 20 {
			g.run(t, g.Now().Add(3*ms))
			check()
		}
		g.run(t, sim.Never)
		check()
		if n := g.NrTasks(); n != 0 {
			t.Fatalf("%d tasks never ended", n)
		}
		for c := range sim.CPU(cpus) {
			if g.NrRunning(c) != 0 || !g.IdleCPU(c) {
				t.Fatalf("cpu %d: %d tasks queued at the end, current %s", c, g.NrRunning(c), g.Curr(c))
			}
		}
	})
}

// mixed runs a workload with a bit of everything, in pieces of the given size, and returns its trace.
func mixed(t *testing.T, piece sim.Duration) string {
	g := newRig(t, 4, func(c *sim.Config, _ *rig) { c.Costs, c.Seed = costs, 7 })
	r := g.Rand("work")
	var q sim.WaitQueue
	for i := range 20 {
		var s []sim.Step
		for range 10 {
			s = append(s, run(sim.Duration(r.Int64N(2_000_000))), sleep(sim.Duration(r.Int64N(2_000_000))))
			switch r.IntN(4) {
			case 0:
				s = append(s, sim.Step{Kind: sim.StepWake, Queue: &q})
			case 1:
				s = append(s, sim.Step{Kind: sim.StepWait, Queue: &q, Dur: ms})
			case 2:
				s = append(s, sim.Step{Kind: sim.StepSetAffinity, CPUs: []sim.CPU{sim.CPU(r.IntN(4))}})
			}
		}
		g.spawn(t, fmt.Sprintf("t%d", i), steps(s...))
	}
	for at := sim.Time(0); at < sim.Time(100*ms); {
		at = min(at.Add(piece), sim.Time(100*ms))
		g.run(t, at)
	}
	return g.trace()
}

func TestDeterminism(t *testing.T) {
	want := mixed(t, 100*ms)
	if len(want) < 10_000 {
		t.Fatalf("the run has only %d bytes of records", len(want))
	}
	for _, tc := range []struct {
		name  string
		procs int
		piece sim.Duration
	}{
		{"again", runtime.GOMAXPROCS(0), 100 * ms},
		{"one processor", 1, 100 * ms},
		{"eight processors", 8, 100 * ms},
		{"in small pieces", 2, 37 * us},
	} {
		t.Run(tc.name, func(t *testing.T) {
			defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(tc.procs))
			if d := cmp.Diff(strings.Split(want, "\n"), strings.Split(mixed(t, tc.piece), "\n")); d != "" {
				t.Errorf("records differ\n%s", d)
			}
		})
	}
}

func TestSteadyStateAllocatesNothing(t *testing.T) {
	g := busyMachine(t, 8, sim.SinkFunc(func(*sim.Record) {}))
	g.run(t, sim.Time(100*ms))
	before := g.Events()
	until := g.Now()
	n := testing.AllocsPerRun(100, func() {
		until = until.Add(ms)
		if err := g.Run(until); err != nil {
			t.Fatal(err)
		}
	})
	if n != 0 {
		t.Errorf("%v allocations per simulated ms (%d events)", n, (g.Events()-before)/100)
	}
}

func TestRunSays(t *testing.T) {
	var q sim.WaitQueue
	for _, tc := range []struct {
		name string
		b    sim.Behavior
		want string
	}{
		{"endless marks", forever(sim.Step{Kind: sim.StepMark}), "task x[1]: 1048576 steps at 0s without using any time"},
		{"endless yields", forever(sim.Step{Kind: sim.StepYield}), "task x[1]: 1048576 steps at 0s without using any time"},
		{"runs of zero", forever(run(0)), "task x[1]: 1048576 steps at 0s without using any time"},
		{"nice out of range", steps(sim.Step{Kind: sim.StepSetNice, N: 20}), "task x[1]: nice 20, want -20 to 19"},
		{"no such CPU", steps(sim.Step{Kind: sim.StepSetAffinity, CPUs: []sim.CPU{2}}), "task x[1]: affinity: no CPU 2, this machine has CPUs 0-1"},
		{"no CPU", steps(sim.Step{Kind: sim.StepSetAffinity}), "task x[1]: affinity: no CPU, want at least one of 0-1"},
		{"wait for nothing", steps(sim.Step{Kind: sim.StepWait}), "task x[1]: wait without a queue"},
		{"wake nothing", steps(sim.Step{Kind: sim.StepWake}), "task x[1]: wake without a queue"},
		{"fork nothing", steps(sim.Step{Kind: sim.StepFork}), "task x[1]: fork without a task"},
		{"fork nonsense", steps(sim.Step{Kind: sim.StepFork, Spawn: &sim.TaskSpec{Comm: "y"}}), `task x[1]: fork: task "y": no behaviour`},
		{"unknown step", steps(sim.Step{Kind: 99}), "task x[1]: unknown step 99"},
		{"a wake of nobody is fine", steps(sim.Step{Kind: sim.StepWake, Queue: &q}), ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := newRig(t, 2, func(c *sim.Config, _ *rig) { c.Sink = nil })
			g.spawn(t, "x", tc.b)
			err := g.Run(sim.Time(ms))
			if tc.want == "" && err == nil {
				return
			}
			if err == nil || err.Error() != tc.want {
				t.Errorf("Run: %v, want %q", err, tc.want)
			}
			if again := g.Run(sim.Time(2 * ms)); again != err {
				t.Errorf("Run after the error: %v", again)
			}
		})
	}
}

func TestSpawnRefuses(t *testing.T) {
	b := forever(run(ms))
	for _, tc := range []struct {
		name string
		spec sim.TaskSpec
		want string
	}{
		{"no behaviour", sim.TaskSpec{}, "no behaviour"},
		{"nice", sim.TaskSpec{Behavior: b, Nice: -21}, "nice -21, want -20 to 19"},
		{"negative CPU", sim.TaskSpec{Behavior: b, CPUs: []sim.CPU{-1}}, "no CPU -1, this machine has CPUs 0-3"},
		{"CPU beyond the last", sim.TaskSpec{Behavior: b, CPUs: []sim.CPU{0, 4}}, "no CPU 4, this machine has CPUs 0-3"},
		{"empty affinity", sim.TaskSpec{Behavior: b, CPUs: []sim.CPU{}}, "no CPU, want at least one of 0-3"},
		{"start", sim.TaskSpec{Behavior: b, Start: -1}, "start at -1ns"},
		{"priority", sim.TaskSpec{Behavior: b, RTPrio: 100}, "real-time priority 100"},
		{"cgroup weight", sim.TaskSpec{Behavior: b, CgroupW: 10_001}, "cgroup weight 10001"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.spec.Comm = "x"
			task, err := newRig(t, 4, nil).Spawn(tc.spec)
			if err == nil || task != nil || !strings.Contains(err.Error(), tc.want) || !strings.HasPrefix(err.Error(), `task "x": `) {
				t.Errorf("Spawn = %v, %v; want an error about %q", task, err, tc.want)
			}
		})
	}
}

func TestNewRefuses(t *testing.T) {
	top, err := topo.Flat(2)
	if err != nil {
		t.Fatal(err)
	}
	classes := func(m *sim.Machine) []sim.Class { return []sim.Class{idle.New(m)} }
	for _, tc := range []struct {
		name string
		c    sim.Config
		want string
	}{
		{"nothing", sim.Config{}, "no topology"},
		{"no classes", sim.Config{Topo: top}, "no scheduling classes"},
		{"empty classes", sim.Config{Topo: top, Classes: func(*sim.Machine) []sim.Class { return nil }}, "no scheduling classes"},
		{"HZ", sim.Config{Topo: top, Classes: classes, HZ: -1}, "HZ -1, want 1 to 10000"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if _, err := sim.New(tc.c); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("New: %v, want an error about %q", err, tc.want)
			}
		})
	}
	if _, err := sim.New(sim.Config{Topo: top, Classes: classes}); err != nil {
		t.Errorf("New with only the idle class: %v", err)
	}
}

func TestTaskStruct(t *testing.T) {
	g := newRig(t, 4, nil)
	parent := g.spawn(t, "parent", steps(
		sim.Step{Kind: sim.StepFork, Spawn: &sim.TaskSpec{Comm: "thread", Thread: true, Behavior: forever(run(ms))}},
		sim.Step{Kind: sim.StepFork, Spawn: &sim.TaskSpec{Comm: "child with a long name", Nice: 5, CPUs: []sim.CPU{1, 3}, Behavior: forever(run(ms))}},
		sim.Step{Kind: sim.StepFork, Spawn: &sim.TaskSpec{Comm: "kthread", KThread: true, Behavior: forever(run(ms))}},
		sim.Step{Kind: sim.StepFork, Spawn: &sim.TaskSpec{Comm: "rt", Policy: sim.PolicyFIFO, RTPrio: 7, Behavior: forever(run(ms))}},
		run(sim.Second),
	))
	g.run(t, sim.Time(10*ms))
	thread, child, kthread, rt := g.TaskByPID(2), g.TaskByPID(3), g.TaskByPID(4), g.TaskByPID(5)
	swapper := g.IdleTask(2)
	for _, tc := range []struct {
		name      string
		got, want any
	}{
		{"thread tgid", thread.K.TGID(), parent.PID},
		{"thread leader", thread.K.GroupLeader(), parent.K.Addr},
		{"thread mm", thread.K.MM(), parent.K.MM()},
		{"thread parent", thread.K.RealParent(), g.IdleTask(0).K.Addr},
		{"first parent", parent.K.RealParent(), g.IdleTask(0).K.Addr},
		{"child tgid", child.K.TGID(), child.PID},
		{"child leader", child.K.GroupLeader(), child.K.Addr},
		{"child parent", child.K.RealParent(), parent.K.Addr},
		{"child has its own mm", child.K.MM() != parent.K.MM() && child.K.MM() != 0, true},
		{"child comm", child.K.Comm(), "child with a lo"},
		{"child prio", child.K.Prio(), int32(125)},
		{"child static prio", child.K.StaticPrio(), int32(125)},
		{"child weight", child.Weight, uint64(335)},
		{"child mask", child.K.CPUs().Words()[0], uint64(0b1010)},
		{"child CPUs allowed", child.K.NrCPUsAllowed(), int32(2)},
		{"cpus_ptr", child.K.CPUsPtr(), child.K.CPUsMask().Addr},
		{"cgroups", child.K.Cgroups(), g.RootCgroup().CSSSet},
		{"kthread flags", kthread.K.Flags(), kobj.FlagKThread},
		{"kthread mm", kthread.K.MM(), uint64(0)},
		{"rt prio", rt.K.Prio(), int32(92)},
		{"rt policy", rt.K.Policy(), uint32(sim.PolicyFIFO)},
		{"swapper comm", swapper.K.Comm(), "swapper/2"},
		{"swapper flags", swapper.K.Flags() & kobj.FlagIdle, kobj.FlagIdle},
		{"swapper pid", swapper.K.PID(), int32(0)},
		{"rq idle", g.RQ(2).Idle(), swapper.K.Addr},
		{"rq curr", g.RQ(0).Curr(), g.Curr(0).K.Addr},
		{"address", g.TaskByAddr(child.K.Addr) == child, true},
		{"address of a swapper", g.TaskByAddr(swapper.K.Addr) == swapper, true},
		{"address of nothing", g.TaskByAddr(child.K.Addr+8) == nil, true},
		{"PID of nothing", g.TaskByPID(77) == nil && g.TaskByPID(-1) == nil && g.TaskByPID(0) == nil, true},
	} {
		if d := cmp.Diff(tc.want, tc.got); d != "" {
			t.Errorf("%s (-want +got)\n%s", tc.name, d)
		}
	}
}

func TestTablesAfterExit(t *testing.T) {
	g := newRig(t, 2, nil)
	a := g.spawn(t, "a", steps(run(ms)))
	held := g.spawn(t, "held", steps(run(ms)))
	g.Hold(held)
	index, addr := a.Index, a.K.Addr
	g.run(t, sim.Time(5*ms))
	if g.TaskByAddr(addr) != nil || g.TaskByPID(a.PID) != nil {
		t.Error("a is known after its end")
	}
	if g.TaskByAddr(held.K.Addr) != held || held.State != sim.StateDead {
		t.Error("a held task's address is forgotten")
	}
	if b := g.spawn(t, "b", steps(run(ms))); b.Index != index || b.PID != 3 {
		t.Errorf("new task has index %d and PID %d, want %d and 3", b.Index, b.PID, index)
	}
	heldAddr := held.K.Addr
	g.Release(held)
	if g.TaskByAddr(heldAddr) != nil {
		t.Error("a released task's address is known")
	}
	var names []string
	g.spawn(t, "c", steps(run(ms)))
	g.Tasks(func(t *sim.Task) { names = append(names, t.Comm) })
	if d := cmp.Diff([]string{"b", "c"}, names); d != "" {
		t.Errorf("Tasks (-want +got)\n%s", d)
	}
}

// TestProcess: tasks of one TaskSpec.Process are threads of the first one, whose task_struct stays as long as they do,
// and children of a task that ends go to init.
func TestProcess(t *testing.T) {
	g := newRig(t, 1, nil)
	spawn := func(comm, process string, b sim.Behavior) *sim.Task {
		task, err := g.Spawn(sim.TaskSpec{Comm: comm, Process: process, Behavior: b})
		if err != nil {
			t.Fatal(err)
		}
		return task
	}
	child := &sim.TaskSpec{Comm: "child", Behavior: steps(run(10 * ms))}
	leader := spawn("leader", "p", steps(sim.Step{Kind: sim.StepFork, Spawn: child}, run(ms)))
	thread := spawn("thread", "p", steps(sleep(5*ms), run(ms)))
	other := spawn("other", "q", steps(run(ms)))
	if thread.K.TGID() != leader.PID || thread.K.GroupLeader() != leader.K.Addr || thread.K.MM() != leader.K.MM() {
		t.Errorf("thread: tgid %d, leader %#x", thread.K.TGID(), thread.K.GroupLeader())
	}
	if other.K.TGID() != other.PID || other.K.MM() == leader.K.MM() {
		t.Errorf("other: tgid %d, want its own process", other.K.TGID())
	}
	g.run(t, sim.Time(4*ms))
	if leader.State != sim.StateDead || g.TaskByAddr(leader.K.Addr) != leader {
		t.Error("the task_struct of a dead leader is gone before its thread")
	}
	kid := g.TaskByPID(4)
	if kid.Comm != "child" || kid.K.RealParent() != g.IdleTask(0).K.Addr {
		t.Errorf("%s has parent %#x, want init's %#x", kid, kid.K.RealParent(), g.IdleTask(0).K.Addr)
	}
	addr := leader.K.Addr
	g.run(t, sim.Time(50*ms))
	if g.TaskByAddr(addr) != nil {
		t.Error("the task_struct of the leader outlives the last thread")
	}
	if again := spawn("again", "p", steps(run(ms))); again.K.TGID() != again.PID {
		t.Error("a new task joins a process that has ended")
	}
}

func TestRand(t *testing.T) {
	a, b := newRig(t, 1, nil), newRig(t, 1, nil)
	other := newRig(t, 1, func(c *sim.Config, _ *rig) { c.Seed = 1 })
	b.Rand("noise").Uint64()
	x := a.Rand("x").Uint64()
	if y := b.Rand("x").Uint64(); x != y {
		t.Error("another stream's draws shift this one's")
	}
	if y := other.Rand("x").Uint64(); x == y {
		t.Error("the seed has no effect")
	}
	if y := a.Rand("y").Uint64(); x == y {
		t.Error("the name has no effect")
	}
	if a.Rand("x").Uint64() != b.Rand("x").Uint64() {
		t.Error("the stream does not go on")
	}
}

func TestPrint(t *testing.T) {
	g := newRig(t, 1, nil)
	g.Print("hello")
	r := g.records[0]
	if r.Kind != sim.KindPrint || g.Text(r.A) != "hello" || g.Text(99) != "" {
		t.Errorf("record %+v, text %q", r, g.Text(r.A))
	}
}
