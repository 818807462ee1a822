package ext

import (
	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/sim"
)

// moveLocalTaskToLocalDSQ follows move_local_task_to_local_dsq: t stays on its CPU and was just unlinked.
func (k *Kernel) moveLocalTaskToLocalDSQ(sch *sched, e *entity, enqFlags uint64, dst *rq) {
	d := &dst.local
	if enqFlags&(ops.EnqHead|ops.EnqPreempt) != 0 {
		e.list.insertAfter(&d.list)
	} else {
		e.list.insertBefore(&d.list)
	}
	k.dsqIncNr(d, e.t, enqFlags)
	e.dsq = d
	k.m.Tell(sim.KindDSQInsert, dst.cpu, e.t.PID, d.recordID(), uint64(d.nr))
	k.localDSQPostEnq(sch, d, e.t, enqFlags)
}

// moveRemoteTaskToLocalDSQ follows move_remote_task_to_local_dsq: t changes its CPU. The policy sees neither
// quiescent nor runnable, only dequeue when the task leaves its custody.
func (k *Kernel) moveRemoteTaskToLocalDSQ(t *sim.Task, enqFlags uint64, dst *rq) {
	t.K.SetStickyCPU(int32(dst.cpu))
	k.m.Deactivate(t, 0)
	k.m.SetTaskCPU(t, dst.cpu)
	dst.extraEnq = enqFlags
	k.m.Activate(t, 0)
	dst.extraEnq = 0
}

// taskAllowedOnCPU follows task_allowed_on_cpu.
func taskAllowedOnCPU(t *sim.Task, cpu sim.CPU) bool { return t.K.Allows(int32(cpu)) }

// taskCanRunOnRemoteRQ follows task_can_run_on_remote_rq. With enforce, a task that must not go there ends the policy.
func (k *Kernel) taskCanRunOnRemoteRQ(sch *sched, t *sim.Task, r *rq, enforce bool) bool {
	if t.MigrationDisabled > 0 {
		if enforce {
			sch.error("SCX_DSQ_LOCAL[_ON] cannot move migration disabled %s[%d] from CPU %d to %d",
				t.Comm, t.PID, t.CPU(), r.cpu)
		}
		return false
	}
	if !taskAllowedOnCPU(t, r.cpu) {
		if enforce {
			sch.error("SCX_DSQ_LOCAL[_ON] target CPU %d not allowed for %s[%d]", r.cpu, t.Comm, t.PID)
		}
		return false
	}
	if !k.rqUsable(r) {
		if enforce {
			sch.events.DispatchLocalDSQOffline++
		}
		return false
	}
	return true
}

// consumeDispatchQ follows consume_dispatch_q: it moves the first task of d that may run on r to r's local DSQ.
func (k *Kernel) consumeDispatchQ(sch *sched, r *rq, d *dsq, enqFlags uint64) bool {
	for n := d.list.next; n != &d.list; n = n.next {
		t := n.t
		if t == nil {
			continue
		}
		if sch.aborting && d.id != ops.DSQBypass {
			break
		}
		e := k.ent(t)
		src := k.taskRQ(t)
		if r == src {
			k.unlinkFromDSQ(e, d)
			k.moveLocalTaskToLocalDSQ(sch, e, enqFlags, r)
			return true
		}
		if k.taskCanRunOnRemoteRQ(sch, t, r, false) {
			k.consumeRemoteTask(r, e, enqFlags, d)
			return true
		}
	}
	return false
}

// consumeRemoteTask follows consume_remote_task.
func (k *Kernel) consumeRemoteTask(r *rq, e *entity, enqFlags uint64, d *dsq) {
	k.unlinkFromDSQ(e, d)
	e.t.K.SetHoldingCPU(int32(k.m.ThisCPU()))
	k.moveRemoteTaskToLocalDSQ(e.t, enqFlags, r)
}

// consumeGlobalDSQ follows consume_global_dsq.
func (k *Kernel) consumeGlobalDSQ(sch *sched, r *rq) bool {
	return k.consumeDispatchQ(sch, r, sch.findGlobalDSQ(r.cpu), 0)
}

// moveTaskBetweenDSQs follows move_task_between_dsqs: src is not a local DSQ, dst may be any.
func (k *Kernel) moveTaskBetweenDSQs(sch *sched, e *entity, enqFlags uint64, src, dst *dsq) {
	t := e.t
	srcRQ := k.taskRQ(t)
	if dst.isLocal() && dst.rq != srcRQ && !k.taskCanRunOnRemoteRQ(sch, t, dst.rq, true) {
		dst = sch.findGlobalDSQ(t.CPU())
		enqFlags |= ops.EnqGDSQFallback
	}
	switch {
	case dst.isLocal() && dst.rq == srcRQ:
		k.unlinkFromDSQ(e, src)
		k.moveLocalTaskToLocalDSQ(sch, e, enqFlags, srcRQ)
	case dst.isLocal():
		k.moveRemoteTaskToLocalDSQ(t, enqFlags, dst.rq)
	default:
		k.unlinkFromDSQ(e, src)
		e.dsq = nil
		k.dispatchEnqueue(sch, srcRQ, dst, t, enqFlags)
	}
}

// dispatchToLocalDSQ follows dispatch_to_local_dsq: the caller owns the task.
func (k *Kernel) dispatchToLocalDSQ(sch *sched, r *rq, d *dsq, e *entity, enqFlags uint64) {
	t := e.t
	src, dst := k.taskRQ(t), d.rq
	if r == src && r == dst {
		k.dispatchEnqueue(sch, r, d, t, enqFlags|ops.EnqClearOpss)
		return
	}
	e.setState(opssNone, 0)
	switch {
	case src == dst:
		k.dispatchEnqueue(sch, dst, d, t, enqFlags)
	case !k.taskCanRunOnRemoteRQ(sch, t, dst, true):
		k.dispatchEnqueue(sch, src, sch.findGlobalDSQ(t.CPU()), t, enqFlags|ops.EnqGDSQFallback)
		return
	default:
		t.K.SetHoldingCPU(int32(k.m.ThisCPU()))
		k.moveRemoteTaskToLocalDSQ(t, enqFlags, dst)
	}
	if k.currIdle(dst.cpu) {
		k.m.Resched(dst.cpu)
	}
}

// finishDispatch follows finish_dispatch: it carries out an insertion that ops.dispatch asked for, unless the task was
// taken away from the policy since, which qseq tells.
func (k *Kernel) finishDispatch(sch *sched, r *rq, ent *dspEnt) {
	e := k.ent(ent.t)
	if e.state != opssQueued || e.qseqQueued != ent.qseq {
		return
	}
	if e.sch != sch {
		sch.events.InsertNotOwned++
		return
	}
	e.setState(opssDispatching, 0)
	d := sch.findDSQForDispatch(r, ent.dsqID, ent.t, ent.t.CPU())
	if d.isLocal() {
		k.dispatchToLocalDSQ(sch, r, d, e, ent.enqFlags)
	} else {
		k.dispatchEnqueue(sch, r, d, ent.t, ent.enqFlags|ops.EnqClearOpss)
	}
}

// flushDispatchBuf follows flush_dispatch_buf.
func (k *Kernel) flushDispatchBuf(sch *sched, c *dspCtx, r *rq) {
	for i := 0; i < len(c.buf); i++ {
		ent := c.buf[i]
		k.finishDispatch(sch, r, &ent)
	}
	c.nrTasks += uint32(len(c.buf))
	clear(c.buf)
	c.buf = c.buf[:0]
}
