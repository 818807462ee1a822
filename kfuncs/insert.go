package kfuncs

import (
	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/vm/abi"
)

// insertFuncs are scx_kfunc_ids_enqueue_dispatch: how a policy puts a task into a queue.
func insertFuncs(h *Host) []abi.Kfunc {
	return []abi.Kfunc{
		row("void scx_bpf_dsq_insert(struct task_struct *p, u64 dsq_id, u64 slice, u64 enq_flags)",
			abi.RCU|abi.ImplicitArgs, ops.GroupEnqueue, h.dsqInsertV1),
		row("bool scx_bpf_dsq_insert___v2(struct task_struct *p, u64 dsq_id, u64 slice, u64 enq_flags)",
			abi.RCU|abi.ImplicitArgs, ops.GroupEnqueue, h.dsqInsert),
		row("bool __scx_bpf_dsq_insert_vtime(struct task_struct *p, struct scx_bpf_dsq_insert_vtime_args *args)",
			abi.RCU|abi.ImplicitArgs, ops.GroupEnqueue, h.dsqInsertVtime),
		row("void scx_bpf_dsq_insert_vtime(struct task_struct *p, u64 dsq_id, u64 slice, u64 vtime, u64 enq_flags)",
			abi.RCU, ops.GroupEnqueue, h.dsqInsertVtimeV1),
	}
}

func (h *Host) dsqInsert(c *abi.Call, a *abi.Args) uint64 {
	t := h.task(c, a, 0)
	return retBool(t != nil && h.Kernel.DSQInsert(t, a[1], a[2], a[3]))
}

// dsqInsertV1 returns nothing.
func (h *Host) dsqInsertV1(c *abi.Call, a *abi.Args) uint64 {
	h.dsqInsert(c, a)
	return 0
}

// dsqInsertVtime takes its many arguments in struct scx_bpf_dsq_insert_vtime_args: dsq_id, slice, vtime, enq_flags.
func (h *Host) dsqInsertVtime(c *abi.Call, a *abi.Args) uint64 {
	t, b := h.task(c, a, 0), h.bytes(c, a, 1, 32)
	if t == nil || b == nil {
		return 0
	}
	return retBool(h.Kernel.DSQInsertVtime(t, u64At(b, 0), u64At(b, 8), u64At(b, 16), u64At(b, 24)))
}

func (h *Host) dsqInsertVtimeV1(c *abi.Call, a *abi.Args) uint64 {
	if t := h.task(c, a, 0); t != nil {
		h.Kernel.DSQInsertVtimeOld(t, a[1], a[2], a[3], a[4])
	}
	return 0
}
