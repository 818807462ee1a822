package fair

import (
	"math/rand/v2"

	"github.com/schedsim/schedsim/sim"
)

// Class is the fair scheduling class.
type Class struct {
	config
	m   *sim.Machine
	opt Options

	rqs  []cpuQueue
	ents []*entity // by Task.Index; entities are reused with the index
	idle []entity  // wakeup state of the idle tasks, by CPU

	groups     []*taskGroup // by Cgroup.Index
	groupOrder []*taskGroup // parents before children
	bwDice     *rand.Rand   // offsets of the periods of bandwidth control

	domains
	overloaded bool  // root_domain.overloaded: some CPU has two tasks
	nohzNext   int64 // ticks; next balancing on behalf of the idle CPUs
	dice       *rand.Rand
}

var _ sim.Hooker = (*Class)(nil)

// cpuQueue is a CPU's runqueue with what only a machine needs.
type cpuQueue struct {
	runq
	cpu sim.CPU

	hrtick   sim.Timer
	hrtickAt sim.Time
	hrtickOn bool

	push    sim.StopWork // active balancing: the running task goes to pushTo
	pushTo  sim.CPU
	pushing bool

	nextBalance int64 // in ticks
	idleStamp   int64 // ns; when the CPU went idle, 0 while busy
	avgIdle     int64 // ns; how long it is idle on average

	csd     []*runq // have runtime again
	csdWork sim.IRQWork
}

// New returns the class as in the reference kernel.
func New(m *sim.Machine) *Class { return NewWith(m, Options{}) }

// NewWith returns the class with options.
func NewWith(m *sim.Machine, o Options) *Class {
	n := m.NrCPUs()
	c := &Class{m: m, opt: o, rqs: make([]cpuQueue, n), idle: make([]entity, n), dice: m.Rand("fair/newidle"), bwDice: m.Rand("fair/bandwidth")}
	c.config = newConfig(o, n, uint64(int(sim.Second)/m.HZ()))
	for i := range c.rqs {
		q := &c.rqs[i]
		q.init(&c.config)
		q.cpu = sim.CPU(i)
		q.avgIdle = 2 * migrationCostNS
		q.q = q
		q.csdWork.Do = func() { c.unthrottleCSD(q) }
		q.hrtick.Fire = func(sim.Time) { c.hrtickFire(q) }
		q.push.Do = func() { c.activeBalance(q) }
	}
	c.buildDomains(m.Topo(), nil)
	return c
}

// Name implements sim.Class.
func (c *Class) Name() string { return "fair" }

// Hooks implements sim.Hooker.
func (c *Class) Hooks() sim.Hooks {
	return sim.Hooks{
		QueueWakeup:   func(*sim.Task) bool { return true },
		UpdateCurr:    func(cpu sim.CPU) { c.updateCurr(c.entity(c.m.Curr(cpu)).cfs) },
		WakeupPreempt: c.wakeupPreempt,
		Yield:         c.yield,
		Fork:          func(t *sim.Task) error { c.fork(t); return nil },
		Dead:          c.dead,
		SwitchingFrom: c.switchingFrom,
		SwitchedFrom:  c.switchedFrom,
		SwitchedTo:    c.switchedTo,
		PrioChanged:   c.prioChanged,
		Reweight:      c.reweightTask,
		Migrate:       c.migrate,
		TickAll:       c.balanceTrigger,
		EnterIdle:     c.enterIdle,
		ExitIdle:      c.exitIdle,

		RQOnline: c.rqOnline, RQOffline: c.rqOffline, Domains: func() { c.buildDomains(c.m.Topo(), c.m.ActiveMask()) },
		ChangeGroup: c.changeGroup, CgroupFree: c.cgroupFree, CgroupShares: c.cgroupShares, CgroupBandwidth: c.cgroupBandwidth,
	}
}

// BaseSlice is the slice that tasks without one of their own get (sysctl_sched_base_slice).
func (c *Class) BaseSlice() sim.Duration { return sim.Duration(c.baseSlice) }

// SetSlice gives t a slice of its own, 0.1 to 100 ms as sched_setattr allows, or with 0 takes it away again
// (__setparam_fair). It counts from the next request on.
func (c *Class) SetSlice(t *sim.Task, slice sim.Duration) {
	e := c.entity(t)
	if e.customSlice = slice != 0; e.customSlice {
		e.slice = uint64(min(max(slice, sim.Millisecond/10), 100*sim.Millisecond))
	} else {
		e.slice = c.baseSlice
	}
	if e.onRQ && e != c.rqs[t.CPU()].curr {
		propagate(e)
	}
}

// now is the time for everything that is not about one CPU; clock is the time of q's CPU, later by the overhead that the
// machine has charged to it.
func (c *Class) now() int64              { return int64(c.m.Now()) }
func (c *Class) clock(q *cpuQueue) int64 { return int64(c.m.Clock(q.cpu)) }

// ticks is the time in ticks.
func (c *Class) ticks() int64 { return int64(c.m.Ticks()) }

// entity returns what the class knows of t. A task that it has not met is made known.
func (c *Class) entity(t *sim.Task) *entity {
	if t.IsIdle() {
		return &c.idle[t.CPU()]
	}
	if int(t.Index) < len(c.ents) {
		if e := c.ents[t.Index]; e != nil && e.t == t {
			return e
		}
	}
	return c.fork(t)
}

// fork makes the entity of a new task, of whatever class: it may join later (__sched_fork).
func (c *Class) fork(t *sim.Task) *entity {
	for int(t.Index) >= len(c.ents) {
		c.ents = append(c.ents, nil)
	}
	e := c.ents[t.Index]
	if e == nil {
		e = new(entity)
		c.ents[t.Index] = e
	}
	if e.onRQ {
		panic("BUG: fair: new task has the entity of a queued one")
	}
	e.reset(t, &c.config)
	return e
}

// dead lets go of an exiting task (task_dead_fair).
func (c *Class) dead(t *sim.Task) {
	e := c.entity(t)
	if e.delayed {
		c.dequeueEntities(&c.rqs[t.CPU()], e, sim.DeqSleep|sim.DeqDelayed)
	}
	c.detachEntity(e)
}

// updateCurr charges the current entity of r for its run (update_curr).
func (c *Class) updateCurr(r *runq) {
	e := r.curr
	if e == nil {
		return
	}
	q := r.q
	var delta int64
	if e.my == nil {
		delta = int64(c.m.AccountExec(q.cpu))
	} else {
		delta = c.clock(q) - e.execStart
	}
	if delta <= 0 {
		return
	}
	e.execStart = c.clock(q)
	resched := r.advance(uint64(delta))
	if e.my == nil {
		c.m.ServerUpdate(q.cpu, c, sim.Duration(delta))
	}
	if r.runtimeEnabled {
		c.accountRuntime(r, delta)
	}
	if resched {
		c.reschedLazy(q)
		r.clearBuddy(e)
	}
}

// Tick implements sim.Class and follows task_tick_fair.
func (c *Class) Tick(_ sim.CPU, cur *sim.Task) {
	for e := c.entity(cur); e != nil; e = e.parent {
		c.entityTick(e)
	}
}

// entityTick follows entity_tick.
func (c *Class) entityTick(e *entity) {
	r := e.cfs
	c.updateCurr(r)
	if r.curr != nil {
		c.updateLoad(r, r.curr)
		c.updateGroup(e)
	}
}

// switchingFrom lets a delayed task sleep before it leaves the class (switching_from_fair).
func (c *Class) switchingFrom(cpu sim.CPU, t *sim.Task) {
	if e := c.entity(t); e.delayed {
		c.dequeueEntities(&c.rqs[cpu], e, sim.DeqSleep|sim.DeqDelayed|sim.DeqNoClock)
	}
}

// switchedFrom takes the task's load along (switched_from_fair).
func (c *Class) switchedFrom(_ sim.CPU, t *sim.Task) { c.detachEntity(c.entity(t)) }

// switchedTo follows switched_to_fair.
func (c *Class) switchedTo(cpu sim.CPU, t *sim.Task) {
	switch {
	case !t.OnRQ:
	case c.m.Curr(cpu) == t:
		c.m.Resched(cpu)
	default:
		c.m.WakeupPreempt(cpu, t, 0)
	}
}

// prioChanged follows prio_changed_fair.
func (c *Class) prioChanged(cpu sim.CPU, t *sim.Task, oldPrio int32) {
	prio := t.K.Prio()
	switch {
	case !t.OnRQ, prio == oldPrio, c.rqs[cpu].nrQueued == 1:
	case c.m.Curr(cpu) != t:
		c.m.WakeupPreempt(cpu, t, 0)
	case prio > oldPrio:
		c.m.Resched(cpu)
	}
}

// reweightTask follows reweight_task_fair.
func (c *Class) reweightTask(_ sim.CPU, t *sim.Task) { c.reweight(c.entity(t), taskWeight(t)) }

// migrate takes t's load along to another CPU (migrate_task_rq_fair).
func (c *Class) migrate(t *sim.Task, _ sim.CPU) { c.detachEntity(c.entity(t)) }

// leaf is the task that q's class runs, nil if it runs none.
func (q *cpuQueue) leaf() *entity {
	e := q.curr
	for e != nil && e.my != nil {
		e = e.my.curr
	}
	return e
}
