package fair

import (
	"fmt"
	"math"
	"testing"

	"github.com/schedsim/schedsim/sim"
)

// TestShares checks the CPU time of hogs on one CPU against the shares measured on Linux 6.18 (rt-app, one CPU) and the
// weights.
func TestShares(t *testing.T) {
	for _, tc := range []struct {
		name  string
		nices []int
		want  []float64
		tol   float64
	}{
		{"equal", []int{0, 0}, []float64{.5, .5}, .01},
		{"nice 0 and 1", []int{0, 1}, []float64{.5553, .4447}, .01},
		{"nice 0 and 5", []int{0, 5}, []float64{.7535, .2465}, .01},
		{"nice 0 and 10", []int{0, 10}, []float64{.9030, .0970}, .01},
		{"nice 0 and 19", []int{0, 19}, []float64{.9856, .0144}, .01},
		{"nice -5, 0, 5", []int{-5, 0, 5}, []float64{.69665, .22857, .07478}, .01},
		{"nice -20 and 19", []int{-20, 19}, []float64{.99983, .00017}, .002},
	} {
		for _, o := range []struct {
			name string
			opt  Options
		}{{"hrtick", Options{}}, {"no hrtick", Options{Disable: HRTick}}, {"no parity", Options{Disable: RunToParity}}} {
			t.Run(tc.name+"/"+o.name, func(t *testing.T) {
				b := newBench(t, "1n1l1c1t", o.opt, sim.Costs{})
				var ts []*sim.Task
				for _, n := range tc.nices {
					ts = append(ts, b.spawn(sim.TaskSpec{Comm: fmt.Sprint("nice", n), Nice: n, Behavior: hog{}}))
				}
				b.run(10 * sim.Second)
				for i, task := range ts {
					if got := b.cpuTime(task).Seconds() / 10; math.Abs(got-tc.want[i]) > tc.tol {
						t.Errorf("nice %d: share %.4f, want %.4f", tc.nices[i], got, tc.want[i])
					}
				}
			})
		}
	}
}

// A task alone in a cgroup counts with the group's weight, whatever its nice value.
func TestCgroupWeight(t *testing.T) {
	for _, tc := range []struct {
		name  string
		specs []sim.TaskSpec
		want  []float64
	}{
		{"weight 100 is nice 0", []sim.TaskSpec{{CgroupW: 100}, {}}, []float64{.5, .5}},
		{"weights 100 and 300", []sim.TaskSpec{{CgroupW: 100}, {CgroupW: 300}}, []float64{.25, .75}},
		{"nice does not matter", []sim.TaskSpec{{CgroupW: 200, Nice: 19}, {CgroupW: 200, Nice: -20}}, []float64{.5, .5}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBench(t, "1n1l1c1t", Options{}, sim.Costs{})
			var ts []*sim.Task
			for i, s := range tc.specs {
				s.Comm, s.Behavior = fmt.Sprint("t", i), hog{}
				ts = append(ts, b.spawn(s))
			}
			b.run(10 * sim.Second)
			for i, task := range ts {
				if got := b.cpuTime(task).Seconds() / 10; math.Abs(got-tc.want[i]) > .01 {
					t.Errorf("%s: share %.4f, want %.4f", task.Comm, got, tc.want[i])
				}
			}
		})
	}
}

// TestSliceLength checks how long a preempted task ran: one base slice with the slice timer, one tick without.
func TestSliceLength(t *testing.T) {
	for _, tc := range []struct {
		topo string
		opt  Options
		want sim.Duration
	}{
		{"1n1l1c1t", Options{}, 700 * sim.Microsecond},
		{"1n1l2c1t", Options{}, 1400 * sim.Microsecond},
		{"1n1l4c1t", Options{}, 2100 * sim.Microsecond},
		{"1n1l8c1t", Options{}, 2800 * sim.Microsecond},
		{"1n1l1c1t", Options{Disable: HRTick}, 4 * sim.Millisecond},
		{"1n1l8c1t", Options{Disable: HRTick}, 4 * sim.Millisecond},
	} {
		t.Run(fmt.Sprint(tc.topo, tc.want), func(t *testing.T) {
			b := newBench(t, tc.topo, tc.opt, sim.Costs{})
			for range 2 * b.m.NrCPUs() {
				b.spawn(sim.TaskSpec{Comm: "hog", Behavior: hog{}})
			}
			b.run(2 * sim.Second)
			if got := percentile(b.slices, 50); got != tc.want {
				t.Errorf("median slice %v of %d, want %v", got, len(b.slices), tc.want)
			}
		})
	}
}

// late runs as b from the time at on.
func late(at sim.Time, b sim.Behavior) sim.Behavior {
	i := 0
	return behave(func(t *sim.Task, now sim.Time) sim.Step {
		if i++; i == 1 {
			return sim.Step{Kind: sim.StepSleepUntil, At: at}
		}
		return b.Next(t, now)
	})
}

// kthreads are what the kernel's own threads did in the reference runs: on each CPU one woke 13 times a second.
func (b *bench) kthreads() {
	for cpu := range b.m.NrCPUs() {
		b.spawn(sim.TaskSpec{Comm: "kthread", CPUs: cpus(cpu, cpu+1), Behavior: periodic(26*sim.Microsecond, 76_923*sim.Microsecond)})
	}
}

// between checks that a figure is in the range that the reference runs span, widened by part of it on both sides.
func between[T sim.Duration | float64](t *testing.T, what string, got T, r [2]T, part float64) {
	t.Helper()
	if g := float64(got); g < float64(r[0])*(1-part) || g > float64(r[1])*(1+part) {
		t.Errorf("%s %v, kernel %v to %v", what, got, r[0], r[1])
	}
}

// TestGoldenHogs compares with what Linux 7.2.13 did under instruction counting: two hogs for each CPU, of nice 0, 5 and
// -5, that all wake up at the same time, in their first second. The ranges are those of three runs; how long the CPUs
// take to find their balance differs from run to run.
func TestGoldenHogs(t *testing.T) {
	for _, tc := range []struct {
		name              string
		topo              string
		nices             []int
		nice0, nice5      [2]float64
		niceM5            [2]float64
		switches          [2]float64
		p50, p90          [2]sim.Duration
		shareTol, restTol float64
	}{
		{"one CPU", "1n1l1c1t", []int{0, 5}, [2]float64{.7505, .7535}, [2]float64{.2458, .2488}, [2]float64{},
			[2]float64{242, 269}, [2]sim.Duration{3_298_349, 4_000_020}, [2]sim.Duration{11_999_967, 11_999_970}, .005, .15},
		{"two CPUs", "1n1l2c1t", []int{0, 0, 5, -5}, [2]float64{.4535, .5119}, [2]float64{.131, .1326}, [2]float64{.8417, .9593},
			[2]float64{644, 724}, [2]sim.Duration{1_407_406, 1_418_952}, [2]sim.Duration{1_416_937, 5_180_694}, .05, .05},
		{"four CPUs", "1n1l4c1t", []int{0, 0, 0, 0, 5, 5, -5, -5}, [2]float64{.4029, .4866}, [2]float64{.1453, .2853}, [2]float64{.8318, .9117},
			[2]float64{862, 942}, [2]sim.Duration{2_120_902, 2_140_140}, [2]sim.Duration{5_631_680, 5_884_838}, .15, .15},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBench(t, tc.topo, Options{}, sim.Costs{})
			const begin = 100 * sim.Millisecond
			b.from = sim.Time(begin)
			time, count := map[int]sim.Duration{}, map[int]float64{}
			var hogs []*sim.Task
			for i, n := range tc.nices {
				at := b.from.Add(sim.Duration(i) * 130 * sim.Microsecond)
				hogs = append(hogs, b.spawn(sim.TaskSpec{Comm: "hog", Nice: n, Behavior: late(at, hog{})}))
			}
			b.kthreads()
			b.run(begin + sim.Second)
			for _, h := range hogs {
				time[h.Nice] += b.cpuTime(h)
				count[h.Nice]++
			}
			share := func(nice int) float64 { return time[nice].Seconds() / count[nice] }
			between(t, "share at nice 0", share(0), tc.nice0, tc.shareTol)
			between(t, "share at nice 5", share(5), tc.nice5, tc.shareTol)
			if count[-5] > 0 {
				between(t, "share at nice -5", share(-5), tc.niceM5, tc.shareTol)
			}
			between(t, "switches a second", float64(b.switches), tc.switches, tc.restTol)
			between(t, "median slice", percentile(b.slices, 50), tc.p50, .02)
			between(t, "slice p90", percentile(b.slices, 90), tc.p90, .02)
			t.Logf("shares %.4f %.4f %.4f, %d switches, slices p50 %v p90 %v, %d migrations", share(0), share(5), share(-5),
				b.switches, percentile(b.slices, 50), percentile(b.slices, 90), b.moves())
		})
	}
}

// TestGoldenPeriodic compares with the same kernel: for each CPU a hog and a task that runs 2 ms every 10 ms. All sleep on one CPU and
// wake at one time, as there; with two CPUs, both periodic tasks then stay where one hog is.
// labCosts are about what paths of the kernel take in the virtual machine of the recordings with n CPUs busy, of which each has a
// share of the instructions. Without them, tasks that began together would tie for ever.
func labCosts(n sim.Duration) sim.Costs {
	return sim.Costs{Switch: 2000 * n, Wakeup: 9300 * n, Tick: 4900 * n, Timer: 4900 * n, IPI: 3000 * n, IdleExit: 12_000 * n}
}

func TestGoldenPeriodic(t *testing.T) {
	for _, tc := range []struct {
		name     string
		topo     string
		cpus     int
		switches [2]float64 // of a second
		p50, p90 [2]sim.Duration
		wake     [2]sim.Duration // 99th percentile
	}{
		{"one CPU", "1n1l1c1t", 1, [2]float64{647, 650}, [2]sim.Duration{704_916, 704_918}, [2]sim.Duration{5_875_245, 5_875_884},
			[2]sim.Duration{706_807, 707_300}},
		{"two CPUs", "1n1l2c1t", 2, [2]float64{715, 818}, [2]sim.Duration{1_413_199, 1_413_984}, [2]sim.Duration{4_574_802, 6_578_586},
			[2]sim.Duration{2_819_344, 2_914_170}},
		{"four CPUs", "1n1l4c1t", 4, [2]float64{858, 867}, [2]sim.Duration{5_861_332, 5_867_590}, [2]sim.Duration{10_062_972, 10_068_450},
			[2]sim.Duration{2_158_082, 4_221_760}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBench(t, tc.topo, Options{}, labCosts(sim.Duration(tc.cpus)))
			var hogs, periodics sim.Duration
			var tasks []*sim.Task
			const t0 = sim.Time(402 * sim.Millisecond) // ticks come 2 ms before and after
			all := make([]sim.CPU, b.m.NrCPUs())
			for i := range all {
				all[i] = sim.CPU(i)
			}
			// asleep is a task that sleeps on the last CPU until T0. Tasks are forked one after the other, as by the recorded process.
			asleep := func(comm string, then sim.Behavior) *sim.Task {
				first := []sim.Step{{Kind: sim.StepSetAffinity, CPUs: all[len(all)-1:]}, {Kind: sim.StepSleep, Dur: sim.Millisecond},
					{Kind: sim.StepSetAffinity, CPUs: all}, {Kind: sim.StepSleepUntil, At: t0}}
				start := sim.Time(b.m.NrTasks()) * sim.Time(300*sim.Microsecond)
				return b.spawn(sim.TaskSpec{Comm: comm, Start: start, Behavior: behave(func(t *sim.Task, now sim.Time) sim.Step {
					if len(first) > 0 {
						s := first[0]
						first = first[1:]
						return s
					}
					return then.Next(t, now)
				})})
			}
			for range b.m.NrCPUs() {
				i := sim.Time(0)
				periodic := behave(func(*sim.Task, sim.Time) sim.Step {
					if i++; i%2 == 1 {
						return sim.Step{Kind: sim.StepSleepUntil, At: t0 + (i/2+1)*sim.Time(10*sim.Millisecond)}
					}
					return sim.Step{Kind: sim.StepRun, Dur: 2 * sim.Millisecond}
				})
				tasks = append(tasks, asleep("periodic", periodic))
			}
			for range b.m.NrCPUs() {
				tasks = append(tasks, asleep("hog", hog{}))
			}
			// A worker of the kernel comes 40 ms after it ran, with a tick, as timers of the kernel do.
			b.spawn(sim.TaskSpec{Comm: "kworker", CPUs: cpus(0, 1), Behavior: periodic(26*sim.Microsecond, 44*sim.Millisecond)})
			b.from = t0
			const seconds = 2
			b.run(sim.Duration(t0) + seconds*sim.Second)
			for i, task := range tasks {
				if i >= len(tasks)/2 {
					hogs += b.cpuTime(task)
				} else {
					periodics += b.cpuTime(task)
				}
			}
			n := float64(b.m.NrCPUs() * seconds)
			between(t, "share of the hogs", hogs.Seconds()/n, [2]float64{.792, .80}, .01)
			between(t, "share of the others", periodics.Seconds()/n, [2]float64{.1994, .2013}, .005)
			between(t, "switches a second", float64(b.switches)/seconds, tc.switches, .05)
			between(t, "median slice", percentile(b.slices, 50), tc.p50, .02)
			between(t, "slice p90", percentile(b.slices, 90), tc.p90, .02)
			between(t, "wakeup latency p99", percentile(b.latency, 99), tc.wake, .03)
			t.Logf("%d switches a second, slices p50 %v p90 %v, wakeup latency p99 %v", b.switches/seconds,
				percentile(b.slices, 50), percentile(b.slices, 90), percentile(b.latency, 99))
		})
	}
}

// pingpong are two tasks that wake each other and run for a and c in turn.
func (b *bench) pingpong(a, c sim.Duration) (ping, pong *sim.Task) {
	var qa, qb sim.WaitQueue
	step := func(d sim.Duration, mine, other *sim.WaitQueue) sim.Behavior {
		return &loop{steps: []sim.Step{{Kind: sim.StepRun, Dur: d}, {Kind: sim.StepWake, Queue: other}, {Kind: sim.StepWait, Queue: mine}}}
	}
	ping = b.spawn(sim.TaskSpec{Comm: "ping", Start: sim.Time(sim.Millisecond), Behavior: step(a, &qa, &qb)})
	pong = b.spawn(sim.TaskSpec{Comm: "pong", Behavior: &loop{steps: []sim.Step{{Kind: sim.StepWait, Queue: &qb},
		{Kind: sim.StepRun, Dur: c}, {Kind: sim.StepWake, Queue: &qa}}}})
	return ping, pong
}

// TestPingPong: as on the kernel, each round is two voluntary switches and preemption is rare (61 of 10 628 there).
func TestPingPong(t *testing.T) {
	b := newBench(t, "1n1l1c1t", Options{}, sim.Costs{})
	ping, pong := b.pingpong(50*sim.Microsecond, 100*sim.Microsecond)
	b.run(1001 * sim.Millisecond)
	if rounds := 6666; b.switches < 2*rounds-10 || b.switches > 2*rounds+200 {
		t.Errorf("%d switches, want two for each of %d rounds", b.switches, rounds)
	}
	if n := len(b.slices); n > b.switches/50 {
		t.Errorf("%d of %d switches were preemptions", n, b.switches)
	}
	if p, q := b.cpuTime(ping).Seconds(), b.cpuTime(pong).Seconds(); math.Abs(p-1./3) > .01 || math.Abs(q-2./3) > .01 {
		t.Errorf("CPU time %.3f and %.3f, want a third and two thirds", p, q)
	}
}

// TestWakeupLatency checks how long a task that wakes beside a hog waits.
func TestWakeupLatency(t *testing.T) {
	for _, tc := range []struct {
		name   string
		opt    Options
		hogs   int
		hog    sim.Policy
		waker  sim.Policy
		slice  sim.Duration
		lo, hi sim.Duration // of the 90th percentile
	}{
		{"a hog's slice is protected", Options{}, 2, sim.PolicyNormal, sim.PolicyNormal, 0, 1, 700 * sim.Microsecond},
		{"a lone hog has used its protection up", Options{}, 1, sim.PolicyNormal, sim.PolicyNormal, 0, 0, 0},
		{"short slice", Options{}, 2, sim.PolicyNormal, sim.PolicyNormal, 100 * sim.Microsecond, 0, 100 * sim.Microsecond},
		{"short slice, without PREEMPT_SHORT", Options{Disable: PreemptShort}, 2, sim.PolicyNormal, sim.PolicyNormal, 100 * sim.Microsecond, 1, 700 * sim.Microsecond},
		{"SCHED_IDLE hogs", Options{}, 2, sim.PolicyIdle, sim.PolicyNormal, 0, 0, 0},
		{"SCHED_BATCH waker", Options{}, 2, sim.PolicyNormal, sim.PolicyBatch, 100 * sim.Microsecond, 1, 700 * sim.Microsecond},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBench(t, "1n1l1c1t", tc.opt, sim.Costs{})
			for range tc.hogs {
				b.spawn(sim.TaskSpec{Comm: "hog", Policy: tc.hog, Behavior: hog{}})
			}
			w := b.spawn(sim.TaskSpec{Comm: "waker", Policy: tc.waker, Behavior: periodic(50*sim.Microsecond, 9_999*sim.Microsecond)})
			b.c.SetSlice(w, tc.slice)
			b.run(2 * sim.Second)
			if got := percentile(b.latency, 90); got < tc.lo || got > tc.hi || len(b.latency) < 150 {
				t.Errorf("latency p90 %v of %d wakeups, want %v to %v", got, len(b.latency), tc.lo, tc.hi)
			}
		})
	}
}

// TestPolicies checks shares that do not come from nice values.
func TestPolicies(t *testing.T) {
	for _, tc := range []struct {
		name string
		b    sim.TaskSpec
		set  sim.Duration
		want float64 // of the hog beside it
	}{
		{"SCHED_IDLE has weight 3", sim.TaskSpec{Policy: sim.PolicyIdle, Behavior: hog{}}, 0, 1024. / 1027},
		{"SCHED_BATCH is equal", sim.TaskSpec{Policy: sim.PolicyBatch, Behavior: hog{}}, 0, .5},
		{"a short slice gives no more time", sim.TaskSpec{Behavior: hog{}}, 100 * sim.Microsecond, .5},
		// Each yield gives up the rest of 700 µs of virtual time.
		{"yield", sim.TaskSpec{Behavior: &loop{steps: []sim.Step{{Kind: sim.StepRun, Dur: 10 * sim.Microsecond},
			{Kind: sim.StepYield}}}}, 0, 70. / 71},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBench(t, "1n1l1c1t", Options{}, sim.Costs{})
			a := b.spawn(sim.TaskSpec{Comm: "hog", Behavior: hog{}})
			tc.b.Comm = "other"
			b.c.SetSlice(b.spawn(tc.b), tc.set)
			b.run(10 * sim.Second)
			if got := b.cpuTime(a).Seconds() / 10; math.Abs(got-tc.want) > .01 {
				t.Errorf("share %.4f, want %.4f", got, tc.want)
			}
		})
	}
}

// TestDelayedDequeue follows one task that sleeps with negative lag: it stays queued, and is gone when it is picked;
// without DELAY_DEQUEUE it is gone at once.
func TestDelayedDequeue(t *testing.T) {
	for _, tc := range []struct {
		name    string
		opt     Options
		delayed bool
	}{{"delay", Options{}, true}, {"no delay", Options{Disable: DelayDequeue}, false}} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBench(t, "1n1l1c1t", tc.opt, sim.Costs{})
			// It begins with half a slice, 350 µs, and sleeps before the hog has run.
			s := b.spawn(sim.TaskSpec{Comm: "sleeper", Behavior: &loop{steps: []sim.Step{
				{Kind: sim.StepRun, Dur: 300 * sim.Microsecond}, {Kind: sim.StepSleep, Dur: 50 * sim.Millisecond}}}})
			b.spawn(sim.TaskSpec{Comm: "hog", Behavior: hog{}})
			seen, gone := false, false
			for at := sim.Duration(0); at < 40*sim.Millisecond; at += 50 * sim.Microsecond {
				b.run(at)
				if s.State == sim.StateInterruptible {
					seen = seen || s.SchedDelayed
					gone = !s.OnRQ
				}
			}
			if seen != tc.delayed || !gone {
				t.Errorf("delayed %v, gone in the end %v, want %v and true", seen, gone, tc.delayed)
			}
		})
	}
}

// TestSetNice changes a nice value in mid-run, of a running and of a sleeping task.
func TestSetNice(t *testing.T) {
	b := newBench(t, "1n1l1c1t", Options{}, sim.Costs{})
	a := b.spawn(sim.TaskSpec{Comm: "a", Behavior: hog{}})
	c := b.spawn(sim.TaskSpec{Comm: "c", Behavior: hog{}})
	b.run(sim.Second)
	b.m.SetNice(c, 5)
	was := b.cpuTime(a)
	b.run(6 * sim.Second)
	if got := (b.cpuTime(a) - was).Seconds() / 5; math.Abs(got-.7535) > .01 {
		t.Errorf("share %.4f after the change, want .7535", got)
	}
	if e := b.c.entity(c); e.weight != 335<<10 || b.c.rqs[0].load != (1024+335)<<10 {
		t.Errorf("weight %d, load %d", e.weight, b.c.rqs[0].load)
	}
}
