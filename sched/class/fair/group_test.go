package fair

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"

	"github.com/schedsim/schedsim/sim"
)

// mkdir makes a cgroup and its parents.
func (b *bench) mkdir(path string) *sim.Cgroup {
	b.t.Helper()
	c, err := b.m.MkdirAll(path)
	if err != nil {
		b.t.Fatal(err)
	}
	return c
}

func (b *bench) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

// groupCase are tasks in groups and what each of them gets.
type groupCase struct {
	name   string
	topo   string
	groups map[string]func(b *bench, c *sim.Cgroup) // settings by path
	tasks  []groupTask
	tol    float64
}

type groupTask struct {
	group string
	n     int // tasks like this
	nice  int
	want  float64 // CPUs that each of them gets
}

func weight(w uint64) func(*bench, *sim.Cgroup) {
	return func(b *bench, c *sim.Cgroup) { b.must(b.m.SetCgroupWeight(c, w)) }
}

func limit(periodUS, quotaUS uint64) func(*bench, *sim.Cgroup) {
	return func(b *bench, c *sim.Cgroup) { b.must(b.m.SetCgroupBandwidth(c, periodUS, quotaUS, 0)) }
}

// Tasks share what their group gets, and groups share by their weights with the tasks and groups beside them.
func TestGroupShares(t *testing.T) {
	const w0, w5 = 1024.0, 335.0
	for _, tc := range []groupCase{
		{"equal groups, unequal numbers", "1n1l1c1t", nil, []groupTask{{"/a", 1, 0, 1. / 2}, {"/b", 3, 0, 1. / 6}}, .005},
		{"weights 100 and 300", "1n1l1c1t", map[string]func(*bench, *sim.Cgroup){"/a": weight(100), "/b": weight(300)},
			[]groupTask{{"/a", 2, 0, 1. / 8}, {"/b", 2, 0, 3. / 8}}, .005},
		{"a group beside a task of the root", "1n1l1c1t", nil, []groupTask{{"/a", 4, 0, 1. / 8}, {"/", 1, 0, 1. / 2}}, .005},
		{"nice counts within the group", "1n1l1c1t", nil,
			[]groupTask{{"/a", 1, 0, .5 * w0 / (w0 + w5)}, {"/a", 1, 5, .5 * w5 / (w0 + w5)}, {"/b", 1, 19, .5}}, .005},
		{"nested", "1n1l1c1t", map[string]func(*bench, *sim.Cgroup){"/a/x": weight(100), "/a/y": weight(200), "/b": weight(50)},
			[]groupTask{{"/a/x", 1, 0, 2. / 3 / 3}, {"/a/y", 2, 0, 2. / 3 / 3}, {"/b", 1, 0, 1. / 3}}, .005},
		{"weight.nice", "1n1l1c1t", map[string]func(*bench, *sim.Cgroup){
			"/a": func(b *bench, c *sim.Cgroup) { b.must(b.m.SetCgroupWeightNice(c, 5)) }},
			[]groupTask{{"/a", 3, -20, w5 / (w0 + w5) / 3}, {"/", 1, 0, w0 / (w0 + w5)}}, .005},
		{"idle group", "1n1l1c1t", map[string]func(*bench, *sim.Cgroup){
			"/a": func(b *bench, c *sim.Cgroup) { b.must(b.m.SetCgroupIdle(c, true)) }},
			[]groupTask{{"/a", 2, 0, 3. / 1027 / 2}, {"/", 1, 0, 1024. / 1027}}, .005},
		// The shares of a group are spread over the CPUs by its load on each.
		{"two groups on two CPUs", "1n1l2c1t", map[string]func(*bench, *sim.Cgroup){"/b": weight(300)},
			[]groupTask{{"/a", 2, 0, 1. / 4}, {"/b", 2, 0, 3. / 4}}, .04},
		{"limit on one CPU", "1n1l1c1t", map[string]func(*bench, *sim.Cgroup){"/a": limit(100_000, 20_000)},
			[]groupTask{{"/a", 2, 0, .1}, {"/", 1, 0, .8}}, .005},
		{"limit with nobody else", "1n1l1c1t", map[string]func(*bench, *sim.Cgroup){"/a": limit(10_000, 3000)},
			[]groupTask{{"/a", 1, 0, .3}}, .005},
		{"a limit counts for all CPUs", "1n1l4c1t", map[string]func(*bench, *sim.Cgroup){"/a": limit(100_000, 150_000)},
			[]groupTask{{"/a", 4, 0, 1.5 / 4}}, .06},
		{"a limit above limits what is below", "1n1l1c1t", map[string]func(*bench, *sim.Cgroup){"/a": limit(50_000, 10_000), "/a/x": limit(50_000, 5000)},
			[]groupTask{{"/a/x", 1, 0, .1}, {"/a/y", 1, 0, .1}, {"/", 1, 0, .8}}, .006},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBench(t, tc.topo, Options{}, sim.Costs{})
			for _, g := range tc.tasks {
				b.mkdir(g.group)
			}
			for path, set := range tc.groups {
				set(b, b.mkdir(path))
			}
			var tasks []*sim.Task
			for _, g := range tc.tasks {
				for i := range g.n {
					tasks = append(tasks, b.spawn(sim.TaskSpec{Comm: fmt.Sprint(g.group, i), Cgroup: b.mkdir(g.group), Nice: g.nice, Behavior: hog{}}))
				}
			}
			b.run(sim.Second) // until loads are known
			before := make([]sim.Duration, len(tasks))
			for i, task := range tasks {
				before[i] = b.cpuTime(task)
			}
			for at := sim.Second; at <= 11*sim.Second; at += 137 * sim.Millisecond {
				b.run(at)
			}
			b.run(11 * sim.Second)
			i, sum, want := 0, 0.0, 0.0
			for _, g := range tc.tasks {
				for range g.n {
					sum += (b.cpuTime(tasks[i]) - before[i]).Seconds() / 10
					want += g.want
					if got := (b.cpuTime(tasks[i]) - before[i]).Seconds() / 10; math.Abs(got-g.want) > tc.tol {
						t.Errorf("%s: %.4f CPUs, want %.4f", tasks[i].Comm, got, g.want)
					}
					i++
				}
			}
			if math.Abs(sum-want) > .005 {
				t.Errorf("%.4f CPUs for all, want %.4f", sum, want)
			}
		})
	}
}

// A group with a burst may use what it saved in the periods before, once (__refill_cfs_bandwidth_runtime).
func TestBandwidthBurst(t *testing.T) {
	for _, tc := range []struct {
		name  string
		burst uint64
		want  sim.Duration // for the 15 ms of work that come at 500 ms
	}{
		{"none", 0, 25 * sim.Millisecond}, // 5 ms in this period, 5 in the next, 5 in the third
		{"as much as the quota", 5000, 15 * sim.Millisecond},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBench(t, "1n1l1c1t", Options{}, sim.Costs{})
			g := b.mkdir("/a")
			b.must(b.m.SetCgroupBandwidth(g, 10_000, 5000, tc.burst))
			var done sim.Time
			b.spawn(sim.TaskSpec{Comm: "t", Cgroup: g, Behavior: behave(func(_ *sim.Task, now sim.Time) sim.Step {
				switch {
				case now < sim.Time(500*sim.Millisecond):
					return sim.Step{Kind: sim.StepSleepUntil, At: sim.Time(500 * sim.Millisecond)}
				case now == sim.Time(500*sim.Millisecond):
					return sim.Step{Kind: sim.StepRun, Dur: 15 * sim.Millisecond}
				}
				if done == 0 {
					done = now
				}
				return sim.Step{Kind: sim.StepSleep, Dur: sim.Second}
			})})
			b.run(sim.Second)
			// Where the period's boundary lies is random.
			if took := done.Sub(sim.Time(500 * sim.Millisecond)); took > tc.want+sim.Millisecond/2 || took < tc.want-10*sim.Millisecond {
				t.Errorf("took %v, want %v at most and at least 10ms less", took, tc.want)
			}
		})
	}
}

// A throttled group says so, one that is not limited any more goes on at once (tg_set_cfs_bandwidth), and tasks leave a
// throttled group without waiting for its next period.
func TestThrottled(t *testing.T) {
	b := newBench(t, "1n1l2c1t", Options{}, sim.Costs{})
	g := b.mkdir("/a")
	b.must(b.m.SetCgroupBandwidth(g, 1_000_000, 10_000, 0))
	x := b.spawn(sim.TaskSpec{Comm: "x", Cgroup: g, Behavior: hog{}})
	y := b.spawn(sim.TaskSpec{Comm: "y", Cgroup: g, Behavior: hog{}})
	b.run(300 * sim.Millisecond)
	b.must(b.m.SetCgroupBandwidth(g, 1_000_000, 10_000, 0)) // so that a refill lies behind
	b.run(400 * sim.Millisecond)
	used := b.cpuTime(x) + b.cpuTime(y)
	b.run(500 * sim.Millisecond)
	if e := b.c.entity(x); !e.throttled || b.cpuTime(x)+b.cpuTime(y) != used {
		t.Fatalf("throttled %v, %v used, %v later", e.throttled, used, b.cpuTime(x)+b.cpuTime(y))
	}
	b.must(b.m.MoveTasks(b.m.Root(), x))
	b.run(600 * sim.Millisecond)
	if d := b.cpuTime(x) + b.cpuTime(y) - used; d != 100*sim.Millisecond {
		t.Errorf("the task that left the group had %v in 100ms", d)
	}
	b.must(b.m.SetCgroupBandwidth(g, 1_000_000, sim.QuotaMax, 0))
	before := b.cpuTime(y)
	b.run(700 * sim.Millisecond)
	if d := b.cpuTime(y) - before; d != 100*sim.Millisecond {
		t.Errorf("the task whose group is not limited any more had %v in 100ms", d)
	}
	if _, n := b.c.Throttling(g); n == 0 {
		t.Log("no period saw the group throttled") // a period is as long as the run
	}
}

// Whatever is done to groups and tasks, none gets lost and the counts of all levels agree; and when everything is over the
// groups can go.
func TestGroupsRandomly(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		seed := rapid.Uint64().Draw(rt, "seed")
		rng := rand.New(rand.NewPCG(seed, 1))
		b := newBench(t, []string{"1n1l1c1t", "1n1l2c2t", "2n1l2c1t"}[rng.IntN(3)], Options{}, sim.Costs{})
		n := b.m.NrCPUs()
		paths := []string{"/", "/a", "/a/x", "/a/y", "/b"}
		var groups []*sim.Cgroup
		for _, p := range paths {
			groups = append(groups, b.mkdir(p))
		}
		var tasks []*sim.Task
		pick := func() *sim.Cgroup { return groups[rng.IntN(len(groups))] }
		at := sim.Duration(0)
		for range rapid.IntRange(5, 60).Draw(rt, "steps") {
			switch rng.IntN(10) {
			case 0, 1, 2:
				if len(tasks) < 20 {
					run, sleep := sim.Duration(rng.IntN(3_000_000)+1), sim.Duration(rng.IntN(4_000_000))
					tasks = append(tasks, b.spawn(sim.TaskSpec{Comm: fmt.Sprint("t", len(tasks)), Cgroup: pick(), Nice: rng.IntN(40) - 20,
						Policy:   []sim.Policy{sim.PolicyNormal, sim.PolicyNormal, sim.PolicyBatch, sim.PolicyIdle}[rng.IntN(4)],
						Behavior: &loop{steps: []sim.Step{{Kind: sim.StepRun, Dur: run}, {Kind: sim.StepSleep, Dur: sleep}}}}))
				}
			case 3, 4:
				if len(tasks) > 0 {
					_ = b.m.MoveTasks(pick(), tasks[rng.IntN(len(tasks))]) // may be refused: the group has children with tasks
				}
			case 5:
				_ = b.m.SetCgroupWeight(pick(), uint64(rng.IntN(1000)+1))
			case 6:
				_ = b.m.SetCgroupIdle(pick(), rng.IntN(2) == 0)
			case 7:
				quota := uint64(rng.IntN(20_000) + 1000)
				if rng.IntN(3) == 0 {
					quota = sim.QuotaMax
				}
				_ = b.m.SetCgroupBandwidth(pick(), 10_000, quota, 0)
			case 8:
				if len(tasks) > 0 {
					b.m.SetNice(tasks[rng.IntN(len(tasks))], rng.IntN(40)-20)
				}
			case 9:
				if cpu := sim.CPU(rng.IntN(n)); rng.IntN(2) == 0 {
					_ = b.m.CPUDown(cpu)
				} else {
					_ = b.m.CPUUp(cpu)
				}
			}
			at += sim.Duration(rng.IntN(8_000_000))
			b.run(at)
		}
		for _, task := range tasks {
			b.must(b.m.MoveTasks(b.m.Root(), task))
		}
		b.run(at + 5*sim.Millisecond)
		for i := len(groups) - 1; i > 0; i-- {
			b.must(b.m.Rmdir(groups[i]))
		}
		b.run(at + 100*sim.Millisecond)
		if b.m.Root().First() != nil {
			rt.Fatal("groups are left")
		}
		if t.Failed() {
			rt.Fatalf("seed %d", seed)
		}
	})
}

// A CPU that goes offline leaves the domains: what it ran spreads over the others, and comes back with it.
func TestDomainsHotplug(t *testing.T) {
	b := newBench(t, "1n2l2c2t", Options{}, sim.Costs{})
	var tasks []*sim.Task
	for i := range 12 {
		tasks = append(tasks, b.spawn(sim.TaskSpec{Comm: fmt.Sprint("t", i), Behavior: hog{}}))
	}
	b.run(sim.Second)
	for _, cpu := range []sim.CPU{1, 5, 6} {
		b.must(b.m.CPUDown(cpu))
	}
	b.run(2 * sim.Second)
	spread := func(from, to sim.Duration) (least, most float64) {
		before := map[*sim.Task]sim.Duration{}
		for _, task := range tasks {
			before[task] = b.cpuTime(task)
		}
		b.run(to)
		least = 1e9
		for _, task := range tasks {
			x := (b.cpuTime(task) - before[task]).Seconds() / (to - from).Seconds()
			least, most = min(least, x), max(most, x)
		}
		return least, most
	}
	for cpu := range sim.CPU(8) {
		if down := cpu == 1 || cpu == 5 || cpu == 6; down != (b.c.base[cpu] == nil) || down && b.m.NrRunning(cpu) > 0 {
			t.Errorf("cpu %d: domain %v, %d tasks", cpu, b.c.base[cpu] != nil, b.m.NrRunning(cpu))
		}
	}
	// 12 tasks on 5 CPUs: 2.4 each, so between a half and a third of a CPU, if balancing works.
	if least, most := spread(2*sim.Second, 4*sim.Second); least < .3 || most > .6 {
		t.Errorf("shares from %.3f to %.3f of a CPU", least, most)
	}
	for _, cpu := range []sim.CPU{1, 5, 6} {
		b.must(b.m.CPUUp(cpu))
	}
	b.run(5 * sim.Second)
	if least, most := spread(5*sim.Second, 7*sim.Second); least < .45 || most > 1.01 {
		t.Errorf("with all CPUs: shares from %.3f to %.3f", least, most)
	}
	for cpu := range sim.CPU(8) {
		if b.m.NrRunning(cpu) == 0 {
			t.Errorf("cpu %d is idle", cpu)
		}
	}
}
