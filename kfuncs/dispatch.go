package kfuncs

import (
	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/vm/abi"
)

// dispatchFuncs are scx_kfunc_ids_dispatch, of which the moves from an iterator are also in scx_kfunc_ids_unlocked.
func dispatchFuncs(h *Host) []abi.Kfunc {
	return []abi.Kfunc{
		row("u32 scx_bpf_dispatch_nr_slots(void)",
			abi.ImplicitArgs, ops.GroupDispatch, h.dispatchNrSlots),
		row("void scx_bpf_dispatch_cancel(void)",
			abi.ImplicitArgs, ops.GroupDispatch, h.dispatchCancel),
		row("bool scx_bpf_dsq_move_to_local(u64 dsq_id)",
			abi.ImplicitArgs, ops.GroupDispatch, h.dsqMoveToLocalV1),
		row("bool scx_bpf_dsq_move_to_local___v2(u64 dsq_id, u64 enq_flags)",
			abi.ImplicitArgs, ops.GroupDispatch, h.dsqMoveToLocal),
		row("bool scx_bpf_dsq_move(struct bpf_iter_scx_dsq *it__iter, struct task_struct *p, u64 dsq_id, u64 enq_flags)",
			abi.RCU, ops.GroupDispatch|ops.GroupUnlocked, h.dsqMove),
		row("bool scx_bpf_dsq_move_vtime(struct bpf_iter_scx_dsq *it__iter, struct task_struct *p, u64 dsq_id, u64 enq_flags)",
			abi.RCU, ops.GroupDispatch|ops.GroupUnlocked, h.dsqMoveVtime),
		row("void scx_bpf_dsq_move_set_slice(struct bpf_iter_scx_dsq *it__iter, u64 slice)",
			abi.RCU, ops.GroupDispatch|ops.GroupUnlocked, h.dsqMoveSetSlice),
		row("void scx_bpf_dsq_move_set_vtime(struct bpf_iter_scx_dsq *it__iter, u64 vtime)",
			abi.RCU, ops.GroupDispatch|ops.GroupUnlocked, h.dsqMoveSetVtime),
	}
}

func (h *Host) dispatchNrSlots(*abi.Call, *abi.Args) uint64 {
	return uint64(h.Kernel.DispatchNrSlots())
}

func (h *Host) dispatchCancel(*abi.Call, *abi.Args) uint64 {
	h.Kernel.DispatchCancel()
	return 0
}

func (h *Host) dsqMoveToLocal(_ *abi.Call, a *abi.Args) uint64 {
	return retBool(h.Kernel.DSQMoveToLocal(a[0], a[1]))
}

func (h *Host) dsqMoveToLocalV1(_ *abi.Call, a *abi.Args) uint64 {
	return retBool(h.Kernel.DSQMoveToLocal(a[0], 0))
}

func (h *Host) dsqMove(c *abi.Call, a *abi.Args) uint64 { return h.move(c, a, false) }

func (h *Host) dsqMoveVtime(c *abi.Call, a *abi.Args) uint64 { return h.move(c, a, true) }

// move takes an iterator whose creation may have failed: nothing is moved then.
func (h *Host) move(c *abi.Call, a *abi.Args, vtime bool) uint64 {
	it, t := h.iter(c, a), h.task(c, a, 1)
	return retBool(it != nil && t != nil && h.Kernel.DSQMove(it, t, a[2], a[3], vtime))
}

func (h *Host) dsqMoveSetSlice(c *abi.Call, a *abi.Args) uint64 {
	if it := h.iter(c, a); it != nil {
		it.SetSlice(a[1])
	}
	return 0
}

func (h *Host) dsqMoveSetVtime(c *abi.Call, a *abi.Args) uint64 {
	if it := h.iter(c, a); it != nil {
		it.SetVtime(a[1])
	}
	return 0
}
