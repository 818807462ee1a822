package ext

import (
	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/sim"
)

// What the kernel's watchdogs and the system request key do to a policy. The simulated machine has neither; who runs it calls
// these when something of the kind has happened.

// handleLockup follows handle_lockup: it ends the root policy and tells whether there was one to end.
func (k *Kernel) handleLockup(cpu int32, format string, args ...any) bool {
	s := k.sch
	if s == nil || s.exitKind != ops.ExitNone || k.state != ops.Enabling && k.state != ops.Enabled {
		return false
	}
	s.exit(ops.ExitError, 0, cpu, format, args...)
	return true
}

// RCUStall follows scx_rcu_cpu_stall: cpu keeps a grace period from ending. 7.2 does not tell which it is.
func (k *Kernel) RCUStall(cpu sim.CPU) bool {
	if k.old.Reenq {
		return k.handleLockup(int32(cpu), "RCU CPU stall on CPUs (%d)", cpu)
	}
	return k.handleLockup(-1, "RCU CPU stall detected!")
}

// SoftLockup follows scx_softlockup: cpu has run kernel code for that many seconds.
func (k *Kernel) SoftLockup(cpu sim.CPU, seconds uint32) bool {
	if k.old.Early {
		name := ""
		if k.sch != nil {
			name = k.sch.ops.Name
		}
		if !k.handleLockup(-1, "soft lockup - CPU#%d stuck for %ds", cpu, seconds) {
			return false
		}
		k.print("sched_ext: Soft lockup - CPU%d stuck for %ds, disabling %q", cpu, seconds, name)
		return true
	}
	if !k.handleLockup(int32(cpu), "soft lockup - CPU %d stuck for %ds", cpu, seconds) {
		return false
	}
	k.print("sched_ext: Soft lockup - CPU %d stuck for %ds, disabling BPF scheduler", cpu, seconds)
	return true
}

// HardLockup follows scx_hardlockup: cpu takes no interrupts.
func (k *Kernel) HardLockup(cpu sim.CPU) bool {
	if !k.handleLockup(int32(cpu), "hard lockup - CPU %d", cpu) {
		return false
	}
	k.print("sched_ext: Hard lockup - CPU %d, disabling BPF scheduler", cpu)
	return true
}

// WatchdogLate follows what scx_tick does on cpu when the watchdog, which is a worker thread's in the kernel, was last seen that many
// milliseconds ago.
func (k *Kernel) WatchdogLate(cpu sim.CPU, ms uint32) bool {
	s := k.sch
	if s == nil || s.exitKind != ops.ExitNone || !k.enabled {
		return false
	}
	s.exit(ops.ExitErrorStall, 0, int32(cpu), "watchdog failed to check in for %d.%03ds", ms/1000, ms%1000)
	return true
}

// SysRqReset follows sysrq_handle_sched_ext_reset: SysRq-S ends the policy.
func (k *Kernel) SysRqReset() {
	if k.sch == nil {
		k.print("sched_ext: BPF schedulers not loaded")
		return
	}
	k.Disable(ops.ExitSysRq)
}

// SysRqDump follows sysrq_handle_sched_ext_dump: SysRq-D dumps every instance, each with its own tasks. The kernel shows the
// dumps through the tracepoint sched_ext_dump.
func (k *Kernel) SysRqDump() []string {
	if k.sch == nil {
		return nil
	}
	var out []string
	k.sch.self(func(s *sched) {
		info := &ops.ExitInfo{Kind: ops.ExitNone, ExitCPU: -1, Reason: "SysRq-D"}
		k.dumpState(s, info, 0, false)
		out = append(out, info.Dump)
	})
	return out
}
