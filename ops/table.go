package ops

import "github.com/schedsim/schedsim/sim"

// Table is a policy as the core sees it: struct sched_ext_ops (or sched_ext_ops_cid). A nil func is an absent member.
//
// Contract of every func: it runs to its end before it returns, calls the core only through the kernel functions that
// are allowed in that callback, and reports misbehaviour through the core's Error, never by panicking.
type Table struct {
	Name             string
	Flags            uint64
	TimeoutMS        uint32
	DispatchMaxBatch uint32
	ExitDumpLen      uint32
	HotplugSeq       uint64
	SubCgroupID      uint64
	// CID tells the cid form (sched_ext_ops_cid): CPUs are given as cids.
	CID bool

	SelectCPU       func(t *sim.Task, prev sim.CPU, f uint64) sim.CPU
	Enqueue         func(t *sim.Task, enqFlags uint64)
	Dequeue         func(t *sim.Task, deqFlags uint64)
	Dispatch        func(cpu sim.CPU, prev *sim.Task)
	Tick            func(t *sim.Task)
	Runnable        func(t *sim.Task, enqFlags uint64)
	Running         func(t *sim.Task)
	Stopping        func(t *sim.Task, runnable bool)
	Quiescent       func(t *sim.Task, deqFlags uint64)
	Yield           func(from, to *sim.Task) bool
	CoreSchedBefore func(a, b *sim.Task) bool
	SetWeight       func(t *sim.Task, weight uint32)
	// SetCPUMask tells that t's allowed CPUs changed; they are t.K.CPUs().
	SetCPUMask func(t *sim.Task)
	UpdateIdle func(cpu sim.CPU, idle bool)
	CPUAcquire func(cpu sim.CPU)
	CPURelease func(cpu sim.CPU, reason PreemptReason, t *sim.Task)
	InitTask   func(t *sim.Task, a *InitTaskArgs) int32
	ExitTask   func(t *sim.Task, a *ExitTaskArgs)
	Enable     func(t *sim.Task)
	Disable    func(t *sim.Task)
	Dump       func(d *DumpCtx)
	DumpCPU    func(d *DumpCtx, cpu sim.CPU, idle bool)
	DumpTask   func(d *DumpCtx, t *sim.Task)

	CgroupInit         func(cgrp uint64, a *CgroupInitArgs) int32
	CgroupExit         func(cgrp uint64)
	CgroupPrepMove     func(t *sim.Task, from, to uint64) int32
	CgroupMove         func(t *sim.Task, from, to uint64)
	CgroupCancelMove   func(t *sim.Task, from, to uint64)
	CgroupSetWeight    func(cgrp uint64, weight uint32)
	CgroupSetBandwidth func(cgrp uint64, periodUS, quotaUS, burstUS uint64)
	CgroupSetIdle      func(cgrp uint64, idle bool)

	SubAttach  func(a *SubArgs) int32
	SubDetach  func(a *SubArgs)
	CPUOnline  func(cpu sim.CPU)
	CPUOffline func(cpu sim.CPU)
	Init       func() int32
	Exit       func(e *ExitInfo)

	// Cost, when set, returns the price of the callback that just ran (executed instructions and kfunc calls since
	// the last call of Cost). The core charges it to the CPU. Nil: a fixed Costs.Callback.
	Cost func() sim.Duration
	// Fault, when set, returns why the last callback could not go on (a wild memory access, an exhausted budget), or
	// "". The core asks after each callback and ends the policy with SCX_EXIT_ERROR.
	Fault func() string
}

// InitTaskArgs is struct scx_init_task_args.
type InitTaskArgs struct {
	Fork   bool
	Cgroup uint64 // simulated address
}

// ExitTaskArgs is struct scx_exit_task_args.
type ExitTaskArgs struct{ Cancelled bool }

// CgroupInitArgs is struct scx_cgroup_init_args.
type CgroupInitArgs struct {
	Weight                     uint32
	PeriodUS, QuotaUS, BurstUS uint64
}

// SubArgs is struct scx_sub_attach_args and scx_sub_detach_args: the table of a child and the path of its cgroup.
type SubArgs struct {
	Ops        *Table
	CgroupPath string
}

// DumpCtx is struct scx_dump_ctx.
type DumpCtx struct {
	Kind      ExitKind
	ExitCode  int64
	Reason    string
	AtNS      uint64
	AtJiffies uint64
}

// PreemptReason is enum scx_cpu_preempt_reason.
type PreemptReason int32

// Reasons for which a CPU is taken away.
const (
	PreemptRT PreemptReason = iota
	PreemptDL
	PreemptStop
	PreemptUnknown
)

// ExitInfo is struct scx_exit_info.
type ExitInfo struct {
	Kind     ExitKind
	ExitCode int64
	Flags    uint64
	ExitCPU  int32
	Reason   string // "runnable task stall"
	Msg      string
	Dump     string
}
