package kfuncs

import (
	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/sim/kobj"
	"github.com/schedsim/schedsim/vm/abi"
)

// idleFuncs are scx_kfunc_ids_idle: the built-in tracking of idle CPUs. The masks that they return are the live ones;
// their references are not counted.
func idleFuncs(h *Host) []abi.Kfunc {
	mask := func(f func() kobj.CPUMask) abi.Func {
		return func(*abi.Call, *abi.Args) uint64 { return f().Addr }
	}
	return []abi.Kfunc{
		row("s32 scx_bpf_cpu_node(s32 cpu)",
			abi.ImplicitArgs, ops.GroupIdle|ops.GroupCPUOnly, h.cpuNode),
		row("const struct cpumask *scx_bpf_get_idle_cpumask(void)",
			abi.Acquire|abi.ImplicitArgs, ops.GroupIdle|ops.GroupCPUOnly, mask(func() kobj.CPUMask { return h.Kernel.IdleCPUMask() })),
		row("const struct cpumask *scx_bpf_get_idle_cpumask_node(s32 node)",
			abi.Acquire|abi.ImplicitArgs, ops.GroupIdle|ops.GroupCPUOnly, h.idleCPUMaskNode),
		row("const struct cpumask *scx_bpf_get_idle_smtmask(void)",
			abi.Acquire|abi.ImplicitArgs, ops.GroupIdle|ops.GroupCPUOnly, mask(func() kobj.CPUMask { return h.Kernel.IdleSMTMask() })),
		row("const struct cpumask *scx_bpf_get_idle_smtmask_node(s32 node)",
			abi.Acquire|abi.ImplicitArgs, ops.GroupIdle|ops.GroupCPUOnly, h.idleSMTMaskNode),
		row("void scx_bpf_put_idle_cpumask(const struct cpumask *idle_mask)",
			abi.Release, ops.GroupIdle|ops.GroupCPUOnly, h.putMask),
		row("bool scx_bpf_test_and_clear_cpu_idle(s32 cpu)",
			abi.ImplicitArgs, ops.GroupIdle|ops.GroupCPUOnly, h.testAndClearCPUIdle),
		row("s32 scx_bpf_pick_idle_cpu(const struct cpumask *cpus_allowed, u64 flags)",
			abi.RCU|abi.ImplicitArgs, ops.GroupIdle|ops.GroupCPUOnly, h.pickIdleCPU),
		row("s32 scx_bpf_pick_idle_cpu_node(const struct cpumask *cpus_allowed, s32 node, u64 flags)",
			abi.RCU|abi.ImplicitArgs, ops.GroupIdle|ops.GroupCPUOnly, h.pickIdleCPUNode),
		row("s32 scx_bpf_pick_any_cpu(const struct cpumask *cpus_allowed, u64 flags)",
			abi.RCU|abi.ImplicitArgs, ops.GroupIdle|ops.GroupCPUOnly, h.pickAnyCPU),
		row("s32 scx_bpf_pick_any_cpu_node(const struct cpumask *cpus_allowed, s32 node, u64 flags)",
			abi.RCU|abi.ImplicitArgs, ops.GroupIdle|ops.GroupCPUOnly, h.pickAnyCPUNode),
	}
}

func (h *Host) cpuNode(_ *abi.Call, a *abi.Args) uint64 {
	return retInt(h.Kernel.CPUNode(argCPU(a[0])))
}

func (h *Host) idleCPUMaskNode(_ *abi.Call, a *abi.Args) uint64 {
	return h.Kernel.IdleCPUMaskNode(int32(a[0])).Addr
}

func (h *Host) idleSMTMaskNode(_ *abi.Call, a *abi.Args) uint64 {
	return h.Kernel.IdleSMTMaskNode(int32(a[0])).Addr
}

// putMask checks its argument: a program that gives back what is no mask could not have been verified.
func (h *Host) putMask(c *abi.Call, a *abi.Args) uint64 {
	h.mask(c, a, 0)
	return 0
}

func (h *Host) testAndClearCPUIdle(_ *abi.Call, a *abi.Args) uint64 {
	return retBool(h.Kernel.TestAndClearCPUIdle(argCPU(a[0])))
}

func (h *Host) pickIdleCPU(c *abi.Call, a *abi.Args) uint64 {
	m := h.mask(c, a, 0)
	if !m.Valid() {
		return 0
	}
	return retInt(h.Kernel.PickIdleCPU(m, a[1]))
}

func (h *Host) pickIdleCPUNode(c *abi.Call, a *abi.Args) uint64 {
	m := h.mask(c, a, 0)
	if !m.Valid() {
		return 0
	}
	return retInt(h.Kernel.PickIdleCPUNode(m, int32(a[1]), a[2]))
}

func (h *Host) pickAnyCPU(c *abi.Call, a *abi.Args) uint64 {
	m := h.mask(c, a, 0)
	if !m.Valid() {
		return 0
	}
	return retInt(h.Kernel.PickAnyCPU(m, a[1]))
}

func (h *Host) pickAnyCPUNode(c *abi.Call, a *abi.Args) uint64 {
	m := h.mask(c, a, 0)
	if !m.Valid() {
		return 0
	}
	return retInt(h.Kernel.PickAnyCPUNode(m, int32(a[1]), a[2]))
}
