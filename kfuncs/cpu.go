package kfuncs

import (
	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/sim"
	"github.com/schedsim/schedsim/vm/abi"
)

// cpuFuncs are those of scx_kfunc_ids_any that are about CPUs and time.
func cpuFuncs(h *Host) []abi.Kfunc {
	return []abi.Kfunc{
		row("void scx_bpf_kick_cpu(s32 cpu, u64 flags)",
			abi.ImplicitArgs, ops.GroupAny|ops.GroupCPUOnly, h.kickCPU),
		row("u32 scx_bpf_cpuperf_cap(s32 cpu)",
			abi.ImplicitArgs, ops.GroupAny|ops.GroupCPUOnly, h.cpuperfCap),
		row("u32 scx_bpf_cpuperf_cur(s32 cpu)",
			abi.ImplicitArgs, ops.GroupAny|ops.GroupCPUOnly, h.cpuperfCur),
		row("void scx_bpf_cpuperf_set(s32 cpu, u32 perf)",
			abi.ImplicitArgs, ops.GroupAny|ops.GroupCPUOnly, h.cpuperfSet),
		row("u32 scx_bpf_nr_node_ids(void)",
			0, ops.GroupAny, h.nrNodeIDs),
		row("u32 scx_bpf_nr_cpu_ids(void)",
			0, ops.GroupAny, h.nrCPUIDs),
		row("const struct cpumask *scx_bpf_get_possible_cpumask(void)",
			abi.Acquire, ops.GroupAny|ops.GroupCPUOnly, h.possibleCPUMask),
		row("const struct cpumask *scx_bpf_get_online_cpumask(void)",
			abi.Acquire, ops.GroupAny|ops.GroupCPUOnly, h.onlineCPUMask),
		row("void scx_bpf_put_cpumask(const struct cpumask *cpumask)",
			abi.Release, ops.GroupAny|ops.GroupCPUOnly, h.putMask),
		row("struct rq *scx_bpf_cpu_rq(s32 cpu)",
			abi.ImplicitArgs, ops.GroupAny|ops.GroupCPUOnly, h.cpuRQ),
		row("struct rq *scx_bpf_locked_rq(void)",
			abi.RetNull|abi.ImplicitArgs, ops.GroupAny, h.lockedRQ),
		row("struct task_struct *scx_bpf_cpu_curr(s32 cpu)",
			abi.RetNull|abi.RCUProtected|abi.ImplicitArgs, ops.GroupAny|ops.GroupCPUOnly, h.cpuCurr),
		row("u64 scx_bpf_now(void)",
			0, ops.GroupAny, h.now),
	}
}

func (h *Host) kickCPU(_ *abi.Call, a *abi.Args) uint64 {
	h.Kernel.KickCPU(argCPU(a[0]), a[1])
	return 0
}

func (h *Host) cpuperfCap(_ *abi.Call, a *abi.Args) uint64 {
	return uint64(h.Kernel.CPUPerfCap(argCPU(a[0])))
}

func (h *Host) cpuperfCur(_ *abi.Call, a *abi.Args) uint64 {
	return uint64(h.Kernel.CPUPerfCur(argCPU(a[0])))
}

func (h *Host) cpuperfSet(_ *abi.Call, a *abi.Args) uint64 {
	h.Kernel.CPUPerfSet(argCPU(a[0]), uint32(a[1]))
	return 0
}

func (h *Host) nrNodeIDs(*abi.Call, *abi.Args) uint64 { return uint64(h.Kernel.NrNodeIDs()) }

func (h *Host) nrCPUIDs(*abi.Call, *abi.Args) uint64 { return uint64(h.Kernel.NrCPUIDs()) }

func (h *Host) possibleCPUMask(*abi.Call, *abi.Args) uint64 { return h.Kernel.PossibleCPUMask().Addr }

func (h *Host) onlineCPUMask(*abi.Call, *abi.Args) uint64 { return h.Kernel.OnlineCPUMask().Addr }

func (h *Host) cpuCurr(_ *abi.Call, a *abi.Args) uint64 {
	return retTask(h.Kernel.CPUCurr(argCPU(a[0])))
}

func (h *Host) now(*abi.Call, *abi.Args) uint64 { return h.Kernel.Now() }

// runqueue returns the address of the struct rq of cpu, 0 for none.
func (h *Host) runqueue(cpu sim.CPU) uint64 {
	if cpu == sim.NoCPU {
		return 0
	}
	return h.Machine.RQ(cpu).Addr
}

func (h *Host) cpuRQ(_ *abi.Call, a *abi.Args) uint64 {
	return h.runqueue(h.Kernel.CPUForRQ(argCPU(a[0])))
}

func (h *Host) lockedRQ(*abi.Call, *abi.Args) uint64 { return h.runqueue(h.Kernel.LockedCPU()) }
