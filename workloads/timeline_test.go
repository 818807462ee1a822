package workloads_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/schedsim/schedsim/sched/class/fair"
	"github.com/schedsim/schedsim/sched/class/idle"
	"github.com/schedsim/schedsim/sim"
	"github.com/schedsim/schedsim/sim/topo"
	"github.com/schedsim/schedsim/workloads"
)

// timed is a workload with a timeline on a machine.
type timed struct {
	m   *sim.Machine
	in  *workloads.Instance
	log []string // what the timeline did
}

func newTimed(t *testing.T, text string, cpus int) *timed {
	t.Helper()
	w, err := workloads.Parse("w.json", []byte(text), workloads.Options{})
	if err != nil {
		t.Fatal(err)
	}
	b, err := w.Bind(cpus)
	if err != nil {
		t.Fatal(err)
	}
	tp, err := topo.Flat(cpus)
	if err != nil {
		t.Fatal(err)
	}
	x := &timed{}
	x.m, err = sim.New(sim.Config{Topo: tp, Seed: 1,
		Classes: func(m *sim.Machine) []sim.Class { return []sim.Class{fair.New(m), idle.New(m)} },
		Sink: sim.SinkFunc(func(r *sim.Record) {
			if r.Kind == sim.KindTimeline {
				refused := ""
				if r.B != 0 {
					refused = "refused "
				}
				x.log = append(x.log, fmt.Sprintf("%v %s%s", r.At, refused, x.m.Text(r.A)))
			}
		})})
	if err != nil {
		t.Fatal(err)
	}
	x.in = b.New(workloads.RunOptions{Rand: x.m.Rand})
	if err := x.in.Prepare(x.m); err != nil {
		t.Fatal(err)
	}
	for _, s := range x.in.Specs {
		if _, err := x.m.Spawn(s); err != nil {
			t.Fatal(err)
		}
	}
	return x
}

func (x *timed) run(t *testing.T, until sim.Duration) {
	t.Helper()
	if err := x.m.Run(sim.Time(until)); err != nil {
		t.Fatal(err)
	}
}

// task is the live task with that name.
func (x *timed) task(t *testing.T, comm string) *sim.Task {
	t.Helper()
	var found *sim.Task
	x.m.Tasks(func(p *sim.Task) {
		if p.Comm == comm {
			found = p
		}
	})
	if found == nil {
		t.Fatalf("no task %s", comm)
	}
	return found
}

// TestTimelineActions: each action does to the machine what it says.
func TestTimelineActions(t *testing.T) {
	x := newTimed(t, `{
		"global": { "schedsim": {
			"cgroups": { "/a": { "weight": 250, "max": "40ms/200ms", "burst": "10ms", "cpus": [1] }, "/b": { "nice": -5 } },
			"timeline": [
				{ "at": "10ms", "do": "mkdir", "cgroup": "/c/d", "idle": true },
				{ "at": "10ms", "do": "move", "task": "hog", "cgroup": "/b" },
				{ "at": "20ms", "do": "offline", "cpus": 2 },
				{ "at": "30ms", "do": "affinity", "task": "hog-1", "cpus": "0-1" },
				{ "at": "30ms", "do": "nice", "task": "hog-1", "value": 7 },
				{ "at": "30ms", "do": "policy", "task": "hog-0", "policy": "SCHED_BATCH", "priority": 3 },
				{ "at": "30ms", "do": "rename", "task": "hog-0", "name": "renamed" },
				{ "at": "40ms", "do": "set", "cgroup": "/a", "cpus": "", "max": "max" },
				{ "at": "40ms", "do": "speed", "cpus": [0], "value": 50 },
				{ "at": "50ms", "do": "migrate_disable", "task": "member" },
				{ "at": "60ms", "do": "online", "cpus": 2 },
				{ "at": "70ms", "do": "spawn", "task": "late", "value": 2 },
				{ "at": "80ms", "do": "kill", "task": "sleeper" },
				{ "at": "90ms", "do": "rmdir", "cgroup": "/c/d" }
			] } },
		"tasks": {
			"hog": { "instance": 2, "run": 1000 },
			"member": { "taskgroup": "/a", "run": 1000 },
			"sleeper": { "taskgroup": "/fresh/x", "sleep": 1000000 },
			"late": { "instance": 0, "taskgroup": "/b", "loop": 1, "run": 2000 }
		} }`, 3)
	m := x.m
	group := func(path string) *sim.Cgroup {
		t.Helper()
		c := m.CgroupByPath(path)
		if c == nil {
			t.Fatalf("no cgroup %s", path)
		}
		return c
	}
	a := group("/a")
	if a.Weight != 250 || a.QuotaUS != 40_000 || a.PeriodUS != 200_000 || a.BurstUS != 10_000 || a.EffectiveCPUs()[0] != 2 || group("/b").Weight != 305 {
		t.Errorf("/a: %+v", a)
	}
	if p := x.task(t, "member-2"); p.Cgroup != a || p.CPU() != 1 || p.K.NrCPUsAllowed() != 1 {
		t.Errorf("member in %s on CPU %d", p.Cgroup.Path(), p.CPU())
	}
	sleeper := x.task(t, "sleeper-3")
	if sleeper.Cgroup.Path() != "/fresh/x" {
		t.Errorf("sleeper in %s", sleeper.Cgroup.Path())
	}
	x.run(t, 15*sim.Millisecond)
	if c := group("/c/d"); !c.Idle || x.task(t, "hog-0").Cgroup != group("/b") || x.task(t, "hog-1").Cgroup != group("/b") {
		t.Error("mkdir or move did nothing")
	}
	x.run(t, 35*sim.Millisecond)
	if m.Online(2) {
		t.Error("CPU 2 is online")
	}
	hog := x.task(t, "hog-1")
	if hog.Nice != 7 || hog.K.NrCPUsAllowed() != 2 {
		t.Errorf("nice %d, %d CPUs", hog.Nice, hog.K.NrCPUsAllowed())
	}
	if p := x.task(t, "renamed"); p.Policy != sim.PolicyBatch || p.Nice != 3 {
		t.Errorf("policy %d, nice %d", p.Policy, p.Nice)
	}
	x.run(t, 55*sim.Millisecond)
	if a.QuotaUS != sim.QuotaMax || a.PeriodUS != 200_000 || m.Speed(0) != 512 || x.task(t, "member-2").MigrationDisabled != 1 {
		t.Errorf("quota %d, speed %d, migration disabled %d", a.QuotaUS, m.Speed(0), x.task(t, "member-2").MigrationDisabled)
	}
	if n := x.task(t, "member-2").K.NrCPUsAllowed(); n != 2 {
		t.Errorf("member may use %d CPUs, 2 are online", n)
	}
	if !x.in.SpawnsLeft() {
		t.Error("nothing left to spawn")
	}
	x.run(t, 200*sim.Millisecond)
	if !m.Online(2) || x.in.SpawnsLeft() || sleeper.State != sim.StateDead || m.CgroupByPath("/c/d") != nil {
		t.Errorf("CPU 2 online %v, sleeper %d", m.Online(2), sleeper.State)
	}
	if n := x.task(t, "member-2").K.NrCPUsAllowed(); n != 3 {
		t.Errorf("member may use %d CPUs, 3 are online", n)
	}
	if diff := cmp.Diff(strings.Split(`10ms mkdir /c/d idle true
10ms move hog to /b
20ms offline CPU 2
30ms affinity of hog-1 0-1
30ms nice of hog-1 7
30ms policy of hog-0 SCHED_BATCH
30ms rename hog-0 renamed
40ms set /a max max cpus all
40ms speed of CPU 0 50 %
50ms migrate_disable member
60ms online CPU 2
70ms spawn 2 late
80ms kill sleeper
90ms rmdir /c/d`, "\n"), x.log); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if p := x.in.Problems(); p != nil {
		t.Errorf("problems: %v", p)
	}
}

// TestTimelineRefused: what the machine refuses is noted and told once, and the run goes on.
func TestTimelineRefused(t *testing.T) {
	x := newTimed(t, `{
		"global": { "schedsim": { "cgroups": { "/a/b": {} }, "timeline": [
			{ "at": "1ms", "do": "offline", "cpus": 0 },
			{ "at": "2ms", "do": "rmdir", "cgroup": "/a" },
			{ "at": "3ms", "every": "1ms", "times": 2, "do": "mkdir", "cgroup": "/a" },
			{ "at": "5ms", "do": "kill", "task": "gone" },
			{ "at": "6ms", "do": "migrate_enable", "task": "hog" },
			{ "at": "7ms", "do": "move", "task": "hog", "cgroup": "/a/b" },
			{ "at": "8ms", "do": "rmdir", "cgroup": "/a/b" },
			{ "at": "9ms", "do": "set", "cgroup": "/a/b", "max": "500us/100ms" },
			{ "at": "10ms", "do": "spawn", "task": "gone" },
			{ "at": "11ms", "do": "attach", "scheduler": "x.bpf.o", "cgroup": "/a" },
			{ "at": "12ms", "do": "ext_server", "cpus": 0, "runtime": "20ms" }
		] } },
		"tasks": { "hog": { "run": 1000 }, "gone": { "loop": 1, "run": 100 } } }`, 2)
	x.run(t, 20*sim.Millisecond)
	if diff := cmp.Diff(strings.Split(`1ms refused offline CPU 0: no such file or directory (the boot CPU stays online)
2ms refused rmdir /a: device or resource busy (it has children)
3ms refused mkdir /a: file exists
4ms refused mkdir /a: file exists
5ms refused kill gone: no such process
6ms refused migrate_enable hog: invalid argument (migration is not disabled)
7ms move hog to /a/b
8ms refused rmdir /a/b: device or resource busy (it has 1 tasks)
9ms refused set /a/b max 500µs/100ms: invalid argument (quota and period must be at least 1000 us)
10ms spawn 1 gone
11ms refused attach x.bpf.o at /a: no such device
12ms refused ext_server of CPU 0 runtime 20ms: no such file or directory`, "\n"), x.log); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	want := []string{"10 actions of the timeline were refused; the first: w.json:3: at 1ms: offline CPU 0: no such file or directory (the boot CPU stays online)"}
	if diff := cmp.Diff(want, x.in.Problems()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestTimelineBind: CPUs that the machine does not have are refused with their place.
func TestTimelineBind(t *testing.T) {
	w, err := workloads.Parse("w.json", []byte(`{"global":{"schedsim":{"cgroups":{"/a":{"cpus":[7]}},"timeline":[{"at":"1s","do":"offline","cpus":[1,8]}]}},"tasks":{"t":{"run":1}}}`),
		workloads.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Bind(9); err != nil {
		t.Error(err)
	}
	_, err = w.Bind(4)
	want := "w.json:1:49: cpus: found CPU 7, expected one that the machine has (0 to 3)\n" +
		"w.json:1:102: cpus: found CPU 8, expected one that the machine has (0 to 3)"
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}
