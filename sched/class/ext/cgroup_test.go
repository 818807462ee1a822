package ext

import (
	"errors"
	"fmt"
	"testing"

	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/sim"
)

// groupLog is a policy that writes down what it is told of cgroups.
type groupLog struct {
	r    *rig
	log  []string
	init map[string]int32 // what cgroup_init returns, by path
	prep map[string]int32 // what cgroup_prep_move returns, by task
}

func (g *groupLog) logf(format string, args ...any) {
	g.log = append(g.log, fmt.Sprintf(format, args...))
}

// path is the path of the cgroup at an address, as the policy sees it.
func (g *groupLog) path(addr uint64) string {
	c := g.r.m.CgroupByAddr(addr)
	if c == nil {
		return fmt.Sprintf("%#x", addr)
	}
	return c.Path()
}

func (g *groupLog) table() *ops.Table {
	t := fifoTable(g.r.k)
	t.CgroupInit = func(c uint64, a *ops.CgroupInitArgs) int32 {
		g.logf("init %s %d %d %d %d", g.path(c), a.Weight, a.PeriodUS, int64(a.QuotaUS), a.BurstUS)
		return g.init[g.path(c)]
	}
	t.CgroupExit = func(c uint64) { g.logf("exit %s", g.path(c)) }
	t.CgroupPrepMove = func(p *sim.Task, from, to uint64) int32 {
		g.logf("prep_move %s %s %s", p.Comm, g.path(from), g.path(to))
		return g.prep[p.Comm]
	}
	t.CgroupMove = func(p *sim.Task, from, to uint64) {
		g.logf("move %s %s %s", p.Comm, g.path(from), g.path(to))
	}
	t.CgroupCancelMove = func(p *sim.Task, from, to uint64) {
		g.logf("cancel_move %s %s %s", p.Comm, g.path(from), g.path(to))
	}
	t.CgroupSetWeight = func(c uint64, w uint32) { g.logf("set_weight %s %d", g.path(c), w) }
	t.CgroupSetBandwidth = func(c uint64, period, quota, burst uint64) {
		g.logf("set_bandwidth %s %d %d %d", g.path(c), period, int64(quota), burst)
	}
	t.CgroupSetIdle = func(c uint64, idle bool) { g.logf("set_idle %s %t", g.path(c), idle) }
	t.InitTask = func(p *sim.Task, a *ops.InitTaskArgs) int32 {
		g.logf("init_task %s %s", p.Comm, g.path(a.Cgroup))
		return 0
	}
	return t
}

// take returns what was logged since the last time.
func (g *groupLog) take() []string {
	l := g.log
	g.log = nil
	return l
}

func newGroupLog(t *testing.T) *groupLog {
	return &groupLog{r: newRig(t, rigOptions{topo: "1n1l2c1t"}), init: map[string]int32{}, prep: map[string]int32{}}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func mkdir(t *testing.T, m *sim.Machine, path string) *sim.Cgroup {
	t.Helper()
	c, err := m.MkdirAll(path)
	must(t, err)
	return c
}

// scx_cgroup_init goes through the cgroups that are there with parents first, before any task; scx_cgroup_exit with
// children first, after... the tasks' last callbacks are later.
func TestCgroupInit(t *testing.T) {
	g := newGroupLog(t)
	m := g.r.m
	b := mkdir(t, m, "/a/b")
	mkdir(t, m, "/c")
	must(t, m.SetCgroupWeight(b, 300))
	must(t, m.SetCgroupBandwidth(b.Parent, 50_000, 20_000, 1000))
	g.r.spawn(sim.TaskSpec{Comm: "t", Cgroup: b, Behavior: napper()})
	g.r.enable(g.table())
	diffLog(t, "attach", g.take(), `init / 100 100000 -1 0
init /a 100 50000 20000 1000
init /a/b 300 100000 -1 0
init /c 100 100000 -1 0
init_task t /a/b`)
	g.r.spawn(sim.TaskSpec{Comm: "u", Cgroup: b.Parent, Behavior: napper()})
	own := g.r.spawn(sim.TaskSpec{Comm: "own", CgroupW: 50, Behavior: &steps{list: []sim.Step{run(1000)}, once: true}})
	diffLog(t, "forks", g.take(), `init_task u /a
init /own 100 100000 -1 0
set_weight /own 50
init_task own /own`)
	if p := own.Cgroup.Path(); p != "/own" {
		t.Errorf("own cgroup at %s", p)
	}
	g.r.run(ms(40))
	diffLog(t, "the end of own and of its cgroup", g.take(), "exit /own")
	g.r.k.Disable(ops.ExitUnreg)
	diffLog(t, "detach", g.take(), "exit /a/b\nexit /a\nexit /c\nexit /")
	checkProgress(t, g.r, "fair")
}

// A cgroup_init that fails at attach ends the policy; the cgroups that it took are given back.
func TestCgroupInitFails(t *testing.T) {
	g := newGroupLog(t)
	mkdir(t, g.r.m, "/a")
	mkdir(t, g.r.m, "/b")
	g.r.spawn(sim.TaskSpec{Comm: "t", Behavior: napper()})
	g.init["/a"] = -ENOMEM
	err := g.r.k.Enable(g.table())
	if want := `policy "fifo": runtime error: ops.cgroup_init() failed (-12)`; err == nil || err.Error() != want {
		t.Errorf("error %v\nwant  %s", err, want)
	}
	diffLog(t, "attach", g.take(), "init / 100 100000 -1 0\ninit /a 100 100000 -1 0\nexit /")
	checkProgress(t, g.r, "fair")
}

// mkdir asks the policy (scx_tg_online), and fails if it refuses; rmdir tells it after a grace period (scx_tg_offline).
func TestTgOnline(t *testing.T) {
	g := newGroupLog(t)
	m := g.r.m
	g.r.spawn(sim.TaskSpec{Comm: "t", Behavior: hog()})
	g.r.enable(g.table())
	g.take()
	a := mkdir(t, m, "/a")
	g.init["/bad"] = -ENOMEM
	if _, err := m.Mkdir(m.Root(), "bad"); !errors.Is(err, sim.ENOMEM) {
		t.Errorf("mkdir /bad: %v", err)
	}
	if m.CgroupByPath("/bad") != nil {
		t.Error("/bad is there")
	}
	diffLog(t, "mkdir", g.take(), "init /a 100 100000 -1 0\ninit /bad 100 100000 -1 0")
	must(t, m.Rmdir(a))
	if m.CgroupByPath("/a") != nil || a.Online() {
		t.Error("/a can still be used")
	}
	diffLog(t, "rmdir", g.take(), "")
	g.r.run(ms(11))
	diffLog(t, "within the grace period", g.take(), "")
	g.r.run(ms(13))
	diffLog(t, "after it", g.take(), "exit /a")
	if g.r.k.State() != ops.Enabled {
		t.Errorf("state %d", g.r.k.State())
	}
	// An errno that is none ends the policy.
	g.init["/odd"] = 5
	if _, err := m.Mkdir(m.Root(), "odd"); err == nil {
		t.Error("mkdir /odd")
	}
	g.r.run(ms(14))
	if i := g.r.k.ExitInfo(); i == nil || i.Msg != "ops.cgroup_init() returned an invalid errno 5" {
		t.Errorf("exit %+v", i)
	}
}

// A move is prepared for all tasks, then done for each with the task out of its queues; where preparing fails, it is
// cancelled for those that were prepared (scx_cgroup_can_attach, scx_cgroup_move_task).
func TestCgroupMove(t *testing.T) {
	g := newGroupLog(t)
	m, r := g.r.m, g.r
	a, b := mkdir(t, m, "/a"), mkdir(t, m, "/b")
	x := r.spawn(sim.TaskSpec{Comm: "x", Cgroup: a, Behavior: hog()})
	y := r.spawn(sim.TaskSpec{Comm: "y", Cgroup: a, Behavior: hog()})
	z := r.spawn(sim.TaskSpec{Comm: "z", Cgroup: a, Behavior: napper()})
	tb := g.table()
	tb.Stopping = func(p *sim.Task, runnable bool) { g.logf("stopping %s %t", p.Comm, runnable) }
	tb.Running = func(p *sim.Task) { g.logf("running %s", p.Comm) }
	tb.Enqueue = func(p *sim.Task, f uint64) {
		g.logf("enqueue %s %#x", p.Comm, f)
		r.k.DSQInsert(p, 0, ops.SliceDfl, f)
	}
	r.enable(tb)
	r.run(ms(1))
	g.take()

	g.prep["z"] = -int32(sim.EBUSY)
	if err := m.MoveTasks(b, x, y, z); !errors.Is(err, sim.EBUSY) {
		t.Errorf("error %v", err)
	}
	diffLog(t, "refused", g.take(), `prep_move x /a /b
prep_move y /a /b
prep_move z /a /b
cancel_move x /a /b
cancel_move y /a /b`)
	if x.Cgroup != a || x.SchedGroup != a || a.NrTasks() != 3 {
		t.Error("a task has moved")
	}
	delete(g.prep, "z")
	must(t, m.MoveTasks(b, x, y, z))
	// y and z run: a change of a running task goes past the policy's queues, x is given to the policy again.
	diffLog(t, "done", g.take(), `prep_move x /a /b
prep_move y /a /b
prep_move z /a /b
move x /a /b
enqueue x 0xe
stopping y false
move y /a /b
running y
stopping z false
move z /a /b
running z`)
	if x.Cgroup != b || z.SchedGroup != b || a.NrTasks() != 0 || b.NrTasks() != 3 {
		t.Errorf("x in %s, %d tasks in /b", x.Cgroup.Path(), b.NrTasks())
	}
	must(t, m.MoveTasks(b, x))
	diffLog(t, "to where it is", g.take(), "")
	checkProgress(t, r, "ext")
	if err := r.k.check(); err != nil {
		t.Error(err)
	}
}

// Writes to the files of a cgroup reach the policy when they change something; cpu.idle always does
// (scx_group_set_weight and relatives).
func TestGroupSet(t *testing.T) {
	g := newGroupLog(t)
	m := g.r.m
	a := mkdir(t, m, "/a")
	g.r.enable(g.table())
	g.take()
	for _, tc := range []struct {
		name string
		do   func() error
		want string
		err  sim.Errno
	}{
		{"weight", func() error { return m.SetCgroupWeight(a, 200) }, "set_weight /a 200", 0},
		{"same weight", func() error { return m.SetCgroupWeight(a, 200) }, "", 0},
		{"weight out of range", func() error { return m.SetCgroupWeight(a, 0) }, "", sim.ERANGE},
		{"nice", func() error { return m.SetCgroupWeightNice(a, -5) }, "set_weight /a 305", 0},
		{"nice out of range", func() error { return m.SetCgroupWeightNice(a, 20) }, "", sim.ERANGE},
		{"weight of the root", func() error { return m.SetCgroupWeight(m.Root(), 50) }, "", sim.ENOENT},
		{"max", func() error { return m.SetCgroupBandwidth(a, 100_000, 50_000, 0) }, "set_bandwidth /a 100000 50000 0", 0},
		{"same max", func() error { return m.SetCgroupBandwidth(a, 100_000, 50_000, 0) }, "", 0},
		{"burst", func() error { return m.SetCgroupBandwidth(a, 100_000, 50_000, 20_000) }, "set_bandwidth /a 100000 50000 20000", 0},
		{"burst over quota", func() error { return m.SetCgroupBandwidth(a, 100_000, 50_000, 50_001) }, "", sim.EINVAL},
		{"short quota", func() error { return m.SetCgroupBandwidth(a, 100_000, 999, 0) }, "", sim.EINVAL},
		{"short period", func() error { return m.SetCgroupBandwidth(a, 999, 50_000, 0) }, "", sim.EINVAL},
		{"long period", func() error { return m.SetCgroupBandwidth(a, 1_000_001, 50_000, 0) }, "", sim.EINVAL},
		{"no limit", func() error { return m.SetCgroupBandwidth(a, 100_000, sim.QuotaMax, 0) }, "set_bandwidth /a 100000 -1 0", 0},
		{"idle", func() error { return m.SetCgroupIdle(a, true) }, "set_idle /a true", 0},
		{"weight of an idle one", func() error { return m.SetCgroupWeight(a, 50) }, "", sim.EINVAL},
		{"idle again", func() error { return m.SetCgroupIdle(a, true) }, "set_idle /a true", 0},
		{"not idle", func() error { return m.SetCgroupIdle(a, false) }, "set_idle /a false", 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := tc.do()
			if tc.err == 0 && err != nil || tc.err != 0 && !errors.Is(err, tc.err) {
				t.Errorf("error %v, want %v", err, tc.err)
			}
			diffLog(t, "callbacks", g.take(), tc.want)
		})
	}
}

// What a policy without cgroup callbacks sees of cgroups is nothing, and everything works.
func TestCgroupWithoutCallbacks(t *testing.T) {
	r := newRig(t, rigOptions{topo: "1n1l2c1t"})
	a := mkdir(t, r.m, "/a")
	x := r.spawn(sim.TaskSpec{Comm: "x", Behavior: hog()})
	r.enable(fifoTable(r.k))
	r.run(ms(1))
	must(t, r.m.MoveTasks(a, x))
	must(t, r.m.SetCgroupWeight(a, 10))
	r.run(ms(2))
	must(t, r.m.MoveTasks(r.m.Root(), x))
	must(t, r.m.Rmdir(a))
	checkProgress(t, r, "ext")
}
