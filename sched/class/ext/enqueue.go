package ext

import (
	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/sim"
)

// Enqueue follows enqueue_task_scx.
func (k *Kernel) Enqueue(cpu sim.CPU, t *sim.Task, f sim.EnqFlags) {
	r, sch := &k.rqs[cpu], k.schedOf(t)
	sticky := t.K.StickyCPU()
	enqFlags := uint64(uint32(f)) | r.extraEnq
	if sticky >= 0 {
		t.K.SetStickyCPU(-1)
	}
	if f&sim.EnqWakeup != 0 {
		r.flags |= rqInWakeup
	}
	// A running task that is put back must not go to the policy: SetNext follows.
	if enqFlags&uint64(sim.EnqRestore) != 0 && k.m.Curr(cpu) == t {
		sticky = int32(cpu)
	}
	if !queued(t) {
		e := k.ent(t)
		k.setTaskRunnable(r, e)
		setFlags(t, ops.TaskQueued)
		r.nrRunning++
		k.m.AddNrRunning(cpu, 1)
		if sch.has(ops.Runnable) && !t.Migrating {
			sch.callRunnable(r, t, enqFlags)
		}
		if r.nrRunning == 1 {
			k.m.ServerStart(cpu, k)
		}
		k.doEnqueueTask(r, e, enqFlags, sticky)
	}
	r.flags &^= rqInWakeup
	if enqFlags&ops.EnqCPUSelected != 0 && int32(cpu) != t.K.SelectedCPU() {
		sch.events.SelectCPUFallback++
	}
}

// doEnqueueTask follows do_enqueue_task: it decides where a task that became runnable waits. sticky is a CPU on whose
// local DSQ the task stays without being asked about, -1 for none.
func (k *Kernel) doEnqueueTask(r *rq, e *entity, enqFlags uint64, sticky int32) {
	t, sch := e.t, e.sch
	if sticky == int32(r.cpu) {
		k.dispatchEnqueue(sch, r, &r.local, t, enqFlags) // a move between CPUs, or the restored current task
		return
	}
	clearFlags(t, ops.TaskImmed)
	if k.old.Reenq && enqFlags&ops.EnqReenq != 0 && k.reenqTooOften(r, e) {
		return
	}

	var d *dsq
	switch {
	case !k.rqUsable(r):
		d = &r.local
	case sch.bypassing(r):
		sch.events.BypassDispatch++
		d = sch.bypassEnqTarget(t.CPU())
	case t.K.DdspDSQID() != ops.DSQInvalid:
		k.directDispatch(e, enqFlags)
		return
	case sch.ops.Flags&ops.FlagEnqExiting == 0 && t.Exiting:
		sch.events.EnqSkipExiting++
		d = &r.local
	case sch.ops.Flags&ops.FlagEnqMigrationDisabled == 0 && t.MigrationDisabled > 0:
		sch.events.EnqSkipMigrationDisabled++
		d = &r.local
	case !sch.has(ops.Enqueue):
		d = sch.findGlobalDSQ(t.CPU())
	default:
		r.qseq++
		if e.qseq++; e.qseq > opssQSeqMax {
			e.qseq = 1
		}
		if e.state != opssNone {
			panic("BUG: ext: task " + t.Comm + " is enqueued while the policy owns it")
		}
		e.setState(opssQueueing, e.qseq)
		k.ddsp = ddspState{task: t, active: true}
		sch.callEnqueue(r, t, enqFlags)
		k.ddsp = ddspState{}
		if t.K.DdspDSQID() != ops.DSQInvalid {
			k.directDispatch(e, enqFlags)
			return
		}
		setFlags(t, ops.TaskInCustody)
		e.setState(opssQueued, e.qseq)
		return
	}
	sch.refillSliceDfl(t)
	clearDirectDispatch(t)
	k.dispatchEnqueue(sch, r, d, t, enqFlags)
}

// opssQSeqMax is the largest QSEQ: SCX_OPSS_QSEQ_MASK >> SCX_OPSS_QSEQ_SHIFT, limited to the 32 bits of ops_qseq.
const opssQSeqMax = 1<<32 - 1

// rqUsable follows scx_rq_online.
func (k *Kernel) rqUsable(r *rq) bool { return r.flags&rqOnline != 0 && k.m.Active(r.cpu) }

// refillSliceDfl follows refill_task_slice_dfl.
func (s *sched) refillSliceDfl(t *sim.Task) {
	t.K.SetSlice(s.sliceDfl)
	s.events.RefillSliceDfl++
}

// setTaskRunnable follows set_task_runnable.
func (k *Kernel) setTaskRunnable(r *rq, e *entity) {
	if hasFlags(e.t, ops.TaskResetRunnableAt) {
		e.t.K.SetRunnableAt(k.jiffies())
		clearFlags(e.t, ops.TaskResetRunnableAt)
	}
	e.run.insertBefore(&r.runnable)
}

// clrTaskRunnable follows clr_task_runnable.
func clrTaskRunnable(e *entity, resetRunnableAt bool) {
	e.run.del()
	if resetRunnableAt {
		setFlags(e.t, ops.TaskResetRunnableAt)
		e.reenqs = 0
	}
}

// opsDequeue follows ops_dequeue: it takes the task back from the policy.
func (k *Kernel) opsDequeue(r *rq, e *entity, deqFlags uint64) {
	clrTaskRunnable(e, false)
	owned := e.state == opssQueued
	switch e.state {
	case opssQueueing:
		panic("BUG: ext: task " + e.t.Comm + " is dequeued while it is enqueued")
	case opssQueued:
		e.setState(opssNone, 0)
	}
	if (k.leaveCustody(e.t) || owned && k.old.Custody) && e.sch.has(ops.Dequeue) {
		e.sch.callDequeue(r, e.t, deqFlags)
	}
}

// Dequeue follows dequeue_task_scx.
func (k *Kernel) Dequeue(cpu sim.CPU, t *sim.Task, f sim.DeqFlags) bool {
	r := &k.rqs[cpu]
	deqFlags := uint64(f)
	if deqFlags&(ops.DeqSleep|ops.DeqCoreSchedExec) == 0 && !k.old.Custody {
		deqFlags |= ops.DeqSchedChange
	}
	if !queued(t) {
		return true
	}
	e := k.ent(t)
	k.opsDequeue(r, e, deqFlags)
	// The task leaves before it stops running; tell so here, to keep running..stopping inside runnable..quiescent.
	if k.m.Curr(cpu) == t && e.sch.has(ops.Stopping) {
		k.updateCurr(cpu)
		e.sch.callStopping(r, t, false)
	}
	if e.sch.has(ops.Quiescent) && !t.Migrating {
		e.sch.callQuiescent(r, t, deqFlags)
	}
	if deqFlags&ops.DeqSleep != 0 {
		setFlags(t, ops.TaskDeqdForSleep)
	} else {
		clearFlags(t, ops.TaskDeqdForSleep)
	}
	clearFlags(t, ops.TaskQueued)
	r.nrRunning--
	k.m.AddNrRunning(cpu, -1)
	k.dispatchDequeue(e)
	clearDirectDispatch(t)
	return true
}

// yieldTask follows yield_task_scx.
func (k *Kernel) yieldTask(cpu sim.CPU) {
	t := k.m.Curr(cpu)
	if sch := k.schedOf(t); sch.has(ops.Yield) {
		sch.callYield(&k.rqs[cpu], t, nil)
	} else {
		t.K.SetSlice(0)
	}
}

// wakeupPreempt follows wakeup_preempt_scx: tasks of sched_ext do not preempt each other on wakeup; a task of a higher
// class sends those away that insist on running at once.
func (k *Kernel) wakeupPreempt(cpu sim.CPU, t *sim.Task, _ sim.WakeFlags) {
	if k.onExt(t) || !k.enabled {
		return
	}
	if r := &k.rqs[cpu]; r.nrImmed > 0 {
		k.scheduleReenqLocal(r, 0)
	}
}

// taskWoken follows task_woken_scx.
func (k *Kernel) taskWoken(cpu sim.CPU, _ *sim.Task) { k.runDeferred(&k.rqs[cpu]) }

// allowTTWUQueue follows scx_allow_ttwu_queue, for tasks of this class: a policy that has not asked for it sees all wakeups end
// on the CPU of the waker.
func (k *Kernel) allowTTWUQueue(t *sim.Task) bool {
	sch := k.schedOf(t)
	return sch == nil || sch.ops.Flags&ops.FlagAllowQueuedWakeup != 0
}

// SelectCPU follows select_task_rq_scx.
func (k *Kernel) SelectCPU(t *sim.Task, prev sim.CPU, f sim.WakeFlags) sim.CPU {
	if f&sim.WakeExec != 0 {
		return prev
	}
	sch := k.schedOf(t)
	bypassing := sch.bypassing(k.taskRQ(t))
	if sch.has(ops.SelectCPU) && !bypassing {
		this := &k.rqs[k.m.ThisCPU()]
		k.ddsp = ddspState{task: t, active: true}
		this.inSelectCPU = true
		cpu := sch.callSelectCPU(t, prev, uint64(f))
		this.inSelectCPU = false
		t.K.SetSelectedCPU(int32(cpu))
		k.ddsp = ddspState{}
		if sch.cpuValid(cpu, "from ops.select_cpu()") {
			return cpu
		}
		return prev
	}
	cpu := k.selectCPUDfl(t, prev, uint64(f), nil, 0)
	if cpu >= 0 {
		sch.refillSliceDfl(t)
		t.K.SetDdspDSQID(ops.DSQLocal)
	} else {
		cpu = prev
	}
	t.K.SetSelectedCPU(int32(cpu))
	if bypassing {
		sch.events.BypassDispatch++
	}
	return cpu
}
