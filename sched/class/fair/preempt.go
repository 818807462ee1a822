package fair

import "github.com/schedsim/schedsim/sim"

// reschedLazy asks q's CPU to reschedule because the class would rather run another task (resched_curr_lazy).
func (c *Class) reschedLazy(q *cpuQueue) {
	if c.opt.Preempt == PreemptFull {
		c.m.Resched(q.cpu)
	} else {
		c.m.ReschedLazy(q.cpu)
	}
}

// clearBuddy follows clear_buddies.
func (r *runq) clearBuddy(e *entity) {
	if r.next == e {
		r.next = nil
	}
}

// preemptAction is what a wakeup does to the running task (enum preempt_wakeup_action).
type preemptAction uint8

const (
	preemptNone    preemptAction = iota
	preemptShort                 // ignore the slice protection
	preemptPick                  // as pickEEVDF decides
	preemptResched               // in any case
)

// preemptSync decides about a wakee whose waker said that it is about to sleep (preempt_sync): the waker may go on for a
// while, for more wakeups.
func (c *Class) preemptSync(q *cpuQueue, f sim.WakeFlags, p, curr *entity) preemptAction {
	threshold := int64(migrationCostNS)
	if f&sim.WakeRQSelected != 0 {
		threshold >>= 2
	}
	if p.before(curr) && c.clock(q)-curr.execStart >= threshold {
		return preemptResched
	}
	return preemptNone
}

// wakeupPreempt follows wakeup_preempt_fair.
func (c *Class) wakeupPreempt(cpu sim.CPU, t *sim.Task, f sim.WakeFlags) {
	q := &c.rqs[cpu]
	curr := q.leaf()
	if curr == nil || !curr.onRQ || t.Class != sim.Class(c) {
		return
	}
	p := c.entity(t)
	if p == curr || p.throttled || c.m.NeedResched(cpu) || !c.has(WakeupPreemption) {
		return
	}
	for curr.cfs != p.cfs { // find_matching_se
		d := curr.depth - p.depth
		if d >= 0 {
			curr = curr.parent
		}
		if d <= 0 {
			p = p.parent
		}
	}
	r := curr.cfs

	action := preemptPick
	currIdle, pIdle := curr.idle(), p.idle()
	switch {
	case currIdle && !pIdle:
		// SCHED_IDLE gives way at once and is not protected.
		curr.cancelProtect()
		r.clearBuddy(curr)
		c.reschedLazy(q)
		return
	case currIdle != pIdle, t.Policy != sim.PolicyNormal:
		return
	}

	c.updateCurr(r)
	if c.has(PreemptShort) && p.slice < curr.slice {
		action = preemptShort
	} else {
		if f&sim.WakeFork != 0 || p.delayed {
			return
		}
		if c.has(NextBuddy) && c.setBuddy(p) && f&sim.WakeSync != 0 {
			action = c.preemptSync(q, f, p, curr)
		}
	}

	switch action {
	case preemptNone:
		return
	case preemptPick, preemptShort:
		var n *entity
		for n == nil && r.nrQueued > 0 {
			n = c.pickNext(r, action != preemptShort)
		}
		if n != p {
			if c.has(RunToParity) {
				r.updateProtect(curr)
			}
			return
		}
	}
	if action == preemptShort {
		curr.cancelProtect()
		r.clearBuddy(curr)
	}
	c.reschedLazy(q)
}

// setBuddy makes p the next buddy unless the present one has the earlier deadline (set_preempt_buddy).
func (c *Class) setBuddy(p *entity) bool {
	r := p.cfs
	if r.next != nil && r.next.before(p) {
		return false
	}
	c.setNextBuddy(p)
	return true
}

// yield follows yield_task_fair: an eligible task gives up the rest of its request.
func (c *Class) yield(cpu sim.CPU) {
	e := c.rqs[cpu].leaf()
	if e == nil || c.m.NrRunning(cpu) == 1 {
		return
	}
	r := e.cfs
	r.clearBuddy(e)
	c.updateCurr(r)
	if r.eligible(e) {
		e.vruntime = e.deadline
		r.updateDeadline(e)
	}
}
