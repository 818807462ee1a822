package kfuncs

import (
	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/vm/abi"
)

// taskRefFuncs are the references to tasks (kernel/bpf/helpers.c, 7.2). The machine keeps task_structs while a policy
// may look at them, so references are not counted.
func taskRefFuncs(h *Host) []abi.Kfunc {
	return []abi.Kfunc{
		row("struct task_struct *bpf_task_acquire(struct task_struct *p)",
			abi.Acquire|abi.RetNull|abi.RCU, ops.GroupGeneric, h.taskAcquire),
		row("void bpf_task_release(struct task_struct *p)",
			abi.Release, ops.GroupGeneric, h.taskRelease),
		row("struct task_struct *bpf_task_from_pid(s32 pid)",
			abi.Acquire|abi.RetNull, ops.GroupGeneric, h.taskFromPID),
		row("struct task_struct *bpf_task_from_vpid(s32 vpid)",
			abi.Acquire|abi.RetNull, ops.GroupGeneric, h.taskFromPID),
	}
}

// taskAcquire gives a reference; a task that is gone has none to give.
func (h *Host) taskAcquire(c *abi.Call, a *abi.Args) uint64 {
	return retTask(h.task(c, a, 0))
}

func (h *Host) taskRelease(c *abi.Call, a *abi.Args) uint64 {
	h.task(c, a, 0)
	return 0
}

// taskFromPID finds a task by its id. The idle tasks have none.
func (h *Host) taskFromPID(_ *abi.Call, a *abi.Args) uint64 {
	pid := int32(a[0])
	if pid <= 0 {
		return 0
	}
	return retTask(h.Machine.TaskByPID(pid))
}
