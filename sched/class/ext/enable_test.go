package ext

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/sim"
)

// logTable returns the fifo policy with all callbacks about tasks noted in log, as "callback comm arguments".
func logTable(k *Kernel, log *[]string) *ops.Table {
	note := func(format string, args ...any) { *log = append(*log, fmt.Sprintf(format, args...)) }
	tb := fifoTable(k)
	init, enqueue, dispatch := tb.Init, tb.Enqueue, tb.Dispatch
	tb.Init = func() int32 {
		note("init")
		return init()
	}
	tb.Enqueue = func(t *sim.Task, f uint64) {
		note("enqueue %s %#x", t.Comm, f)
		enqueue(t, f)
	}
	tb.Dequeue = func(t *sim.Task, f uint64) { note("dequeue %s %#x", t.Comm, f) }
	tb.Dispatch = func(cpu sim.CPU, prev *sim.Task) {
		comm := "-"
		if prev != nil {
			comm = prev.Comm
		}
		note("dispatch %s", comm)
		dispatch(cpu, prev)
	}
	tb.Runnable = func(t *sim.Task, f uint64) { note("runnable %s %#x", t.Comm, f) }
	tb.Running = func(t *sim.Task) { note("running %s", t.Comm) }
	tb.Stopping = func(t *sim.Task, runnable bool) { note("stopping %s %t", t.Comm, runnable) }
	tb.Quiescent = func(t *sim.Task, f uint64) { note("quiescent %s %#x", t.Comm, f) }
	tb.SetWeight = func(t *sim.Task, w uint32) { note("set_weight %s %d", t.Comm, w) }
	tb.SetCPUMask = func(t *sim.Task) { note("set_cpumask %s %x", t.Comm, t.K.CPUs().Words()) }
	tb.InitTask = func(t *sim.Task, a *ops.InitTaskArgs) int32 {
		note("init_task %s fork=%t", t.Comm, a.Fork)
		return 0
	}
	tb.ExitTask = func(t *sim.Task, a *ops.ExitTaskArgs) { note("exit_task %s cancelled=%t", t.Comm, a.Cancelled) }
	tb.Enable = func(t *sim.Task) { note("enable %s", t.Comm) }
	tb.Disable = func(t *sim.Task) { note("disable %s", t.Comm) }
	tb.UpdateIdle = func(cpu sim.CPU, idle bool) { note("update_idle %d %t", cpu, idle) }
	tb.Flags = ops.FlagKeepBuiltinIdle
	tb.Exit = func(e *ops.ExitInfo) { note("exit %d", e.Kind) }
	return tb
}

func diffLog(t *testing.T, what string, got []string, want string) {
	t.Helper()
	if d := cmp.Diff(strings.Fields(strings.ReplaceAll(want, " ", "_")), strings.Fields(strings.ReplaceAll(strings.Join(got, "\n"), " ", "_"))); d != "" {
		t.Errorf("%s (-want +got):\n%s", what, d)
	}
}

// TestLife follows one task from attach to detach. The flags are those of the recorded streams.
func TestLife(t *testing.T) {
	r := newRig(t, rigOptions{topo: "1n1l2c1t"})
	var log []string
	take := func() []string {
		l := log
		log = nil
		return l
	}
	a := r.spawn(sim.TaskSpec{Comm: "a", CPUs: []sim.CPU{0}, Nice: 5, Behavior: hog()})
	r.run(ms(1))
	r.enable(logTable(r.k, &log))
	diffLog(t, "attach with a running task", take(), `init
init_task a fork=false
enable a
set_weight a 33
set_cpumask a [1]
runnable a 0x4e
running a`)

	r.run(ms(8) - 1)
	log = nil
	r.spawn(sim.TaskSpec{Comm: "b", CPUs: []sim.CPU{0}, Behavior: &steps{once: true, list: []sim.Step{
		run(sim.Millisecond), sleep(20 * sim.Millisecond), run(sim.Millisecond),
	}}})
	diffLog(t, "fork", take(), `init_task b fork=true
enable b
set_weight b 100
runnable b 0x80008
enqueue b 0x80008`)

	// The slice that a got when it was switched is one of bypass mode; it ends at the tick at 8 ms.
	r.run(ms(9) + 1)
	diffLog(t, "end of a slice, then b blocks", take(), `dispatch a
dequeue b 0x0
stopping a true
enqueue a 0x0
running b
stopping b false
quiescent b 0x9
dispatch b
dequeue a 0x0
running a`)

	r.m.SetNice(a, 0)
	diffLog(t, "nice of the running task", take(), `stopping a false
quiescent a 0x20000000a
set_weight a 100
runnable a 0xa
running a`)

	if err := r.m.SetAffinity(a, []sim.CPU{0, 1}); err != nil {
		t.Fatal(err)
	}
	diffLog(t, "affinity of the running task", take(), `stopping a false
quiescent a 0x20000000a
set_cpumask a [3]
runnable a 0xa
running a`)

	r.run(ms(29) + 1)
	diffLog(t, "wakeup of b", take(), `runnable b 0x9
enqueue b 0x9`)

	r.m.SetNice(r.m.TaskByPID(2), -20)
	diffLog(t, "nice of the queued task", take(), `dequeue b 0x20000000a
quiescent b 0x20000000a
set_weight b 8668
runnable b 0xa
enqueue b 0xa`)

	if err := r.m.SetScheduler(a, sim.PolicyFIFO, 1, 0); err != nil {
		t.Fatal(err)
	}
	diffLog(t, "a leaves for a real-time class", take(), `stopping a false
quiescent a 0x20000004e
disable a`)
	if err := r.m.SetScheduler(a, sim.PolicyNormal, 0, 0); err != nil {
		t.Fatal(err)
	}
	diffLog(t, "a comes back", take(), `enable a
set_weight a 100
set_cpumask a [3]
runnable a 0x4e
running a`)

	r.run(ms(60))
	take()
	r.k.Disable(ops.ExitUnreg)
	diffLog(t, "detach", take(), `stopping a false
quiescent a 0x20000004e
disable a
exit_task a cancelled=false
exit 64`)
	if s := r.k.State(); s != ops.Disabled {
		t.Errorf("state %d", s)
	}
	if a.Class.Name() != "fair" || taskState(a) != ops.TaskNone {
		t.Errorf("class %s, state %#x", a.Class.Name(), taskState(a))
	}
}

// TestDeath: a task that ends leaves its autogroup, is disabled and exits after the switch away from it.
func TestDeath(t *testing.T) {
	r := newRig(t, rigOptions{})
	var log []string
	r.enable(logTable(r.k, &log))
	r.spawn(sim.TaskSpec{Comm: "a", Behavior: &steps{once: true, list: []sim.Step{run(sim.Millisecond)}}})
	r.run(1)
	log = nil
	r.run(ms(2))
	diffLog(t, "death", log, `stopping a false
quiescent a 0x20000000e
runnable a 0xe
running a
stopping a false
quiescent a 0x10009
dispatch a
update_idle 0 true
disable a
exit_task a cancelled=false`)
}

// TestEnable: what Enable refuses, and with which words.
func TestEnable(t *testing.T) {
	for _, tc := range []struct {
		name string
		edit func(r *rig, tb *ops.Table)
		err  string // "": enabled
	}{
		{"as it is", func(*rig, *ops.Table) {}, ""},
		{"no name", func(_ *rig, tb *ops.Table) { tb.Name = "" }, `policy "": name is empty`},
		{"name with a space", func(_ *rig, tb *ops.Table) { tb.Name = "a b" }, `policy "a b": name contains ' '`},
		{"name too long", func(_ *rig, tb *ops.Table) { tb.Name = strings.Repeat("x", 128) },
			`policy "` + strings.Repeat("x", 128) + `": name is longer than 127 bytes`},
		{"unknown flags", func(_ *rig, tb *ops.Table) { tb.Flags = 1 << 9 }, `policy "fifo": flags 0x200: unknown flags 0x200`},
		{"timeout of 30 s", func(_ *rig, tb *ops.Table) { tb.TimeoutMS = 30_000 }, ""},
		{"timeout too long", func(_ *rig, tb *ops.Table) { tb.TimeoutMS = 30_001 }, `policy "fifo": timeout_ms 30001 is larger than 30000`},
		{"batch too large", func(_ *rig, tb *ops.Table) { tb.DispatchMaxBatch = 1 << 31 },
			`policy "fifo": dispatch_max_batch 2147483648 is larger than 2147483647`},
		{"cid form", func(_ *rig, tb *ops.Table) { tb.CID = true }, ""},
		{"sub-scheduler", func(_ *rig, tb *ops.Table) { tb.SubCgroupID = 5 }, `policy "fifo": no scheduler is enabled that could have a sub-scheduler`},
		{"sub_attach", func(_ *rig, tb *ops.Table) { tb.SubAttach = func(*ops.SubArgs) int32 { return 0 } },
			`policy "fifo": runtime error: sub_attach/sub_detach requires cid-form struct_ops`},
		{"ENQ_LAST with enqueue", func(_ *rig, tb *ops.Table) { tb.Flags = ops.FlagEnqLast }, ""},
		{"ENQ_LAST without enqueue", func(_ *rig, tb *ops.Table) { tb.Flags, tb.Enqueue = ops.FlagEnqLast, nil },
			`policy "fifo": runtime error: SCX_OPS_ENQ_LAST requires ops.enqueue() to be implemented`},
		{"per-node idle tracking and update_idle, kept", func(_ *rig, tb *ops.Table) {
			tb.Flags, tb.UpdateIdle = ops.FlagBuiltinIdlePerNode|ops.FlagKeepBuiltinIdle, func(sim.CPU, bool) {}
		}, ""},
		{"per-node idle tracking and update_idle", func(_ *rig, tb *ops.Table) {
			tb.Flags, tb.UpdateIdle = ops.FlagBuiltinIdlePerNode, func(sim.CPU, bool) {}
		}, `policy "fifo": runtime error: SCX_OPS_BUILTIN_IDLE_PER_NODE requires CPU idle selection enabled`},
		{"init fails", func(_ *rig, tb *ops.Table) { tb.Init = func() int32 { return -12 } },
			`policy "fifo": runtime error: ops.init() failed (-12)`},
		{"init returns nonsense", func(_ *rig, tb *ops.Table) { tb.Init = func() int32 { return 7 } },
			`policy "fifo": runtime error: ops.init() returned an invalid errno 7`},
		{"init calls scx_bpf_error", func(r *rig, tb *ops.Table) {
			tb.Init = func() int32 {
				r.k.ErrorBPF("why not")
				return 0
			}
		}, `policy "fifo": scx_bpf_error: why not`},
		{"init_task fails", func(_ *rig, tb *ops.Table) {
			tb.InitTask = func(t *sim.Task, _ *ops.InitTaskArgs) int32 { return -t.PID + 1 }
		}, `policy "fifo": runtime error: ops.init_task() failed (-1) for t[2]`},
		{"hotplug sequence", func(_ *rig, tb *ops.Table) { tb.HotplugSeq = 3 },
			`policy "fifo": unregistered from the main kernel: expected hotplug seq 3 did not match actual 0`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t, rigOptions{})
			for range 3 {
				r.spawn(sim.TaskSpec{Comm: "t", Behavior: napper()})
			}
			r.run(ms(10))
			tb := fifoTable(r.k)
			tc.edit(r, tb)
			exited := 0
			tb.Exit = func(*ops.ExitInfo) { exited++ }
			err := r.k.Enable(tb)
			if tc.err == "" {
				if err != nil {
					t.Fatal(err)
				}
				if err := r.k.Enable(fifoTable(r.k)); err == nil {
					t.Error("enabled twice")
				}
				checkProgress(t, r, "ext")
				return
			}
			if err == nil || err.Error() != tc.err {
				t.Errorf("error %v\nwant  %s", err, tc.err)
			}
			if info := r.k.ExitInfo(); exited != 0 && info == nil || exited > 1 || (exited == 0) != (info == nil) {
				t.Errorf("exit called %d times, info %+v", exited, info)
			}
			if r.k.State() != ops.Disabled {
				t.Errorf("state %d", r.k.State())
			}
			checkProgress(t, r, "fair")
			r.m.Tasks(func(p *sim.Task) {
				if taskState(p) != ops.TaskNone {
					t.Errorf("%v: state %s", p, taskStateName(taskState(p)))
				}
			})
		})
	}
}

// TestForkRefused: ops.init_task refuses a new task; an old one stays.
func TestForkRefused(t *testing.T) {
	r := newRig(t, rigOptions{})
	r.spawn(sim.TaskSpec{Comm: "old", Behavior: napper()})
	tb := fifoTable(r.k)
	tb.InitTask = func(_ *sim.Task, a *ops.InitTaskArgs) int32 {
		if a.Fork {
			return -ENOMEM
		}
		return 0
	}
	r.enable(tb)
	if _, err := r.m.Spawn(sim.TaskSpec{Comm: "new", Behavior: napper()}); err == nil ||
		!strings.Contains(err.Error(), "cannot allocate memory") {
		t.Errorf("fork: %v", err)
	}
	checkProgress(t, r, "ext")
	if r.m.NrTasks() != 1 {
		t.Errorf("%d tasks", r.m.NrTasks())
	}
}

// TestDisallow: ops.init_task may keep a task out of sched_ext while the policy is enabled, not later.
func TestDisallow(t *testing.T) {
	r := newRig(t, rigOptions{})
	p := r.spawn(sim.TaskSpec{Comm: "p", Behavior: napper(), Policy: sim.PolicyExt})
	tb := fifoTable(r.k)
	tb.Flags = ops.FlagSwitchPartial
	tb.InitTask = func(t *sim.Task, _ *ops.InitTaskArgs) int32 {
		t.K.SetDisallow(true)
		return 0
	}
	r.enable(tb)
	if p.Policy != sim.PolicyNormal || p.Class.Name() != "fair" {
		t.Errorf("policy %d, class %s", p.Policy, p.Class.Name())
	}
	r.spawn(sim.TaskSpec{Comm: "q", Behavior: napper()})
	r.run(ms(1))
	want := "ops.init_task() set task->scx.disallow for q[2] during fork"
	if e := r.k.ExitInfo(); e == nil || e.Msg != want {
		t.Errorf("exit %+v, want %q", e, want)
	}
}

// TestSwitchPartial: with SCX_OPS_SWITCH_PARTIAL only tasks of SCHED_EXT join.
func TestSwitchPartial(t *testing.T) {
	for _, tc := range []struct {
		name   string
		flags  uint64
		normal string
	}{
		{"all", 0, "ext"},
		{"partial", ops.FlagSwitchPartial, "fair"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t, rigOptions{})
			check := func(when string) {
				t.Helper()
				r.m.Tasks(func(p *sim.Task) {
					want := map[string]string{"n": tc.normal, "e": "ext", "r": "rt"}[p.Comm]
					if p.Class.Name() != want {
						t.Errorf("%s: %v is of class %s, want %s", when, p, p.Class.Name(), want)
					}
				})
			}
			spawn := func() {
				r.spawn(sim.TaskSpec{Comm: "n", Behavior: napper()})
				r.spawn(sim.TaskSpec{Comm: "e", Behavior: napper(), Policy: sim.PolicyExt})
				r.spawn(sim.TaskSpec{Comm: "r", Behavior: napper(), Policy: sim.PolicyFIFO})
			}
			spawn()
			tb := fifoTable(r.k)
			tb.Flags = tc.flags
			r.enable(tb)
			check("attach")
			spawn()
			r.run(ms(20))
			check("fork")
			r.k.Disable(ops.ExitUnreg)
			r.m.Tasks(func(p *sim.Task) {
				if p.Class.Name() == "ext" {
					t.Errorf("%v is still of class ext", p)
				}
			})
			want := []string{`sched_ext: BPF scheduler "fifo" enabled`, `sched_ext: BPF scheduler "fifo" disabled (unregistered from user space)`}
			if tc.flags != 0 {
				want[0] += " (partial)"
			}
			if d := cmp.Diff(want, r.k.Log()); d != "" {
				t.Error(d)
			}
		})
	}
}
