package fair

import "github.com/schedsim/schedsim/sim"

// Enqueue implements sim.Class and follows enqueue_task_fair.
func (c *Class) Enqueue(cpu sim.CPU, t *sim.Task, f sim.EnqFlags) {
	q, e := &c.rqs[cpu], c.entity(t)
	if e.throttled {
		if c.enqueueThrottled(e, c.setCFS(e)) {
			return
		}
	}
	if f&sim.EnqInitial != 0 {
		r := c.cfsOf(t.SchedGroup, cpu)
		r.updateAvg(c.peltClock(r))
		r.initUtil(e, c.capacity(cpu))
	}
	if !e.delayed || f&sim.EnqDelayed != 0 {
		q.estEnqueue(e)
	}
	if e.delayed && e.onRQ {
		c.requeueDelayed(e)
		return
	}
	if e.onRQ {
		panic("BUG: fair: task queued twice")
	}
	if w := taskWeight(t); w != e.weight {
		c.reweight(e, w)
	}
	was := q.hQueued
	c.setCFS(e)
	c.enqueueEntity(e, f)
	if e.parent != nil {
		c.enqueueAbove(e)
	}
	if was == 0 {
		c.m.ServerStart(cpu, c)
	}
	c.m.AddNrRunning(cpu, 1)
	if c.m.NrRunning(cpu) > 1 {
		c.overloaded = true
	}
	c.hrtickUpdate(q)
}

// enqueueEntity puts e on its runqueue (enqueue_entity).
func (c *Class) enqueueEntity(e *entity, f sim.EnqFlags) {
	r := e.cfs
	curr := r.curr == e
	if curr {
		// The current entity must have its place before it is charged.
		r.place(e, f)
	}
	c.updateCurr(r)
	c.updateLoad(r, e)
	if !e.avg.attached {
		r.attach(e)
		if r.tg != nil {
			c.updateTGLoad(r)
		}
	}
	if e.my != nil {
		e.runnableWeight = e.my.nrRunnable
		c.updateGroup(e)
	}
	if !curr {
		r.place(e, f)
	}
	if f&sim.EnqMigrated != 0 {
		e.execStart = 0
	}
	r.join(e)
	if r.nrQueued == 1 && r.tg != nil {
		if r.runtimeEnabled && r.curr == nil && !r.isThrottled {
			c.accountRuntime(r, 0) // check_enqueue_throttle
		}
		c.peltOn(r)
	}
}

// enqueueAbove is the rest of enqueue_task_fair for the groups around a task e that was queued.
func (c *Class) enqueueAbove(e *entity) {
	runnable, idle := 1, 0
	if e.delayed {
		runnable = 0
	}
	if e.idlePolicy || e.cfs.idle {
		idle = 1
	}
	slice := e.cfs.minSlice()
	p := e.parent
	for ; p != nil; p = p.parent {
		if p.onRQ {
			if p.delayed {
				c.requeueDelayed(p)
			}
			break
		}
		// The group serves its tasks in the time that the most urgent of them wants.
		p.slice, p.customSlice = slice, true
		r := p.cfs
		c.enqueueEntity(p, sim.EnqWakeup)
		slice = r.minSlice()
		r.nrRunnable += runnable
		r.hQueued++
		r.nrIdle += idle
		if r.idle {
			idle = 1
		}
	}
	c.above(p, slice, 1, runnable, idle)
}

// requeueDelayed follows requeue_delayed_entity.
func (c *Class) requeueDelayed(e *entity) {
	r := e.cfs
	c.updateCurr(r)
	r.replaceDelayed(e)
	c.updateLoad(r, e)
}

// Dequeue implements sim.Class and follows dequeue_task_fair.
func (c *Class) Dequeue(cpu sim.CPU, t *sim.Task, f sim.DeqFlags) bool {
	q, e := &c.rqs[cpu], c.entity(t)
	if e.throttled {
		c.dequeueThrottled(e, f)
		return true
	}
	if !e.delayed {
		q.estDequeue(e)
	}
	return c.dequeueEntities(q, e, f)
}

// dequeueEntities withdraws e and the groups that become empty by that. It returns false if e is a task that is left to burn
// off its negative lag (dequeue_entities).
func (c *Class) dequeueEntities(q *cpuQueue, e *entity, f sim.DeqFlags) bool {
	queued, runnable, idle := 0, 0, 0
	delayed := f&sim.DeqDelayed != 0
	if e.my == nil && !e.delayed {
		runnable = 1
	}
	if !c.dequeueEntity(e, f) {
		return e.my != nil
	}
	if e.my == nil {
		queued = 1
		if e.idlePolicy || e.cfs.idle {
			idle = 1
		}
		c.m.AddNrRunning(q.cpu, -1)
	}
	if e.parent != nil {
		c.dequeueAbove(e, f, queued, runnable, idle)
	}
	if delayed && e.my == nil {
		c.m.Block(e.t)
	}
	return true
}

// dequeueAbove is the rest of dequeue_entities for the groups around e.
func (c *Class) dequeueAbove(e *entity, f sim.DeqFlags, queued, runnable, idle int) {
	var slice uint64
	r, p := e.cfs, e.parent
	sleep := f&sim.DeqSleep != 0
	f = (f | sim.DeqSleep) &^ (sim.DeqDelayed | sim.DeqSpecial)
	for ; p != nil; p = p.parent {
		if r.load != 0 {
			slice = r.minSlice()
			if sleep {
				c.setNextBuddy(p)
			}
			break
		}
		if r = p.cfs; !c.dequeueEntity(p, f) {
			slice = r.minSlice()
			break
		}
		r.nrRunnable -= runnable
		r.hQueued -= queued
		r.nrIdle -= idle
		if r.idle {
			idle = queued
		}
	}
	c.above(p, slice, -queued, -runnable, -idle)
}

// dequeueEntity takes e from its runqueue, or leaves it there delayed and returns false (dequeue_entity).
func (c *Class) dequeueEntity(e *entity, f sim.DeqFlags) bool {
	if !e.onRQ {
		panic("BUG: fair: dequeue of a task that is not queued")
	}
	r := e.cfs
	sleep, delayed := f&sim.DeqSleep != 0, f&sim.DeqDelayed != 0
	c.updateCurr(r)
	r.clearBuddy(e)
	if !delayed && c.has(DelayDequeue) && sleep && f&(sim.DeqSpecial|sim.DeqThrottle) == 0 && !r.eligible(e) {
		c.updateLoad(r, e)
		if e.my == nil {
			r.estUpdate(e)
		}
		r.updateLag(e)
		r.setDelayed(e)
		return false
	}
	c.updateLoad(r, e)
	if e.my != nil {
		e.runnableWeight = e.my.nrRunnable
	} else if sleep && !delayed {
		r.estUpdate(e)
	}
	r.leave(e, sleep)
	if r.runtimeEnabled && r.nrQueued == 0 {
		c.returnRuntime(r)
	}
	c.updateGroup(e)
	if delayed {
		r.clearDelayed(e)
	}
	if r.nrQueued == 0 && r.throttleCount > 0 && r.peltOff == 0 {
		r.peltOff = max(1, c.clock(r.q))
	}
	return true
}

// setNextBuddy prefers the groups from e up at the next pick (set_next_buddy).
func (c *Class) setNextBuddy(e *entity) {
	for ; e != nil; e = e.parent {
		if !e.onRQ || e.idle() {
			return
		}
		e.cfs.next = e
	}
}
