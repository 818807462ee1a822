package ext

import (
	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/sim"
)

// watchdog is scx_watchdog_work: it looks for tasks that wait too long, twice per timeout. The kernel's runs in a
// worker thread that the policy itself may starve; this one is always on time, so that the kernel's second check
// finds nothing by itself (WatchdogLate).
type watchdog struct {
	timer    sim.Timer
	interval uint64 // jiffies; 0: off
}

// watchdogMaxJiffies is SCX_WATCHDOG_MAX_TIMEOUT.
func (k *Kernel) watchdogMaxJiffies() uint64 { return k.msToJiffies(ops.WatchdogMaxTimeout) }

// refreshWatchdog follows refresh_watchdog.
func (k *Kernel) refreshWatchdog() {
	if k.sch == nil {
		k.watchdog.interval = 0
		k.m.Cancel(&k.watchdog.timer)
		return
	}
	shortest := k.sch.watchdogTimeout
	k.sch.descendants(func(s *sched) { shortest = min(shortest, s.watchdogTimeout) })
	k.watchdog.interval = max(shortest/2, 1)
	k.armWatchdog()
}

// armWatchdog arms the timer for the tick that is interval away, as queue_delayed_work does.
func (k *Kernel) armWatchdog() {
	at := (k.m.Ticks() + k.watchdog.interval) * uint64(k.jiffy)
	k.m.Arm(&k.watchdog.timer, 0, sim.Time(at))
}

// watchdogWork follows scx_watchdog_workfn.
func (k *Kernel) watchdogWork(sim.Time) {
	for i := range k.rqs {
		if k.checkRQForTimeouts(&k.rqs[i]) {
			break
		}
	}
	if k.watchdog.interval > 0 {
		k.armWatchdog()
	}
}

// checkRQForTimeouts follows check_rq_for_timeouts.
func (k *Kernel) checkRQForTimeouts(r *rq) bool {
	if k.sch == nil {
		return false
	}
	now := k.jiffies()
	for n := r.runnable.next; n != &r.runnable; n = n.next {
		t := n.t
		last := t.K.RunnableAt()
		sch := k.schedOf(t)
		if int64(last+sch.watchdogTimeout-now) < 0 {
			ms := k.jiffiesToMS(now - last)
			sch.exit(ops.ExitErrorStall, 0, int32(r.cpu), "%s[%d] failed to run for %d.%03ds",
				t.Comm, t.PID, ms/1000, ms%1000)
			return true
		}
	}
	return false
}
