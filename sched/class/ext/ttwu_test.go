package ext

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/sim"
)

// wakeRig is a machine of two caches with two CPUs each, where CPU 0 wakes the task "t" at 1 ms for the CPU target.
type wakeRig struct {
	*rig
	task *sim.Task
	// selected and enqueued are the CPUs on which ops.select_cpu and ops.enqueue ran for the wakeup, flags what the latter saw.
	selected, enqueued sim.CPU
	flags              uint64
	waker              sim.Timer
}

func newWakeRig(t *testing.T, opsFlags uint64, target sim.CPU, busy bool) *wakeRig {
	r := &wakeRig{rig: newRig(t, rigOptions{topo: "1n2l2c1t", costs: sim.Costs{IPI: 10 * sim.Microsecond}}), selected: -1, enqueued: -1}
	tb := &ops.Table{
		Name: "wake", Flags: opsFlags,
		SelectCPU: func(p *sim.Task, prev sim.CPU, _ uint64) sim.CPU {
			if p == r.task {
				r.selected = r.m.ThisCPU()
				return target
			}
			return prev
		},
		Enqueue: func(p *sim.Task, f uint64) {
			if p == r.task && r.enqueued < 0 && r.selected >= 0 {
				r.enqueued, r.flags = r.m.ThisCPU(), f
			}
			r.k.DSQInsert(p, ops.DSQLocal, ops.SliceDfl, 0)
		},
	}
	r.enable(tb)
	r.task = r.spawn(sim.TaskSpec{Comm: "t", Behavior: &steps{list: []sim.Step{run(sim.Microsecond), sleep(sim.Second)}}})
	r.run(ms(1) - 1000)
	if busy {
		h := r.spawn(sim.TaskSpec{Comm: "h", Behavior: hog()})
		if err := r.m.SetAffinity(h, []sim.CPU{target}); err != nil {
			t.Fatal(err)
		}
	}
	r.selected, r.enqueued = -1, -1
	r.waker.Fire = func(sim.Time) { r.m.Wake(r.task, sim.WakeSync) }
	r.m.Arm(&r.waker, 0, ms(1))
	return r
}

// TestQueuedWakeup: with SCX_OPS_ALLOW_QUEUED_WAKEUP the CPU that ops.select_cpu has chosen enqueues the task itself, if it
// shares no cache with the waker or has nothing to do (ttwu_queue_cond); that ops.select_cpu was called is then forgotten.
func TestQueuedWakeup(t *testing.T) {
	const asked = ops.FlagAllowQueuedWakeup
	const direct, queued = uint64(sim.EnqWakeup | sim.EnqNoClock | sim.EnqRQSelected), uint64(sim.EnqWakeup | sim.EnqNoClock)
	const migrated = uint64(sim.EnqMigrated)
	for _, tc := range []struct {
		name   string
		flags  uint64
		target sim.CPU
		busy   bool
		on     sim.CPU
		enq    uint64
	}{
		{"not asked for, another cache", 0, 2, false, 0, direct | migrated},
		{"not asked for, same cache", 0, 1, false, 0, direct | migrated},
		{"another cache", asked, 2, false, 2, queued | migrated},
		{"another cache, busy", asked, 3, true, 3, queued | migrated},
		{"same cache, idle", asked, 1, false, 1, queued | migrated},
		{"same cache, busy", asked, 1, true, 0, direct | migrated},
		{"the waker's CPU", asked, 0, false, 0, direct},
		{"the waker's CPU, busy", asked, 0, true, 0, direct},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newWakeRig(t, tc.flags, tc.target, tc.busy)
			ran := r.m.CPUTime(r.task)
			r.run(ms(1))
			at := ms(1)
			if tc.on == tc.target && tc.target != 0 {
				if r.enqueued >= 0 || r.task.State != sim.StateWaking || r.task.OnRQ {
					t.Errorf("before the interrupt: enqueued on %d, state %#x", r.enqueued, uint32(r.task.State))
				}
				at = at.Add(10 * sim.Microsecond)
			}
			r.run(at)
			if r.selected != 0 || r.enqueued != tc.on || r.flags != tc.enq || r.task.CPU() != tc.target {
				t.Errorf("selected on %d, enqueued on %d with %#x, want %d with %#x", r.selected, r.enqueued, r.flags, tc.on, tc.enq)
			}
			r.run(ms(100))
			if r.m.CPUTime(r.task) == ran {
				t.Error("it did not run")
			}
			if err := r.k.check(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestQueuedWakeupOrder: wakeups for one CPU are finished in their order, by one interrupt.
func TestQueuedWakeupOrder(t *testing.T) {
	r := newWakeRig(t, ops.FlagAllowQueuedWakeup, 2, false)
	var order []string
	enqueue := r.k.sch.ops.Enqueue
	r.k.sch.ops.SelectCPU = func(*sim.Task, sim.CPU, uint64) sim.CPU { return 2 }
	r.k.sch.ops.Enqueue = func(p *sim.Task, f uint64) { order = append(order, p.Comm); enqueue(p, f) }
	tasks := []*sim.Task{r.task}
	for _, comm := range []string{"a", "b", "c"} {
		tasks = append(tasks, r.spawn(sim.TaskSpec{Comm: comm, Behavior: &steps{list: []sim.Step{run(1), sleep(sim.Second)}}}))
	}
	r.waker.Fire = func(sim.Time) {}
	r.run(ms(2))
	order = nil
	r.waker.Fire = func(sim.Time) {
		for _, p := range tasks {
			r.m.Wake(p, 0)
			if r.m.Wake(p, 0) {
				t.Errorf("%s was woken twice", p.Comm)
			}
		}
	}
	r.m.Arm(&r.waker, 0, ms(3))
	r.run(ms(3))
	if r.m.IdleCPU(2) {
		t.Error("a CPU with wakeups on its list is idle")
	}
	r.run(ms(3).Add(10 * sim.Microsecond))
	if d := cmp.Diff([]string{"t", "a", "b", "c"}, order); d != "" {
		t.Error(d)
	}
}

// TestQueuedWakeupMeanwhile: what happens to a task between its wakeup and the interrupt.
func TestQueuedWakeupMeanwhile(t *testing.T) {
	for _, tc := range []struct {
		name string
		do   func(r *wakeRig) error
		cpus []sim.CPU // where it is afterwards
	}{
		{"affinity", func(r *wakeRig) error { return r.m.SetAffinity(r.task, []sim.CPU{1}) }, []sim.CPU{1}},
		{"the CPU goes", func(r *wakeRig) error { return r.m.CPUDown(2) }, []sim.CPU{0, 1, 3}},
		{"nice", func(r *wakeRig) error { r.m.SetNice(r.task, 5); return nil }, []sim.CPU{2}},
		{"another class", func(r *wakeRig) error { return r.m.SetScheduler(r.task, sim.PolicyFIFO, 1, 0) }, []sim.CPU{2}},
		{"a kill", func(r *wakeRig) error { return r.m.Kill(r.task) }, nil},
		{"the policy goes", func(r *wakeRig) error { r.k.Disable(ops.ExitUnreg); return nil }, []sim.CPU{2}},
		{"an error", func(r *wakeRig) error { r.k.ErrorBPF("x"); return nil }, []sim.CPU{2}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newWakeRig(t, ops.FlagAllowQueuedWakeup, 2, false)
			r.run(ms(1).Add(5 * sim.Microsecond))
			if r.task.State != sim.StateWaking {
				t.Fatal("it is not waking")
			}
			ran := r.m.CPUTime(r.task)
			if err := tc.do(r); err != nil {
				t.Fatal(err)
			}
			r.run(ms(100))
			if tc.cpus == nil {
				if r.task.State != sim.StateDead {
					t.Error("it lives")
				}
				return
			}
			if r.m.CPUTime(r.task) == ran || r.task.State != sim.StateInterruptible {
				t.Error("it did not run and sleep")
			}
			on := false
			for _, cpu := range tc.cpus {
				on = on || r.task.CPU() == cpu
			}
			if !on {
				t.Errorf("it is on %d, want %v", r.task.CPU(), tc.cpus)
			}
			if err := r.k.check(); err != nil {
				t.Error(err)
			}
		})
	}
}
