package kfuncs

import (
	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/vm/abi"
)

// renamedFuncs are the names from before 6.13 that Linux 6.16 still has: the first call of each is told of, then it is the function of
// the new name.
func renamedFuncs(h *Host) []abi.Kfunc {
	renamed := func(text string, f abi.Func) abi.Func {
		told := false
		return func(c *abi.Call, a *abi.Args) uint64 {
			if !told {
				told = true
				h.Kernel.Print("sched_ext: " + text)
			}
			return f(c, a)
		}
	}
	return []abi.Kfunc{
		row("void scx_bpf_dispatch(struct task_struct *p, u64 dsq_id, u64 slice, u64 enq_flags)", abi.RCU, ops.GroupEnqueue,
			renamed("scx_bpf_dispatch() renamed to scx_bpf_dsq_insert()", h.dsqInsertV1)),
		row("void scx_bpf_dispatch_vtime(struct task_struct *p, u64 dsq_id, u64 slice, u64 vtime, u64 enq_flags)", abi.RCU, ops.GroupEnqueue,
			renamed("scx_bpf_dispatch_vtime() renamed to scx_bpf_dsq_insert_vtime()", h.dsqInsertVtimeV1)),
		row("bool scx_bpf_consume(u64 dsq_id)", 0, ops.GroupDispatch,
			renamed("scx_bpf_consume() renamed to scx_bpf_dsq_move_to_local()", h.dsqMoveToLocalV1)),
		row("bool scx_bpf_dispatch_from_dsq(struct bpf_iter_scx_dsq *it__iter, struct task_struct *p, u64 dsq_id, u64 enq_flags)",
			abi.RCU, ops.GroupDispatch|ops.GroupUnlocked, renamed("scx_bpf_dispatch_from_dsq() renamed to scx_bpf_dsq_move()", h.dsqMove)),
		row("bool scx_bpf_dispatch_vtime_from_dsq(struct bpf_iter_scx_dsq *it__iter, struct task_struct *p, u64 dsq_id, u64 enq_flags)",
			abi.RCU, ops.GroupDispatch|ops.GroupUnlocked, // the text is the kernel's
			renamed("scx_bpf_dispatch_from_dsq_vtime() renamed to scx_bpf_dsq_move_vtime()", h.dsqMoveVtime)),
		row("void scx_bpf_dispatch_from_dsq_set_slice(struct bpf_iter_scx_dsq *it__iter, u64 slice)", 0, ops.GroupDispatch|ops.GroupUnlocked,
			renamed("scx_bpf_dispatch_from_dsq_set_slice() renamed to scx_bpf_dsq_move_set_slice()", h.dsqMoveSetSlice)),
		row("void scx_bpf_dispatch_from_dsq_set_vtime(struct bpf_iter_scx_dsq *it__iter, u64 vtime)", 0, ops.GroupDispatch|ops.GroupUnlocked,
			renamed("scx_bpf_dispatch_from_dsq_set_vtime() renamed to scx_bpf_dsq_move_set_vtime()", h.dsqMoveSetVtime)),
	}
}
