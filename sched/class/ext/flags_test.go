package ext

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/sim"
)

// TestEnqExiting: do_enqueue_task puts tasks that exit on the local DSQ unless SCX_OPS_ENQ_EXITING asks for them.
func TestEnqExiting(t *testing.T) {
	for _, flag := range []uint64{0, ops.FlagEnqExiting} {
		r := newRig(t, rigOptions{})
		asked := 0
		tb := fifoTable(r.k)
		tb.Flags = flag
		enqueue := tb.Enqueue
		tb.Enqueue = func(p *sim.Task, f uint64) {
			if p.Exiting {
				asked++
			}
			enqueue(p, f)
		}
		r.enable(tb)
		p := r.spawn(sim.TaskSpec{Comm: "t", Behavior: napper()})
		r.run(ms(3)) // it sleeps
		p.Exiting = true
		r.run(ms(20))
		skipped := r.k.Events().EnqSkipExiting
		if flag == 0 && (asked != 0 || skipped == 0) || flag != 0 && (asked == 0 || skipped != 0) {
			t.Errorf("flags %#x: asked %d times, skipped %d times", flag, asked, skipped)
		}
	}
}

// immed is a policy with local DSQs only, except for tasks that come back; log has what ops.enqueue saw of b: flags and the
// reason of a re-enqueue.
func immed(r *rig, opsFlags, insert uint64, log *[]string) *ops.Table {
	tb := fifoTable(r.k)
	tb.Flags = opsFlags
	tb.Enqueue = func(p *sim.Task, f uint64) {
		if p.Comm == "b" {
			*log = append(*log, fmt.Sprintf("%#x %#x", f, p.K.SCXFlags()&ops.TaskReenqReasonMask))
		}
		if f&ops.EnqReenq != 0 {
			r.k.DSQInsert(p, 0, ops.SliceDfl, 0)
		} else {
			r.k.DSQInsert(p, ops.DSQLocal, ops.SliceDfl, insert)
		}
	}
	return tb
}

// TestEnqImmed: a task that wants its CPU at once comes back if the CPU is taken (dsq_inc_nr), and if it is taken away from
// it (put_prev_task_scx).
func TestEnqImmed(t *testing.T) {
	for _, tc := range []struct {
		name             string
		opsFlags, insert uint64
		busy, rt, ask    bool
		want             []string
	}{
		{"idle CPU", 0, ops.EnqImmed, false, false, false, []string{"0x80008 0x0"}},
		{"busy CPU", 0, ops.EnqImmed, true, false, false, []string{"0x80008 0x0", "0x10000000000 0x2000"}},
		{"busy CPU, not asked for", 0, 0, true, false, false, []string{"0x80008 0x0"}},
		{"busy CPU, SCX_OPS_ALWAYS_ENQ_IMMED", ops.FlagAlwaysEnqImmed, 0, true, false, false, []string{"0x80008 0x0", "0x10000000000 0x2000"}},
		{"preempted", 0, ops.EnqImmed, false, true, false, []string{"0x80008 0x0", "0x10000000000 0x3000"}},
		{"preempted, not asked for", 0, 0, false, true, false, []string{"0x80008 0x0"}},
		{"scx_bpf_dsq_reenq", 0, 0, true, false, true, []string{"0x80008 0x0", "0x10000000000 0x1000"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t, rigOptions{})
			var log []string
			tb := immed(r, tc.opsFlags, tc.insert, &log)
			if tc.ask {
				tb.Tick = func(*sim.Task) { r.k.DSQReenq(ops.DSQLocal, ReenqAny) }
			}
			r.enable(tb)
			if tc.busy {
				r.spawn(sim.TaskSpec{Comm: "a", Behavior: hog()})
				r.run(ms(1))
			}
			r.spawn(sim.TaskSpec{Comm: "b", Behavior: hog()})
			r.run(ms(2))
			if tc.rt {
				r.spawn(sim.TaskSpec{Comm: "rt", Policy: sim.PolicyFIFO, RTPrio: 1, Behavior: &steps{once: true, list: []sim.Step{run(sim.Millisecond)}}})
			}
			r.run(ms(6))
			if d := cmp.Diff(tc.want, log); d != "" {
				t.Errorf("ops.enqueue (-want +got):\n%s", d)
			}
			if err := r.k.check(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestEnqPreempt: local_dsq_post_enq takes the rest of the slice from the task that runs; the new task is at the head.
func TestEnqPreempt(t *testing.T) {
	for _, tc := range []struct {
		flags uint64
		after string // what runs after the hog
		at    sim.Time
	}{
		{ops.EnqPreempt, "urgent", ms(7)},
		{ops.EnqHead, "urgent", ms(20)},
		{0, "other", ms(20)},
	} {
		r := newRig(t, rigOptions{})
		tb := fifoTable(r.k)
		tb.Enqueue = func(p *sim.Task, f uint64) {
			flags := uint64(0)
			if p.Comm == "urgent" {
				flags = tc.flags
			}
			r.k.DSQInsert(p, ops.DSQLocal, ops.SliceDfl, flags)
		}
		after, at := "", sim.Time(0)
		tb.Running = func(p *sim.Task) {
			if after == "" && p.Comm != "hog" {
				after, at = p.Comm, r.m.Now()
			}
		}
		r.enable(tb)
		for _, s := range []struct {
			comm  string
			start sim.Time
		}{{"hog", 0}, {"other", ms(5)}, {"urgent", ms(7)}} {
			r.spawn(sim.TaskSpec{Comm: s.comm, Start: s.start, Behavior: hog()})
		}
		r.run(ms(30))
		if after != tc.after || at != tc.at {
			t.Errorf("flags %#x: %s runs at %v, want %s at %v", tc.flags, after, at, tc.after, tc.at)
		}
	}
}

// TestWakeFlags: what ops.select_cpu and ops.enqueue are told about a wakeup.
func TestWakeFlags(t *testing.T) {
	var q sim.WaitQueue
	for _, tc := range []struct {
		name string
		sync bool
		cpus []sim.CPU
		want []string
	}{
		{"several CPUs", false, nil, []string{"select_cpu 0x8", "enqueue 0x100009"}},
		{"several CPUs, sync", true, nil, []string{"select_cpu 0x18", "enqueue 0x100009"}},
		{"one CPU: ops.select_cpu is not called", true, []sim.CPU{1}, []string{"enqueue 0x9"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			q = sim.WaitQueue{}
			r := newRig(t, rigOptions{topo: "1n1l2c1t"})
			var log []string
			note := func(p *sim.Task, what string, f uint64) {
				if p.Comm == "t" {
					log = append(log, fmt.Sprintf("%s %#x", what, f))
				}
			}
			tb := fifoTable(r.k)
			tb.SelectCPU = func(p *sim.Task, prev sim.CPU, f uint64) sim.CPU {
				note(p, "select_cpu", f)
				return prev
			}
			enqueue := tb.Enqueue
			tb.Enqueue = func(p *sim.Task, f uint64) {
				note(p, "enqueue", f)
				enqueue(p, f)
			}
			r.enable(tb)
			r.spawn(sim.TaskSpec{Comm: "t", CPUs: tc.cpus, Behavior: &steps{list: []sim.Step{{Kind: sim.StepWait, Queue: &q}, run(1)}}})
			r.run(ms(1))
			fork := []string{"select_cpu 0x4", "enqueue 0x80008"}
			if tc.cpus != nil {
				fork = []string{"enqueue 0x80008"}
			}
			if d := cmp.Diff(fork, log); d != "" {
				t.Errorf("fork (-want +got):\n%s", d)
			}
			log = nil
			r.spawn(sim.TaskSpec{Comm: "waker", Behavior: &steps{once: true, list: []sim.Step{run(1), {Kind: sim.StepWake, Queue: &q, Sync: tc.sync}}}})
			r.run(ms(2))
			if d := cmp.Diff(tc.want, log); d != "" {
				t.Errorf("wakeup (-want +got):\n%s", d)
			}
		})
	}
}

// TestExitFlags: ops.exit learns whether ops.init succeeded.
func TestExitFlags(t *testing.T) {
	for _, tc := range []struct {
		init int32
		want uint64
	}{{0, ops.EFlagInitialized}, {-EINVAL, 0}} {
		r := newRig(t, rigOptions{})
		tb := fifoTable(r.k)
		tb.Init = func() int32 { return min(r.k.CreateDSQ(0, -1), tc.init) }
		got, calls := uint64(0), 0
		tb.Exit = func(i *ops.ExitInfo) { got, calls = i.Flags, calls+1 }
		if err := r.k.Enable(tb); (err != nil) != (tc.init != 0) {
			t.Fatal(err)
		}
		r.k.Disable(ops.ExitUnreg)
		r.run(ms(1))
		if got != tc.want || calls != 1 {
			t.Errorf("init %d: flags %#x in %d calls, want %#x in one", tc.init, got, calls, tc.want)
		}
	}
}

// TestCoreSchedBefore: the kernel is built without core scheduling, so the callback is accepted and nobody calls it.
func TestCoreSchedBefore(t *testing.T) {
	r := newRig(t, rigOptions{topo: "1n1l2c2t"})
	tb := fifoTable(r.k)
	tb.CoreSchedBefore = func(a, b *sim.Task) bool {
		t.Errorf("called for %v and %v", a, b)
		return false
	}
	r.enable(tb)
	for range 8 {
		r.spawn(sim.TaskSpec{Comm: "t", Behavior: napper()})
	}
	r.run(ms(200))
	if e := r.k.ExitInfo(); e != nil || r.k.Calls()[ops.CoreSchedBefore] != 0 {
		t.Errorf("%d calls, exit %+v", r.k.Calls()[ops.CoreSchedBefore], e)
	}
}
