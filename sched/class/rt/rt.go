package rt

import (
	"math/bits"

	"github.com/schedsim/schedsim/sim"
)

// Timeslice is how long a SCHED_RR task runs before the next of its priority (RR_TIMESLICE).
const Timeslice = 100 * sim.Millisecond

// noPrio is the priority of a CPU without real-time tasks (MAX_RT_PRIO).
const noPrio = 100

// Class is the real-time class.
type Class struct {
	m    *sim.Machine
	rqs  []runq
	ents []*entity // by Task.Index; entities are reused with the index
	// higher tells that a CPU has tasks of a class between this one and the stopper's: they are not pushed aside.
	higher func(cpu sim.CPU) bool
	slice  int // Timeslice in ticks
	// lowest is scratch for findLowest; distribute is where it looked last, by CPU.
	lowest     []uint64
	distribute []sim.CPU
}

var _ sim.Hooker = (*Class)(nil)

// entity is what the class knows of a task (struct sched_rt_entity).
type entity struct {
	t          *sim.Task
	on         bool // queued, also while it runs
	prio       int  // of the queue that it is in
	next, prev *entity
	ticks      int // left of the time slice
}

// runq is a CPU's queue (struct rt_rq).
type runq struct {
	cpu    sim.CPU
	queues [noPrio]list
	active [2]uint64 // bit by priority
	nr     int
	push   sim.IRQWork
	pull   sim.IRQWork
}

// list is one FIFO.
type list struct{ head, tail *entity }

// New builds the class for m, which is still being built. higher tells that a CPU has tasks of the deadline class; nil
// means that there is no such class.
func New(m *sim.Machine, higher func(cpu sim.CPU) bool) *Class {
	n := m.NrCPUs()
	c := &Class{m: m, rqs: make([]runq, n), higher: higher, lowest: make([]uint64, (n+63)/64), distribute: make([]sim.CPU, n)}
	if c.higher == nil {
		c.higher = func(sim.CPU) bool { return false }
	}
	c.slice = max(int(Timeslice)*m.HZ()/int(sim.Second), 1)
	for i := range c.rqs {
		q := &c.rqs[i]
		q.cpu = sim.CPU(i)
		q.push.Do = func() { c.pushTasks(q) }
		q.pull.Do = func() { c.pullTasks(q) }
	}
	return c
}

// Name implements sim.Class.
func (c *Class) Name() string { return "rt" }

// Hooks implements sim.Hooker.
func (c *Class) Hooks() sim.Hooks {
	return sim.Hooks{
		QueueWakeup:   func(*sim.Task) bool { return true },
		UpdateCurr:    c.updateCurr,
		WakeupPreempt: c.wakeupPreempt,
		TaskWoken:     c.taskWoken,
		Yield:         c.yield,
		SwitchedFrom:  c.switchedFrom,
		SwitchedTo:    c.switchedTo,
		PrioChanged:   c.prioChanged,
	}
}

// entity returns what the class knows of t.
func (c *Class) entity(t *sim.Task) *entity {
	for int(t.Index) >= len(c.ents) {
		c.ents = append(c.ents, nil)
	}
	e := c.ents[t.Index]
	if e == nil {
		e = new(entity)
		c.ents[t.Index] = e
	}
	if e.t != t {
		if e.on {
			panic("BUG: rt: new task has the entity of a queued one")
		}
		*e = entity{t: t, ticks: c.slice}
	}
	return e
}

func prioOf(t *sim.Task) int { return int(t.K.Prio()) }

// highest is the best priority queued on q, noPrio if none is.
func (q *runq) highest() int {
	for i := range q.active { // not its values: the array would be copied
		if w := q.active[i]; w != 0 {
			return i*64 + bits.TrailingZeros64(w)
		}
	}
	return noPrio
}

func (q *runq) add(e *entity, head bool) {
	l := &q.queues[e.prio]
	switch {
	case l.head == nil:
		l.head, l.tail = e, e
	case head:
		e.next, l.head.prev = l.head, e
		l.head = e
	default:
		e.prev, l.tail.next = l.tail, e
		l.tail = e
	}
	q.active[e.prio/64] |= 1 << (e.prio % 64)
}

func (q *runq) del(e *entity) {
	l := &q.queues[e.prio]
	if e.prev != nil {
		e.prev.next = e.next
	} else {
		l.head = e.next
	}
	if e.next != nil {
		e.next.prev = e.prev
	} else {
		l.tail = e.prev
	}
	e.prev, e.next = nil, nil
	if l.head == nil {
		q.active[e.prio/64] &^= 1 << (e.prio % 64)
	}
}

// requeue follows requeue_rt_entity.
func (q *runq) requeue(e *entity, head bool) {
	q.del(e)
	q.add(e, head)
}

// Enqueue implements sim.Class and follows enqueue_task_rt.
func (c *Class) Enqueue(cpu sim.CPU, t *sim.Task, f sim.EnqFlags) {
	q, e := &c.rqs[cpu], c.entity(t)
	if e.on {
		panic("BUG: rt: task queued twice")
	}
	e.on, e.prio = true, prioOf(t)
	q.add(e, f&sim.EnqHead != 0)
	q.nr++
	c.m.AddNrRunning(cpu, 1)
}

// Dequeue implements sim.Class and follows dequeue_task_rt.
func (c *Class) Dequeue(cpu sim.CPU, t *sim.Task, _ sim.DeqFlags) bool {
	q, e := &c.rqs[cpu], c.entity(t)
	c.updateCurr(cpu)
	if !e.on {
		panic("BUG: rt: dequeue of a task that is not queued")
	}
	q.del(e)
	e.on = false
	q.nr--
	c.m.AddNrRunning(cpu, -1)
	return true
}

// mine tells whether t is of this class.
func (c *Class) mine(t *sim.Task) bool {
	o, ok := t.Class.(*Class) // comparing interfaces is a call
	return ok && o == c
}

// Pick implements sim.Class and follows pick_task_rt; before, it looks for tasks elsewhere as balance_rt does.
func (c *Class) Pick(cpu sim.CPU, prev *sim.Task) *sim.Task {
	q := &c.rqs[cpu]
	if rtTask(prev) && !(c.mine(prev) && c.entity(prev).on) && q.highest() > prioOf(prev) { // need_pull_rt_task
		c.pullTasks(q)
	}
	p := q.highest()
	if p == noPrio {
		return nil
	}
	return q.queues[p].head.t
}

// SetNext implements sim.Class and follows set_next_task_rt.
func (c *Class) SetNext(cpu sim.CPU, _ *sim.Task, first bool) {
	if q := &c.rqs[cpu]; first && q.nr > 1 {
		c.m.QueueIRQWork(cpu, &q.push) // rt_queue_push_tasks
	}
}

// PutPrev implements sim.Class.
func (c *Class) PutPrev(cpu sim.CPU, _, _ *sim.Task) { c.updateCurr(cpu) }

func (c *Class) updateCurr(cpu sim.CPU) { c.m.AccountExec(cpu) }

// Tick implements sim.Class and follows task_tick_rt.
func (c *Class) Tick(cpu sim.CPU, cur *sim.Task) {
	c.updateCurr(cpu)
	if cur.Policy != sim.PolicyRR {
		return
	}
	q, e := &c.rqs[cpu], c.entity(cur)
	if e.ticks--; e.ticks > 0 {
		return
	}
	e.ticks = c.slice
	if l := &q.queues[e.prio]; l.head != l.tail {
		q.requeue(e, false)
		c.m.Resched(cpu)
	}
}

// yield follows yield_task_rt.
func (c *Class) yield(cpu sim.CPU) {
	if e := c.entity(c.m.Curr(cpu)); e.on {
		c.rqs[cpu].requeue(e, false)
	}
}

// wakeupPreempt follows wakeup_preempt_rt.
func (c *Class) wakeupPreempt(cpu sim.CPU, t *sim.Task, _ sim.WakeFlags) {
	curr := c.m.Curr(cpu)
	if t.Class != sim.Class(c) || curr.Class != sim.Class(c) {
		return
	}
	switch p, have := prioOf(t), prioOf(curr); {
	case p < have:
		c.m.Resched(cpu)
	case p == have && !c.m.NeedResched(cpu):
		c.checkPreemptEqualPrio(&c.rqs[cpu], t, curr)
	}
}

// checkPreemptEqualPrio follows check_preempt_equal_prio: t cannot go elsewhere and curr can, so curr makes room.
func (c *Class) checkPreemptEqualPrio(q *runq, t, curr *sim.Task) {
	if curr.K.NrCPUsAllowed() == 1 || !c.findPri(curr) {
		return
	}
	if t.K.NrCPUsAllowed() != 1 && c.findPri(t) {
		return
	}
	q.requeue(c.entity(t), true)
	c.m.Resched(q.cpu)
}

// switchedFrom follows switched_from_rt.
func (c *Class) switchedFrom(cpu sim.CPU, t *sim.Task) {
	if q := &c.rqs[cpu]; t.OnRQ && q.nr == 0 {
		c.m.QueueIRQWork(cpu, &q.pull)
	}
}

// switchedTo follows switched_to_rt.
func (c *Class) switchedTo(cpu sim.CPU, t *sim.Task) {
	q, curr := &c.rqs[cpu], c.m.Curr(cpu)
	if curr == t || !t.OnRQ {
		return
	}
	if t.K.NrCPUsAllowed() > 1 && c.overloaded(q) {
		c.m.QueueIRQWork(cpu, &q.push)
	}
	if prioOf(t) < prioOf(curr) {
		c.m.Resched(cpu)
	}
}

// prioChanged follows prio_changed_rt.
func (c *Class) prioChanged(cpu sim.CPU, t *sim.Task, old int32) {
	p := t.K.Prio()
	if !t.OnRQ || p == old {
		return
	}
	q, curr := &c.rqs[cpu], c.m.Curr(cpu)
	if curr != t {
		if p < curr.K.Prio() {
			c.m.Resched(cpu)
		}
		return
	}
	if old < p {
		c.m.QueueIRQWork(cpu, &q.pull)
	}
	if int(p) > q.highest() {
		c.m.Resched(cpu)
	}
}
