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
func (c *Class) pickNext(q *cpuQueue, protect bool) *entity {
	e := q.pickEEVDF(protect)
	if e == nil {
		panic("BUG: fair: nothing eligible among queued entities")
	}
	if e.delayed {
		c.dequeueEntity(q, e, sim.DeqSleep|sim.DeqDelayed)
		return nil
	}
	return e
}

// Pick implements sim.Class and follows pick_task_fair.
func (c *Class) Pick(cpu sim.CPU, prev *sim.Task) *sim.Task {
	q := &c.rqs[cpu]
	for {
		for q.nrQueued > 0 {
			if q.running() != nil {
				c.updateCurr(q)
			}
			if e := c.pickNext(q, true); e != nil {
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
	now := c.clock(q)
	q.clearBuddy(e)
	if e.onRQ {
		// The current entity is not in the tree.
		q.dequeueNode(e)
		q.updateLoadAvg(e, now)
		if first {
			q.setProtect(e)
		}
	}
	e.execStart = now
	if q.curr != nil {
		panic("BUG: fair: set_next_task with a current task")
	}
	q.curr = e
	if e.onRQ {
		q.tasks.moveFront(e)
	}
	if first {
		c.hrtickStart(q, e)
	}
}

// PutPrev implements sim.Class and follows put_prev_task_fair.
func (c *Class) PutPrev(cpu sim.CPU, prev, next *sim.Task) {
	q, e := &c.rqs[cpu], c.entity(prev)
	if q.curr != e {
		panic("BUG: fair: put_prev_task of a task that is not current")
	}
	if e.onRQ {
		c.updateCurr(q)
		q.enqueueNode(e)
		q.updateLoadAvg(e, c.clock(q))
	}
	q.curr = nil
	if next == nil || next.Class != sim.Class(c) {
		c.hrtickStop(q)
	}
}
