package ext

import (
	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/sim"
)

// ddspState is direct_dispatch_task: which task ops.select_cpu or ops.enqueue may dispatch directly. task is nil once
// it has.
type ddspState struct {
	task   *sim.Task
	active bool
}

// markDirectDispatch follows mark_direct_dispatch: it notes on t where it goes after the running callback.
func (k *Kernel) markDirectDispatch(t *sim.Task, dsqID, enqFlags uint64) {
	target := k.ddsp.task
	k.ddsp.task = nil
	if t != target {
		if target == nil {
			k.cur.error("%s[%d] already direct-dispatched", t.Comm, t.PID)
		} else {
			k.cur.error("scheduling for %s[%d] but trying to direct-dispatch %s[%d]",
				target.Comm, target.PID, t.Comm, t.PID)
		}
		return
	}
	t.K.SetDdspDSQID(dsqID)
	t.K.SetDdspEnqFlags(enqFlags)
}

// clearDirectDispatch follows clear_direct_dispatch.
func clearDirectDispatch(t *sim.Task) {
	t.K.SetDdspDSQID(ops.DSQInvalid)
	t.K.SetDdspEnqFlags(0)
}

// directDispatch follows direct_dispatch: it carries out the mark. The local DSQ of another CPU has to wait until the
// runqueue may be left.
func (k *Kernel) directDispatch(e *entity, enqFlags uint64) {
	t := e.t
	r := k.taskRQ(t)
	d := e.sch.findDSQForDispatch(r, t.K.DdspDSQID(), t, t.CPU())
	enqFlags |= t.K.DdspEnqFlags()
	if d.isLocal() && d != &r.local {
		t.K.SetDdspEnqFlags(enqFlags)
		e.setState(opssNone, 0)
		e.list.insertBefore(&r.ddspDeferred)
		k.scheduleDeferredLocked(r)
		return
	}
	clearDirectDispatch(t)
	k.dispatchEnqueue(e.sch, r, d, t, enqFlags|ops.EnqClearOpss)
}

// scheduleDeferredLocked follows schedule_deferred_locked: the end of the wakeup or of the pick runs the deferred
// work, else an irq work does.
func (k *Kernel) scheduleDeferredLocked(r *rq) {
	switch {
	case r.flags&(rqInWakeup|rqBalCBPending) != 0:
	case r.flags&rqInBalance != 0:
		r.flags |= rqBalCBPending
	default:
		k.m.QueueIRQWork(r.cpu, &r.deferred)
	}
}

// runDeferred follows run_deferred.
func (k *Kernel) runDeferred(r *rq) {
	if k.sch == nil {
		return
	}
	k.processDDSPDeferredLocals(r)
	if len(r.reenqLocals) > 0 {
		k.processDeferredReenqLocals(r)
	}
	if len(r.reenqUsers) > 0 {
		k.processDeferredReenqUsers(r)
	}
}

// processDDSPDeferredLocals follows process_ddsp_deferred_locals.
func (k *Kernel) processDDSPDeferredLocals(r *rq) {
	for {
		t := r.ddspDeferred.first()
		if t == nil {
			return
		}
		e := k.ent(t)
		id, enqFlags := t.K.DdspDSQID(), t.K.DdspEnqFlags()
		e.list.del()
		clearDirectDispatch(t)
		d := e.sch.findDSQForDispatch(r, id, t, t.CPU())
		if !d.isLocal() {
			panic("BUG: ext: deferred direct dispatch to a DSQ that is not local")
		}
		k.dispatchToLocalDSQ(e.sch, r, d, e, enqFlags)
	}
}
