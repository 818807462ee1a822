package kfuncs

import (
	"encoding/binary"

	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/vm/abi"
)

// cidFuncs are for schedulers of the cid form (kernel/sched/ext/cid.c, 7.2), and the function that lets a sub-scheduler
// dispatch.
func cidFuncs(h *Host) []abi.Kfunc {
	return []abi.Kfunc{
		row("void scx_bpf_cid_override(const s32 *cpu_to_cid, u32 cpu_to_cid__sz)",
			abi.Sleepable|abi.ImplicitArgs, ops.GroupInit, h.cidOverride),
		row("s32 scx_bpf_cid_to_cpu(s32 cid)",
			abi.ImplicitArgs, ops.GroupCID, h.cidToCPU),
		row("s32 scx_bpf_cpu_to_cid(s32 cpu)",
			abi.ImplicitArgs, ops.GroupCID, h.cpuToCID),
		row("void scx_bpf_cid_topo(s32 cid, struct scx_cid_topo *out, size_t out__sz)",
			abi.ImplicitArgs, ops.GroupCID, h.cidTopo),
		row("void scx_bpf_kick_cid(s32 cid, u64 flags)",
			abi.ImplicitArgs, ops.GroupAny, h.kickCID),
		row("struct task_struct *scx_bpf_cid_curr(s32 cid)",
			abi.RetNull|abi.RCUProtected|abi.ImplicitArgs, ops.GroupAny, h.cidCurr),
		row("u32 scx_bpf_cidperf_cap(s32 cid)",
			abi.ImplicitArgs, ops.GroupAny, h.cidPerfCap),
		row("u32 scx_bpf_cidperf_cur(s32 cid)",
			abi.ImplicitArgs, ops.GroupAny, h.cidPerfCur),
		row("void scx_bpf_cidperf_set(s32 cid, u32 perf)",
			abi.ImplicitArgs, ops.GroupAny, h.cidPerfSet),
		row("u32 scx_bpf_nr_cids(void)",
			0, ops.GroupAny, h.nrCIDs),
		row("u32 scx_bpf_nr_online_cids(void)",
			0, ops.GroupAny, h.nrOnlineCIDs),
		row("s32 scx_bpf_this_cid(void)",
			0, ops.GroupAny, h.thisCID),
		row("s32 scx_bpf_task_cid(const struct task_struct *p)",
			abi.RCU, ops.GroupAny, h.taskCID),
		row("bool scx_bpf_sub_dispatch(u64 cgroup_id)",
			abi.ImplicitArgs, ops.GroupDispatch, h.subDispatch),
	}
}

func argCID(v uint64) int32 { return int32(v) }

func (h *Host) cidOverride(c *abi.Call, a *abi.Args) uint64 {
	size := uint32(a[1])
	b := h.bytes(c, a, 0, uint64(size))
	if b == nil {
		return 0
	}
	table := make([]int32, size/4)
	for i := range table {
		table[i] = i32At(b, 4*i)
	}
	h.Kernel.CIDOverride(table, size)
	return 0
}

func (h *Host) cidToCPU(_ *abi.Call, a *abi.Args) uint64 {
	return retInt(h.Kernel.CIDToCPU(argCID(a[0])))
}
func (h *Host) cpuToCID(_ *abi.Call, a *abi.Args) uint64 {
	return retInt(h.Kernel.CPUToCID(argCPU(a[0])))
}

// cidTopo writes struct scx_cid_topo, cut to the size that the program has room for; what goes beyond reads as -1.
func (h *Host) cidTopo(c *abi.Call, a *abi.Args) uint64 {
	b := h.bytes(c, a, 1, a[2])
	if b == nil {
		return 0
	}
	t := h.Kernel.CIDTopo(argCID(a[0]))
	var full [24]byte
	for i, v := range []int32{t.CoreCID, t.CoreIdx, t.LLCCID, t.LLCIdx, t.NodeCID, t.NodeIdx} {
		binary.LittleEndian.PutUint32(full[4*i:], uint32(v))
	}
	for i := range b {
		b[i] = 0xff
	}
	copy(b, full[:])
	return 0
}

func (h *Host) kickCID(_ *abi.Call, a *abi.Args) uint64 {
	h.Kernel.KickCID(argCID(a[0]), a[1])
	return 0
}

func (h *Host) cidCurr(_ *abi.Call, a *abi.Args) uint64 {
	return retTask(h.Kernel.CIDCurr(argCID(a[0])))
}
func (h *Host) cidPerfCap(_ *abi.Call, a *abi.Args) uint64 {
	return uint64(h.Kernel.CIDPerfCap(argCID(a[0])))
}
func (h *Host) cidPerfCur(_ *abi.Call, a *abi.Args) uint64 {
	return uint64(h.Kernel.CIDPerfCur(argCID(a[0])))
}

func (h *Host) cidPerfSet(_ *abi.Call, a *abi.Args) uint64 {
	h.Kernel.CIDPerfSet(argCID(a[0]), uint32(a[1]))
	return 0
}

func (h *Host) nrCIDs(*abi.Call, *abi.Args) uint64       { return uint64(h.Kernel.NrCIDs()) }
func (h *Host) nrOnlineCIDs(*abi.Call, *abi.Args) uint64 { return uint64(h.Kernel.NrOnlineCIDs()) }
func (h *Host) thisCID(*abi.Call, *abi.Args) uint64      { return retInt(h.Kernel.ThisCID()) }

func (h *Host) taskCID(c *abi.Call, a *abi.Args) uint64 {
	t := h.task(c, a, 0)
	if t == nil {
		return 0
	}
	return retInt(h.Kernel.TaskCID(t))
}

func (h *Host) subDispatch(_ *abi.Call, a *abi.Args) uint64 {
	return retBool(h.Kernel.SubDispatch(a[0]))
}
