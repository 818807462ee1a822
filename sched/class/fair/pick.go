package fair

import "github.com/schedsim/schedsim/sim"

// setProtect protects e, which is about to run, from preemption: until its deadline, or for as long as the shortest
// slice in the queue (set_protect_slice).
func (r *runq) setProtect(e *entity) {
	slice := r.normSlice
	if r.has(RunToParity) {
		slice = r.minSlice()
	}
	e.vprot = e.deadline
	if slice = min(slice, e.slice); slice != e.slice {
		e.vprot = vmin(e.vprot, e.vruntime+e.calcDeltaFair(slice))
	}
}

// updateProtect shortens e's protection to the shortest slice now in the queue (update_protect_slice).
func (r *runq) updateProtect(e *entity) {
	e.vprot = vmin(e.vprot, e.vruntime+e.calcDeltaFair(r.minSlice()))
}

// pickEEVDF returns the eligible entity with the earliest virtual deadline, or the current one while its slice is
// protected and protect is set (pick_eevdf). Precondition: something is queued.
func (r *runq) pickEEVDF(protect bool) *entity {
	curr := r.running()
	if r.nrQueued == 1 {
		if curr != nil {
			return curr
		}
		return r.first
	}
	if protect && r.next != nil && r.has(PickBuddy) && r.eligible(r.next) {
		return r.next
	}
	if curr != nil && !r.eligible(curr) {
		curr = nil
	}
	if curr != nil && protect && curr.protected() {
		return curr
	}

	best := r.earliestEligible()
	if best == nil || curr != nil && curr.before(best) {
		best = curr
	}
	return best
}

// earliestEligible searches the tree: where a left subtree holds an eligible entity, the best one is there.
func (r *runq) earliestEligible() *entity {
	if r.first != nil && r.eligible(r.first) {
		return r.first
	}
	for n := r.root; n != nil; {
		if n.left != nil && r.eligibleAt(n.left.minVruntime) {
			n = n.left
			continue
		}
		if r.eligible(n) {
			return n
		}
		n = n.right
	}
	return nil
}

// pickNext picks an entity; a delayed one that is picked has no negative lag left, goes to sleep for good and nil is
// returned (pick_next_entity).
func (c *Class) pickNext(r *runq, protect bool) *entity {
	e := r.pickEEVDF(protect)
	if e == nil {
		panic("BUG: fair: nothing eligible among queued entities")
	}
	if e.delayed {
		c.dequeueEntities(r.q, e, sim.DeqSleep|sim.DeqDelayed)
		return nil
	}
	return e
}

// pickTask goes down from r to a task, nil if an entity on the way was only delayed.
func (c *Class) pickTask(r *runq) *entity {
	for {
		if r.running() != nil {
			c.updateCurr(r)
		}
		e := c.pickNext(r, true)
		if e == nil || e.my == nil {
			return e
		}
		r = e.my
	}
}

// Pick implements sim.Class and follows pick_task_fair.
func (c *Class) Pick(cpu sim.CPU, prev *sim.Task) *sim.Task {
	q := &c.rqs[cpu]
	for {
		for q.nrQueued > 0 {
			if e := c.pickTask(&q.runq); e != nil {
				return e.t
			}
		}
		if !c.newidle(q) {
			return nil
		}
	}
}

// SetNext implements sim.Class and follows set_next_task_fair.
func (c *Class) SetNext(cpu sim.CPU, t *sim.Task, first bool) {
	q, e := &c.rqs[cpu], c.entity(t)
	throttled := false
	for p := e; p != nil; p = p.parent {
		r := p.cfs
		if first && r.curr != nil && p != e {
			break // the groups that the last task was in, too
		}
		c.setNextEntity(r, p, first)
		if r.runtimeEnabled && c.accountRuntime(r, 0) {
			throttled = true
		}
	}
	if throttled {
		c.throttleWork(t)
	}
	if e.onRQ {
		q.tasks.moveFront(e)
	}
	if first {
		c.hrtickStart(q, e, c.m.Costs().Switch) // when the switch is over (hrtick_schedule_exit)
	}
}

// setNextEntity follows set_next_entity.
func (c *Class) setNextEntity(r *runq, e *entity, first bool) {
	r.clearBuddy(e)
	if e.onRQ {
		// The current entity is not in the tree.
		r.dequeueNode(e)
		c.updateLoad(r, e)
		if first {
			r.setProtect(e)
		}
	}
	e.execStart = c.clock(r.q)
	if r.curr != nil {
		panic("BUG: fair: set_next_task with a current task")
	}
	r.curr = e
}

// PutPrev implements sim.Class and follows put_prev_task_fair. Groups that the next task is in too keep their entities
// current.
func (c *Class) PutPrev(cpu sim.CPU, prev, next *sim.Task) {
	q, e := &c.rqs[cpu], c.entity(prev)
	if e.cfs.curr != e {
		panic("BUG: fair: put_prev_task of a task that is not current")
	}
	var n *entity
	if next != nil && next.Class == sim.Class(c) {
		n = c.entity(next)
	} else {
		c.hrtickStop(q)
	}
	for e != nil {
		if r := e.cfs; n == nil || r.curr != nil {
			c.putPrevEntity(r, e)
		}
		if n != nil {
			if e.cfs == n.cfs {
				return
			}
			d := n.depth - e.depth
			if d >= 0 {
				n = n.parent
				if d > 0 {
					continue
				}
			}
		}
		e = e.parent
	}
}

// putPrevEntity follows put_prev_entity.
func (c *Class) putPrevEntity(r *runq, e *entity) {
	if e.onRQ {
		c.updateCurr(r)
	}
	if e.onRQ {
		r.enqueueNode(e)
		c.updateLoad(r, e)
	}
	r.curr = nil
}
