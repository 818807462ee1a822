package ext

import (
	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/sim"
)

// dsq is a dispatch queue (struct scx_dispatch_q): a FIFO, or ordered by p->scx.dsq_vtime. The list is in the order of
// dispatch in both cases; in the second the tree finds the place in it.
//
// Invariant: nr is the number of tasks on list; priq holds all of them or none.
type dsq struct {
	id   uint64 // ops.DSQInvalid once destroyed
	list node
	priq rbTree
	// firstTask is what scx_bpf_dsq_peek sees; kept for user DSQs only.
	firstTask *sim.Task
	nr, seq   uint32
	rq        *rq    // whose local DSQ it is, else nil
	sch       *sched // whose it is, nil for local DSQs
}

func (d *dsq) init(id uint64, r *rq, s *sched) {
	*d = dsq{id: id, rq: r, sch: s}
	d.list.init()
}

func (d *dsq) isLocal() bool { return d.id == ops.DSQLocal }

func builtin(id uint64) bool { return id&ops.DSQFlagBuiltin != 0 }

func localOn(id uint64) bool { return id&ops.DSQLocalOn == ops.DSQLocalOn }

// recordID is the id under which records show d: local DSQs by their CPU.
func (d *dsq) recordID() uint64 {
	if d.rq != nil {
		return ops.DSQLocalOn | uint64(d.rq.cpu)
	}
	return d.id
}

// nextTask follows nldsq_next_task: the task after cur, which is nil to begin, skipping cursors.
func (d *dsq) nextTask(cur *node, rev bool) *sim.Task {
	if cur == nil {
		cur = &d.list
	}
	for {
		if rev {
			cur = cur.prev
		} else {
			cur = cur.next
		}
		if cur == &d.list {
			return nil
		}
		if cur.t != nil {
			return cur.t
		}
	}
}

// incNr follows dsq_inc_nr.
func (k *Kernel) dsqIncNr(d *dsq, t *sim.Task, enqFlags uint64) {
	d.nr++
	if enqFlags&ops.EnqImmed != 0 {
		if !d.isLocal() {
			return // fell back to the global DSQ
		}
		setFlags(t, ops.TaskImmed)
	}
	if d.rq != nil && hasFlags(t, ops.TaskImmed) {
		d.rq.nrImmed++
		if d.nr > 1 || !k.rqIsOpen(d.rq, enqFlags) {
			k.scheduleReenqLocal(d.rq, 0)
		}
	}
}

// dsqDecNr follows dsq_dec_nr.
func (k *Kernel) dsqDecNr(d *dsq, t *sim.Task) {
	d.nr--
	if d.rq != nil && hasFlags(t, ops.TaskImmed) {
		d.rq.nrImmed--
	}
}

// dispatchEnqueue follows dispatch_enqueue (kernel/sched/ext/ext.c, 7.2): it puts t on d. r is the runqueue that is
// locked, for callbacks.
func (k *Kernel) dispatchEnqueue(sch *sched, r *rq, d *dsq, t *sim.Task, enqFlags uint64) {
	e := k.ent(t)
	if e.dsq != nil || e.list.on() {
		panic("BUG: ext: task " + t.Comm + " is already on a dispatch queue")
	}
	if d.id == ops.DSQInvalid {
		sch.error("attempting to dispatch to a destroyed dsq")
		d = sch.findGlobalDSQ(t.CPU())
	}
	if builtin(d.id) && enqFlags&ops.EnqDSQPriq != 0 {
		sch.error("cannot use vtime ordering for built-in DSQs")
		enqFlags &^= ops.EnqDSQPriq
	}
	if enqFlags&ops.EnqDSQPriq != 0 {
		if d.priq.root == nil && d.nextTask(nil, false) != nil {
			sch.error("DSQ ID 0x%016x already had FIFO-enqueued tasks", d.id)
		}
		e.onPriq = true
		d.priq.add(&e.priq)
		if p := prevOf(&e.priq); p != nil {
			e.list.insertAfter(&k.ent(p.t).list)
		} else {
			e.list.insertAfter(&d.list)
			d.firstTask = t
		}
	} else {
		if d.priq.root != nil {
			sch.error("DSQ ID 0x%016x already had PRIQ-enqueued tasks", d.id)
		}
		if enqFlags&(ops.EnqHead|ops.EnqPreempt) != 0 {
			e.list.insertAfter(&d.list)
			if !builtin(d.id) {
				d.firstTask = t
			}
		} else {
			e.list.insertBefore(&d.list)
			if d.firstTask == nil && !builtin(d.id) {
				d.firstTask = t
			}
		}
	}
	d.seq++
	e.dsqSeq = d.seq
	k.dsqIncNr(d, t, enqFlags)
	e.dsq = d
	k.m.Tell(sim.KindDSQInsert, t.CPU(), t.PID, d.recordID(), uint64(d.nr))

	if d.isLocal() {
		k.localDSQPostEnq(sch, d, t, enqFlags)
	} else if d.id == ops.DSQGlobal || d.id == ops.DSQBypass {
		// Terminal queues: the policy has no say any more.
		if k.leaveCustody(t) && sch.has(ops.Dequeue) {
			sch.callDequeue(r, t, 0)
		}
	} else {
		setFlags(t, ops.TaskInCustody)
	}
	if enqFlags&ops.EnqClearOpss != 0 {
		e.setState(opssNone, 0)
	}
}

// setState changes the owner; qseq brands the ownership of the policy.
func (e *entity) setState(s opss, qseq uint64) { e.state, e.qseqQueued = s, qseq }

// leaveCustody follows task_leave_custody: it tells whether the policy is to be told.
func (k *Kernel) leaveCustody(t *sim.Task) bool {
	if !hasFlags(t, ops.TaskInCustody) || t.K.StickyCPU() >= 0 {
		return false
	}
	clearFlags(t, ops.TaskInCustody)
	return !k.old.Custody
}

// localDSQPostEnq follows local_dsq_post_enq: what happens once a task is on the local DSQ of a CPU.
func (k *Kernel) localDSQPostEnq(sch *sched, d *dsq, t *sim.Task, enqFlags uint64) {
	r := d.rq
	if k.leaveCustody(t) && sch.has(ops.Dequeue) {
		sch.callDequeue(r, t, 0)
	}
	curr := k.m.Curr(r.cpu)
	if k.nextIdle(r) {
		k.m.WakeupPreempt(r.cpu, t, 0) // raises next_class and reschedules
	}
	if r.flags&rqInBalance != 0 {
		return
	}
	if enqFlags&ops.EnqPreempt != 0 && t != curr && k.onExt(curr) {
		curr.K.SetSlice(0)
		k.m.Resched(r.cpu)
	}
}

// unlinkFromDSQ follows task_unlink_from_dsq. The entity's dsq stays set.
func (k *Kernel) unlinkFromDSQ(e *entity, d *dsq) {
	if !e.list.on() {
		panic("BUG: ext: task " + e.t.Comm + " is on no dispatch queue")
	}
	if e.onPriq {
		d.priq.erase(&e.priq)
		e.onPriq = false
	}
	e.list.del()
	k.dsqDecNr(d, e.t)
	if d.firstTask == e.t {
		d.firstTask = d.nextTask(nil, false)
	}
	k.m.Tell(sim.KindDSQRemove, e.t.CPU(), e.t.PID, d.recordID(), uint64(d.nr))
}

// dispatchDequeue follows dispatch_dequeue: it takes t off whatever queue it is on or on the way to.
func (k *Kernel) dispatchDequeue(e *entity) {
	d := e.dsq
	if d == nil {
		e.list.del() // cancels a deferred direct dispatch
		e.t.K.SetHoldingCPU(-1)
		return
	}
	if e.t.K.HoldingCPU() < 0 {
		k.unlinkFromDSQ(e, d)
	} else {
		e.t.K.SetHoldingCPU(-1) // a move has unlinked it already
	}
	e.dsq = nil
}

// findDSQForDispatch follows find_dsq_for_dispatch: an id that names no DSQ ends the policy and means the global one.
// It is for t, which is nil where it is for a whole queue.
func (s *sched) findDSQForDispatch(r *rq, id uint64, t *sim.Task, tcpu sim.CPU) *dsq {
	switch {
	case id == ops.DSQLocal:
		return &r.local
	case localOn(id):
		cpu := s.cpuRet(sim.CPU(int32(id & ops.DSQLocalCPUMask)))
		if !s.cpuValid(cpu, "in SCX_DSQ_LOCAL_ON dispatch verdict") {
			return s.findGlobalDSQ(tcpu)
		}
		return &s.k.rqs[cpu].local
	case id == ops.DSQGlobal:
		return s.findGlobalDSQ(tcpu)
	}
	if d := s.findUserDSQ(id); d != nil {
		return d
	}
	if t != nil && s.k.old.Early {
		s.error("non-existent DSQ 0x%x for %s[%d]", id, t.Comm, t.PID)
	} else {
		s.error("non-existent DSQ 0x%x", id)
	}
	return s.findGlobalDSQ(tcpu)
}

// destroyDSQ follows destroy_dsq.
func (s *sched) destroyDSQ(id uint64) {
	d := s.findUserDSQ(id)
	if d == nil {
		return
	}
	if d.nr != 0 {
		s.error("attempting to destroy in-use dsq 0x%016x (nr=%d)", d.id, d.nr)
		return
	}
	s.setUserDSQ(id, nil)
	for i, o := range s.dsqList {
		if o == d {
			s.dsqList = append(s.dsqList[:i], s.dsqList[i+1:]...)
			break
		}
	}
	for i := range s.k.rqs {
		r := &s.k.rqs[i]
		for j := len(r.reenqUsers) - 1; j >= 0; j-- {
			if r.reenqUsers[j].d == d {
				r.reenqUsers = append(r.reenqUsers[:j], r.reenqUsers[j+1:]...)
			}
		}
	}
	d.id = ops.DSQInvalid
}
