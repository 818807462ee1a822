package class_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/sched/class"
	"github.com/schedsim/schedsim/sim"
	"github.com/schedsim/schedsim/sim/topo"
)

// rig is a machine with all classes.
type rig struct {
	*testing.T
	m    *sim.Machine
	c    *class.Classes
	ran  []string // comm of each task that was switched to, in order
	recs []sim.Record
}

func newRig(t *testing.T, cpus int) *rig {
	t.Helper()
	tp, err := topo.Flat(cpus)
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{T: t}
	r.m, err = sim.New(sim.Config{Topo: tp, Sink: sim.SinkFunc(r.record), Classes: func(m *sim.Machine) []sim.Class {
		r.c = class.New(m)
		return r.c.List()
	}})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *rig) record(rec *sim.Record) {
	r.recs = append(r.recs, *rec)
	if rec.Kind == sim.KindSwitch && rec.Task != 0 {
		r.ran = append(r.ran, r.m.TaskByPID(rec.Task).Comm)
	}
}

func (r *rig) run(until sim.Duration) {
	r.Helper()
	if err := r.m.Run(sim.Time(until)); err != nil {
		r.Fatal(err)
	}
}

func (r *rig) spawn(s sim.TaskSpec) *sim.Task {
	r.Helper()
	t, err := r.m.Spawn(s)
	if err != nil {
		r.Fatal(err)
	}
	return t
}

// steps is a behaviour: a list of steps, then it exits, or starts anew with forever.
type steps struct {
	list    []sim.Step
	forever bool
	at      int
}

func (s *steps) Next(*sim.Task, sim.Time) sim.Step {
	if s.at == len(s.list) {
		if !s.forever {
			return sim.Step{Kind: sim.StepExit}
		}
		s.at = 0
	}
	s.at++
	return s.list[s.at-1]
}

func hog() *steps {
	return &steps{list: []sim.Step{{Kind: sim.StepRun, Dur: sim.Second}}, forever: true}
}

func periodic(run, sleep sim.Duration) *steps {
	return &steps{list: []sim.Step{{Kind: sim.StepRun, Dur: run}, {Kind: sim.StepSleep, Dur: sleep}}, forever: true}
}

func once(run sim.Duration) *steps {
	return &steps{list: []sim.Step{{Kind: sim.StepRun, Dur: run}}}
}

func fifo(comm string, prio int, b sim.Behavior) sim.TaskSpec {
	return sim.TaskSpec{Comm: comm, Policy: sim.PolicyFIFO, RTPrio: prio, Behavior: b}
}

func (r *rig) share(t *sim.Task, of sim.Duration) float64 {
	return float64(r.m.CPUTime(t)) / float64(of)
}

// near checks a share.
func near(t *testing.T, what string, got, want, within float64) {
	t.Helper()
	if got < want-within || got > want+within {
		t.Errorf("%s: %.4f, want %.4f", what, got, want)
	}
}

func TestFIFOOrder(t *testing.T) {
	r := newRig(t, 1)
	r.spawn(fifo("low", 10, once(10*sim.Millisecond)))
	a := fifo("a", 50, once(10*sim.Millisecond))
	a.Start = sim.Time(sim.Millisecond)
	r.spawn(a)
	b := fifo("b", 50, once(10*sim.Millisecond))
	b.Start = sim.Time(2 * sim.Millisecond)
	r.spawn(b)
	r.run(100 * sim.Millisecond)
	// a preempts low; b waits for a, and low goes on last. Each goes behind its equals on its way out, and runs once more to be gone.
	if got, want := fmt.Sprint(r.ran), "[low a b a b low]"; got != want {
		t.Errorf("ran %v, want %v", got, want)
	}
}

// TestFIFORequeueHead: a preempted task stays at the head of its priority.
func TestFIFORequeueHead(t *testing.T) {
	r := newRig(t, 1)
	r.spawn(fifo("a", 10, once(10*sim.Millisecond)))
	r.spawn(fifo("b", 10, once(10*sim.Millisecond)))
	hi := fifo("hi", 20, once(sim.Millisecond))
	hi.Start = sim.Time(3 * sim.Millisecond)
	r.spawn(hi)
	r.run(100 * sim.Millisecond)
	if got, want := fmt.Sprint(r.ran), "[a hi a b a b]"; got != want {
		t.Errorf("ran %v, want %v", got, want)
	}
}

func TestRRTimeslice(t *testing.T) {
	r := newRig(t, 1)
	for _, comm := range []string{"a", "b"} {
		r.spawn(sim.TaskSpec{Comm: comm, Policy: sim.PolicyRR, RTPrio: 5, Behavior: once(250 * sim.Millisecond)})
	}
	r.run(sim.Second)
	if got, want := fmt.Sprint(r.ran), "[a b a b a b a b]"; got != want {
		t.Errorf("ran %v, want %v", got, want)
	}
	var at []sim.Time
	for _, rec := range r.recs {
		if rec.Kind == sim.KindSwitch {
			at = append(at, rec.At)
		}
	}
	// 25 ticks of 4 ms: 100 ms from tick to tick.
	for i := 1; i < 4; i++ {
		if d := at[i].Sub(at[i-1]); d != 100*sim.Millisecond {
			t.Errorf("slice %d lasts %v, want 100ms", i, d)
		}
	}
}

func TestYieldRT(t *testing.T) {
	r := newRig(t, 1)
	for _, comm := range []string{"a", "b"} {
		r.spawn(fifo(comm, 5, &steps{list: []sim.Step{
			{Kind: sim.StepRun, Dur: sim.Millisecond}, {Kind: sim.StepYield}, {Kind: sim.StepRun, Dur: sim.Millisecond},
		}}))
	}
	r.run(sim.Second)
	if got, want := fmt.Sprint(r.ran), "[a b a b a b]"; got != want {
		t.Errorf("ran %v, want %v", got, want)
	}
}

// TestRTPlacement: on several CPUs the tasks of the highest priorities run.
func TestRTPlacement(t *testing.T) {
	r := newRig(t, 3)
	var tasks []*sim.Task
	for i := range 5 {
		s := fifo(fmt.Sprint("p", 10*(i+1)), 10*(i+1), hog())
		s.Start = sim.Time(i) * sim.Time(sim.Millisecond)
		tasks = append(tasks, r.spawn(s))
	}
	r.run(100 * sim.Millisecond)
	for i, task := range tasks {
		if got, want := task.OnCPU, i >= 2; got != want {
			t.Errorf("%s runs: %v, want %v", task, got, want)
		}
	}
}

// TestRTPull: a CPU whose real-time task ends takes one that waits elsewhere, and one that may not come stays.
func TestRTPull(t *testing.T) {
	for _, tc := range []struct {
		name string
		cpus []sim.CPU
		want bool
	}{{"any CPU", nil, true}, {"CPU 0 only", []sim.CPU{0}, false}} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t, 2)
			first := fifo("first", 20, hog())
			first.CPUs = []sim.CPU{0}
			r.spawn(first)
			other := fifo("other", 20, once(20*sim.Millisecond))
			other.CPUs = []sim.CPU{1}
			r.spawn(other)
			low := fifo("low", 10, hog())
			low.CPUs = tc.cpus
			task := r.spawn(low)
			r.run(10 * sim.Millisecond)
			if task.OnCPU {
				t.Error("low runs while both CPUs have better tasks")
			}
			r.run(50 * sim.Millisecond)
			if task.OnCPU != tc.want {
				t.Errorf("low runs: %v, want %v", task.OnCPU, tc.want)
			}
		})
	}
}

// TestRTSelectsLowest: a waking task goes where it disturbs the least.
func TestRTSelectsLowest(t *testing.T) {
	r := newRig(t, 3)
	for cpu, prio := range []int{50, 20, 40} {
		s := fifo(fmt.Sprint("hog", cpu), prio, hog())
		s.CPUs = []sim.CPU{sim.CPU(cpu)}
		r.spawn(s)
	}
	w := fifo("woken", 30, periodic(sim.Millisecond, sim.Millisecond))
	task := r.spawn(w)
	r.run(20 * sim.Millisecond)
	if task.CPU() != 1 {
		t.Errorf("woken on CPU %d, want 1", task.CPU())
	}
}

func deadline(comm string, runtime, deadline, period sim.Duration, b sim.Behavior) sim.TaskSpec {
	return sim.TaskSpec{Comm: comm, Policy: sim.PolicyDeadline, Behavior: b,
		DL: sim.Deadline{Runtime: runtime, Deadline: deadline, Period: period}}
}

func TestEarliestDeadlineFirst(t *testing.T) {
	r := newRig(t, 1)
	ms := sim.Millisecond
	r.spawn(deadline("late", 21*ms, 100*ms, 100*ms, once(20*ms)))
	s := deadline("soon", 11*ms, 30*ms, 100*ms, once(10*ms))
	s.Start = sim.Time(5 * ms)
	r.spawn(s)
	s = deadline("last", 11*ms, 200*ms, 200*ms, once(10*ms))
	s.Start = sim.Time(6 * ms)
	r.spawn(s)
	f := fifo("fifo", 99, once(ms))
	r.spawn(f)
	r.run(sim.Second)
	if got, want := fmt.Sprint(r.ran), "[late soon late last fifo]"; got != want {
		t.Errorf("ran %v, want %v", got, want)
	}
}

// TestConstantBandwidth: a task that wants more than its runtime gets no more than that in each period.
func TestConstantBandwidth(t *testing.T) {
	for _, tc := range []struct {
		name                      string
		runtime, deadline, period sim.Duration
	}{
		{"implicit deadline", 10 * sim.Millisecond, 100 * sim.Millisecond, 0},
		{"constrained deadline", 10 * sim.Millisecond, 50 * sim.Millisecond, 100 * sim.Millisecond},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t, 1)
			d := r.spawn(deadline("dl", tc.runtime, tc.deadline, tc.period, hog()))
			h := r.spawn(fifo("fifo", 1, hog()))
			r.run(10 * sim.Second)
			near(t, "deadline task", r.share(d, 10*sim.Second), 0.1, 0.001)
			near(t, "fifo task", r.share(h, 10*sim.Second), 0.9, 0.001)
		})
	}
}

// TestDeadlineYield: sched_yield gives up the rest of the instance.
func TestDeadlineYield(t *testing.T) {
	r := newRig(t, 1)
	ms := sim.Millisecond
	d := r.spawn(deadline("dl", 50*ms, 100*ms, 0, &steps{list: []sim.Step{{Kind: sim.StepRun, Dur: 10 * ms}, {Kind: sim.StepYield}}, forever: true}))
	r.spawn(fifo("fifo", 1, hog()))
	r.run(10 * sim.Second)
	near(t, "deadline task", r.share(d, 10*sim.Second), 0.1, 0.002)
}

func TestAdmission(t *testing.T) {
	ms := sim.Millisecond
	r := newRig(t, 2)
	// 2 CPUs: 1.9 in all, of which the fair class's servers have 0.1.
	a := r.spawn(deadline("a", 90*ms, 100*ms, 0, once(sim.Second)))
	r.spawn(deadline("b", 80*ms, 100*ms, 0, hog()))
	if _, err := r.m.Spawn(deadline("c", 20*ms, 100*ms, 0, hog())); err == nil {
		t.Error("c was accepted with 10 % left")
	} else if got, want := err.Error(), `task "c": deadline: device or resource busy: 20.0% of a CPU asked for, 10.0% are left`; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	c := r.spawn(deadline("c", 9*ms, 100*ms, 0, hog()))
	if err := r.m.SetDeadline(c, sim.Deadline{Runtime: 50 * ms, Deadline: 100 * ms}); err == nil {
		t.Error("c was allowed to grow beyond what is left")
	}
	r.run(3 * sim.Second) // a ends after 1.1 s
	if !a.Exiting {
		t.Fatal("a still runs")
	}
	if err := r.m.SetDeadline(c, sim.Deadline{Runtime: 50 * ms, Deadline: 100 * ms}); err != nil {
		t.Errorf("after a's end: %v", err)
	}
	if err := r.m.SetScheduler(c, sim.PolicyNormal, 0, 0); err != nil {
		t.Error(err)
	}
	s := deadline("pinned", ms, 100*ms, 0, hog())
	s.CPUs = []sim.CPU{0}
	if _, err := r.m.Spawn(s); err == nil {
		t.Error("a task that may not run everywhere was accepted")
	}
}

// TestDeadlineOnTwoCPUs: the two earliest deadlines run.
func TestDeadlineOnTwoCPUs(t *testing.T) {
	r := newRig(t, 2)
	ms := sim.Millisecond
	var tasks []*sim.Task
	for i := range 3 {
		tasks = append(tasks, r.spawn(deadline(fmt.Sprint("d", i), 50*ms, sim.Duration(300-50*i)*ms, 0, hog())))
	}
	r.run(30 * ms)
	for i, task := range tasks {
		if got, want := task.OnCPU, i > 0; got != want {
			t.Errorf("%s runs: %v, want %v", task, got, want)
		}
	}
	r.run(3 * sim.Second)
	for i, task := range tasks {
		near(t, task.Comm, r.share(task, 3*sim.Second), 50/float64(300-50*i), 0.02)
	}
}

// policy enables a minimal scheduler.
func (r *rig) enable(o *ops.Table) {
	r.Helper()
	o.Name = "test"
	if err := r.c.Ext.Enable(o); err != nil {
		r.Fatal(err)
	}
}

// TestServers: real-time tasks leave 5 % to the class below, whichever it is: what rt_stall of the kernel's tests asks for.
func TestServers(t *testing.T) {
	for _, tc := range []struct {
		name   string
		attach func(r *rig)
		policy sim.Policy
	}{
		{"fair_server", func(*rig) {}, sim.PolicyNormal},
		{"ext_server", func(r *rig) { r.enable(&ops.Table{}) }, sim.PolicyNormal},
		{"ext_server of a partial switch", func(r *rig) { r.enable(&ops.Table{Flags: ops.FlagSwitchPartial}) }, sim.PolicyExt},
		{"fair_server after a detach", func(r *rig) {
			r.enable(&ops.Table{})
			r.c.Ext.Disable(ops.ExitUnreg)
		}, sim.PolicyNormal},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t, 2)
			tc.attach(r)
			rt := fifo("fifo", 50, hog())
			rt.CPUs = []sim.CPU{1}
			hi := r.spawn(rt)
			lo := r.spawn(sim.TaskSpec{Comm: "low", Policy: tc.policy, CPUs: []sim.CPU{1}, Behavior: hog()})
			r.run(5 * sim.Second)
			if s := r.share(lo, 5*sim.Second); s < 0.04 || s > 0.06 {
				t.Errorf("the task below gets %.4f, want 0.05", s)
			}
			near(t, "sum", r.share(lo, 5*sim.Second)+r.share(hi, 5*sim.Second), 1, 0.0001)
			if e := r.c.Ext.ExitInfo(); e != nil && e.Kind != ops.ExitUnreg {
				t.Errorf("the policy ended: %s", e.Msg)
			}
		})
	}
}

// TestPartialSwitch: EEVDF is above sched_ext, whose tasks get what it leaves, and 5 %.
func TestPartialSwitch(t *testing.T) {
	r := newRig(t, 1)
	r.enable(&ops.Table{Flags: ops.FlagSwitchPartial})
	ext := r.spawn(sim.TaskSpec{Comm: "ext", Policy: sim.PolicyExt, Behavior: hog()})
	r.run(sim.Second)
	near(t, "ext alone", r.share(ext, sim.Second), 1, 0.0001)
	if ext.Class.Name() != "ext" {
		t.Fatalf("class %s", ext.Class.Name())
	}
	fair := r.spawn(sim.TaskSpec{Comm: "fair", Behavior: hog()})
	r.run(11 * sim.Second)
	if fair.Class.Name() != "fair" {
		t.Fatalf("class %s", fair.Class.Name())
	}
	near(t, "ext below a fair task", r.share(ext, 10*sim.Second)-0.1, 0.05, 0.01)
}

// TestTotalBW follows the kernel's test of that name: the sum of the reservations is the same before, with and after a
// scheduler, whether it takes all tasks or not.
func TestTotalBW(t *testing.T) {
	r := newRig(t, 4)
	base := r.c.DL.TotalBW()
	server := int64(50) << 20 / 1000
	if base != 4*server {
		t.Errorf("at first %d, want %d", base, 4*server)
	}
	for range 2 {
		r.enable(&ops.Table{})
		if got := r.c.DL.TotalBW(); got != base {
			t.Errorf("with a scheduler %d, want %d", got, base)
		}
		r.c.Ext.Disable(ops.ExitUnreg)
		if got := r.c.DL.TotalBW(); got != base {
			t.Errorf("after the scheduler %d, want %d", got, base)
		}
	}
	r.enable(&ops.Table{Flags: ops.FlagSwitchPartial})
	if got := r.c.DL.TotalBW(); got != 2*base {
		t.Errorf("with a partial scheduler %d, want both classes' servers, %d", got, 2*base)
	}
	r.c.Ext.Disable(ops.ExitUnreg)
	if got := r.c.DL.TotalBW(); got != base {
		t.Errorf("after the partial scheduler %d, want %d", got, base)
	}
}

// TestServerAttachRefused: without room for the servers of sched_ext a scheduler is not enabled.
func TestServerAttachRefused(t *testing.T) {
	ms := sim.Millisecond
	r := newRig(t, 1)
	r.spawn(deadline("dl", 88*ms, 100*ms, 0, hog()))
	err := r.c.Ext.Enable(&ops.Table{Name: "test"})
	if err == nil {
		t.Fatal("enabled")
	}
	if got, want := r.c.Ext.ExitInfo().Msg, "scx_root_enable() failed (-16)"; got != want {
		t.Errorf("message %q, want %q", got, want)
	}
	if got, want := r.c.Ext.Log()[0], "sched_ext: failed to attach ext_server on CPU 0 (-16)"; got != want {
		t.Errorf("log %q, want %q", got, want)
	}
}

// TestCPURelease: cpu_release names the class that takes the CPU, cpu_acquire comes when it is back.
func TestCPURelease(t *testing.T) {
	ms := sim.Millisecond
	for _, tc := range []struct {
		name   string
		reason ops.PreemptReason
		take   func(r *rig, victim *sim.Task)
	}{
		{"rt", ops.PreemptRT, func(r *rig, _ *sim.Task) { r.spawn(fifo("rt", 1, once(ms))) }},
		{"dl", ops.PreemptDL, func(r *rig, _ *sim.Task) { r.spawn(deadline("dl", ms, 100*ms, 0, once(ms))) }},
		{"stop", ops.PreemptStop, func(r *rig, victim *sim.Task) { r.m.StopCPU(victim.CPU(), &sim.StopWork{Do: func() {}}) }},
		{"fair", ops.PreemptUnknown, func(r *rig, _ *sim.Task) { r.spawn(sim.TaskSpec{Comm: "fair", Behavior: once(ms)}) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t, 1)
			var got []string
			r.enable(&ops.Table{
				Flags: ops.FlagSwitchPartial,
				CPURelease: func(cpu sim.CPU, why ops.PreemptReason, next *sim.Task) {
					got = append(got, fmt.Sprint("release ", why))
				},
				CPUAcquire: func(sim.CPU) { got = append(got, "acquire") },
			})
			victim := r.spawn(sim.TaskSpec{Comm: "ext", Policy: sim.PolicyExt, Behavior: hog()})
			r.run(10 * ms)
			tc.take(r, victim)
			r.run(30 * ms)
			if want := fmt.Sprint([]string{fmt.Sprint("release ", tc.reason), "acquire"}); fmt.Sprint(got) != want {
				t.Errorf("got %v, want %v", got, want)
			}
		})
	}
}

// TestStopperWakes: the stopper that moves a running task is woken as any task is.
func TestStopperWakes(t *testing.T) {
	r := newRig(t, 2)
	task := r.spawn(sim.TaskSpec{Comm: "moved", CPUs: []sim.CPU{0}, Behavior: hog()})
	r.run(sim.Millisecond)
	if err := r.m.SetAffinity(task, []sim.CPU{1}); err != nil {
		t.Fatal(err)
	}
	r.run(2 * sim.Millisecond)
	var kinds []sim.Kind
	for _, rec := range r.recs {
		if p := r.m.TaskByPID(rec.Task); p != nil && p.Comm == "migration/0" && (rec.Kind == sim.KindWaking || rec.Kind == sim.KindWakeup || rec.Kind == sim.KindSwitch) {
			kinds = append(kinds, rec.Kind)
		}
	}
	if got, want := fmt.Sprint(kinds), fmt.Sprint([]sim.Kind{sim.KindWaking, sim.KindWakeup, sim.KindSwitch}); got != want {
		t.Errorf("stopper: %v, want %v", got, want)
	}
	if task.CPU() != 1 {
		t.Error("the task was not moved")
	}
}

// TestSetSchedulerMoves: tasks move between the classes with their policy, running or not.
func TestSetSchedulerMoves(t *testing.T) {
	ms := sim.Millisecond
	for _, sleeping := range []bool{false, true} {
		r := newRig(t, 1)
		b := sim.Behavior(hog())
		if sleeping {
			b = &steps{list: []sim.Step{{Kind: sim.StepSleep, Dur: sim.Second}}, forever: true}
		}
		task := r.spawn(sim.TaskSpec{Comm: "t", Behavior: b})
		r.run(10 * ms)
		for i, p := range []sim.SchedParams{
			{Policy: sim.PolicyFIFO, RTPrio: 3}, {Policy: sim.PolicyDeadline, DL: sim.Deadline{Runtime: 10 * ms, Deadline: 100 * ms}},
			{Policy: sim.PolicyRR, RTPrio: 7}, {Policy: sim.PolicyNormal, Nice: 5},
		} {
			if err := r.m.SetSchedParams(task, p); err != nil {
				t.Fatal(err)
			}
			want := []string{"rt", "dl", "rt", "fair"}[i]
			prio := []int32{96, -1, 92, 125}[i]
			if got := task.Class.Name(); got != want || task.K.Prio() != prio {
				t.Errorf("sleeping %v: policy %d: class %s, prio %d, want %s, %d", sleeping, p.Policy, got, task.K.Prio(), want, prio)
			}
			r.run(sim.Duration(20+10*i) * ms)
		}
		if r.c.DL.TotalBW() != int64(50)<<20/1000 {
			t.Errorf("bandwidth left behind: %d", r.c.DL.TotalBW())
		}
	}
}

// TestPreemptedWaker: one that wakes several is preempted between two of them if the first is of a higher class, and wakes the
// others when it runs again. For one that is only better off it goes on.
func TestPreemptedWaker(t *testing.T) {
	for _, tc := range []struct {
		name  string
		first sim.TaskSpec // of three that are woken
		want  string
	}{
		{"of a higher class", sim.TaskSpec{Comm: "first", Policy: sim.PolicyFIFO, RTPrio: 1}, "wake first, run first, run waker, wake second, wake third"},
		{"of the same", sim.TaskSpec{Comm: "first", Nice: -20}, "wake first, wake second, wake third"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t, 1)
			q := &sim.WaitQueue{}
			wait := func() *steps {
				return &steps{list: []sim.Step{{Kind: sim.StepWait, Queue: q}, {Kind: sim.StepRun, Dur: 10 * sim.Microsecond}}}
			}
			names := map[int32]string{}
			spawn := func(s sim.TaskSpec) { names[r.spawn(s).PID] = s.Comm }
			tc.first.Behavior = wait()
			spawn(tc.first)
			spawn(sim.TaskSpec{Comm: "second", Behavior: wait()})
			spawn(sim.TaskSpec{Comm: "third", Behavior: wait()})
			spawn(sim.TaskSpec{Comm: "waker", Start: sim.Time(5 * sim.Millisecond), Behavior: &steps{list: []sim.Step{
				{Kind: sim.StepRun, Dur: sim.Microsecond}, {Kind: sim.StepWake, Queue: q}, {Kind: sim.StepRun, Dur: 100 * sim.Microsecond}}}})
			r.run(5*sim.Millisecond + 500*sim.Nanosecond)
			r.recs = nil
			r.run(5*sim.Millisecond + 20*sim.Microsecond)
			var got []string
			for _, rec := range r.recs {
				comm := names[rec.Task]
				switch rec.Kind {
				case sim.KindWakeup:
					got = append(got, "wake "+comm)
				case sim.KindSwitch:
					got = append(got, "run "+comm)
				}
			}
			if s := strings.Join(got, ", "); !strings.HasPrefix(s, tc.want) {
				t.Errorf("%s, want %s", s, tc.want)
			}
		})
	}
}
