package ext

import (
	"strings"
	"testing"

	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/sim"
)

// ruleCase is a rule of the core with a tiny policy that keeps it (no message) or breaks it.
type ruleCase struct {
	name string
	topo string // "": one CPU
	// policy builds the policy; tasks creates the tasks, nil for one task "t" with PID 1 that runs and sleeps.
	policy func(r *rig) *ops.Table
	tasks  func(r *rig)
	kind   ops.ExitKind // 0: ExitError if there is a message
	code   int64
	msg    string // what the policy ends with; "": it does not end
}

// with returns the fifo policy changed by f.
func with(f func(r *rig, tb *ops.Table)) func(r *rig) *ops.Table {
	return func(r *rig) *ops.Table {
		tb := fifoTable(r.k)
		f(r, tb)
		return tb
	}
}

// enqueue returns a policy whose ops.enqueue is f, for tasks but those that are enqueued again because of an error.
func enqueue(f func(r *rig, t *sim.Task, flags uint64)) func(r *rig) *ops.Table {
	return with(func(r *rig, tb *ops.Table) {
		tb.Enqueue = func(t *sim.Task, flags uint64) { f(r, t, flags) }
	})
}

func napper() sim.Behavior {
	return &steps{list: []sim.Step{run(2 * sim.Millisecond), sleep(3 * sim.Millisecond)}}
}

// two creates two tasks.
func two(r *rig) {
	r.spawn(sim.TaskSpec{Comm: "a", Behavior: napper()})
	r.spawn(sim.TaskSpec{Comm: "b", Behavior: napper()})
}

func dsqRules() []ruleCase {
	const other = 0xcafef00d
	return []ruleCase{
		{
			name:   "insert into an existing DSQ",
			policy: enqueue(func(r *rig, t *sim.Task, f uint64) { r.k.DSQInsert(t, 0, 0, f) }),
		},
		{
			name:   "insert into a missing DSQ",
			policy: enqueue(func(r *rig, t *sim.Task, f uint64) { r.k.DSQInsert(t, other, 0, f) }),
			msg:    "non-existent DSQ 0xcafef00d",
		},
		{
			name:   "vtime on a user DSQ",
			policy: enqueue(func(r *rig, t *sim.Task, f uint64) { r.k.DSQInsertVtime(t, 0, 0, 1, f) }),
		},
		{
			name:   "vtime on the global DSQ",
			policy: enqueue(func(r *rig, t *sim.Task, f uint64) { r.k.DSQInsertVtime(t, ops.DSQGlobal, 0, 1, f) }),
			msg:    "cannot use vtime ordering for built-in DSQs",
		},
		{
			name: "vtime behind fifo",
			policy: enqueue(func(r *rig, t *sim.Task, f uint64) {
				if t.Comm == "a" {
					r.k.DSQInsert(t, 0, 0, f)
				} else {
					r.k.DSQInsertVtime(t, 0, 0, 1, f)
				}
			}),
			tasks: two,
			msg:   "DSQ ID 0x0000000000000000 already had FIFO-enqueued tasks",
		},
		{
			name: "fifo behind vtime",
			policy: enqueue(func(r *rig, t *sim.Task, f uint64) {
				if t.Comm == "b" {
					r.k.DSQInsert(t, 0, 0, f)
				} else {
					r.k.DSQInsertVtime(t, 0, 0, 1, f)
				}
			}),
			tasks: two,
			msg:   "DSQ ID 0x0000000000000000 already had PRIQ-enqueued tasks",
		},
		{
			name: "destroy an empty DSQ",
			policy: with(func(r *rig, tb *ops.Table) {
				tb.Init = func() int32 {
					r.k.CreateDSQ(other, -1)
					r.k.DestroyDSQ(other)
					return r.k.CreateDSQ(0, 0)
				}
			}),
		},
		{
			name: "destroy a DSQ in use",
			policy: with(func(r *rig, tb *ops.Table) {
				tb.Dispatch = func(sim.CPU, *sim.Task) { r.k.DestroyDSQ(0) }
			}),
			msg: "attempting to destroy in-use dsq 0x0000000000000000 (nr=1)",
		},
		{
			name: "move to local from a missing DSQ",
			policy: with(func(r *rig, tb *ops.Table) {
				tb.Dispatch = func(sim.CPU, *sim.Task) { r.k.DSQMoveToLocal(other, 0) }
			}),
			msg: "invalid DSQ ID 0x00000000cafef00d",
		},
		{
			name: "peek at a user DSQ",
			policy: with(func(r *rig, tb *ops.Table) {
				tb.Dispatch = func(sim.CPU, *sim.Task) {
					if p := r.k.DSQPeek(0); (p != nil) != r.k.DSQMoveToLocal(0, 0) {
						r.Error("peek and move disagree")
					}
				}
			}),
		},
		{
			name: "peek at a built-in DSQ",
			policy: with(func(r *rig, tb *ops.Table) {
				tb.Running = func(*sim.Task) { r.k.DSQPeek(ops.DSQGlobal) }
			}),
			msg: "peek disallowed on builtin DSQ 0x8000000000000001",
		},
		{
			name: "peek at a missing DSQ",
			policy: with(func(r *rig, tb *ops.Table) {
				tb.Running = func(*sim.Task) { r.k.DSQPeek(other) }
			}),
			msg: "peek on non-existent DSQ 0xcafef00d",
		},
		{
			name: "count of local, user and missing DSQs",
			policy: with(func(r *rig, tb *ops.Table) {
				tb.Running = func(*sim.Task) {
					for id, want := range map[uint64]int32{
						0: 0, ops.DSQLocal: 0, ops.DSQLocalOn: 0, other: -ENOENT, ops.DSQGlobal: -ENOENT,
					} {
						if n := r.k.DSQNrQueued(id); n != want {
							r.Errorf("DSQ %#x: %d queued, want %d", id, n, want)
						}
					}
				}
			}),
		},
		{
			name: "count of the local DSQ of a CPU that does not exist",
			policy: with(func(r *rig, tb *ops.Table) {
				tb.Running = func(*sim.Task) { r.k.DSQNrQueued(ops.DSQLocalOn | 7) }
			}),
			msg: "invalid CPU 7",
		},
		{
			name: "create twice, built-in ids and unknown nodes",
			policy: with(func(r *rig, tb *ops.Table) {
				tb.Init = func() int32 {
					for _, c := range []struct {
						id   uint64
						node int32
						want int32
					}{{0, -1, 0}, {0, -1, -EEXIST}, {ops.DSQLocal, -1, -EINVAL}, {5, 1, -EINVAL}, {5, -2, -EINVAL}} {
						if got := r.k.CreateDSQ(c.id, c.node); got != c.want {
							r.Errorf("create %#x on node %d: %d, want %d", c.id, c.node, got, c.want)
						}
					}
					return 0
				}
			}),
		},
	}
}

func insertRules() []ruleCase {
	return []ruleCase{
		{
			name: "second insert of a task",
			policy: enqueue(func(r *rig, t *sim.Task, f uint64) {
				r.k.DSQInsert(t, 0, 0, f)
				r.k.DSQInsert(t, 0, 0, f)
			}),
			msg: "t[1] already direct-dispatched",
		},
		{
			name: "insert of another task than the enqueued one",
			policy: enqueue(func(r *rig, t *sim.Task, f uint64) {
				r.k.DSQInsert(r.m.TaskByPID(1), 0, 0, f)
			}),
			tasks: two,
			msg:   "scheduling for b[2] but trying to direct-dispatch a[1]",
		},
		{
			name:   "enqueue flags are passed on",
			policy: enqueue(func(r *rig, t *sim.Task, f uint64) { r.k.DSQInsert(t, 0, 0, f|ops.EnqHead) }),
		},
		{
			name:   "internal enqueue flags",
			policy: enqueue(func(r *rig, t *sim.Task, f uint64) { r.k.DSQInsert(t, 0, 0, ops.EnqDSQPriq) }),
			msg:    "invalid enq_flags 0x200000000000000",
		},
		{
			name:   "insert of no task",
			policy: enqueue(func(r *rig, _ *sim.Task, f uint64) { r.k.DSQInsert(nil, 0, 0, f) }),
			msg:    "called with NULL task",
		},
		{
			name: "the idle mask of the machine with per-node tracking",
			policy: with(func(r *rig, tb *ops.Table) {
				tb.Flags = ops.FlagBuiltinIdlePerNode
				tb.Running = func(*sim.Task) { r.k.IdleCPUMask() }
			}),
			msg: "SCX_OPS_BUILTIN_IDLE_PER_NODE enabled",
		},
		{
			name: "immediate on a user DSQ",
			policy: enqueue(func(r *rig, t *sim.Task, f uint64) {
				r.k.DSQInsert(t, 0, 0, ops.EnqImmed)
			}),
			msg: "SCX_ENQ_IMMED on a non-local DSQ 0x0",
		},
		{
			name: "insert outside enqueue, select_cpu and dispatch",
			policy: with(func(r *rig, tb *ops.Table) {
				tb.Running = func(t *sim.Task) { r.k.DSQInsert(t, 0, 0, 0) }
			}),
			msg: "scx_bpf_dsq_insert() must not be called here",
		},
		{
			name: "move to local outside dispatch",
			policy: with(func(r *rig, tb *ops.Table) {
				tb.Running = func(*sim.Task) { r.k.DSQMoveToLocal(0, 0) }
			}),
			msg: "scx_bpf_dsq_move_to_local() must not be called here",
		},
		{
			name: "LOCAL_ON an allowed CPU",
			topo: "1n1l2c1t",
			policy: enqueue(func(r *rig, t *sim.Task, f uint64) {
				r.k.DSQInsert(t, ops.DSQLocalOn|1, ops.SliceDfl, f)
			}),
		},
		{
			name: "LOCAL_ON a CPU that does not exist",
			policy: enqueue(func(r *rig, t *sim.Task, f uint64) {
				r.k.DSQInsert(t, ops.DSQLocalOn|99, ops.SliceDfl, f)
			}),
			msg: "invalid CPU 99 in SCX_DSQ_LOCAL_ON dispatch verdict",
		},
		{
			name: "LOCAL_ON a CPU that is not allowed",
			topo: "1n1l2c1t",
			policy: enqueue(func(r *rig, t *sim.Task, f uint64) {
				r.k.DSQInsert(t, ops.DSQLocalOn|1, ops.SliceDfl, f)
			}),
			tasks: func(r *rig) { r.spawn(sim.TaskSpec{Comm: "t", CPUs: []sim.CPU{0}, Behavior: napper()}) },
			msg:   "SCX_DSQ_LOCAL[_ON] target CPU 1 not allowed for t[1]",
		},
		{
			name: "LOCAL_ON another CPU with migration disabled",
			topo: "1n1l2c1t",
			policy: with(func(r *rig, tb *ops.Table) {
				tb.Flags = ops.FlagEnqMigrationDisabled
				tb.Enqueue = func(t *sim.Task, f uint64) { r.k.DSQInsert(t, ops.DSQLocalOn|1, ops.SliceDfl, f) }
			}),
			tasks: func(r *rig) {
				t := r.spawn(sim.TaskSpec{Comm: "t", Behavior: napper()})
				r.m.SetMigrationDisabled(t, 1)
			},
			msg: "SCX_DSQ_LOCAL[_ON] cannot move migration disabled t[1] from CPU 0 to 1",
		},
		{
			name: "migration disabled tasks skip enqueue",
			topo: "1n1l2c1t",
			policy: enqueue(func(r *rig, t *sim.Task, f uint64) {
				r.Error("enqueue was called")
				r.k.DSQInsert(t, ops.DSQLocal, 0, 0)
			}),
			tasks: func(r *rig) {
				t := r.spawn(sim.TaskSpec{Comm: "t", Behavior: napper()})
				r.m.SetMigrationDisabled(t, 1)
			},
		},
		{
			name: "batch of the size of the dispatch buffer",
			policy: with(func(r *rig, tb *ops.Table) {
				tb.DispatchMaxBatch = 2
				tb.Dispatch = func(sim.CPU, *sim.Task) {
					for i := uint32(2); i > 0; i-- {
						if n := r.k.DispatchNrSlots(); n != i {
							r.Errorf("%d slots, want %d", n, i)
						}
						r.k.DSQInsert(r.m.TaskByPID(1), ops.DSQLocal, 0, 0) // spurious: it is not ours to dispatch
					}
					r.k.DSQMoveToLocal(0, 0)
				}
			}),
		},
		{
			name: "batch larger than the dispatch buffer",
			policy: with(func(r *rig, tb *ops.Table) {
				tb.DispatchMaxBatch = 2
				tb.Dispatch = func(sim.CPU, *sim.Task) {
					for range 3 {
						r.k.DSQInsert(r.m.TaskByPID(1), ops.DSQLocal, 0, 0)
					}
				}
			}),
			msg: "dispatch buffer overflow",
		},
		{
			name: "cancel of a dispatch",
			policy: with(func(r *rig, tb *ops.Table) {
				tb.Dispatch = func(sim.CPU, *sim.Task) {
					r.k.DSQInsert(r.m.TaskByPID(1), 0xbad, 0, 0)
					r.k.DispatchCancel()
					r.k.DSQMoveToLocal(0, 0)
				}
			}),
		},
		{
			name: "cancel without a dispatch",
			policy: with(func(r *rig, tb *ops.Table) {
				tb.Dispatch = func(sim.CPU, *sim.Task) { r.k.DispatchCancel() }
			}),
			msg: "dispatch buffer underflow",
		},
	}
}

func cpuRules() []ruleCase {
	selectCPU := func(f func(r *rig, t *sim.Task, prev sim.CPU, flags uint64) sim.CPU) func(r *rig) *ops.Table {
		return with(func(r *rig, tb *ops.Table) {
			tb.SelectCPU = func(t *sim.Task, prev sim.CPU, flags uint64) sim.CPU { return f(r, t, prev, flags) }
		})
	}
	return []ruleCase{
		{
			name: "select_cpu returns a CPU", topo: "1n1l2c1t",
			policy: selectCPU(func(*rig, *sim.Task, sim.CPU, uint64) sim.CPU { return 1 }),
		},
		{
			name: "select_cpu returns no CPU", topo: "1n1l2c1t",
			policy: selectCPU(func(*rig, *sim.Task, sim.CPU, uint64) sim.CPU { return 64 }),
			msg:    "invalid CPU 64 from ops.select_cpu()",
		},
		{
			name: "built-in pick with idle tracking", topo: "1n1l2c1t",
			policy: selectCPU(func(r *rig, t *sim.Task, prev sim.CPU, f uint64) sim.CPU {
				cpu, _ := r.k.SelectCPUDfl(t, prev, f)
				return cpu
			}),
		},
		{
			name: "built-in pick without idle tracking", topo: "1n1l2c1t",
			policy: with(func(r *rig, tb *ops.Table) {
				tb.UpdateIdle = func(sim.CPU, bool) {}
				tb.SelectCPU = func(t *sim.Task, prev sim.CPU, f uint64) sim.CPU {
					cpu, _ := r.k.SelectCPUDfl(t, prev, f)
					return cpu
				}
			}),
			msg: "built-in idle tracking is disabled",
		},
		{
			name: "built-in pick with update_idle and KEEP_BUILTIN_IDLE", topo: "1n1l2c1t",
			policy: with(func(r *rig, tb *ops.Table) {
				tb.Flags = ops.FlagKeepBuiltinIdle
				tb.UpdateIdle = func(sim.CPU, bool) {}
				tb.SelectCPU = func(t *sim.Task, prev sim.CPU, f uint64) sim.CPU {
					cpu, _ := r.k.SelectCPUDfl(t, prev, f)
					return cpu
				}
			}),
		},
		{
			name: "select_cpu kfunc on a task of the locked runqueue", topo: "1n1l2c1t",
			policy: enqueue(func(r *rig, t *sim.Task, f uint64) {
				r.k.SelectCPUDfl(t, 0, 0)
				r.k.DSQInsert(t, 0, 0, f)
			}),
		},
		{
			name: "select_cpu kfunc on a task of another runqueue", topo: "1n1l2c1t",
			policy: enqueue(func(r *rig, t *sim.Task, f uint64) {
				r.k.DSQInsert(t, 0, 0, f)
				if a := r.m.TaskByPID(1); t != a && t.CPU() != a.CPU() {
					r.k.SelectCPUDfl(a, 0, 0)
				}
			}),
			tasks: func(r *rig) {
				r.spawn(sim.TaskSpec{Comm: "a", Behavior: napper(), CPUs: []sim.CPU{0}})
				r.spawn(sim.TaskSpec{Comm: "b", Behavior: napper(), CPUs: []sim.CPU{1}})
			},
			msg: "select_cpu kfunc called cross-task on a[1]",
		},
		{
			name: "select_cpu kfunc on another task in select_cpu", topo: "1n1l2c1t",
			policy: selectCPU(func(r *rig, t *sim.Task, prev sim.CPU, f uint64) sim.CPU {
				if t.Comm == "b" {
					r.k.SelectCPUDfl(r.m.TaskByPID(1), prev, f)
				}
				return prev
			}),
			tasks: two,
			msg:   "called on a task not being operated on",
		},
		{
			name: "kick",
			policy: with(func(r *rig, tb *ops.Table) {
				tb.Running = func(*sim.Task) { r.k.KickCPU(0, ops.KickPreempt) }
				tb.Quiescent = func(*sim.Task, uint64) { r.k.KickCPU(0, ops.KickIdle) }
			}),
		},
		{
			name: "kick with contradicting flags",
			policy: with(func(r *rig, tb *ops.Table) {
				tb.Running = func(*sim.Task) { r.k.KickCPU(0, ops.KickIdle|ops.KickPreempt) }
			}),
			msg: "PREEMPT/WAIT cannot be used with SCX_KICK_IDLE",
		},
		{
			name: "kick of a CPU that does not exist",
			policy: with(func(r *rig, tb *ops.Table) {
				tb.Running = func(*sim.Task) { r.k.KickCPU(-1, 0) }
			}),
			msg: "invalid CPU -1",
		},
		{
			name: "performance target",
			policy: with(func(r *rig, tb *ops.Table) {
				tb.Running = func(*sim.Task) {
					r.k.CPUPerfSet(0, 512)
					if got := r.k.CPUPerfTarget(0); got != 512 {
						r.Errorf("target %d", got)
					}
				}
			}),
		},
		{
			name: "performance target out of range",
			policy: with(func(r *rig, tb *ops.Table) {
				tb.Running = func(*sim.Task) { r.k.CPUPerfSet(0, 1025) }
			}),
			msg: "Invalid cpuperf target 1025 for CPU 0",
		},
		{
			name: "performance target of another CPU with a locked runqueue", topo: "1n1l2c1t",
			policy: with(func(r *rig, tb *ops.Table) {
				tb.Running = func(*sim.Task) { r.k.CPUPerfSet(1-r.k.Frame().Locked, 1) }
			}),
			tasks: func(r *rig) { r.spawn(sim.TaskSpec{Comm: "t", Behavior: napper(), CPUs: []sim.CPU{0}}) },
			msg:   "Invalid target CPU 1",
		},
		{
			name: "locked runqueue in running",
			policy: with(func(r *rig, tb *ops.Table) {
				tb.Running = func(*sim.Task) {
					if r.k.LockedCPU() != 0 {
						r.Error("not locked")
					}
				}
			}),
		},
		{
			name: "locked runqueue in init_task",
			policy: with(func(r *rig, tb *ops.Table) {
				tb.InitTask = func(*sim.Task, *ops.InitTaskArgs) int32 {
					r.k.LockedCPU()
					return 0
				}
			}),
			msg: "accessing rq without holding rq lock",
		},
		{
			name: "pick with per-node idle tracking",
			policy: with(func(r *rig, tb *ops.Table) {
				tb.Flags = ops.FlagBuiltinIdlePerNode
				tb.Running = func(t *sim.Task) { r.k.PickIdleCPU(t.K.CPUs(), 0) }
			}),
			msg: "per-node idle tracking is enabled",
		},
		{
			name: "pick by node with per-node idle tracking", topo: "2n1l2c1t",
			policy: with(func(r *rig, tb *ops.Table) {
				tb.Flags = ops.FlagBuiltinIdlePerNode
				tb.Running = func(t *sim.Task) { r.k.PickIdleCPUNode(t.K.CPUs(), 1, 0) }
			}),
		},
		{
			name: "pick by node without per-node idle tracking", topo: "2n1l2c1t",
			policy: with(func(r *rig, tb *ops.Table) {
				tb.Running = func(t *sim.Task) { r.k.PickIdleCPUNode(t.K.CPUs(), 1, 0) }
			}),
			msg: "per-node idle tracking is disabled",
		},
		{
			name: "pick by a node that does not exist", topo: "2n1l2c1t",
			policy: with(func(r *rig, tb *ops.Table) {
				tb.Flags = ops.FlagBuiltinIdlePerNode
				tb.Running = func(t *sim.Task) { r.k.PickIdleCPUNode(t.K.CPUs(), 2, 0) }
			}),
			msg: "invalid node 2",
		},
	}
}

func exitRules() []ruleCase {
	return []ruleCase{
		{
			name: "scx_bpf_error",
			policy: with(func(r *rig, tb *ops.Table) {
				tb.Running = func(*sim.Task) { r.k.ErrorBPF("no " + strings.Repeat("x", 2000)) }
			}),
			kind: ops.ExitErrorBPF, msg: "no " + strings.Repeat("x", 1020),
		},
		{
			name: "scx_bpf_exit",
			policy: with(func(r *rig, tb *ops.Table) {
				tb.Running = func(*sim.Task) { r.k.ExitBPF(42, "done") }
			}),
			kind: ops.ExitUnregBPF, code: 42, msg: "done",
		},
		{
			name: "first exit counts",
			policy: with(func(r *rig, tb *ops.Table) {
				tb.Running = func(*sim.Task) {
					r.k.ExitBPF(1, "first")
					r.k.ErrorBPF("second")
				}
			}),
			kind: ops.ExitUnregBPF, code: 1, msg: "first",
		},
		{
			name: "fault of a program",
			policy: with(func(r *rig, tb *ops.Table) {
				bad := false
				tb.Running = func(*sim.Task) { bad = true }
				tb.Fault = func() string {
					if bad {
						return "access to 0x8"
					}
					return ""
				}
			}),
			msg: "access to 0x8",
		},
		{
			name: "tasks run in time",
			policy: with(func(_ *rig, tb *ops.Table) {
				tb.TimeoutMS = 100
			}),
			tasks: func(r *rig) {
				for range 3 {
					r.spawn(sim.TaskSpec{Comm: "t", Behavior: hog()})
				}
			},
		},
		{
			// Looked at after 125 jiffies, 250 and 375: the first time later than 250 after it became runnable.
			name: "task does not run in time",
			policy: with(func(_ *rig, tb *ops.Table) {
				tb.TimeoutMS = 1000
				tb.Enqueue = func(*sim.Task, uint64) {}
			}),
			kind: ops.ExitErrorStall, msg: "t[1] failed to run for 1.500s",
		},
		{
			name: "tid lookup",
			policy: with(func(r *rig, tb *ops.Table) {
				tb.Flags = ops.FlagTIDToTask
				tb.Running = func(t *sim.Task) {
					if got := r.k.TIDToTask(t.K.TID()); got != t {
						r.Errorf("tid %d is %v, want %v", t.K.TID(), got, t)
					}
				}
			}),
		},
		{
			name: "tid lookup without its flag",
			policy: with(func(r *rig, tb *ops.Table) {
				tb.Running = func(t *sim.Task) { r.k.TIDToTask(t.K.TID()) }
			}),
			msg: "scx_bpf_tid_to_task() called without SCX_OPS_TID_TO_TASK",
		},
		{
			name: "dump outside the dump callbacks",
			policy: with(func(r *rig, tb *ops.Table) {
				tb.Running = func(*sim.Task) { r.k.DumpBPF("x") }
			}),
			msg: "scx_bpf_dump() must only be called from ops.dump() and friends",
		},
		{
			name: "unknown re-enqueue flags",
			policy: with(func(r *rig, tb *ops.Table) {
				tb.Running = func(*sim.Task) { r.k.DSQReenq(0, 2) }
			}),
			msg: "invalid SCX_REENQ flags 0x2",
		},
		{
			name: "re-enqueue of the global DSQ",
			policy: with(func(r *rig, tb *ops.Table) {
				tb.Running = func(*sim.Task) { r.k.DSQReenq(ops.DSQGlobal, 0) }
			}),
			msg: "DSQ 0x8000000000000001 not allowed for reenq",
		},
		{
			// Both insist on running at once on a CPU that has room for one.
			name: "immediate dispatch to a busy CPU for ever",
			policy: enqueue(func(r *rig, t *sim.Task, _ uint64) {
				r.k.DSQInsert(t, ops.DSQLocal, ops.SliceDfl, ops.EnqImmed)
			}),
			tasks: two,
			msg:   "SCX_ENQ_REENQ on SCX_DSQ_LOCAL repeated 257 times",
		},
		{
			name: "immediate dispatch that gives way when refused",
			policy: enqueue(func(r *rig, t *sim.Task, f uint64) {
				if f&ops.EnqReenq != 0 {
					r.k.DSQInsert(t, 0, ops.SliceDfl, 0)
				} else {
					r.k.DSQInsert(t, ops.DSQLocal, ops.SliceDfl, ops.EnqImmed)
				}
			}),
			tasks: two,
		},
	}
}

// TestRules runs the tiny policies for two seconds. One that breaks a rule must end with the kernel's words, and its
// tasks must go on under the fair class; one that does not must not end.
func TestRules(t *testing.T) {
	for _, list := range [][]ruleCase{dsqRules(), insertRules(), cpuRules(), exitRules()} {
		for _, tc := range list {
			t.Run(tc.name, func(t *testing.T) { tc.test(t) })
		}
	}
}

func (tc *ruleCase) test(t *testing.T) {
	r := newRig(t, rigOptions{topo: tc.topo})
	tb := tc.policy(r)
	var told *ops.ExitInfo
	tb.Exit = func(e *ops.ExitInfo) { told = e }
	if err := r.k.Enable(tb); err != nil && tc.msg == "" {
		t.Fatal(err)
	}
	if tc.tasks != nil {
		tc.tasks(r)
	} else {
		r.spawn(sim.TaskSpec{Comm: "t", Behavior: napper()})
	}
	r.run(ms(2000))
	if err := r.k.check(); err != nil {
		t.Error(err)
	}
	exit := r.k.ExitInfo()
	if tc.msg == "" {
		if exit != nil {
			t.Fatalf("policy ended: %s: %s", exit.Reason, exit.Msg)
		}
		checkProgress(t, r, "ext")
		return
	}
	kind := tc.kind
	if kind == 0 {
		kind = ops.ExitError
	}
	if exit == nil {
		t.Fatal("policy did not end")
	}
	if exit.Kind != kind || exit.Msg != tc.msg || exit.ExitCode != tc.code || exit.Reason != exitReason(kind) {
		t.Errorf("policy ended with kind %d, code %d, %q, %q\nwant kind %d, code %d, %q, %q",
			exit.Kind, exit.ExitCode, exit.Reason, exit.Msg, kind, tc.code, exitReason(kind), tc.msg)
	}
	if told != exit {
		t.Errorf("ops.exit was told %+v", told)
	}
	if r.k.State() != ops.Disabled {
		t.Errorf("state %d, want disabled", r.k.State())
	}
	checkProgress(t, r, "fair")
	if err := r.k.Enable(fifoTable(r.k)); err != nil {
		t.Errorf("next policy: %v", err)
	}
	checkProgress(t, r, "ext")
}

// checkProgress expects that all tasks are of that class and use the CPU.
func checkProgress(t *testing.T, r *rig, class string) {
	t.Helper()
	before := map[*sim.Task]sim.Duration{}
	r.m.Tasks(func(p *sim.Task) { before[p] = r.m.CPUTime(p) })
	r.run(r.m.Now().Add(300 * sim.Millisecond))
	r.m.Tasks(func(p *sim.Task) {
		if p.Class.Name() != class {
			t.Errorf("%v is of class %s, want %s", p, p.Class.Name(), class)
		}
		if r.m.CPUTime(p) == before[p] {
			t.Errorf("%v does not run", p)
		}
	})
}
