package class_test

import (
	"slices"
	"testing"

	"github.com/schedsim/schedsim/sched/class/fair"
	"github.com/schedsim/schedsim/sim"
)

// What a real machine did: Linux 6.18 (HZ=250, no slice timer) on two CPUs of a virtual machine, rt-app's loops pinned to CPU 1, measured
// with perf for 3.5 s and longer. Other programs ran there, so that only shares among the named tasks count.

// measured are hogs on one CPU and their shares among each other.
type measured struct {
	name  string
	tasks []sim.TaskSpec
	slice []sim.Duration // of their own, 0: none
	share []float64
}

// among returns the shares of the tasks among each other.
func among(d []sim.Duration) []float64 {
	var sum sim.Duration
	for _, x := range d {
		sum += x
	}
	var out []float64
	for _, x := range d {
		out = append(out, float64(x)/float64(sum))
	}
	return out
}

// TestRealShares: shares by nice value and policy are within 1 % of a CPU of the measured ones.
func TestRealShares(t *testing.T) {
	nice := func(list ...int) (out []sim.TaskSpec) {
		for _, n := range list {
			out = append(out, sim.TaskSpec{Nice: n})
		}
		return out
	}
	const ms14 = 1400 * sim.Microsecond
	for _, tc := range []measured{
		{"two equal hogs", nice(0, 0), nil, []float64{.31766, .31612}},
		{"nice 5 asked for, and not taken by the call", nice(0, 0), nil, []float64{.23102, .23204}},
		{"nice 0 and 1", nice(0, 1), []sim.Duration{ms14, ms14}, []float64{.36986, .29626}},
		{"nice 0 and 19", nice(0, 19), []sim.Duration{ms14, ms14}, []float64{.67776, .00999}},
		{"batch", []sim.TaskSpec{{}, {Policy: sim.PolicyBatch}}, nil, []float64{.32671, .327}},
		{"a slice of 0.1 ms", nice(0, 0), []sim.Duration{100 * sim.Microsecond, 0}, []float64{.26213, .25967}},
		// From the same machine, given as shares.
		{"nice 0 and 5", nice(0, 5), []sim.Duration{ms14, ms14}, []float64{.7544, .2456}},
		{"nice 0 and 10", nice(0, 10), []sim.Duration{ms14, ms14}, []float64{.9033, .0967}},
		{"nice -5, 0 and 5", nice(-5, 0, 5), []sim.Duration{ms14, ms14, ms14}, []float64{.6977, .2270, .0753}},
		{"three equal hogs", nice(0, 0, 0), nil, []float64{.3333, .3333, .3333}},
		{"idle", []sim.TaskSpec{{}, {Policy: sim.PolicyIdle}}, nil, []float64{.9953, .0047}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t, 2)
			var tasks []*sim.Task
			for i, s := range tc.tasks {
				s.Comm, s.CPUs, s.Behavior = "hog", []sim.CPU{1}, hog()
				k := r.spawn(s)
				if tc.slice != nil && tc.slice[i] > 0 {
					fairOf(r).SetSlice(k, tc.slice[i])
				}
				tasks = append(tasks, k)
			}
			const window = 20 * sim.Second
			r.run(window)
			var got []sim.Duration
			var want []sim.Duration
			for i, k := range tasks {
				got = append(got, r.m.CPUTime(k))
				want = append(want, sim.Duration(tc.share[i]*1e9))
			}
			for i, g := range among(got) {
				near(t, tasks[i].Comm, g, among(want)[i], 0.01)
			}
		})
	}
}

// fairOf is the fair class of a rig.
func fairOf(r *rig) *fair.Class { return r.m.ClassByName("fair").(*fair.Class) }

// runs are the lengths of a task's runs that ended because another one of the same kind followed.
func (r *rig) runs(of *sim.Task) (out []sim.Duration) {
	var since sim.Time
	for _, rec := range r.recs {
		if rec.Kind != sim.KindSwitch {
			continue
		}
		if rec.Task == of.PID {
			since = rec.At
		} else if int32(rec.A) == of.PID && since > 0 {
			out = append(out, rec.At.Sub(since))
		}
	}
	slices.Sort(out)
	return out
}

// TestRealPeriodic: a task that wants 1 ms in 10 has it beside one hog (measured 10.35 %) and beside two (10.80 %), and these share
// evenly (17.70 and 17.72 %).
func TestRealPeriodic(t *testing.T) {
	for hogs, want := range map[int]float64{1: .1035, 2: .10802} {
		r := newRig(t, 2)
		n := sim.Time(0)
		p := r.spawn(sim.TaskSpec{Comm: "periodic", CPUs: []sim.CPU{1}, Behavior: behavior(func() sim.Step {
			if n++; n%2 == 1 {
				return sim.Step{Kind: sim.StepRun, Dur: sim.Millisecond}
			}
			return sim.Step{Kind: sim.StepSleepUntil, At: n / 2 * sim.Time(10*sim.Millisecond)}
		})})
		var used []sim.Duration
		var tasks []*sim.Task
		for range hogs {
			tasks = append(tasks, r.spawn(sim.TaskSpec{Comm: "hog", CPUs: []sim.CPU{1}, Behavior: hog()}))
		}
		const window = 3500 * sim.Millisecond
		r.run(window)
		near(t, "periodic task", r.share(p, window), want, .01)
		for _, k := range tasks {
			used = append(used, r.m.CPUTime(k))
		}
		for _, g := range among(used) {
			near(t, "a hog among the hogs", g, 1/float64(hogs), .01)
		}
	}
}

// TestRealSemaphore: of a task that runs for 0.5 ms, wakes another and sleeps for 1 ms, and that other, which then runs for 0.3 ms, the
// measured shares were 25.56 and 15.97 %.
func TestRealSemaphore(t *testing.T) {
	const us = sim.Microsecond
	r := newRig(t, 2)
	var q sim.WaitQueue
	c := r.spawn(sim.TaskSpec{Comm: "cons", CPUs: []sim.CPU{1}, Behavior: &steps{forever: true, list: []sim.Step{
		{Kind: sim.StepWait, Queue: &q}, {Kind: sim.StepRun, Dur: 300 * us}}}})
	p := r.spawn(sim.TaskSpec{Comm: "prod", CPUs: []sim.CPU{1}, Behavior: &steps{forever: true, list: []sim.Step{
		{Kind: sim.StepRun, Dur: 500 * us}, {Kind: sim.StepWake, Queue: &q, N: 1}, {Kind: sim.StepSleep, Dur: sim.Millisecond}}}})
	r.run(1498 * sim.Millisecond)
	got := among([]sim.Duration{r.m.CPUTime(p), r.m.CPUTime(c)})
	near(t, "share of the producer", got[0], .25558/(.25558+.15965), .01)
}

// TestRealRoundRobin: two SCHED_RR tasks alternate every 100 ms (measured medians 99.9996 and 99.9955 ms) and share evenly (measured 48.512
// and 46.918 % in 3.5 s, where a slice is 2.9 %).
func TestRealRoundRobin(t *testing.T) {
	r := newRig(t, 2)
	var tasks []*sim.Task
	for range 2 {
		tasks = append(tasks, r.spawn(sim.TaskSpec{Comm: "rr", Policy: sim.PolicyRR, RTPrio: 10, CPUs: []sim.CPU{1}, Behavior: hog()}))
	}
	r.run(20 * sim.Second) // in which a slice is half a percent
	for i, k := range tasks {
		got := r.runs(k)
		if p50 := got[len(got)/2]; len(got) < 15 || p50 < 99*sim.Millisecond || p50 > 101*sim.Millisecond {
			t.Errorf("%d runs, median %v, measured 99.9996ms", len(got), p50)
		}
		near(t, "share", r.share(k, 20*sim.Second), []float64{.48512, .46918}[i]/(.48512+.46918), .01)
	}
}

// TestRealFIFO: a SCHED_FIFO hog has 95.07 % of a CPU on which an ordinary one waits, in runs of 950 ms; of two SCHED_FIFO hogs of one
// priority the first has it all.
func TestRealFIFO(t *testing.T) {
	t.Run("above an ordinary hog", func(t *testing.T) {
		r := newRig(t, 2)
		hi := r.spawn(sim.TaskSpec{Comm: "fifo", Policy: sim.PolicyFIFO, RTPrio: 50, CPUs: []sim.CPU{1}, Behavior: hog()})
		lo := r.spawn(sim.TaskSpec{Comm: "other", CPUs: []sim.CPU{1}, Behavior: hog()})
		r.run(20 * sim.Second)
		near(t, "share of the FIFO task", r.share(hi, 20*sim.Second), .95072, .01)
		near(t, "share of the other", r.share(lo, 20*sim.Second), .05, .01)
		got := r.runs(hi)
		if p50 := got[len(got)/2]; p50 < 940*sim.Millisecond || p50 > 960*sim.Millisecond {
			t.Errorf("median run %v of %d, measured 950.02ms", p50, len(got))
		}
	})
	t.Run("two of one priority", func(t *testing.T) {
		r := newRig(t, 2)
		a := r.spawn(sim.TaskSpec{Comm: "a", Policy: sim.PolicyFIFO, RTPrio: 50, CPUs: []sim.CPU{1}, Behavior: hog()})
		b := r.spawn(sim.TaskSpec{Comm: "b", Policy: sim.PolicyFIFO, RTPrio: 50, CPUs: []sim.CPU{1}, Behavior: hog()})
		r.run(4 * sim.Second)
		near(t, "share of the first", r.share(a, 4*sim.Second), 1, .01)
		near(t, "share of the second", r.share(b, 4*sim.Second), 0, .01)
	})
}

// TestRealDeadline: SCHED_DEADLINE with 12 ms of 100, of which the task needs 10, beside a hog: it runs 9.9 % (measured 9.907), in one
// piece of 10 ms (measured median 10.009 ms), at once when it wakes (measured 13 us after).
func TestRealDeadline(t *testing.T) {
	r := newRig(t, 1)
	n := sim.Time(0)
	dl := r.spawn(sim.TaskSpec{Comm: "dl", Policy: sim.PolicyDeadline, DL: sim.Deadline{Runtime: 12 * sim.Millisecond, Deadline: 100 * sim.Millisecond, Period: 100 * sim.Millisecond},
		Behavior: behavior(func() sim.Step {
			if n++; n%2 == 1 {
				return sim.Step{Kind: sim.StepSleepUntil, At: (n/2 + 1) * sim.Time(100*sim.Millisecond)}
			}
			return sim.Step{Kind: sim.StepRun, Dur: 10 * sim.Millisecond}
		})})
	r.spawn(sim.TaskSpec{Comm: "hog", Behavior: hog()})
	r.run(2550 * sim.Millisecond)
	near(t, "share", r.share(dl, 2500*sim.Millisecond), .09907, .01)
	got := r.runs(dl)
	if p50 := got[len(got)/2]; p50 < 9900*sim.Microsecond || p50 > 10100*sim.Microsecond || len(got) != 25 && len(got) != 26 {
		t.Errorf("%d runs, median %v, measured 25 and 10.009ms", len(got), p50)
	}
	var waking sim.Time
	for _, rec := range r.recs {
		switch {
		case rec.Kind == sim.KindWaking && rec.Task == dl.PID:
			waking = rec.At
		case rec.Kind == sim.KindSwitch && rec.Task == dl.PID && waking > 0 && rec.At.Sub(waking) > 13*sim.Microsecond:
			t.Errorf("runs %v after its wakeup", rec.At.Sub(waking))
		}
	}
}

type behavior func() sim.Step

func (f behavior) Next(*sim.Task, sim.Time) sim.Step { return f() }
