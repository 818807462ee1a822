package kfuncs

import (
	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/vm/abi"
)

// selectFuncs are scx_kfunc_ids_select_cpu: the built-in choice of a CPU.
func selectFuncs(h *Host) []abi.Kfunc {
	return []abi.Kfunc{
		row("s32 scx_bpf_select_cpu_dfl(struct task_struct *p, s32 prev_cpu, u64 wake_flags, bool *is_idle)",
			abi.RCU|abi.ImplicitArgs, ops.GroupSelectCPU|ops.GroupUnlocked|ops.GroupCPUOnly, h.selectCPUDfl),
		row("s32 __scx_bpf_select_cpu_and(struct task_struct *p, const struct cpumask *cpus_allowed, struct scx_bpf_select_cpu_and_args *args)",
			abi.RCU|abi.ImplicitArgs, ops.GroupSelectCPU|ops.GroupUnlocked|ops.GroupCPUOnly, h.selectCPUAnd),
		row("s32 scx_bpf_select_cpu_and(struct task_struct *p, s32 prev_cpu, u64 wake_flags, const struct cpumask *cpus_allowed, u64 flags)",
			abi.RCU, ops.GroupSelectCPU|ops.GroupUnlocked|ops.GroupCPUOnly, h.selectCPUAndV1),
	}
}

func (h *Host) selectCPUDfl(c *abi.Call, a *abi.Args) uint64 {
	t, b := h.task(c, a, 0), h.bytes(c, a, 3, 1)
	if t == nil || b == nil {
		return 0
	}
	cpu, idle := h.Kernel.SelectCPUDfl(t, argCPU(a[1]), a[2])
	b[0] = byte(retBool(idle))
	return retInt(int32(cpu))
}

// selectCPUAnd takes struct scx_bpf_select_cpu_and_args: prev_cpu, wake_flags, flags.
func (h *Host) selectCPUAnd(c *abi.Call, a *abi.Args) uint64 {
	t, m, b := h.task(c, a, 0), h.mask(c, a, 1), h.bytes(c, a, 2, 24)
	if t == nil || b == nil || !m.Valid() {
		return 0
	}
	return retInt(h.Kernel.SelectCPUAnd(t, argCPU(uint64(i32At(b, 0))), u64At(b, 8), m, u64At(b, 16)))
}

func (h *Host) selectCPUAndV1(c *abi.Call, a *abi.Args) uint64 {
	t, m := h.task(c, a, 0), h.mask(c, a, 3)
	if t == nil || !m.Valid() {
		return 0
	}
	return retInt(h.Kernel.SelectCPUAndOld(t, argCPU(a[1]), a[2], m, a[4]))
}
