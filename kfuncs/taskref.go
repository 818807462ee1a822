package kfuncs

import (
	"fmt"

	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/sim"
	"github.com/schedsim/schedsim/vm/abi"
)

// taskRefFuncs are the references to tasks (kernel/bpf/helpers.c, 7.2). A task_struct with references outlives its task;
// the machine counts them, and the host counts those of its programs, so that one too many given back is a fault.
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

// hold gives programs a reference to t and returns its address; 0 for nil.
func (h *Host) hold(t *sim.Task) uint64 {
	if t == nil {
		return 0
	}
	h.Machine.Hold(t)
	if h.held == nil {
		h.held = map[*sim.Task]int{}
	}
	h.held[t]++
	return t.K.Addr
}

// taskAcquire gives a reference; a task that is gone, and whose task_struct others keep, has none to give.
func (h *Host) taskAcquire(c *abi.Call, a *abi.Args) uint64 {
	t := h.task(c, a, 0)
	if t == nil || t.PID != 0 && h.Machine.TaskByPID(t.PID) != t {
		return 0
	}
	return h.hold(t)
}

func (h *Host) taskRelease(c *abi.Call, a *abi.Args) uint64 {
	t := h.task(c, a, 0)
	switch {
	case t == nil:
	case h.held[t] == 0:
		c.Fault = fmt.Sprintf("argument 1: no reference to %s[%d] is held", t.Comm, t.PID)
	default:
		if h.held[t]--; h.held[t] == 0 {
			delete(h.held, t)
		}
		h.Machine.Release(t)
	}
	return 0
}

// taskFromPID finds a task by its id. The idle tasks have none.
func (h *Host) taskFromPID(_ *abi.Call, a *abi.Args) uint64 {
	pid := int32(a[0])
	if pid <= 0 {
		return 0
	}
	return h.hold(h.Machine.TaskByPID(pid))
}
