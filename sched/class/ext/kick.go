package ext

import (
	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/sim"
)

// kickCPU follows scx_kick_cpu: it asks cpu to reschedule, after the running event.
func (k *Kernel) kickCPU(sch *sched, cpu sim.CPU, flags uint64) {
	this := &k.rqs[k.m.ThisCPU()]
	if sch.bypassing(this) {
		return
	}
	k.m.Tell(sim.KindKick, this.cpu, 0, uint64(cpu), flags)
	if flags&ops.KickIdle != 0 {
		if flags&(ops.KickPreempt|ops.KickWait) != 0 {
			sch.error("PREEMPT/WAIT cannot be used with SCX_KICK_IDLE")
		}
		// The runqueue of the running callback is locked, and cannot be looked at.
		if k.frame.Locked != cpu && k.canSkipIdleKick(&k.rqs[cpu]) {
			return
		}
		this.toKickIfIdle.set(cpu)
	} else {
		this.toKick.set(cpu)
		if flags&ops.KickPreempt != 0 {
			this.toPreempt.set(cpu)
		}
		if flags&ops.KickWait != 0 {
			this.toWait.set(cpu)
		}
	}
	k.m.QueueIRQWork(this.cpu, &this.kick)
}

// canSkipIdleKick follows can_skip_idle_kick: r will go through the dispatch path before it is idle.
func (k *Kernel) canSkipIdleKick(r *rq) bool { return !k.currIdle(r.cpu) && r.flags&rqInBalance == 0 }

// kickCPUs follows kick_cpus_irq_workfn, which comes by an interrupt of its own.
func (k *Kernel) kickCPUs(this *rq) {
	if d := k.m.Costs().IRQWork; d > 0 {
		k.m.Charge(this.cpu, sim.CostIRQWork, d)
	}
	wait := false
	for cpu := this.toKick.next(0); cpu != sim.NoCPU; cpu = this.toKick.next(cpu + 1) {
		wait = k.kickOneCPU(&k.rqs[cpu], this) || wait
		this.toKick.clear(cpu)
		this.toKickIfIdle.clear(cpu)
	}
	for cpu := this.toKickIfIdle.next(0); cpu != sim.NoCPU; cpu = this.toKickIfIdle.next(cpu + 1) {
		if r := &k.rqs[cpu]; !k.canSkipIdleKick(r) && (k.m.Online(cpu) || r == this) {
			k.reschedKicked(r)
		}
		this.toKickIfIdle.clear(cpu)
	}
	if wait {
		this.kickSyncPending = true
		k.m.Resched(this.cpu)
	}
}

// A policy may kick a CPU each time that it has nothing to run there, or dispatch for ever what cannot run. On a real
// machine that burns time; on a machine without costs time would stand still. So a CPU that was kicked through the
// scheduler maxPicksAtOnce times at one moment, or went through ops.dispatch until the kernel gave up, is rescheduled
// spinTime later.
const (
	maxPicksAtOnce = 64
	spinTime       = 10 * sim.Microsecond
)

// reschedKicked reschedules a CPU that was kicked.
func (k *Kernel) reschedKicked(r *rq) {
	if r.picks >= maxPicksAtOnce && r.pickAt == k.m.Now() {
		k.reschedLate(r)
		return
	}
	k.m.Resched(r.cpu)
}

// reschedLate reschedules a CPU whose policy spins.
func (k *Kernel) reschedLate(r *rq) {
	if !r.late.Armed() {
		k.m.Arm(&r.late, r.cpu, max(k.m.Now().Add(spinTime), k.m.RQClock(r.cpu)))
	}
}

// kickOneCPU follows kick_one_cpu; it tells whether this CPU has to wait.
func (k *Kernel) kickOneCPU(r, this *rq) bool {
	wait := false
	curr := k.m.Curr(r.cpu)
	if (k.m.Online(r.cpu) || r == this) && !k.aboveExt(r.cpu, curr) {
		if this.toPreempt.has(r.cpu) && k.onExt(curr) {
			curr.K.SetSlice(0)
		}
		if this.toWait.has(r.cpu) && k.onExt(curr) {
			this.toSync.set(r.cpu)
			this.ksyncs[r.cpu] = r.kickSync
			wait = true
		}
		k.reschedKicked(r)
	}
	this.toPreempt.clear(r.cpu)
	this.toWait.clear(r.cpu)
	return wait
}

// kickSyncWait follows kick_sync_wait_bal_cb. The kernel spins until the kicked CPUs have been through the scheduler;
// they were all interrupted at the same time, so this CPU loses one interrupt's latency if any of them has not yet.
func (k *Kernel) kickSyncWait(this *rq) {
	waited := false
	for i := range k.rqs {
		r := &k.rqs[i]
		if !this.toSync.has(r.cpu) {
			continue
		}
		this.toSync.clear(r.cpu)
		if r != this && r.kickSync == this.ksyncs[r.cpu] {
			waited = true
		}
	}
	if d := k.m.Costs().IPI; waited && d > 0 {
		k.m.Charge(this.cpu, sim.CostIPI, d)
	}
}
