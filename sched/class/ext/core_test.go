package ext

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/sim"
)

// TestNoCallbacks: a policy without any callback gets the global DSQ and the built-in pick.
func TestNoCallbacks(t *testing.T) {
	r := newRig(t, rigOptions{topo: "1n1l2c1t"})
	r.enable(&ops.Table{Name: "none"})
	for range 5 {
		r.spawn(sim.TaskSpec{Comm: "t", Behavior: napper()})
	}
	r.run(ms(100))
	checkProgress(t, r, "ext")
	if n := r.k.Events().RefillSliceDfl; n == 0 {
		t.Error("no default slices")
	}
}

// TestEnqLast: without SCX_OPS_ENQ_LAST the core keeps the only task running; with it the policy is asked, and the CPU
// goes idle unless the task is put on its local DSQ.
func TestEnqLast(t *testing.T) {
	for _, tc := range []struct {
		name  string
		flags uint64
		dsq   uint64 // for SCX_ENQ_LAST
		last  bool   // asked
		runs  bool   // all the time
	}{
		{"kept by the core", 0, 0, false, true},
		{"to the local DSQ", ops.FlagEnqLast, ops.DSQLocal, true, true},
		{"to the policy's DSQ", ops.FlagEnqLast, 0, true, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t, rigOptions{})
			last := false
			tb := fifoTable(r.k)
			tb.Flags = tc.flags
			tb.Enqueue = func(p *sim.Task, f uint64) {
				dsq := uint64(0)
				if f&ops.EnqLast != 0 {
					dsq, last = tc.dsq, true
				}
				r.k.DSQInsert(p, dsq, ops.SliceDfl, f)
			}
			r.enable(tb)
			p := r.spawn(sim.TaskSpec{Comm: "t", Behavior: hog()})
			r.run(ms(100))
			if last != tc.last {
				t.Errorf("SCX_ENQ_LAST seen: %t, want %t", last, tc.last)
			}
			if all := r.m.CPUTime(p) == 100*sim.Millisecond; all != tc.runs {
				t.Errorf("ran %v of 100 ms", r.m.CPUTime(p))
			}
			if keep := r.k.Events().DispatchKeepLast; (keep > 0) == tc.last {
				t.Errorf("%d times kept", keep)
			}
		})
	}
}

// TestStaleDispatch: a task that the policy dispatches after it was taken away and enqueued again stays where it is.
func TestStaleDispatch(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change bool // between the insert and its flush
		local  int32
	}{
		{"owned", false, 1},
		{"enqueued again meanwhile", true, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t, rigOptions{})
			var held *sim.Task
			first := true
			tb := fifoTable(r.k)
			tb.Enqueue = func(p *sim.Task, f uint64) {
				if p.Comm == "held" {
					held = p // kept by the policy
				} else {
					r.k.DSQInsert(p, 0, ops.SliceDfl, f)
				}
			}
			tb.Dispatch = func(sim.CPU, *sim.Task) {
				if held == nil || !first {
					return
				}
				first = false
				r.k.DSQInsert(held, ops.DSQLocal, ops.SliceDfl, 0)
				if tc.change {
					r.m.SetNice(held, 3)
				}
				r.k.DSQMoveToLocal(0, 0) // flushes
				if n := r.k.DSQNrQueued(ops.DSQLocal); n != tc.local {
					t.Errorf("%d tasks on the local DSQ, want %d", n, tc.local)
				}
			}
			r.enable(tb)
			r.spawn(sim.TaskSpec{Comm: "held", Behavior: hog()})
			r.run(ms(3))
			if err := r.k.check(); err != nil {
				t.Error(err)
			}
			if first || r.k.ExitInfo() != nil {
				t.Errorf("dispatched %t, exit %+v", !first, r.k.ExitInfo())
			}
		})
	}
}

// TestCustody: ops.dequeue is called once for each time that the policy got a task, with the reason.
func TestCustody(t *testing.T) {
	for _, tc := range []struct {
		name string
		dsq  uint64 // where ops.enqueue puts the task; 0xffff: nowhere
		act  func(r *rig, p *sim.Task)
		want []uint64 // flags of ops.dequeue
		old  []uint64 // the same before 7.1
	}{
		{"user DSQ, consumed", 0, func(r *rig, _ *sim.Task) { r.run(ms(1)) }, []uint64{0}, nil},
		{"user DSQ, nice", 0, func(r *rig, p *sim.Task) { r.m.SetNice(p, 1) }, []uint64{0x2_0000_000a}, nil},
		{"held, nice", 0xffff, func(r *rig, p *sim.Task) { r.m.SetNice(p, 1) }, []uint64{0x2_0000_000a}, []uint64{0xa}},
		{"held, detached", 0xffff, func(r *rig, _ *sim.Task) { r.k.Disable(ops.ExitUnreg) }, []uint64{0x2_0000_000e}, []uint64{0xe}},
		{"global DSQ", ops.DSQGlobal, func(r *rig, p *sim.Task) { r.m.SetNice(p, 1) }, nil, nil},
		{"local DSQ", ops.DSQLocal, func(r *rig, p *sim.Task) { r.m.SetNice(p, 1) }, nil, nil},
	} {
		for _, old := range []bool{false, true} {
			if old {
				tc.name, tc.want = tc.name+", before 7.1", tc.old
			}
			t.Run(tc.name, func(t *testing.T) {
				r := newRig(t, rigOptions{})
				r.k.SetOld(Old{Custody: old})
				var got []uint64
				tb := fifoTable(r.k)
				tb.Enqueue = func(p *sim.Task, f uint64) {
					if tc.dsq != 0xffff {
						r.k.DSQInsert(p, tc.dsq, ops.SliceDfl, f)
					}
				}
				tb.Dequeue = func(_ *sim.Task, f uint64) { got = append(got, f) }
				r.enable(tb)
				p := r.spawn(sim.TaskSpec{Comm: "t", Behavior: hog()})
				tc.act(r, p)
				if !slices.Equal(got, tc.want) {
					t.Errorf("ops.dequeue flags %#x, want %#x", got, tc.want)
				}
				if !old && hasFlags(p, ops.TaskInCustody) != (tc.dsq == 0xffff || tc.dsq == 0) && r.k.State() == ops.Enabled && len(got) == 0 {
					t.Errorf("flags %#x", p.K.SCXFlags())
				}
			})
		}
	}
}

// TestOrder: the order in which queues are consumed.
func TestOrder(t *testing.T) {
	type ins struct {
		comm  string
		vtime uint64
		flags uint64
	}
	for _, tc := range []struct {
		name  string
		vtime bool
		tasks []ins
		want  string
	}{
		{"fifo", false, []ins{{"a", 0, 0}, {"b", 0, 0}, {"c", 0, 0}}, "abc"},
		{"head", false, []ins{{"a", 0, 0}, {"b", 0, ops.EnqHead}, {"c", 0, 0}}, "bac"},
		{"vtime", true, []ins{{"a", 30, 0}, {"b", 10, 0}, {"c", 20, 0}}, "bca"},
		{"vtime, equal", true, []ins{{"a", 10, 0}, {"b", 10, 0}, {"c", 5, 0}}, "cab"},
		{"vtime wraps around", true, []ins{{"a", 1, 0}, {"b", 1<<64 - 5, 0}, {"c", 3, 0}}, "bac"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t, rigOptions{})
			var got, seen, back strings.Builder
			by := map[string]ins{}
			tb := fifoTable(r.k)
			tb.Enqueue = func(p *sim.Task, f uint64) {
				i := by[p.Comm]
				if tc.vtime {
					r.k.DSQInsertVtime(p, 0, ops.SliceDfl, i.vtime, i.flags)
				} else {
					r.k.DSQInsert(p, 0, ops.SliceDfl, i.flags)
				}
			}
			tb.Dispatch = func(sim.CPU, *sim.Task) {
				if seen.Len() == 0 {
					for _, rev := range []uint64{0, ops.DSQIterRev} {
						it, err := r.k.NewDSQIter(0, rev)
						if err != 0 {
							t.Fatal(err)
						}
						for p := it.Next(); p != nil; p = it.Next() {
							if rev == 0 {
								seen.WriteString(p.Comm)
							} else {
								back.WriteString(p.Comm)
							}
						}
						it.Close()
					}
					if p := r.k.DSQPeek(0); p.Comm != tc.want[:1] {
						t.Errorf("peek: %v", p)
					}
				}
				r.k.DSQMoveToLocal(0, 0)
			}
			tb.Running = func(p *sim.Task) {
				if !strings.HasSuffix(got.String(), p.Comm) { // not a second time when it leaves its autogroup
					got.WriteString(p.Comm)
				}
			}
			r.enable(tb)
			for _, i := range tc.tasks {
				by[i.comm] = i
				r.spawn(sim.TaskSpec{Comm: i.comm, Behavior: &steps{once: true, list: []sim.Step{run(1)}}})
			}
			r.run(ms(1))
			rev := []byte(tc.want)
			slices.Reverse(rev)
			if d := cmp.Diff([]string{tc.want, tc.want, string(rev)}, []string{got.String(), seen.String(), back.String()}); d != "" {
				t.Errorf("run, iterated, reverse (-want +got):\n%s", d)
			}
		})
	}
}

// TestIter: an iterator survives moves, sees no task that was queued after it was made, and DSQMove refuses such tasks.
func TestIter(t *testing.T) {
	r := newRig(t, rigOptions{})
	tb := fifoTable(r.k)
	var seen []string
	done := false
	tb.Init = func() int32 { return min(r.k.CreateDSQ(0, -1), r.k.CreateDSQ(1, -1)) }
	tb.Dispatch = func(sim.CPU, *sim.Task) {
		if !done {
			done = true
			it, _ := r.k.NewDSQIter(0, 0)
			for p := it.Next(); p != nil; p = it.Next() {
				seen = append(seen, p.Comm)
				it.SetSlice(7_000_000)
				if !r.k.DSQMove(it, p, 0, 0, false) { // to the tail: it counts as new
					t.Errorf("%v was not moved", p)
				}
				if r.k.DSQMove(it, p, 1, 0, false) {
					t.Errorf("%v was moved again", p)
				}
				if p.K.Slice() != 7_000_000 {
					t.Errorf("%v: slice %d", p, p.K.Slice())
				}
			}
			it.Close()
			if it.Next() != nil || r.k.DSQMove(it, r.m.TaskByPID(1), 1, 0, false) {
				t.Error("closed iterator works")
			}
			if it, err := r.k.NewDSQIter(77, 0); err != -ENOENT || it.Next() != nil {
				t.Errorf("iterator of a missing DSQ: %d", err)
			}
			if _, err := r.k.NewDSQIter(0, 1); err != -EINVAL {
				t.Errorf("iterator with unknown flags: %d", err)
			}
		}
		r.k.DSQMoveToLocal(0, 0)
	}
	r.enable(tb)
	for _, c := range []string{"a", "b", "c"} {
		r.spawn(sim.TaskSpec{Comm: c, Behavior: napper()})
	}
	r.run(ms(1))
	if d := cmp.Diff([]string{"a", "b", "c"}, seen); d != "" {
		t.Error(d)
	}
	checkProgress(t, r, "ext")
}

// TestRealTime: a real-time task takes the CPU; the policy is told, and gets its task back at the head of the local DSQ.
func TestRealTime(t *testing.T) {
	r := newRig(t, rigOptions{})
	var log []string
	tb := logTable(r.k, &log)
	tb.UpdateIdle, tb.Flags = nil, 0
	tb.CPURelease = func(cpu sim.CPU, why ops.PreemptReason, p *sim.Task) {
		log = append(log, "release "+p.Comm)
		if cpu != 0 || why != ops.PreemptRT {
			t.Errorf("cpu %d, reason %d", cpu, why)
		}
	}
	tb.CPUAcquire = func(sim.CPU) { log = append(log, "acquire") }
	r.enable(tb)
	r.spawn(sim.TaskSpec{Comm: "a", Behavior: hog()})
	r.spawn(sim.TaskSpec{Comm: "b", Behavior: hog()})
	r.run(ms(1))
	log = nil
	r.spawn(sim.TaskSpec{Comm: "r", Policy: sim.PolicyFIFO, Behavior: &steps{once: true, list: []sim.Step{run(sim.Millisecond)}}})
	r.run(ms(3))
	diffLog(t, "preemption", log, `init_task r fork=true
stopping a true
release r
acquire
running a
exit_task r cancelled=false`)
}

// TestYield: without ops.yield a task that yields gives up its slice; with it the policy decides.
func TestYield(t *testing.T) {
	for _, tc := range []struct {
		name  string
		yield func(from, to *sim.Task) bool
		first string
	}{
		{"slice given up", nil, "b"},
		{"ops.yield keeps it", func(_, to *sim.Task) bool { return to != nil }, "a"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t, rigOptions{})
			tb := fifoTable(r.k)
			tb.Yield = tc.yield
			r.enable(tb)
			r.spawn(sim.TaskSpec{Comm: "a", Behavior: &steps{list: []sim.Step{run(sim.Millisecond), {Kind: sim.StepYield}, run(100 * sim.Second)}}})
			r.spawn(sim.TaskSpec{Comm: "b", Behavior: hog()})
			r.run(ms(2))
			if c := r.m.Curr(0).Comm; c != tc.first {
				t.Errorf("%s runs, want %s", c, tc.first)
			}
		})
	}
}

// TestKick: what a kick does to a CPU that is busy or idle.
func TestKick(t *testing.T) {
	for _, tc := range []struct {
		name       string
		flags      uint64
		busy       bool
		dispatched bool // ops.dispatch ran on the kicked CPU
		switched   bool // the running task was replaced
	}{
		{"busy, no flags", 0, true, false, false}, // the slice is not over
		{"busy, preempt", ops.KickPreempt, true, true, true},
		{"busy, preempt and wait", ops.KickPreempt | ops.KickWait, true, true, true},
		{"busy, idle", ops.KickIdle, true, false, false},
		{"idle, no flags", 0, false, true, false},
		{"idle, idle", ops.KickIdle, false, true, false},
		{"idle, preempt", ops.KickPreempt, false, true, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t, rigOptions{topo: "1n1l2c1t", costs: sim.Costs{IPI: 1000}})
			dispatched, kick := false, false
			tb := fifoTable(r.k)
			tb.Init = func() int32 { return min(r.k.CreateDSQ(0, -1), r.k.CreateDSQ(1, -1)) }
			tb.Enqueue = func(p *sim.Task, f uint64) { r.k.DSQInsert(p, uint64(p.K.CPUs().First()), ops.SliceDfl, f) }
			tb.Dispatch = func(cpu sim.CPU, _ *sim.Task) {
				dispatched = dispatched || kick && cpu == 1
				r.k.DSQMoveToLocal(uint64(cpu), 0)
			}
			tb.Quiescent = func(p *sim.Task, _ uint64) {
				if p.Comm == "kicker" && r.m.Now() == ms(9) {
					kick = true
					r.k.KickCPU(1, tc.flags)
				}
			}
			r.enable(tb)
			r.spawn(sim.TaskSpec{Comm: "kicker", CPUs: []sim.CPU{0}, Behavior: &steps{list: []sim.Step{run(ms9), sleep(100 * sim.Second)}}})
			if tc.busy {
				for range 2 {
					r.spawn(sim.TaskSpec{Comm: "t", CPUs: []sim.CPU{1}, Behavior: hog()})
				}
			}
			r.run(ms(8))
			was := r.m.Curr(1)
			r.run(ms(10))
			if dispatched != tc.dispatched || (r.m.Curr(1) != was) != tc.switched {
				t.Errorf("dispatched %t, switched %t", dispatched, r.m.Curr(1) != was)
			}
		})
	}
}

const ms9 = 9 * sim.Millisecond

// TestRemoteMove: a task on a DSQ of the policy moves to the CPU that takes it, without becoming quiescent.
func TestRemoteMove(t *testing.T) {
	r := newRig(t, rigOptions{topo: "1n1l2c1t"})
	var log []string
	tb := logTable(r.k, &log)
	tb.UpdateIdle, tb.Flags = nil, 0
	// The CPU says who takes which task: 1 takes b, which sleeps and wakes on CPU 0.
	tb.SelectCPU = func(*sim.Task, sim.CPU, uint64) sim.CPU { return 0 }
	tb.Dispatch = func(cpu sim.CPU, _ *sim.Task) {
		if cpu == 1 {
			r.k.DSQMoveToLocal(0, 0)
		} else if p := r.k.DSQPeek(0); p != nil && p.Comm == "a" {
			r.k.DSQMoveToLocal(0, 0)
		}
	}
	enq := tb.Enqueue
	tb.Enqueue = func(p *sim.Task, f uint64) {
		enq(p, f)
		r.k.KickCPU(sim.CPU(p.Comm[0]-'a'), 0)
	}
	r.enable(tb)
	r.spawn(sim.TaskSpec{Comm: "a", Behavior: hog()})
	r.run(ms(1))
	log = nil
	b := r.spawn(sim.TaskSpec{Comm: "b", Behavior: hog()})
	r.run(ms(2))
	diffLog(t, "fork on 0, run on 1", log, `init_task b fork=true
enable b
set_weight b 100
runnable b 0x80008
enqueue b 0x80008
dequeue b 0x0
running b`)
	if b.CPU() != 1 || !b.OnCPU {
		t.Errorf("b is on cpu %d, running %t", b.CPU(), b.OnCPU)
	}
}

// TestDump: the debug dump of a failed policy.
func TestDump(t *testing.T) {
	r := newRig(t, rigOptions{topo: "1n1l4c1t"})
	tb := fifoTable(r.k)
	tb.Dump = func(d *ops.DumpCtx) { r.k.DumpBPF("policy: kind=1025\n") }
	tb.DumpCPU = func(_ *ops.DumpCtx, cpu sim.CPU, idle bool) {
		if cpu == 3 {
			r.k.DumpBPF("one ")
			r.k.DumpBPF("line\nand another")
		}
	}
	tb.DumpTask = func(_ *ops.DumpCtx, p *sim.Task) { r.k.DumpBPF("task " + p.Comm) }
	r.enable(tb)
	r.spawn(sim.TaskSpec{Comm: "a", CPUs: []sim.CPU{0, 1}, Behavior: hog()})
	r.spawn(sim.TaskSpec{Comm: "b", CPUs: []sim.CPU{0}, Behavior: hog()})
	r.run(ms(10))
	tb2 := r.k.Table()
	tb2.Tick = func(p *sim.Task) { r.k.ErrorBPF("because") }
	r.k.sch.hasOp |= 1 << ops.Tick
	r.run(ms(12))
	want := `fifo: root
a[1] triggered exit kind 1025 on CPU 0:
  scx_bpf_error (because)

Backtrace:

policy: kind=1025

CPU states
----------

CPU 0   : nr_run=2 flags=0x1 cpu_rel=0 ksync=1
          curr=a[1] class=ext_sched_class

 *R a[1] *root -12ms
      scx_state/flags=4/0x5 dsq_flags=0x0 ops_state/qseq=0/0
      sticky/holding_cpu=-1/-1 dsq_id=(n/a)
      dsq_vtime=0 slice=8000000 weight=100
      cpus=3 no_mig=0

    task a

  R b[2] *root -12ms
      scx_state/flags=4/0x3 dsq_flags=0x0 ops_state/qseq=0/0
      sticky/holding_cpu=-1/-1 dsq_id=0x0
      dsq_vtime=0 slice=20000000 weight=100
      cpus=1 no_mig=0

    task b

CPU 3   : nr_run=0 flags=0x1 cpu_rel=0 ksync=1
          curr=swapper/3[0] class=idle_sched_class

  one line
  and another

Event counters
--------------
`
	got := r.k.ExitInfo().Dump
	if i := strings.Index(got, "              SCX_EV_SELECT_CPU_FALLBACK:                0\n"); i < 0 {
		t.Error("no event counters")
	} else {
		got = got[:i]
	}
	if d := cmp.Diff(strings.Split(want, "\n"), strings.Split(got, "\n")); d != "" {
		t.Errorf("dump (-want +got):\n%s", d)
	}
}
