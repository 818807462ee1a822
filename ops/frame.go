package ops

import "github.com/schedsim/schedsim/sim"

// Callback numbers the members of sched_ext_ops that are functions, in the order of the struct; the members that only
// sched_ext_ops_cid has follow.
type Callback uint8

// The callbacks.
const (
	None Callback = iota
	SelectCPU
	Enqueue
	Dequeue
	Dispatch
	Tick
	Runnable
	Running
	Stopping
	Quiescent
	Yield
	CoreSchedBefore
	SetWeight
	SetCPUMask
	UpdateIdle
	InitTask
	ExitTask
	Enable
	Disable
	Dump
	DumpCPU
	DumpTask
	CgroupInit
	CgroupExit
	CgroupPrepMove
	CgroupMove
	CgroupCancelMove
	CgroupSetWeight
	CgroupSetBandwidth
	CgroupSetIdle
	SubAttach
	SubDetach
	CPUOnline
	CPUOffline
	Init
	Exit
	CPUAcquire
	CPURelease
	NrCallbacks
)

// Frame says which callback is running, on which CPU, and for which tasks: what the kernel keeps in
// current->scx.kf_tasks and scx_locked_rq_state.
type Frame struct {
	Callback Callback
	CPU      sim.CPU // on which the callback runs
	Locked   sim.CPU // whose runqueue is locked, sim.NoCPU if none
	Subject  [2]*sim.Task
}
