package ext

import (
	"math/bits"

	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/sim"
)

// selectCPUDfl follows scx_select_cpu_dfl (kernel/sched/ext/idle.c, 7.2): the built-in choice of an idle CPU for a task
// that wakes. allowed restricts the task's own CPUs; nil means no further restriction. It claims the CPU that it
// returns; a negative errno says that none is idle.
func (k *Kernel) selectCPUDfl(t *sim.Task, prev sim.CPU, wakeFlags uint64, allowed []uint64, flags uint64) sim.CPU {
	cpus := t.K.CPUs().Words()
	all := int(t.K.NrCPUsAllowed()) >= len(k.rqs) // task_affinity_all
	own := allowed == nil
	if own {
		allowed = cpus
	} else if !all {
		if !andInto(k.idle.local, allowed, cpus) {
			return -sim.CPU(EBUSY)
		}
		allowed = k.idle.local
	}
	node := k.nodeIfEnabled(prev)
	prevAllowed := test(allowed, prev)

	// span is the part of a domain that the task may use.
	span := func(dom, scratch []uint64) []uint64 {
		switch {
		case own && all:
			return dom
		case dom != nil && andInto(scratch, allowed, dom):
			return scratch
		}
		return nil
	}
	var llc, numa []uint64
	if k.idle.useNUMA {
		numa = span(k.topo.numa[prev], k.idle.numa)
	}
	if k.idle.useLLC {
		llc = span(k.topo.llc[prev], k.idle.llc)
	}

	if wakeFlags&ops.WakeSync != 0 {
		waker := k.m.ThisCPU()
		if prevAllowed && k.topo.llcID[waker] == k.topo.llcID[prev] && k.testAndClearIdle(prev) {
			return prev
		}
		wnode := k.nodeIfEnabled(waker)
		if !k.m.Curr(waker).Exiting && k.rqs[waker].local.nr == 0 &&
			(flags&ops.PickIdleInNode == 0 || wnode == node) && !k.idleMask(wnode).cpu.Empty() && test(allowed, waker) {
			k.testAndClearIdle(waker)
			return waker
		}
	}

	if k.smtActive() {
		if prevAllowed && k.idleMask(node).smt.Test(int32(prev)) && k.testAndClearIdle(prev) {
			return prev
		}
		for _, dom := range [2][]uint64{llc, numa} {
			if dom == nil {
				continue
			}
			if cpu := k.pickIdleCPUInNode(dom, node, ops.PickIdleCore); cpu >= 0 {
				return cpu
			}
		}
		if cpu := k.pickIdle(allowed, node, flags|ops.PickIdleCore); cpu >= 0 {
			return cpu
		}
		if flags&ops.PickIdleCore != 0 {
			return -sim.CPU(EBUSY)
		}
	}

	if prevAllowed && k.testAndClearIdle(prev) {
		return prev
	}
	if k.smtActive() {
		for i, w := range k.topo.smt[prev] {
			for w &= allowed[i]; w != 0; w &= w - 1 {
				cpu := sim.CPU(i<<6 + bits.TrailingZeros64(w))
				if cpu != prev && k.testAndClearIdle(cpu) {
					return cpu
				}
			}
		}
	}
	for _, dom := range [2][]uint64{llc, numa} {
		if dom == nil {
			continue
		}
		if cpu := k.pickIdleCPUInNode(dom, node, 0); cpu >= 0 {
			return cpu
		}
	}
	return k.pickIdle(allowed, node, flags)
}

// checkBuiltinIdle follows check_builtin_idle_enabled.
func (k *Kernel) checkBuiltinIdle() bool {
	if k.idle.enabled {
		return true
	}
	k.scxError("built-in idle tracking is disabled")
	return false
}

// selectCPUFromKfunc follows select_cpu_from_kfunc.
func (k *Kernel) selectCPUFromKfunc(t *sim.Task, prev sim.CPU, wakeFlags uint64, allowed []uint64, flags uint64) sim.CPU {
	if !k.prog().cpuValid(prev, "") {
		return -sim.CPU(EINVAL)
	}
	if !k.checkBuiltinIdle() {
		return -sim.CPU(EBUSY)
	}
	if k.old.Early { // it locks nothing
	} else if k.rqs[k.m.ThisCPU()].inSelectCPU {
		if !k.argTaskOK(t) {
			return -sim.CPU(EINVAL)
		}
	} else if k.frame.Locked != sim.NoCPU && t.CPU() != k.frame.Locked {
		k.scxError("select_cpu kfunc called cross-task on %s[%d]", t.Comm, t.PID)
		return -sim.CPU(EINVAL)
	}
	if t.K.NrCPUsAllowed() == 1 || t.MigrationDisabled > 0 {
		return k.selectCPURestricted(t, prev, allowed, flags)
	}
	return k.selectCPUDfl(t, prev, wakeFlags, allowed, flags)
}

// selectCPURestricted follows select_cpu_restricted: the task has one CPU only.
func (k *Kernel) selectCPURestricted(t *sim.Task, prev sim.CPU, allowed []uint64, flags uint64) sim.CPU {
	cpu := sim.CPU(t.K.CPUs().First())
	if t.MigrationDisabled > 0 {
		cpu = t.CPU()
	}
	switch {
	case cpu < 0 || !t.K.Allows(int32(cpu)):
	case allowed != nil && !test(allowed, cpu):
	case flags&ops.PickIdleInNode != 0 && k.nodeIfEnabled(cpu) != k.nodeIfEnabled(prev):
	case !k.testAndClearIdle(cpu):
	default:
		return cpu
	}
	return -sim.CPU(EBUSY)
}

// argTaskOK follows scx_kf_arg_task_ok.
func (k *Kernel) argTaskOK(t *sim.Task) bool {
	if t == k.frame.Subject[0] || t == k.frame.Subject[1] {
		return true
	}
	k.scxError("called on a task not being operated on")
	return false
}
