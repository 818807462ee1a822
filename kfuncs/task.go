package kfuncs

import (
	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/vm/abi"
)

// taskFuncs are those of scx_kfunc_ids_any that are about a task.
func taskFuncs(h *Host) []abi.Kfunc {
	return []abi.Kfunc{
		row("bool scx_bpf_task_running(const struct task_struct *p)",
			abi.RCU, ops.GroupAny, h.taskRunning),
		row("s32 scx_bpf_task_cpu(const struct task_struct *p)",
			abi.RCU, ops.GroupAny|ops.GroupCPUOnly, h.taskCPU),
		row("bool scx_bpf_task_set_slice(struct task_struct *p, u64 slice)",
			abi.RCU|abi.ImplicitArgs, ops.GroupAny, h.taskSetSlice),
		row("bool scx_bpf_task_set_dsq_vtime(struct task_struct *p, u64 vtime)",
			abi.RCU|abi.ImplicitArgs, ops.GroupAny, h.taskSetDSQVtime),
		row("struct task_struct *scx_bpf_tid_to_task(u64 tid)",
			abi.RetNull|abi.RCUProtected, ops.GroupAny, h.tidToTask),
	}
}

func (h *Host) taskRunning(c *abi.Call, a *abi.Args) uint64 {
	t := h.task(c, a, 0)
	return retBool(t != nil && h.Kernel.TaskRunning(t))
}

func (h *Host) taskCPU(c *abi.Call, a *abi.Args) uint64 {
	t := h.task(c, a, 0)
	if t == nil {
		return 0
	}
	return retInt(int32(h.Kernel.TaskCPU(t)))
}

func (h *Host) taskSetSlice(c *abi.Call, a *abi.Args) uint64 {
	t := h.task(c, a, 0)
	return retBool(t != nil && h.Kernel.TaskSetSlice(t, a[1]))
}

func (h *Host) taskSetDSQVtime(c *abi.Call, a *abi.Args) uint64 {
	t := h.task(c, a, 0)
	return retBool(t != nil && h.Kernel.TaskSetDSQVtime(t, a[1]))
}

func (h *Host) tidToTask(_ *abi.Call, a *abi.Args) uint64 { return retTask(h.Kernel.TIDToTask(a[0])) }
