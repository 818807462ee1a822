package kfuncs

import (
	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/vm/abi"
)

// cidFuncs are for schedulers of the cid form (kernel/sched/ext/cid.c, 7.2), which are not modelled.
func cidFuncs(*Host) []abi.Kfunc {
	return []abi.Kfunc{
		row("void scx_bpf_cid_override(const s32 *cpu_to_cid, u32 cpu_to_cid__sz)",
			abi.Sleepable|abi.ImplicitArgs, ops.GroupInit, nil),
		row("s32 scx_bpf_cid_to_cpu(s32 cid)",
			abi.ImplicitArgs, ops.GroupCID, nil),
		row("s32 scx_bpf_cpu_to_cid(s32 cpu)",
			abi.ImplicitArgs, ops.GroupCID, nil),
		row("void scx_bpf_cid_topo(s32 cid, struct scx_cid_topo *out, size_t out__sz)",
			abi.ImplicitArgs, ops.GroupCID, nil),
		row("void scx_bpf_kick_cid(s32 cid, u64 flags)",
			abi.ImplicitArgs, ops.GroupAny, nil),
		row("struct task_struct *scx_bpf_cid_curr(s32 cid)",
			abi.RetNull|abi.RCUProtected|abi.ImplicitArgs, ops.GroupAny, nil),
		row("u32 scx_bpf_cidperf_cap(s32 cid)",
			abi.ImplicitArgs, ops.GroupAny, nil),
		row("u32 scx_bpf_cidperf_cur(s32 cid)",
			abi.ImplicitArgs, ops.GroupAny, nil),
		row("void scx_bpf_cidperf_set(s32 cid, u32 perf)",
			abi.ImplicitArgs, ops.GroupAny, nil),
		row("u32 scx_bpf_nr_cids(void)",
			0, ops.GroupAny, nil),
		row("u32 scx_bpf_nr_online_cids(void)",
			0, ops.GroupAny, nil),
		row("s32 scx_bpf_this_cid(void)",
			0, ops.GroupAny, nil),
		row("s32 scx_bpf_task_cid(const struct task_struct *p)",
			abi.RCU, ops.GroupAny, nil),
		row("bool scx_bpf_sub_dispatch(u64 cgroup_id)",
			abi.ImplicitArgs, ops.GroupDispatch, nil),
	}
}
