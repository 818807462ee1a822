package ext

import (
	"fmt"

	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/sim"
)

// exitReason follows scx_exit_reason.
func exitReason(kind ops.ExitKind) string {
	switch kind {
	case ops.ExitUnreg:
		return "unregistered from user space"
	case ops.ExitUnregBPF:
		return "unregistered from BPF"
	case ops.ExitUnregKern:
		return "unregistered from the main kernel"
	case ops.ExitSysRq:
		return "disabled by sysrq-S"
	case ops.ExitParent:
		return "parent exiting"
	case ops.ExitError:
		return "runtime error"
	case ops.ExitErrorBPF:
		return "scx_bpf_error"
	case ops.ExitErrorStall:
		return "runnable task stall"
	}
	return "<UNKNOWN>"
}

// scxError follows scx_error: the policy did something that it must not. It is turned off after the running event;
// until then the core goes on as the kernel does, in whatever way keeps tasks running.
func (k *Kernel) scxError(format string, args ...any) {
	k.scxExit(ops.ExitError, 0, int32(k.m.ThisCPU()), format, args...)
}

// scxExit follows scx_vexit. Only the first exit counts.
func (k *Kernel) scxExit(kind ops.ExitKind, code int64, cpu int32, format string, args ...any) {
	if !k.claimExit(kind) {
		return
	}
	info := k.sch.info
	info.ExitCode = code
	info.Msg = fmt.Sprintf(format, args...)
	if len(info.Msg) > ops.ExitMsgLen-1 {
		info.Msg = info.Msg[:ops.ExitMsgLen-1]
	}
	info.Kind = kind
	info.Reason = exitReason(kind)
	info.ExitCPU = cpu
	k.exitInfo = info
	k.queueDisable()
}

// claimExit follows scx_claim_exit: the first caller ends the policy. From now on no queue is consumed but those of
// bypass mode.
func (k *Kernel) claimExit(kind ops.ExitKind) bool {
	if k.sch == nil || k.sch.exitKind != ops.ExitNone {
		return false
	}
	if kind == ops.ExitNone || kind == ops.ExitDone {
		kind = ops.ExitError
	}
	k.sch.exitKind = kind
	k.sch.aborting = true
	return true
}

// Disable ends the policy in an orderly way, as unregistering it from user space does with ops.ExitUnreg. Called from
// a callback it takes effect after the running event; otherwise the policy is gone when Disable returns. It does
// nothing when no policy is enabled.
func (k *Kernel) Disable(kind ops.ExitKind) {
	if !k.claimExit(kind) {
		return
	}
	if k.depth > 0 {
		k.queueDisable()
		return
	}
	k.disableWork()
}

// queueDisable queues disable_irq_work.
func (k *Kernel) queueDisable() {
	this := &k.rqs[k.m.ThisCPU()]
	k.m.QueueIRQWork(this.cpu, &this.disable)
}

// disableWork follows scx_disable_irq_workfn and scx_disable_workfn.
func (k *Kernel) disableWork() {
	sch := k.sch
	if sch == nil || sch.exitKind == ops.ExitDone || sch.exitKind == ops.ExitNone {
		return
	}
	if sch.info.Kind >= ops.ExitError {
		k.dumpState(sch.info, sch.ops.ExitDumpLen)
	}
	sch.info.Kind = sch.exitKind
	sch.info.Reason = exitReason(sch.exitKind)
	sch.exitKind = ops.ExitDone
	k.exitInfo = sch.info
	k.rootDisable(sch)
}

// rootDisable follows scx_root_disable: all tasks leave the policy, then it is told why.
func (k *Kernel) rootDisable(sch *sched) {
	k.scxBypass(true)
	k.setEnableState(ops.Disabling)
	k.switchedAll, k.switchingAll = false, false
	k.cgroupExit()
	k.initTasks = false

	k.m.Tasks(func(t *sim.Task) {
		if taskState(t) == ops.TaskDead {
			return
		}
		to := k.classFor(t)
		flags := sim.DeqSave | sim.DeqMove | sim.DeqNoClock
		if to != t.Class {
			flags |= sim.DeqClass
		}
		k.m.Change(t, flags, func() { t.Class = to })
		k.disableAndExitTask(t)
	})
	k.swapServers(true)
	sch.dumpDisabled = true
	k.enabled = false
	k.m.SetClassFor(nil)
	k.tids = nil
	sch.hasOp = 0
	k.idle.enabled, k.idle.perNode = false, false
	k.logDisable(sch)
	if sch.ops.Exit != nil {
		k.callExit(sch.info)
	}
	k.scxBypass(false)
	for i := range k.rqs {
		r := &k.rqs[i]
		r.reenqUsers, r.reenqLocal.pending = r.reenqUsers[:0], false
		r.dsp.buf = r.dsp.buf[:0]
		r.cpuReleased, r.bypassing = false, false
		k.m.RequestSpeed(r.cpu, sim.FullSpeed)
	}
	k.m.Cancel(&k.lbTimer)
	k.lastEvents = sch.events
	k.sch = nil
	k.refreshWatchdog()
	k.setEnableState(ops.Disabled)
}

// logDisable follows scx_log_sched_disable.
func (k *Kernel) logDisable(sch *sched) {
	k.print("sched_ext: BPF scheduler \"%s\" disabled (%s)", sch.ops.Name, sch.info.Reason)
	if sch.info.Kind >= ops.ExitError && sch.info.Msg != "" {
		k.print("sched_ext: %s: %s", sch.ops.Name, sch.info.Msg)
	}
}

// setEnableState changes the state and tells so.
func (k *Kernel) setEnableState(to ops.EnableState) {
	k.state = to
	kind := ops.ExitNone
	if k.sch != nil {
		kind = k.sch.info.Kind
	} else if to == ops.Disabled && k.exitInfo != nil {
		kind = k.exitInfo.Kind
	}
	k.m.Emit(sim.Record{Kind: sim.KindExtState, CPU: k.m.ThisCPU(), A: uint64(to), B: uint64(kind)})
}

// print is printk.
func (k *Kernel) print(format string, args ...any) {
	k.log = append(k.log, fmt.Sprintf(format, args...))
}
