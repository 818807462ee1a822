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
	case ops.ExitErrorReenq:
		return "reenqueue limit"
	}
	return "<UNKNOWN>"
}

// scxError follows scx_error, of the instance on whose behalf code runs.
func (k *Kernel) scxError(format string, args ...any) {
	if s := k.prog(); s != nil {
		s.error(format, args...)
	}
}

// error follows scx_error: the policy did something that it must not. It is turned off after the running event; until then
// the core goes on as the kernel does, in whatever way keeps tasks running.
func (s *sched) error(format string, args ...any) {
	s.exit(ops.ExitError, 0, int32(s.k.m.ThisCPU()), format, args...)
}

// exit follows scx_vexit. Only the first exit of an instance counts.
func (s *sched) exit(kind ops.ExitKind, code int64, cpu int32, format string, args ...any) {
	if !s.claimExit(kind) {
		return
	}
	info := s.info
	info.ExitCode = code
	info.Msg = fmt.Sprintf(format, args...)
	if len(info.Msg) > ops.ExitMsgLen-1 {
		info.Msg = info.Msg[:ops.ExitMsgLen-1]
	}
	info.Kind = kind
	info.Reason = exitReason(kind)
	info.ExitCPU = cpu
	if s.parent == nil {
		s.k.exitInfo = info
	}
	s.queueDisable()
	if s.k.enabling && s.k.frame.Locked == sim.NoCPU {
		s.dumpOnce() // the interrupt comes at once
	}
}

// dumpOnce is scx_disable_irq_workfn's part of the end: the dump of an error shows how things were when it happened.
func (s *sched) dumpOnce() {
	if s.info.Kind >= ops.ExitError && !s.dumped {
		s.dumped = true
		s.k.dumpState(s, s.info, s.ops.ExitDumpLen, true)
	}
}

// claimExit follows scx_claim_exit: the first caller ends the instance, and those below it. From now on no queue is consumed
// but those of bypass mode.
func (s *sched) claimExit(kind ops.ExitKind) bool {
	if s.exitKind != ops.ExitNone {
		return false
	}
	if kind == ops.ExitNone || kind == ops.ExitDone {
		kind = ops.ExitError
	}
	s.exitKind, s.exitedAt = kind, s.k.m.Now()
	s.aborting = true
	if kind != ops.ExitParent {
		s.descendants(func(d *sched) { d.disable(ops.ExitParent) })
	}
	return true
}

// disable follows scx_disable.
func (s *sched) disable(kind ops.ExitKind) {
	if s.claimExit(kind) {
		s.queueDisable()
	}
}

// Disable ends the policy in an orderly way, as unregistering it from user space does with ops.ExitUnreg. Called from
// a callback it takes effect after the running event; otherwise the policy is gone when Disable returns. It does
// nothing when no policy is enabled.
func (k *Kernel) Disable(kind ops.ExitKind) {
	if k.sch != nil {
		k.disableNow(k.sch, kind)
	}
}

func (k *Kernel) disableNow(s *sched, kind ops.ExitKind) {
	s.disable(kind)
	if k.depth == 0 {
		k.disableWorks()
	}
}

// queueDisable queues disable_irq_work.
func (s *sched) queueDisable() {
	k := s.k
	if s.dying {
		return
	}
	s.dying = true
	k.dying = append(k.dying, s)
	this := &k.rqs[k.m.ThisCPU()]
	k.m.QueueIRQWork(this.cpu, &this.disable)
}

// disableWorks runs the disable works that are due. Instances wait for those below them, which ends them first.
func (k *Kernel) disableWorks() {
	for len(k.dying) > 0 {
		deepest := 0
		for i, s := range k.dying {
			if s.level > k.dying[deepest].level {
				deepest = i
			}
		}
		s := k.dying[deepest]
		k.dying = append(k.dying[:deepest], k.dying[deepest+1:]...)
		k.disableWork(s)
	}
}

// disableWork follows scx_disable_irq_workfn and scx_disable_workfn.
func (k *Kernel) disableWork(sch *sched) {
	if sch.exitKind == ops.ExitDone || sch.exitKind == ops.ExitNone {
		return
	}
	sch.dumpOnce()
	sch.info.Kind = sch.exitKind
	sch.info.Reason = exitReason(sch.exitKind)
	sch.exitKind = ops.ExitDone
	if sch.parent != nil {
		k.subDisable(sch)
		return
	}
	k.exitInfo = sch.info
	k.rootDisable(sch)
}

// rootDisable follows scx_root_disable: all tasks leave the policy, then it is told why.
func (k *Kernel) rootDisable(sch *sched) {
	k.scxBypass(sch, true)
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
	k.enabled, k.cidType = false, false
	k.groupSched = nil
	k.m.SetClassFor(nil)
	k.tids = nil
	sch.hasOp = 0
	k.idle.enabled, k.idle.perNode = false, false
	k.logDisable(sch)
	if sch.ops.Exit != nil {
		sch.callExit(sch.info)
	}
	k.scxBypass(sch, false)
	for i := range k.rqs {
		r := &k.rqs[i]
		r.reenqUsers, r.reenqLocals = r.reenqUsers[:0], r.reenqLocals[:0]
		r.cpuReleased = false
		k.m.RequestSpeed(r.cpu, sim.FullSpeed)
	}
	k.m.Cancel(&sch.lbTimer)
	k.lastEvents = sch.events
	k.sch = nil
	k.refreshWatchdog()
	k.setEnableState(ops.Disabled)
}

// logDisable follows scx_log_sched_disable.
func (k *Kernel) logDisable(sch *sched) {
	what := "scheduler"
	if sch.parent != nil {
		what = "sub-scheduler"
	}
	k.print("sched_ext: BPF %s \"%s\" disabled (%s)", what, sch.ops.Name, sch.info.Reason)
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

// Print is printk by a kernel function.
func (k *Kernel) Print(line string) { k.log = append(k.log, line) }

// print is printk.
func (k *Kernel) print(format string, args ...any) {
	k.log = append(k.log, fmt.Sprintf(format, args...))
}
