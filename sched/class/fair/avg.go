package fair

import "math/bits"

// runq is the class's runqueue of one CPU (struct cfs_rq and the fair fields of struct rq). Its methods are the
// arithmetic of EEVDF and know neither machine nor clock; Class drives them.
//
// The average virtual runtime V is kept relative to zeroVruntime, which follows it closely so that the products below
// stay small (zero_vruntime in 7.2, which replaced min_vruntime):
//
//	sumWVruntime = sum of (v_i - zeroVruntime) * w_i	over the tree
//	sumWeight    = sum of w_i				over the tree
//
// The current entity is in neither sum, nor in the tree.
type runq struct {
	*config
	tree

	curr *entity
	next *entity // the next buddy

	nrQueued   int // cfs_rq.nr_queued: entities, with current and delayed ones
	hQueued    int // cfs_rq.h_nr_queued: tasks in it and below, with current and delayed ones
	nrRunnable int // cfs_rq.h_nr_runnable: without delayed ones
	nrIdle     int // cfs_rq.h_nr_idle: SCHED_IDLE tasks and those in idle groups

	sumWVruntime int64
	sumWeight    uint64
	zeroVruntime uint64

	load uint64 // sum of the weights of all queued entities
	avg  loadAvg

	// tasks are the queued tasks of the CPU, those of groups too; the list is used in the root's queue only, top.
	tasks list
	top   *runq

	groupQueue
}

// init sets the first virtual time a little below zero, as init_cfs_rq.
func (r *runq) init(c *config) {
	*r = runq{config: c}
	r.top = r
	r.zeroVruntime -= 1 << 20
}

// key is e's vruntime relative to the zero point (entity_key).
func (r *runq) key(vruntime uint64) int64 { return int64(vruntime - r.zeroVruntime) }

// enqueueNode adds e to the tree and the sums (__enqueue_entity).
func (r *runq) enqueueNode(e *entity) {
	r.sumWVruntime += r.key(e.vruntime) * int64(e.weight)
	r.sumWeight += e.weight
	r.insert(e)
}

// dequeueNode takes e out of the tree and the sums (__dequeue_entity).
func (r *runq) dequeueNode(e *entity) {
	r.remove(e)
	r.sumWVruntime -= r.key(e.vruntime) * int64(e.weight)
	r.sumWeight -= e.weight
}

// moveZero follows update_zero_vruntime.
func (r *runq) moveZero(delta int64) {
	r.sumWVruntime -= int64(r.sumWeight) * delta
	r.zeroVruntime += uint64(delta)
}

// running returns the current entity if it is still queued.
func (r *runq) running() *entity {
	if r.curr != nil && r.curr.onRQ {
		return r.curr
	}
	return nil
}

// avgVruntime returns V, rounded down so that an entity at V is eligible, and moves the zero point there
// (avg_vruntime).
func (r *runq) avgVruntime() uint64 {
	curr := r.running()
	var delta int64
	if r.sumWeight != 0 {
		runtime, weight := r.sumWVruntime, int64(r.sumWeight)
		if curr != nil {
			runtime += r.key(curr.vruntime) * int64(curr.weight)
			weight += int64(curr.weight)
		}
		if runtime < 0 {
			runtime -= weight - 1
		}
		delta = runtime / weight
	} else if curr != nil {
		delta = r.key(curr.vruntime)
	}
	r.moveZero(delta)
	return r.zeroVruntime
}

// eligibleAt tells whether an entity with that vruntime has received no more service than its share
// (vruntime_eligible). It compares without dividing, in 128 bits as the kernel does.
func (r *runq) eligibleAt(vruntime uint64) bool {
	avg, load := r.sumWVruntime, r.sumWeight
	if curr := r.running(); curr != nil {
		avg += r.key(curr.vruntime) * int64(curr.weight)
		load += curr.weight
	}
	key := r.key(vruntime)
	if key < 0 {
		hi, lo := bits.Mul64(uint64(-key), load)
		if avg >= 0 {
			return true
		}
		return hi != 0 || uint64(-avg) <= lo
	}
	if avg < 0 {
		return false
	}
	hi, lo := bits.Mul64(uint64(key), load)
	return hi == 0 && lo <= uint64(avg)
}

// eligible follows entity_eligible.
func (r *runq) eligible(e *entity) bool { return r.eligibleAt(e.vruntime) }

// minSlice is the shortest slice among the queued entities (cfs_rq_min_slice).
func (r *runq) minSlice() uint64 {
	s := ^uint64(0)
	if curr := r.running(); curr != nil {
		s = curr.slice
	}
	if r.root != nil {
		s = min(s, r.root.minSlice)
	}
	return s
}

// maxSlice is the longest slice among the queued entities (cfs_rq_max_slice).
func (r *runq) maxSlice() uint64 {
	var s uint64
	if curr := r.running(); curr != nil {
		s = curr.slice
	}
	if r.root != nil {
		s = max(s, r.root.maxSlice)
	}
	return s
}

// lag is e's virtual lag V-v, limited to the longest slice and a tick (entity_lag).
func (r *runq) lag(e *entity, v uint64) int64 {
	limit := int64(e.calcDeltaFair(r.maxSlice() + r.tickNS))
	return max(-limit, min(limit, int64(v-e.vruntime)))
}

// updateLag stores e's lag. It tells whether that is not the lag that e's vruntime says, because it was limited
// (update_entity_lag).
func (r *runq) updateLag(e *entity) bool {
	v := r.avgVruntime()
	l := r.lag(e, v)
	if e.delayed {
		// The lag must not get worse while the entity is delayed, nor turn positive.
		l = max(l, e.vlag)
		if r.has(DelayZero) {
			l = min(l, 0)
		}
	}
	e.vlag = l
	return v-uint64(l) != e.vruntime
}

// updateDeadline starts a new request when the last one is consumed and tells so (update_deadline).
func (r *runq) updateDeadline(e *entity) bool {
	if int64(e.vruntime-e.deadline) < 0 {
		return false
	}
	if !e.customSlice {
		e.slice = r.baseSlice
	}
	e.deadline = e.vruntime + e.calcDeltaFair(e.slice)
	r.avgVruntime()
	return true
}

// advance charges delta ns of run time to the current entity and tells whether another should get the CPU (the middle
// of update_curr).
func (r *runq) advance(delta uint64) (resched bool) {
	e := r.curr
	e.vruntime += e.calcDeltaFair(delta)
	resched = r.updateDeadline(e)
	if r.nrQueued == 1 {
		return false
	}
	return resched || !e.protected()
}
