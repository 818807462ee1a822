package ext

import (
	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/sim"
)

// verdict is what the dispatch of a CPU concluded (enum scx_dsp_verdict).
type verdict uint8

const (
	dspNone  verdict = iota // nothing to run
	dspLocal                // the local DSQ has tasks
	dspPrev                 // keep running prev
)

// dispatchSched follows scx_dispatch_sched. nested tells that another instance dispatches on behalf of sch.
func (k *Kernel) dispatchSched(sch *sched, r *rq, prev *sim.Task, nested bool) verdict {
	if k.consumeGlobalDSQ(sch, r) {
		return dspLocal
	}
	if sch.bypassDspDepth > 0 {
		p := &sch.pcpu[r.cpu]
		if p.bypassing {
			if k.consumeDispatchQ(sch, r, &p.bypass, 0) {
				return dspLocal
			}
			return dspNone
		}
		// A child bypasses: its tasks run now and then.
		p.hostSeq++
		if (p.hostSeq-1)%bypassHostNth == 0 && k.consumeDispatchQ(sch, r, &p.bypass, 0) {
			sch.events.SubBypassDispatch++
			return dspLocal
		}
	}
	if !sch.has(ops.Dispatch) || r.flags&rqOnline == 0 {
		return dspNone
	}
	c := sch.dsp(r.cpu)
	c.rq = r
	arg := prev
	if !k.onExt(prev) || k.schedOf(prev) != sch {
		arg = nil
	}
	for loops := ops.DspMaxLoops; ; {
		c.nrTasks = 0
		if nested {
			sch.callDispatch(r, arg)
		} else {
			r.subDispatchPrev = prev
			sch.callDispatch(r, arg)
			r.subDispatchPrev = nil
		}
		k.flushDispatchBuf(sch, c, r)
		if queued(prev) && prev.K.Slice() != 0 {
			return dspPrev
		}
		if r.local.nr > 0 || k.consumeGlobalDSQ(sch, r) {
			return dspLocal
		}
		// A policy that dispatches only what cannot run here must not hold the CPU for ever.
		if loops--; loops == 0 {
			k.reschedLate(r) // the kernel kicks the CPU
			break
		}
		if c.nrTasks == 0 {
			break
		}
	}
	if sch.bypassDspDepth > 0 && k.consumeDispatchQ(sch, r, &sch.pcpu[r.cpu].bypass, 0) {
		return dspLocal
	}
	return dspNone
}

// balanceOne follows balance_one: it finds something to run on r, where prev ran until now.
func (k *Kernel) balanceOne(r *rq, prev *sim.Task) verdict {
	sch := k.sch
	r.flags |= rqInBalance
	if sch.hasCPUPreempt && r.cpuReleased {
		if sch.ops.CPUAcquire != nil {
			sch.callCPUAcquire(r)
		}
		r.cpuReleased = false
	}
	v := dspNone
	prevOnExt := k.onExt(prev)
	if prevOnExt {
		k.updateCurr(r.cpu)
	}
	switch {
	case prevOnExt && queued(prev) && prev.K.Slice() != 0 && !sch.bypassing(r):
		v = dspPrev
	case r.local.nr > 0:
		v = dspLocal
	default:
		v = k.dispatchSched(sch, r, prev, false)
		if v == dspNone && queued(prev) && (sch.ops.Flags&ops.FlagEnqLast == 0 || sch.bypassing(r)) {
			sch.events.DispatchKeepLast++
			v = dspPrev
		}
	}
	if v != dspNone && r.local.nr > 1 && r.nrImmed > 0 {
		k.scheduleReenqLocal(r, 0)
	}
	r.flags &^= rqInBalance
	return v
}

// Pace has the CPU get to where the program of ops.dispatch is, and other CPUs do what they do meanwhile. Programs call it before they
// take a lock or look at a queue: what they do between two such places is one instant.
func (k *Kernel) Pace() {
	if k.frame.Callback != ops.Dispatch || k.cur.ops.Cost == nil || !k.m.Elapses() {
		return
	}
	cpu := k.frame.CPU
	if d := k.cur.ops.Cost() - k.callbackCost; d > 0 {
		k.paid += d
		k.m.Charge(cpu, sim.CostCallback, d)
	}
	k.elapse()
}

// elapse is sim.Machine.Elapse for the middle of a pick; what runs meanwhile is in no callback.
func (k *Kernel) elapse() {
	frame, cur, ddsp := k.frame, k.cur, k.ddsp
	k.frame, k.cur, k.ddsp = ops.Frame{Locked: sim.NoCPU}, nil, ddspState{}
	k.m.Elapse()
	k.frame, k.cur, k.ddsp = frame, cur, ddsp
}

// Pick follows do_pick_task_scx.
func (k *Kernel) Pick(cpu sim.CPU, prev *sim.Task) *sim.Task {
	if !k.enabled {
		return nil
	}
	r := &k.rqs[cpu]
	r.kickSync++
	if now := k.m.Now(); r.pickAt != now {
		r.pickAt, r.picks = now, 0
	}
	r.picks++
	v := k.balanceOne(r, prev)
	if r.flags&rqBalCBPending != 0 {
		r.flags &^= rqBalCBPending
		k.m.QueueIRQWork(r.cpu, &r.deferred)
	}
	if r.kickSyncPending {
		r.kickSyncPending = false
		k.kickSyncWait(r)
	}
	if v == dspPrev && k.onExt(prev) {
		if prev.K.Slice() == 0 {
			k.schedOf(prev).refillSliceDfl(prev)
		}
		return prev
	}
	t := r.local.list.first()
	if t == nil {
		return nil
	}
	if t.K.Slice() == 0 {
		sch := k.schedOf(t)
		if !sch.bypassing(r) && !sch.warnedZeroSlice {
			k.print("sched_ext: %s[%d] has zero slice in do_pick_task_scx()", t.Comm, t.PID)
			sch.warnedZeroSlice = true
		}
		sch.refillSliceDfl(t)
	}
	return t
}

// SetNext follows set_next_task_scx.
func (k *Kernel) SetNext(cpu sim.CPU, t *sim.Task, _ bool) {
	r := &k.rqs[cpu]
	e := k.ent(t)
	if queued(t) {
		k.opsDequeue(r, e, ops.DeqCoreSchedExec)
		k.dispatchDequeue(e)
	}
	if sch := k.schedOf(t); sch.has(ops.Running) && queued(t) {
		sch.callRunning(r, t)
	}
	clrTaskRunnable(e, true)
	// What the tick made room for starts after the tick, however fast the machine: without costs both have the same
	// time, and a slice of so many ticks would end a tick earlier than on any real machine.
	r.lag = 0
	if r.tickAt != 0 && k.m.RQClock(cpu) == r.tickAt {
		r.lag = sim.Nanosecond
	}
}

// PutPrev follows put_prev_task_scx.
func (k *Kernel) PutPrev(cpu sim.CPU, prev, next *sim.Task) {
	r := &k.rqs[cpu]
	r.kickSync++
	k.updateCurr(cpu)
	if queued(prev) {
		if sch := k.schedOf(prev); sch.has(ops.Stopping) {
			sch.callStopping(r, prev, true)
		}
		k.putPrevQueued(r, k.ent(prev), next)
	}
	if next != nil && !k.onExt(next) {
		k.switchClass(r, next)
	}
}

// putPrevQueued is the part of put_prev_task_scx that finds a place for a task that can still run.
func (k *Kernel) putPrevQueued(r *rq, e *entity, next *sim.Task) {
	t := e.t
	k.setTaskRunnable(r, e)
	switch {
	case t.K.Slice() != 0 && !e.sch.bypassing(r):
		// Preempted by a higher class: it goes on next, unless it insists on running at once.
		if hasFlags(t, ops.TaskImmed) {
			setFlags(t, ops.TaskReenqPreempted)
			k.doEnqueueTask(r, e, ops.EnqReenq, -1)
			clearFlags(t, ops.TaskReenqReasonMask)
		} else {
			k.dispatchEnqueue(e.sch, r, &r.local, t, ops.EnqHead)
		}
	case next != nil && k.isIdle(r.cpu, next):
		k.doEnqueueTask(r, e, ops.EnqLast, -1)
		if e.dsq == &r.local {
			k.m.QueueIRQWork(r.cpu, &r.repick) // the idle task gives way at once
		}
	default:
		k.doEnqueueTask(r, e, 0, -1)
	}
}

// switchClass follows switch_class: it tells the policy that a higher class takes the CPU.
func (k *Kernel) switchClass(r *rq, next *sim.Task) {
	if !k.sch.hasCPUPreempt || k.isIdle(r.cpu, next) || r.cpuReleased {
		return
	}
	if k.sch.ops.CPURelease != nil {
		k.sch.callCPURelease(r, preemptReason(next), next)
	}
	r.cpuReleased = true
}

// preemptReason follows preempt_reason_from_class.
func preemptReason(next *sim.Task) ops.PreemptReason {
	switch next.Class.Name() {
	case "stop":
		return ops.PreemptStop
	case "dl":
		return ops.PreemptDL
	case "rt":
		return ops.PreemptRT
	}
	return ops.PreemptUnknown
}

// updateCurr follows update_curr_scx: it charges the running task.
func (k *Kernel) updateCurr(cpu sim.CPU) {
	delta := k.m.AccountExec(cpu)
	if delta <= 0 {
		return
	}
	r := &k.rqs[cpu]
	ran := delta - r.lag
	r.lag = 0
	t := k.m.Curr(cpu)
	if s := t.K.Slice(); s != ops.SliceInf {
		t.K.SetSlice(s - min(s, uint64(ran)))
	}
	k.m.ServerUpdate(cpu, k, delta)
}

// Tick follows task_tick_scx. Slices are looked at here and nowhere else while a task runs.
func (k *Kernel) Tick(cpu sim.CPU, cur *sim.Task) {
	r := &k.rqs[cpu]
	k.updateCurr(cpu)
	r.tickAt = k.m.Now()
	if sch := k.schedOf(cur); sch.bypassing(r) {
		cur.K.SetSlice(0)
	} else if sch.has(ops.Tick) {
		sch.callTick(r, cur)
	}
	if cur.K.Slice() == 0 {
		k.m.Resched(cpu)
	}
}
