package fair

import "github.com/schedsim/schedsim/sim"

// place gives e, which joins the runqueue, its vruntime and deadline (place_entity). The lag that it had when it left
// is inflated so that it is the same after e has moved the average by joining.
func (r *runq) place(e *entity, f sim.EnqFlags) {
	v := r.avgVruntime()
	var lag int64
	moveZero := false

	if !e.customSlice {
		e.slice = r.baseSlice
	}
	vslice := e.calcDeltaFair(e.slice)

	if r.has(PlaceLag) && r.nrQueued != 0 && e.vlag != 0 {
		load := int64(r.sumWeight)
		if curr := r.running(); curr != nil {
			load += int64(curr.weight)
		}
		w := int64(e.weight)
		lag = e.vlag * (load + w)
		if load == 0 {
			panic("BUG: fair: queued entities without weight")
		}
		lag /= load
		// A heavy entity pulls the average to itself; moving the zero point along keeps the products small.
		moveZero = w > load
	}

	e.vruntime = v - uint64(lag)
	if moveZero {
		r.moveZero(-lag)
	}

	if r.has(PlaceRelDeadline) && e.relDeadline {
		e.deadline += e.vruntime
		e.relDeadline = false
		return
	}
	if r.has(PlaceDeadlineInitial) && f&sim.EnqInitial != 0 {
		vslice /= 2
	}
	e.deadline = e.vruntime + vslice
}

// account adds e to the counts of the runqueue (account_entity_enqueue). Those of the runqueues above, and of a group's
// tasks, are the caller's.
func (r *runq) account(e *entity) {
	r.load += e.weight
	r.nrQueued++
	if e.my != nil {
		return
	}
	r.top.tasks.pushFront(e)
	r.config.nrTasks++
	r.hQueued++
	if !e.delayed {
		r.nrRunnable++
	}
	e.idlePolicy = e.t.Policy == sim.PolicyIdle
	if e.idlePolicy {
		r.nrIdle++
	}
}

// unaccount takes e out of the counts (account_entity_dequeue).
func (r *runq) unaccount(e *entity) {
	r.load -= e.weight
	r.nrQueued--
	if e.my != nil {
		return
	}
	r.top.tasks.remove(e)
	r.config.nrTasks--
	r.hQueued--
	if !e.delayed {
		r.nrRunnable--
	}
	if e.idlePolicy {
		r.nrIdle--
	}
}

// join queues e, placed already (the end of enqueue_entity).
func (r *runq) join(e *entity) {
	r.account(e)
	if e != r.curr {
		r.enqueueNode(e)
	}
	e.onRQ = true
}

// leave takes e out for good; sleep tells a blocking task from one that moves (the end of dequeue_entity).
func (r *runq) leave(e *entity, sleep bool) {
	r.updateLag(e)
	if r.has(PlaceRelDeadline) && !sleep {
		e.deadline -= e.vruntime
		e.relDeadline = true
	}
	if e != r.curr {
		r.dequeueNode(e)
	}
	e.onRQ = false
	r.unaccount(e)
}

// setDelayed marks e, which sleeps or is an empty group, as still competing (set_delayed).
func (r *runq) setDelayed(e *entity) {
	e.delayed = true
	if e.my != nil {
		return
	}
	e.t.SchedDelayed = true
	r.nrRunnable--
	for p := e.parent; p != nil; p = p.parent {
		p.cfs.nrRunnable--
	}
}

// clearDelayed takes the mark away (clear_delayed). An entity that is still queued is runnable again.
func (r *runq) clearDelayed(e *entity) {
	e.delayed = false
	if e.my != nil {
		return
	}
	e.t.SchedDelayed = false
	if e.onRQ {
		r.nrRunnable++
		for p := e.parent; p != nil; p = p.parent {
			p.cfs.nrRunnable++
		}
	}
}

// replaceDelayed places a delayed entity anew when its lag was limited (requeue_delayed_entity).
func (r *runq) replaceDelayed(e *entity) {
	if r.updateLag(e) {
		r.nrQueued--
		if e != r.curr {
			r.dequeueNode(e)
		}
		r.place(e, 0)
		if e != r.curr {
			r.enqueueNode(e)
		}
		r.nrQueued++
	}
	r.clearDelayed(e)
}

// reweight changes e's weight and keeps its lag and the distance to its deadline in real time (reweight_entity). The
// caller has brought the current entity up to date.
func (r *runq) reweight(e *entity, weight uint64) {
	curr := r.curr == e
	relVprot := false
	var v uint64
	if e.onRQ {
		v = r.avgVruntime()
		e.vlag = r.lag(e, v)
		e.deadline -= v
		e.relDeadline = true
		if curr && e.protected() {
			e.vprot -= v
			relVprot = true
		}
		r.nrQueued--
		if !curr {
			r.dequeueNode(e)
		}
		r.load -= e.weight
	}
	r.avg.subLoad(&e.avg, e.weight)
	e.rescale(weight, relVprot)
	e.avg.reweight(weight)
	r.avg.addLoad(&e.avg, weight)
	if e.onRQ {
		if relVprot {
			e.vprot += v
		}
		e.deadline += v
		e.relDeadline = false
		e.vruntime = v - uint64(e.vlag)
		r.load += weight
		if !curr {
			r.enqueueNode(e)
		}
		r.nrQueued++
	}
}
