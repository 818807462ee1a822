package ext

import (
	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/sim"
	"github.com/schedsim/schedsim/sim/kobj"
)

// SelectCPUDfl follows scx_bpf_select_cpu_dfl: the built-in choice of a CPU for t, which is waking. idle tells that the
// CPU is idle and now claimed; otherwise it is prev.
func (k *Kernel) SelectCPUDfl(t *sim.Task, prev sim.CPU, wakeFlags uint64) (cpu sim.CPU, idle bool) {
	if k.prog() == nil {
		return -sim.CPU(ENODEV), false
	}
	if cpu := k.selectCPUFromKfunc(t, prev, wakeFlags, nil, 0); cpu >= 0 {
		return cpu, true
	}
	return prev, false
}

// SelectCPUAnd follows scx_bpf_select_cpu_and: the built-in choice of an idle CPU within allowed; a negative errno if
// there is none.
func (k *Kernel) SelectCPUAnd(t *sim.Task, prev sim.CPU, wakeFlags uint64, allowed kobj.CPUMask, flags uint64) int32 {
	if k.prog() == nil {
		return -ENODEV
	}
	return int32(k.selectCPUFromKfunc(t, prev, wakeFlags, allowed.Words(), flags))
}

// SelectCPUAndOld follows scx_bpf_select_cpu_and as programs before 6.19 know it; see DSQInsertVtimeOld.
func (k *Kernel) SelectCPUAndOld(t *sim.Task, prev sim.CPU, wakeFlags uint64, allowed kobj.CPUMask, flags uint64) int32 {
	if k.sch == nil {
		return -ENODEV
	}
	if len(k.sch.children) > 0 {
		k.schedOf(t).error("__scx_bpf_select_cpu_and() must be used")
		return -EINVAL
	}
	return k.SelectCPUAnd(t, prev, wakeFlags, allowed, flags)
}

// validateNode follows validate_node.
func (k *Kernel) validateNode(node int32) int32 {
	switch {
	case !k.idle.perNode:
		k.scxError("per-node idle tracking is disabled")
		return -EOPNOTSUPP
	case node == noNode:
		return -ENOENT
	case node < 0 || int(node) >= k.topo.nrNodes:
		k.scxError("invalid node %d", node)
		return -EINVAL
	}
	return node
}

// PickIdleCPU follows scx_bpf_pick_idle_cpu: it claims an idle CPU within allowed, -EBUSY if there is none.
func (k *Kernel) PickIdleCPU(allowed kobj.CPUMask, flags uint64) int32 {
	switch {
	case k.prog() == nil:
		return -ENODEV
	case k.idle.perNode:
		k.scxError("per-node idle tracking is enabled")
		return -EBUSY
	case !k.checkBuiltinIdle():
		return -EBUSY
	}
	return int32(k.pickIdle(allowed.Words(), noNode, flags))
}

// PickAnyCPU follows scx_bpf_pick_any_cpu: an idle CPU within allowed, else any of them.
func (k *Kernel) PickAnyCPU(allowed kobj.CPUMask, flags uint64) int32 {
	switch {
	case k.prog() == nil:
		return -ENODEV
	case k.idle.perNode:
		k.scxError("per-node idle tracking is enabled")
		return -EBUSY
	case k.idle.enabled:
		if cpu := k.pickIdle(allowed.Words(), noNode, flags); cpu >= 0 {
			return int32(cpu)
		}
	}
	return k.anyOrBusy(allowed.Words(), nil)
}

func (k *Kernel) anyOrBusy(a, b []uint64) int32 {
	if cpu := k.anyAndDistribute(a, b); cpu >= 0 {
		return int32(cpu)
	}
	return -EBUSY
}

// PickIdleCPUNode follows scx_bpf_pick_idle_cpu_node, for policies with per-node idle tracking.
func (k *Kernel) PickIdleCPUNode(allowed kobj.CPUMask, node int32, flags uint64) int32 {
	if k.prog() == nil {
		return -ENODEV
	}
	if node = k.validateNode(node); node < 0 {
		return node
	}
	return int32(k.pickIdle(allowed.Words(), node, flags))
}

// PickAnyCPUNode follows scx_bpf_pick_any_cpu_node.
func (k *Kernel) PickAnyCPUNode(allowed kobj.CPUMask, node int32, flags uint64) int32 {
	if k.prog() == nil {
		return -ENODEV
	}
	if node = k.validateNode(node); node < 0 {
		return node
	}
	if cpu := k.pickIdle(allowed.Words(), node, flags); cpu >= 0 {
		return int32(cpu)
	}
	if flags&ops.PickIdleInNode != 0 {
		return k.anyOrBusy(k.topo.nodes[node], allowed.Words())
	}
	return k.anyOrBusy(allowed.Words(), nil)
}

// TestAndClearCPUIdle follows scx_bpf_test_and_clear_cpu_idle: it claims cpu if it is idle.
func (k *Kernel) TestAndClearCPUIdle(cpu sim.CPU) bool {
	return k.prog() != nil && k.checkBuiltinIdle() && k.prog().cpuValid(cpu, "") && k.testAndClearIdle(cpu)
}

// maskErr tells whether the machine-wide idle masks may be read.
func (k *Kernel) globalMasksOK() bool {
	if k.prog() == nil {
		return false
	}
	if k.idle.perNode {
		k.scxError("SCX_OPS_BUILTIN_IDLE_PER_NODE enabled")
		return false
	}
	return k.checkBuiltinIdle()
}

// IdleCPUMask follows scx_bpf_get_idle_cpumask: the live mask of idle CPUs.
func (k *Kernel) IdleCPUMask() kobj.CPUMask {
	if !k.globalMasksOK() {
		return k.noneMask()
	}
	return k.idle.global.cpu
}

// IdleSMTMask follows scx_bpf_get_idle_smtmask: the live mask of CPUs whose whole core is idle.
func (k *Kernel) IdleSMTMask() kobj.CPUMask {
	if !k.globalMasksOK() {
		return k.noneMask()
	}
	if k.smtActive() {
		return k.idle.global.smt
	}
	return k.idle.global.cpu
}

// IdleCPUMaskNode follows scx_bpf_get_idle_cpumask_node.
func (k *Kernel) IdleCPUMaskNode(node int32) kobj.CPUMask {
	if k.prog() == nil || k.validateNode(node) < 0 {
		return k.noneMask()
	}
	return k.idle.nodes[node].cpu
}

// IdleSMTMaskNode follows scx_bpf_get_idle_smtmask_node.
func (k *Kernel) IdleSMTMaskNode(node int32) kobj.CPUMask {
	if k.prog() == nil || k.validateNode(node) < 0 {
		return k.noneMask()
	}
	if k.smtActive() {
		return k.idle.nodes[node].smt
	}
	return k.idle.nodes[node].cpu
}

func (k *Kernel) noneMask() kobj.CPUMask {
	k.setup()
	return k.idle.none
}

// OnlineCPUMask follows scx_bpf_get_online_cpumask.
func (k *Kernel) OnlineCPUMask() kobj.CPUMask {
	k.setup()
	return k.idle.online
}

// PossibleCPUMask follows scx_bpf_get_possible_cpumask.
func (k *Kernel) PossibleCPUMask() kobj.CPUMask {
	k.setup()
	return k.idle.possible
}

// CPUNode follows scx_bpf_cpu_node: the NUMA node of cpu, -1 if there is no such CPU.
func (k *Kernel) CPUNode(cpu sim.CPU) int32 {
	if k.prog() == nil || !k.prog().cpuValid(cpu, "") {
		return noNode
	}
	return k.topo.node[cpu]
}
