package ext

import (
	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/sim"
)

// handleHotplug follows handle_hotplug: a policy without the callback for what happens to the CPU is asked to start anew.
func (k *Kernel) handleHotplug(cpu sim.CPU, online bool) {
	k.hotplugSeq++
	sch := k.sch
	if sch == nil {
		return
	}
	if k.enabled {
		k.idleUpdateSelCPUTopology()
	}
	switch {
	case online && sch.has(ops.CPUOnline):
		k.enter(k.sch, ops.CPUOnline, nil, nil, nil, uint64(cpu))
		sch.ops.CPUOnline(k.cpuArg(cpu))
		k.leave()
	case !online && sch.has(ops.CPUOffline):
		k.enter(k.sch, ops.CPUOffline, nil, nil, nil, uint64(cpu))
		sch.ops.CPUOffline(k.cpuArg(cpu))
		k.leave()
	default:
		to := "offline"
		if online {
			to = "online"
		}
		k.sch.exit(ops.ExitUnregKern, ops.ECodeActRestart|ops.ECodeRsnHotplug, int32(k.m.ThisCPU()),
			"cpu %d going %s, exiting scheduler", cpu, to)
	}
}

// rqOnline follows rq_online_scx.
func (k *Kernel) rqOnline(cpu sim.CPU) {
	k.setup()
	k.rqs[cpu].flags |= rqOnline
}

// rqOffline follows rq_offline_scx: a CPU that goes offline no longer calls ops.dispatch, so its tasks queue in its local
// DSQ, run and are pushed away one by one.
func (k *Kernel) rqOffline(cpu sim.CPU) {
	k.setup()
	r := &k.rqs[cpu]
	r.flags &^= rqOnline
	for n := r.runnable.prev; n != &r.runnable; {
		t := n.t
		n = n.prev
		if k.ent(t).dsq != &r.local {
			k.m.Change(t, sim.DeqSave|sim.DeqMove|sim.DeqNoClock, func() {})
		}
	}
}

// HotplugSeq counts the changes of which CPUs are online since boot (/sys/kernel/sched_ext/hotplug_seq).
func (k *Kernel) HotplugSeq() uint64 {
	k.setup()
	return k.hotplugSeq
}
