package dl

import (
	"errors"
	"fmt"

	"github.com/schedsim/schedsim/sim"
)

// Class is the deadline class.
type Class struct {
	m       *sim.Machine
	rqs     []runq
	ents    []*entity // by Task.Index; nil where the task never had a deadline
	totalBW int64     // dl_bw.total_bw of the one root domain
	later   []uint64  // scratch for findLater
}

var _ sim.Hooker = (*Class)(nil)

// runq is a CPU's queue (struct dl_rq): reservations by deadline, equal ones in the order in which they came.
type runq struct {
	cpu     sim.CPU
	list    []*entity
	tasks   int // of list
	servers []*Server
	push    sim.IRQWork
	hrtick  sim.Timer // ends the running task's instance exactly
}

func (q *runq) first() *entity {
	if len(q.list) == 0 {
		return nil
	}
	return q.list[0]
}

func (q *runq) add(e *entity) {
	i := len(q.list)
	for i > 0 && e.deadline < q.list[i-1].deadline {
		i--
	}
	q.list = append(q.list, nil)
	copy(q.list[i+1:], q.list[i:])
	q.list[i], e.on = e, true
	if e.t != nil {
		q.tasks++
	}
}

func (q *runq) del(e *entity) {
	for i, o := range q.list {
		if o == e {
			q.list = append(q.list[:i], q.list[i+1:]...)
			e.on = false
			if e.t != nil {
				q.tasks--
			}
			return
		}
	}
	panic("BUG: dl: reservation is not queued where it says")
}

// New builds the class for m, which is still being built.
func New(m *sim.Machine) *Class {
	n := m.NrCPUs()
	c := &Class{m: m, rqs: make([]runq, n), later: make([]uint64, (n+63)/64)}
	for i := range c.rqs {
		q := &c.rqs[i]
		q.cpu = sim.CPU(i)
		q.push.Do = func() { c.pushTasks(q) }
		q.hrtick.Fire = func(sim.Time) { c.hrtick(q) }
	}
	m.SetServers(c.servers())
	return c
}

// Name implements sim.Class.
func (c *Class) Name() string { return "dl" }

// Hooks implements sim.Hooker.
func (c *Class) Hooks() sim.Hooks {
	return sim.Hooks{
		QueueWakeup:   func(*sim.Task) bool { return true },
		UpdateCurr:    c.updateCurr,
		WakeupPreempt: c.wakeupPreempt,
		TaskWoken:     c.taskWoken,
		Yield:         c.yield,
		Dead:          c.dead,
		SwitchedFrom:  c.switchedFrom,
		SwitchedTo:    c.switchedTo,
		PrioChanged:   c.prioChanged,
		Migrate:       c.migrate,
		Admit:         c.admit,
	}
}

// Queued tells whether cpu has reservations to run, a server's included: what the real-time class must not push aside.
func (c *Class) Queued(cpu sim.CPU) bool { return len(c.rqs[cpu].list) > 0 }

// TotalBW is the sum of all reservations, 1 << 20 for a whole CPU (dl_bw.total_bw).
func (c *Class) TotalBW() int64 { return c.totalBW }

// Throttled tells whether t has used up its runtime and waits for the next period.
func (c *Class) Throttled(t *sim.Task) bool { return c.entity(t).throttled }

func (c *Class) clock(q *runq) sim.Time { return c.m.RQClock(q.cpu) }

// entity returns what the class knows of t.
func (c *Class) entity(t *sim.Task) *entity {
	for int(t.Index) >= len(c.ents) {
		c.ents = append(c.ents, nil)
	}
	e := c.ents[t.Index]
	if e == nil || e.t != t {
		if e != nil && (e.on || e.timer.Armed()) {
			panic("BUG: dl: new task has the reservation of a queued one")
		}
		e = &entity{t: t, q: &c.rqs[t.CPU()], deadline: longAgo}
		e.timer.Fire = func(sim.Time) { c.taskTimer(e) }
		c.ents[t.Index] = e
	}
	return e
}

// mine tells whether t is of this class.
func (c *Class) mine(t *sim.Task) bool {
	o, ok := t.Class.(*Class) // comparing interfaces is a call
	return ok && o == c
}

// maxBW is sysctl_sched_rt_runtime over sysctl_sched_rt_period, 95 %.
var maxBW = toRatio(sim.Second, 950*sim.Millisecond)

// capacity is what all reservations together may take (dl_bw_capacity, cap_scale).
func (c *Class) capacity() int64 {
	var sum int64
	for i := range c.rqs {
		if c.m.Online(sim.CPU(i)) {
			sum += int64(c.m.Topo().CPUs[i].Capacity)
		}
	}
	return maxBW * sum >> 10
}

// errBusy is what sched_setattr refuses a reservation with.
var errBusy = errors.New("device or resource busy")

// admit follows sched_dl_overflow, and the check of the affinity in __sched_setscheduler.
func (c *Class) admit(t *sim.Task, p sim.Policy, d sim.Deadline) error {
	e := c.entity(t)
	old, now := e.bw, int64(0)
	if p == sim.PolicyDeadline {
		if n := int(t.K.NrCPUsAllowed()); n < len(c.rqs) {
			return fmt.Errorf("deadline: the task is allowed on %d of %d CPUs, and must be on all", n, len(c.rqs))
		}
		period := d.Period
		if period == 0 {
			period = d.Deadline
		}
		now = toRatio(period, d.Runtime)
		if c.totalBW-old+now > c.capacity() {
			return fmt.Errorf("deadline: %w: %.1f%% of a CPU asked for, %.1f%% are left", errBusy,
				percent(now), percent(c.capacity()-c.totalBW+old))
		}
	}
	c.totalBW += now - old
	if now == 0 {
		e.bw = 0
	} else {
		e.setParam(d)
	}
	return nil
}

func percent(bw int64) float64 { return float64(bw) * 100 / (1 << bwShift) }

// dead gives back the reservation of an exiting task.
func (c *Class) dead(t *sim.Task) {
	if int(t.Index) >= len(c.ents) || c.ents[t.Index] == nil || c.ents[t.Index].t != t {
		return
	}
	e := c.ents[t.Index]
	c.m.Cancel(&e.timer)
	c.totalBW -= e.bw
	e.bw = 0
}

// preempts follows dl_entity_preempt for the current task of q.
func (c *Class) preempts(e *entity) bool {
	curr := c.m.Curr(e.q.cpu)
	return !c.mine(curr) || e.deadline < c.entity(curr).deadline
}

// preemptCurr reschedules e's CPU if e comes first there.
func (c *Class) preemptCurr(e *entity) {
	if c.preempts(e) {
		c.m.Resched(e.q.cpu)
	}
}

// Enqueue implements sim.Class and follows enqueue_task_dl.
func (c *Class) Enqueue(cpu sim.CPU, t *sim.Task, f sim.EnqFlags) {
	e := c.entity(t)
	e.q = &c.rqs[cpu]
	c.enqueueEntity(e, f)
}

// Dequeue implements sim.Class and follows dequeue_task_dl.
func (c *Class) Dequeue(cpu sim.CPU, t *sim.Task, _ sim.DeqFlags) bool {
	c.updateCurr(cpu)
	c.dequeueEntity(c.entity(t))
	return true
}

// updateCurr follows update_curr_dl.
func (c *Class) updateCurr(cpu sim.CPU) {
	t := c.m.Curr(cpu)
	d := c.m.AccountExec(cpu)
	if !c.mine(t) {
		return
	}
	if e := c.entity(t); e.on {
		c.charge(e, d)
	}
}

// Pick implements sim.Class and follows __pick_task_dl, and balance_dl before it.
func (c *Class) Pick(cpu sim.CPU, prev *sim.Task) *sim.Task {
	q := &c.rqs[cpu]
	if c.mine(prev) && !c.entity(prev).on {
		c.pullTasks(q)
	}
	for {
		e := q.first()
		switch {
		case e == nil:
			return nil
		case e.srv == nil:
			return e.t
		}
		if t := c.m.ServerPick(cpu, e.srv.class, prev); t != nil {
			return t
		}
		c.serverStop(e.srv)
	}
}

// SetNext implements sim.Class and follows set_next_task_dl.
func (c *Class) SetNext(cpu sim.CPU, t *sim.Task, first bool) {
	q := &c.rqs[cpu]
	if !first {
		return
	}
	if q.tasks > 1 {
		c.m.QueueIRQWork(cpu, &q.push)
	}
	c.startHRTick(q, c.entity(t))
}

// startHRTick follows start_hrtick_dl: the reference kernel has the feature HRTICK_DL on.
func (c *Class) startHRTick(q *runq, e *entity) {
	c.m.Arm(&q.hrtick, q.cpu, c.clock(q).Add(max(e.runtime, 10*sim.Microsecond)))
}

// hrtick follows hrtick, task_tick_dl with queued.
func (c *Class) hrtick(q *runq) {
	t := c.m.Curr(q.cpu)
	if !c.mine(t) {
		return
	}
	c.updateCurr(q.cpu)
	if e := c.entity(t); e.on && e.runtime > 0 && q.first() == e {
		c.startHRTick(q, e)
	}
}

// PutPrev implements sim.Class.
func (c *Class) PutPrev(cpu sim.CPU, _, _ *sim.Task) {
	c.updateCurr(cpu)
	c.m.Cancel(&c.rqs[cpu].hrtick)
}

// Tick implements sim.Class and follows task_tick_dl.
func (c *Class) Tick(cpu sim.CPU, _ *sim.Task) { c.updateCurr(cpu) }

// yield follows yield_task_dl: the task gives up the rest of its instance.
func (c *Class) yield(cpu sim.CPU) {
	e := c.entity(c.m.Curr(cpu))
	e.yielded = true
	c.updateCurr(cpu)
}

// taskTimer follows dl_task_timer: the reservation of a throttled task is replenished.
func (c *Class) taskTimer(e *entity) {
	t := e.t
	if !c.mine(t) || !e.throttled {
		return
	}
	if !t.OnRQ {
		c.replenish(e) // its wakeup will queue it
		return
	}
	c.enqueueEntity(e, sim.EnqReplenish)
	c.preemptCurr(e)
	c.pushTasks(e.q)
}

// wakeupPreempt follows wakeup_preempt_dl.
func (c *Class) wakeupPreempt(cpu sim.CPU, t *sim.Task, _ sim.WakeFlags) {
	curr := c.m.Curr(cpu)
	if !c.mine(t) || !c.mine(curr) {
		return
	}
	e := c.entity(t)
	switch d := c.entity(curr).deadline; {
	case e.throttled:
	case e.deadline < d:
		c.m.Resched(cpu)
	case e.deadline == d && !c.m.NeedResched(cpu): // check_preempt_equal_dl
		if curr.K.NrCPUsAllowed() > 1 && c.findMask(curr) && !(t.K.NrCPUsAllowed() > 1 && c.findMask(t)) {
			c.m.Resched(cpu)
		}
	}
}

// switchedFrom follows switched_from_dl.
func (c *Class) switchedFrom(_ sim.CPU, t *sim.Task) {
	e := c.entity(t)
	c.m.Cancel(&e.timer)
	e.throttled, e.yielded = false, false
	e.deadline, e.runtime = longAgo, 0
}

// switchedTo follows switched_to_dl.
func (c *Class) switchedTo(cpu sim.CPU, t *sim.Task) {
	q := &c.rqs[cpu]
	e := c.entity(t)
	if !t.OnRQ || c.m.Curr(cpu) == t || e.throttled {
		return
	}
	if t.K.NrCPUsAllowed() > 1 && q.tasks > 1 {
		c.m.QueueIRQWork(cpu, &q.push)
	}
	c.preemptCurr(e)
}

// prioChanged follows prio_changed_dl.
func (c *Class) prioChanged(cpu sim.CPU, t *sim.Task, _ int32) {
	q := &c.rqs[cpu]
	e := c.entity(t)
	if !t.OnRQ {
		return
	}
	if c.m.Curr(cpu) != t {
		if e.on {
			c.preemptCurr(e)
		}
		return
	}
	if q.first() != e {
		c.m.Resched(cpu)
	}
}

// migrate takes the timer of a throttled task along.
func (c *Class) migrate(t *sim.Task, cpu sim.CPU) {
	e := c.entity(t)
	e.q = &c.rqs[cpu]
	if e.timer.Armed() {
		c.m.Arm(&e.timer, cpu, e.timer.At())
	}
}
