package ext

import (
	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/sim"
)

// KickCPU follows scx_bpf_kick_cpu: it makes cpu reschedule, after the running event. flags are ops.Kick....
func (k *Kernel) KickCPU(cpu sim.CPU, flags uint64) {
	if k.prog() != nil && k.prog().cpuValid(cpu, "") {
		k.kickCPU(k.prog(), cpu, flags)
	}
}

// TaskRunning follows scx_bpf_task_running: is t the current task of its CPU?
func (k *Kernel) TaskRunning(t *sim.Task) bool { return k.m.Curr(t.CPU()) == t }

// TaskCPU follows scx_bpf_task_cpu.
func (k *Kernel) TaskCPU(t *sim.Task) sim.CPU { return t.CPU() }

// TaskSetSlice follows scx_bpf_task_set_slice; the slice is in ns.
func (k *Kernel) TaskSetSlice(t *sim.Task, slice uint64) bool {
	if k.prog() == nil || !k.onSched(k.prog(), t) {
		return false
	}
	t.K.SetSlice(slice)
	return true
}

// TaskSetDSQVtime follows scx_bpf_task_set_dsq_vtime.
func (k *Kernel) TaskSetDSQVtime(t *sim.Task, vtime uint64) bool {
	if k.prog() == nil || !k.onSched(k.prog(), t) {
		return false
	}
	t.K.SetDSQVtime(vtime)
	return true
}

// TIDToTask follows scx_bpf_tid_to_task: the task with that p->scx.tid, nil if there is none.
func (k *Kernel) TIDToTask(tid uint64) *sim.Task {
	if k.tids == nil {
		if k.prog() != nil {
			k.scxError("scx_bpf_tid_to_task() called without SCX_OPS_TID_TO_TASK")
		}
		return nil
	}
	return k.tids[tid]
}

// CPUCurr follows scx_bpf_cpu_curr: the task that runs on cpu (its idle task if none does), nil if there is no such
// CPU.
func (k *Kernel) CPUCurr(cpu sim.CPU) *sim.Task {
	if k.prog() == nil || !k.prog().cpuValid(cpu, "") {
		return nil
	}
	return k.m.Curr(cpu)
}

// LockedCPU follows scx_bpf_locked_rq: the CPU whose runqueue is locked in the running callback, sim.NoCPU (and the end
// of the policy) if none is.
func (k *Kernel) LockedCPU() sim.CPU {
	if k.prog() == nil {
		return sim.NoCPU
	}
	if k.frame.Locked == sim.NoCPU {
		k.scxError("accessing rq without holding rq lock")
	}
	return k.frame.Locked
}

// CPUForRQ follows scx_bpf_cpu_rq: it checks cpu and returns it, sim.NoCPU if there is no such CPU.
func (k *Kernel) CPUForRQ(cpu sim.CPU) sim.CPU {
	if k.prog() == nil || !k.prog().cpuValid(cpu, "") {
		return sim.NoCPU
	}
	if !k.prog().warnedDeprecatedRQ {
		k.print("sched_ext: scx_bpf_cpu_rq() is deprecated; use scx_bpf_locked_rq() when holding rq lock " +
			"or scx_bpf_cpu_curr() to read remote curr safely.")
		k.prog().warnedDeprecatedRQ = true
	}
	return cpu
}

// Now follows scx_bpf_now: ns since boot by the clock of the running CPU's runqueue.
func (k *Kernel) Now() uint64 { return uint64(k.m.Clock(k.m.ThisCPU()).Add(k.m.Boot())) }

// NrCPUIDs follows scx_bpf_nr_cpu_ids.
func (k *Kernel) NrCPUIDs() uint32 { return uint32(k.m.NrCPUs()) }

// NrNodeIDs follows scx_bpf_nr_node_ids.
func (k *Kernel) NrNodeIDs() uint32 { return uint32(k.m.Topo().Nodes) }

// CPUPerfCap follows scx_bpf_cpuperf_cap: the capacity of cpu, 1024 for the fastest.
func (k *Kernel) CPUPerfCap(cpu sim.CPU) uint32 {
	if k.prog() == nil || !k.prog().cpuValid(cpu, "") {
		return ops.CPUPerfOne
	}
	return uint32(k.m.Topo().CPUs[cpu].Capacity)
}

// CPUPerfCur follows scx_bpf_cpuperf_cur: the current performance of cpu relative to its best.
func (k *Kernel) CPUPerfCur(cpu sim.CPU) uint32 {
	if k.prog() == nil || !k.prog().cpuValid(cpu, "") {
		return ops.CPUPerfOne
	}
	return uint32(k.m.Speed(cpu))
}

// CPUPerfSet follows scx_bpf_cpuperf_set: the machine follows the target if it changes its speed at all.
func (k *Kernel) CPUPerfSet(cpu sim.CPU, perf uint32) {
	if k.prog() == nil {
		return
	}
	if perf > ops.CPUPerfOne {
		k.scxError("Invalid cpuperf target %d for CPU %d", perf, cpu)
		return
	}
	if !k.prog().cpuValid(cpu, "") {
		return
	}
	if k.frame.Locked != sim.NoCPU && k.frame.Locked != cpu {
		k.scxError("Invalid target CPU %d", cpu)
		return
	}
	k.rqs[cpu].perfTarget = perf
	k.m.RequestSpeed(cpu, int(perf))
}

// CPUPerfTarget is what CPUPerfSet set, 1024 at first.
func (k *Kernel) CPUPerfTarget(cpu sim.CPU) uint32 { return k.rqs[cpu].perfTarget }

// ErrorBPF follows scx_bpf_error: the policy ends itself because of an error.
func (k *Kernel) ErrorBPF(msg string) {
	if s := k.prog(); s != nil {
		s.exit(ops.ExitErrorBPF, 0, int32(k.m.ThisCPU()), "%s", msg)
	}
}

// ExitBPF follows scx_bpf_exit: the policy ends itself in an orderly way.
func (k *Kernel) ExitBPF(code int64, msg string) {
	if s := k.prog(); s != nil {
		s.exit(ops.ExitUnregBPF, code, int32(k.m.ThisCPU()), "%s", msg)
	}
}

// Fault ends the policy because its program could not go on.
func (k *Kernel) Fault(msg string) { k.scxError("%s", msg) }

// TaskSubject follows scx_kf_arg_task_ok for kernel functions that take a task of the running callback only
// (scx_bpf_task_cgroup): any other ends the policy.
func (k *Kernel) TaskSubject(t *sim.Task) bool { return k.prog() != nil && k.argTaskOK(t) }
