package ext

import (
	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/sim"
)

// Flags of a re-enqueue (enum scx_reenq_flags).
const (
	ReenqAny         uint64 = 1 << 0
	reenqFilterMask  uint64 = 0xffff
	reenqUserMask           = ReenqAny
	reenqTSRRQOpen   uint64 = 1 << 32
	reenqTSRNotFirst uint64 = 1 << 33
	reenqTSRMask     uint64 = 0xf << 32
)

// reenqLocalMaxRepeat is SCX_REENQ_LOCAL_MAX_REPEAT.
const reenqLocalMaxRepeat = 256

// nextIdle tells that nothing but the idle task runs, or is about to run, on r (rq->next_class is below ext).
func (k *Kernel) nextIdle(r *rq) bool { return k.m.NextClass(r.cpu) == k.m.IdleTask(r.cpu).Class }

// rqIsOpen follows rq_is_open: may a task of sched_ext run on r at once?
func (k *Kernel) rqIsOpen(r *rq, enqFlags uint64) bool {
	switch next := k.m.NextClass(r.cpu); {
	case k.nextIdle(r):
		return true
	case next != sim.Class(k):
		return false
	}
	return r.flags&rqInBalance != 0 || enqFlags&ops.EnqPreempt != 0
}

// scheduleReenqLocal follows schedule_reenq_local.
func (k *Kernel) scheduleReenqLocal(r *rq, flags uint64) {
	k.scheduleDSQReenq(k.sch, &r.local, flags, r)
}

// scheduleDSQReenq follows schedule_dsq_reenq. locked is the runqueue that the caller holds, nil if none.
func (k *Kernel) scheduleDSQReenq(sch *sched, d *dsq, flags uint64, locked *rq) {
	if sch.bypassDepth > 0 {
		return
	}
	var r *rq
	switch {
	case d.isLocal():
		r = d.rq
		l := &sch.pcpu[r.cpu].reenq
		if !l.pending {
			l.pending = true
			r.reenqLocals = append(r.reenqLocals, sch)
		}
		l.flags |= flags
	case !builtin(d.id):
		r = &k.rqs[k.m.ThisCPU()]
		found := false
		for i := range r.reenqUsers {
			if r.reenqUsers[i].d == d {
				r.reenqUsers[i].flags |= flags
				found = true
			}
		}
		if !found {
			r.reenqUsers = append(r.reenqUsers, reenqUser{d, flags})
		}
	default:
		sch.error("DSQ 0x%x not allowed for reenq", d.id)
		return
	}
	if r == locked {
		k.scheduleDeferredLocked(r)
	} else {
		k.m.QueueIRQWork(r.cpu, &r.deferred)
	}
}

// localTaskShouldReenq follows local_task_should_reenq.
func (k *Kernel) localTaskShouldReenq(t *sim.Task, flags *uint64) (bool, uint32) {
	first := *flags&reenqTSRNotFirst == 0
	*flags |= reenqTSRNotFirst
	if hasFlags(t, ops.TaskImmed) && (!first || *flags&reenqTSRRQOpen == 0) {
		k.schedOf(t).events.ReenqImmed++
		return true, ops.TaskReenqImmed
	}
	return *flags&ReenqAny != 0, ops.TaskReenqKfunc
}

// reenqLocal follows reenq_local: tasks of r's local DSQ go back to the policy.
func (k *Kernel) reenqLocal(sch *sched, r *rq, flags uint64) uint32 {
	flags &^= reenqTSRMask
	if k.rqIsOpen(r, 0) {
		flags |= reenqTSRRQOpen
	}
	// The policy may put a task back on the same DSQ: take all of them first.
	var tasks node
	tasks.init()
	for n := r.local.list.next; n != &r.local.list; {
		t := n.t
		n = n.next
		if t == nil {
			continue
		}
		if !k.schedOf(t).under(sch) {
			continue
		}
		ok, reason := k.localTaskShouldReenq(t, &flags)
		if !ok {
			continue
		}
		e := k.ent(t)
		k.dispatchDequeue(e)
		clearFlags(t, ops.TaskReenqReasonMask)
		setFlags(t, reason)
		e.list.insertBefore(&tasks)
	}
	nr := uint32(0)
	for t := tasks.first(); t != nil; t = tasks.first() {
		e := k.ent(t)
		e.list.del()
		k.doEnqueueTask(r, e, ops.EnqReenq, -1)
		clearFlags(t, ops.TaskReenqReasonMask)
		nr++
	}
	return nr
}

// processDeferredReenqLocals follows process_deferred_reenq_locals.
func (k *Kernel) processDeferredReenqLocals(r *rq) {
	r.reenqLocalSeq++
	seq := r.reenqLocalSeq
	for len(r.reenqLocals) > 0 {
		sch := r.reenqLocals[0]
		r.reenqLocals = append(r.reenqLocals[:0], r.reenqLocals[1:]...)
		l := &sch.pcpu[r.cpu].reenq
		flags := l.flags
		l.flags, l.pending = 0, false
		if l.seq != seq {
			l.seq, l.cnt = seq, 0
		} else {
			l.cnt++
			if !k.old.Reenq {
				sch.events.ReenqLocalRepeat++
			}
			if !k.old.Reenq && l.cnt > reenqLocalMaxRepeat {
				sch.error("SCX_ENQ_REENQ on SCX_DSQ_LOCAL repeated %d times", l.cnt)
				continue
			}
		}
		k.reenqLocal(sch, r, flags)
	}
}

// processDeferredReenqUsers follows process_deferred_reenq_users and reenq_user.
func (k *Kernel) processDeferredReenqUsers(r *rq) {
	for len(r.reenqUsers) > 0 {
		u := r.reenqUsers[0]
		r.reenqUsers = append(r.reenqUsers[:0], r.reenqUsers[1:]...)
		if u.d.id == ops.DSQInvalid || u.flags&ReenqAny == 0 {
			continue
		}
		it := DSQIter{d: u.d, seq: u.d.seq}
		for u.d.sch.bypassDepth == 0 {
			t := it.next(k)
			if t == nil {
				break
			}
			e := k.ent(t)
			k.unlinkFromDSQ(e, u.d)
			e.dsq = nil
			clearFlags(t, ops.TaskReenqReasonMask)
			setFlags(t, ops.TaskReenqKfunc)
			k.doEnqueueTask(k.taskRQ(t), e, ops.EnqReenq, -1)
			clearFlags(t, ops.TaskReenqReasonMask)
		}
		it.Close()
	}
}

// reenqTooOften counts that e is enqueued again, as scx_do_enqueue_task of 7.3 does, and ends the policy that goes on with that.
func (k *Kernel) reenqTooOften(r *rq, e *entity) bool {
	if e.reenqs++; e.reenqs > 1 {
		e.sch.events.ReenqLocalRepeat++
	}
	if e.reenqs <= reenqLocalMaxRepeat {
		return false
	}
	e.sch.exit(ops.ExitErrorReenq, 0, int32(r.cpu), "%s[%d] reenqueued %d times without running", e.t.Comm, e.t.PID, e.reenqs)
	return true
}
