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

// RCUStall follows scx_rcu_cpu_stall.
func (k *Kernel) RCUStall() bool { return k.handleLockup(-1, "RCU CPU stall detected!") }

// SoftLockup follows scx_softlockup: cpu has run kernel code for that many seconds.
func (k *Kernel) SoftLockup(cpu sim.CPU, seconds uint32) bool {
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
