package kfuncs

import (
	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/vm/abi"
)

// dsqFuncs make, ask and empty queues: scx_kfunc_ids_unlocked and scx_kfunc_ids_cpu_release, and some of
// scx_kfunc_ids_any.
func dsqFuncs(h *Host) []abi.Kfunc {
	return []abi.Kfunc{
		row("s32 scx_bpf_create_dsq(u64 dsq_id, s32 node)",
			abi.Sleepable|abi.ImplicitArgs, ops.GroupUnlocked, h.createDSQ),
		row("void scx_bpf_destroy_dsq(u64 dsq_id)",
			abi.ImplicitArgs, ops.GroupAny, h.destroyDSQ),
		row("s32 scx_bpf_dsq_nr_queued(u64 dsq_id)",
			abi.ImplicitArgs, ops.GroupAny, h.dsqNrQueued),
		row("struct task_struct *scx_bpf_dsq_peek(u64 dsq_id)",
			abi.RetNull|abi.RCUProtected|abi.ImplicitArgs, ops.GroupAny, h.dsqPeek),
		row("void scx_bpf_dsq_reenq(u64 dsq_id, u64 reenq_flags)",
			abi.ImplicitArgs, ops.GroupAny, h.dsqReenq),
		row("u32 scx_bpf_reenqueue_local(void)",
			abi.ImplicitArgs, ops.GroupCPURelease, h.reenqueueLocal),
		row("void scx_bpf_reenqueue_local___v2(void)",
			abi.ImplicitArgs, ops.GroupAny, h.reenqueueLocalV2),
	}
}

func (h *Host) createDSQ(_ *abi.Call, a *abi.Args) uint64 {
	return retInt(h.Kernel.CreateDSQ(a[0], int32(a[1])))
}

func (h *Host) destroyDSQ(_ *abi.Call, a *abi.Args) uint64 {
	h.Kernel.DestroyDSQ(a[0])
	return 0
}

func (h *Host) dsqNrQueued(_ *abi.Call, a *abi.Args) uint64 {
	return retInt(h.Kernel.DSQNrQueued(a[0]))
}

func (h *Host) dsqPeek(_ *abi.Call, a *abi.Args) uint64 { return retTask(h.Kernel.DSQPeek(a[0])) }

func (h *Host) dsqReenq(_ *abi.Call, a *abi.Args) uint64 {
	h.Kernel.DSQReenq(a[0], a[1])
	return 0
}

func (h *Host) reenqueueLocal(*abi.Call, *abi.Args) uint64 { return uint64(h.Kernel.ReenqueueLocal()) }

func (h *Host) reenqueueLocalV2(*abi.Call, *abi.Args) uint64 {
	h.Kernel.ReenqueueLocalV2()
	return 0
}
