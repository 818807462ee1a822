package fair

import (
	"testing"

	"github.com/schedsim/schedsim/sched/class/idle"
	"github.com/schedsim/schedsim/sim"
	"github.com/schedsim/schedsim/sim/topo"
)

// fifo is a class above or below the fair one: tasks run in order of arrival until they block.
type fifo struct {
	m *sim.Machine
	q [][]*sim.Task
}

func (f *fifo) Name() string                                                 { return "fifo" }
func (f *fifo) SelectCPU(_ *sim.Task, prev sim.CPU, _ sim.WakeFlags) sim.CPU { return prev }
func (f *fifo) SetNext(sim.CPU, *sim.Task, bool)                             {}
func (f *fifo) PutPrev(cpu sim.CPU, _, _ *sim.Task)                          { f.m.AccountExec(cpu) }
func (f *fifo) Tick(cpu sim.CPU, _ *sim.Task)                                { f.m.AccountExec(cpu) }
func (f *fifo) Enqueue(cpu sim.CPU, t *sim.Task, _ sim.EnqFlags) {
	f.q[cpu] = append(f.q[cpu], t)
	f.m.AddNrRunning(cpu, 1)
}

func (f *fifo) Dequeue(cpu sim.CPU, t *sim.Task, _ sim.DeqFlags) bool {
	for i, o := range f.q[cpu] {
		if o == t {
			f.q[cpu] = append(f.q[cpu][:i:i], f.q[cpu][i+1:]...)
			f.m.AddNrRunning(cpu, -1)
			return true
		}
	}
	panic("not queued")
}

func (f *fifo) Pick(cpu sim.CPU, _ *sim.Task) *sim.Task {
	if len(f.q[cpu]) == 0 {
		return nil
	}
	return f.q[cpu][0]
}

// TestSwitchClass moves tasks, running, waiting, sleeping and delayed ones, to another class and back.
func TestSwitchClass(t *testing.T) {
	for _, tc := range []struct {
		name  string
		above bool // the other class has the higher priority
	}{{"to a lower class", false}, {"to a higher class", true}} {
		t.Run(tc.name, func(t *testing.T) {
			tp, err := topo.Flat(1)
			if err != nil {
				t.Fatal(err)
			}
			var c *Class
			var f *fifo
			m, err := sim.New(sim.Config{Topo: tp, Classes: func(m *sim.Machine) []sim.Class {
				c, f = New(m), &fifo{m: m, q: make([][]*sim.Task, 1)}
				if tc.above {
					return []sim.Class{f, c, idle.New(m)}
				}
				return []sim.Class{c, f, idle.New(m)}
			}})
			if err != nil {
				t.Fatal(err)
			}
			sleepy := &loop{steps: []sim.Step{{Kind: sim.StepRun, Dur: 300 * sim.Microsecond}, {Kind: sim.StepSleep, Dur: 3 * sim.Millisecond}}}
			s, err := m.Spawn(sim.TaskSpec{Comm: "sleeper", Behavior: sleepy})
			if err != nil {
				t.Fatal(err)
			}
			h, err := m.Spawn(sim.TaskSpec{Comm: "hog", Behavior: hog{}})
			if err != nil {
				t.Fatal(err)
			}
			run := func(d sim.Duration) {
				if err := m.Run(m.Now().Add(d)); err != nil {
					t.Fatal(err)
				}
			}
			states := map[[3]bool]bool{}
			for i := range 400 {
				run(70 * sim.Microsecond)
				states[[3]bool{s.OnRQ, s.OnCPU, s.SchedDelayed}] = true
				if i%3 == 0 {
					m.SetClass(s, f)
					if s.SchedDelayed || c.entity(s).onRQ || c.entity(s).avg.attached {
						t.Fatalf("the fair class still knows the task")
					}
					run(10 * sim.Microsecond)
					m.SetClass(s, c)
					if e := c.entity(s); e.onRQ != s.OnRQ {
						t.Fatalf("entity queued %v, task %v", e.onRQ, s.OnRQ)
					}
				}
			}
			for _, want := range []struct {
				name string
				s    [3]bool
			}{{"running", [3]bool{true, true, false}}, {"waiting", [3]bool{true, false, false}}, {"sleeping", [3]bool{}},
				{"delayed", [3]bool{true, false, true}}} {
				if !states[want.s] {
					t.Errorf("the task was never %s", want.name)
				}
			}
			if q := &c.rqs[0]; q.nrQueued != m.NrRunning(0) || q.nrQueued < 1 {
				t.Errorf("%d queued, nr_running %d", q.nrQueued, m.NrRunning(0))
			}
			if m.CPUTime(h) == 0 || m.CPUTime(s) == 0 {
				t.Errorf("CPU times %v and %v", m.CPUTime(h), m.CPUTime(s))
			}
		})
	}
}

// TestLazy: a task woken by another CPU preempts at once with full preemption, and with the lazy model when its CPU next
// enters the kernel: here at the tick, every 4 ms, without a slice timer.
func TestLazy(t *testing.T) {
	for _, tc := range []struct {
		name   string
		opt    Options
		lo, hi sim.Duration // of the median latency
	}{
		{"full", Options{Preempt: PreemptFull, Disable: HRTick}, 0, 0},
		{"lazy", Options{Preempt: PreemptLazy, Disable: HRTick}, sim.Millisecond, 4 * sim.Millisecond},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBench(t, "1n1l2c1t", tc.opt, sim.Costs{})
			var q sim.WaitQueue
			b.spawn(sim.TaskSpec{Comm: "hog", Policy: sim.PolicyIdle, CPUs: cpus(1, 2), Behavior: hog{}})
			b.spawn(sim.TaskSpec{Comm: "wakee", CPUs: cpus(1, 2), Behavior: &loop{steps: []sim.Step{
				{Kind: sim.StepWait, Queue: &q}, {Kind: sim.StepRun, Dur: 10 * sim.Microsecond}}}})
			w := b.spawn(sim.TaskSpec{Comm: "waker", CPUs: cpus(0, 1), Behavior: &loop{steps: []sim.Step{
				{Kind: sim.StepRun, Dur: 9_300 * sim.Microsecond}, {Kind: sim.StepWake, Queue: &q}}}})
			b.run(2 * sim.Second)
			if got := percentile(b.latency[len(b.latency)/10:], 50); got < tc.lo || got > tc.hi || len(b.latency) < 200 {
				t.Errorf("median latency %v of %d wakeups, want %v to %v", got, len(b.latency), tc.lo, tc.hi)
			}
			if w.CPU() != 0 {
				t.Errorf("the waker runs on CPU %d", w.CPU())
			}
		})
	}
}
