package fair

import (
	"github.com/schedsim/schedsim/sim"
)

// Task groups (CONFIG_FAIR_GROUP_SCHED). A cgroup below the root has on each CPU a runqueue for what is directly in it,
// and an entity that stands for the group on the runqueue of its parent. The entity's weight is the part of the group's
// shares that its load on the CPU is of its load on all CPUs. A machine without cgroups has none of this: its tasks are
// on the runqueues of the CPUs and the loops over parents end at once.

// groupQueue is what a runqueue has only if it belongs to a group, the root included where bandwidth is concerned.
type groupQueue struct {
	q  *cpuQueue  // the CPU's
	tg *taskGroup // nil: the root
	se *entity    // the group on its parent's runqueue, nil for the root
	// idle is cfs_rq.idle: the group has cpu.idle.
	idle bool

	tgContrib   uint64 // tg_load_avg_contrib
	tgUpdatedAt int64
	propagate   bool // loads came or went, and the entity has yet to follow
	propSum     int64
	hLoad       uint64
	hLoadAt     int64 // in ticks

	runtimeEnabled   bool
	runtimeRemaining int64
	isThrottled      bool // the quota of this group is used up
	throttleCount    int  // how many groups from here up are throttled
	limbo            list // tasks that wait for the end of that
	// peltOff is the time at which the clock of the averages stopped, 0 while it runs; peltLost how long it did not run.
	peltOff, peltLost int64
	inCSD             bool
}

// taskGroup is one cgroup in this class (struct task_group).
type taskGroup struct {
	cg   *sim.Cgroup
	up   *taskGroup // nil: the root is the parent
	rqs  []*runq    // by CPU, nil where no task has been
	ents []*entity
	load int64 // tg->load_avg
	bandwidth
}

// group returns the class's part of a cgroup, which it makes when it first meets one. Nil for the root.
func (c *Class) group(g *sim.Cgroup) *taskGroup {
	if g.Parent == nil {
		return nil
	}
	for int(g.Index) >= len(c.groups) {
		c.groups = append(c.groups, nil)
	}
	tg := c.groups[g.Index]
	if tg == nil {
		tg = &taskGroup{cg: g, up: c.group(g.Parent), rqs: make([]*runq, len(c.rqs)), ents: make([]*entity, len(c.rqs))}
		tg.bandwidth.init(c, tg)
		c.groups[g.Index] = tg
		c.groupOrder = append(c.groupOrder, tg)
	}
	return tg
}

// cfsOf is the runqueue of a group on a CPU (tg_cfs_rq); it is made when it is first used (init_tg_cfs_entry).
func (c *Class) cfsOf(g *sim.Cgroup, cpu sim.CPU) *runq {
	if g.Parent == nil {
		return &c.rqs[cpu].runq
	}
	tg := c.group(g)
	if r := tg.rqs[cpu]; r != nil {
		return r
	}
	q := &c.rqs[cpu]
	parent := c.cfsOf(g.Parent, cpu)
	r := new(runq)
	r.init(&c.config)
	e := &entity{weight: nice0Load, slice: c.baseSlice, cfs: parent, parent: parent.se, my: r}
	if parent.se != nil {
		e.depth = parent.se.depth + 1
	}
	r.top, r.groupQueue = &q.runq, groupQueue{q: q, tg: tg, se: e, idle: g.Idle}
	tg.rqs[cpu], tg.ents[cpu] = r, e
	// online_fair_sched_group: the entity has no load yet.
	c.updateLoad(parent, e)
	parent.attach(e)
	if g.QuotaUS != sim.QuotaMax {
		r.runtimeEnabled, r.runtimeRemaining = true, 1
	}
	if r.throttleCount = parent.throttleCount; r.throttleCount > 0 { // sync_throttle
		r.peltOff = max(1, c.clock(q))
	}
	return r
}

// peltClock is the time for the averages of r: it stands still while the group is throttled (cfs_rq_clock_pelt).
func (c *Class) peltClock(r *runq) int64 {
	now := c.clock(r.q)
	if r.peltOff != 0 {
		now = r.peltOff
	}
	return now - r.peltLost
}

// updateLoad brings e, r and what follows from r's load up to now (update_load_avg).
func (c *Class) updateLoad(r *runq, e *entity) {
	r.updateLoadAvg(e, c.peltClock(r))
	if r.tg != nil {
		c.updateTGLoad(r)
	}
}

// updateTGLoad follows update_tg_load_avg: at most once a millisecond and only for changes that matter.
func (c *Class) updateTGLoad(r *runq) {
	now := c.clock(r.q)
	if !c.m.Active(r.q.cpu) || now-r.tgUpdatedAt < int64(sim.Millisecond) {
		return
	}
	delta := int64(r.avg.load) - int64(r.tgContrib)
	if abs := max(delta, -delta); abs > int64(r.tgContrib/64) {
		r.tg.load += delta
		r.tgContrib, r.tgUpdatedAt = r.avg.load, now
	}
}

// addPropagate follows add_tg_cfs_propagate.
func (r *runq) addPropagate(sum int64) {
	if r.tg != nil {
		r.propagate = true
		r.propSum += sum
	}
}

// propagateFrom has the group's entity e take over what its runqueue gained and lost in load by tasks that came and
// went (propagate_entity_load_avg).
func (r *runq) propagateFrom(e *entity) {
	g := e.my
	if !g.propagate {
		return
	}
	g.propagate = false
	r.addPropagate(g.propSum)
	d := r.avg.divider()

	// update_tg_cfs_util and update_tg_cfs_runnable: the entity has the averages of its runqueue.
	follow := func(avg, sum *uint64, from uint64, ravg, rsum *uint64) {
		if *avg == from {
			return
		}
		davg := int64(from) - int64(*avg)
		now := from * d
		dsum := int64(now) - int64(*sum)
		*avg, *sum = from, now
		*ravg, *rsum = r.avg.plus(*ravg, davg, *rsum, dsum)
	}
	follow(&e.avg.util, &e.avg.utilSum, g.avg.util, &r.avg.util, &r.avg.utilSum)
	follow(&e.avg.runnable, &e.avg.runnableSum, g.avg.runnable, &r.avg.runnable, &r.avg.runnableSum)

	// update_tg_cfs_load.
	sum := g.propSum
	if sum == 0 {
		return
	}
	g.propSum = 0
	if sum >= 0 {
		sum = min(sum+int64(e.avg.loadSum), int64(d))
	} else {
		// All tasks are taken to be equally runnable.
		var each uint64
		if w := seWeight(g.load); w != 0 {
			each = g.avg.loadSum / w
		}
		sum = int64(min(e.avg.loadSum, each))
	}
	sum = max(sum, int64(e.avg.utilSum>>10))
	w := int64(seWeight(e.weight))
	load := w * sum / int64(d)
	davg := load - int64(e.avg.load)
	if davg == 0 {
		return
	}
	dsum := w*sum - w*int64(e.avg.loadSum)
	e.avg.loadSum, e.avg.load = uint64(sum), uint64(load)
	r.avg.load, r.avg.loadSum = r.avg.plus(r.avg.load, davg, r.avg.loadSum, dsum)
}

// plus adds to an average and its sum, not below zero, and keeps the two consistent (__update_sa).
func (a *loadAvg) plus(avg uint64, davg int64, sum uint64, dsum int64) (uint64, uint64) {
	avg = uint64(max(0, int64(avg)+davg))
	sum = uint64(max(0, int64(sum)+dsum))
	return avg, max(sum, avg*peltMin)
}

// calcGroupShares follows calc_group_shares.
func (r *runq) calcGroupShares() uint64 {
	shares := r.tg.cg.Shares
	load := max(int64(seWeight(r.load)), int64(r.avg.load))
	total := r.tg.load - int64(r.tgContrib) + load
	w := int64(shares) * load
	if total != 0 {
		w /= total
	}
	return uint64(max(2, min(w, int64(shares))))
}

// updateGroup gives the entity of a group the weight that it should have now (update_cfs_group). An empty group keeps
// its weight.
func (c *Class) updateGroup(e *entity) {
	if e.my == nil || e.my.load == 0 {
		return
	}
	if w := e.my.calcGroupShares(); w != e.weight {
		c.reweight(e, w)
	}
}

// reweight changes the weight of e (reweight_entity).
func (c *Class) reweight(e *entity, w uint64) {
	if e.cfs == nil {
		e.avg.load, e.weight = seWeight(w), w // new
		return
	}
	if e.onRQ {
		c.updateCurr(e.cfs)
	}
	e.cfs.reweight(e, w)
}

// above updates the entities from p up after something changed below them (the second loops of enqueue_task_fair and
// dequeue_entities). The counts change by those given; slice is the shortest slice below p, 0 if it is not known.
func (c *Class) above(p *entity, slice uint64, queued, runnable, idle int) {
	for ; p != nil; p = p.parent {
		r := p.cfs
		c.updateLoad(r, p)
		p.runnableWeight = p.my.nrRunnable
		c.updateGroup(p)
		p.slice = slice
		if p != r.curr {
			propagate(p)
		}
		slice = r.minSlice()
		r.nrRunnable += runnable
		r.hQueued += queued
		r.nrIdle += idle
		if r.idle {
			idle = queued
		}
	}
}

// detachEntity takes e's averages out of its runqueue (detach_entity_cfs_rq).
func (c *Class) detachEntity(e *entity) {
	r := e.cfs
	if r == nil || !e.avg.attached {
		return
	}
	r.detach(e, c.peltClock(r))
	if r.tg != nil {
		c.updateTGLoad(r)
		c.propagateUp(r)
	}
}

// propagateUp follows propagate_entity_cfs_rq.
func (c *Class) propagateUp(r *runq) {
	for p := r.se; p != nil; p = p.parent {
		c.updateLoad(p.cfs, p)
	}
}

// changeGroup moves t's entity to the runqueue of its new group (task_change_group_fair).
func (c *Class) changeGroup(t *sim.Task) {
	e := c.entity(t)
	attached := e.avg.attached
	c.detachEntity(e)
	r := c.setCFS(e)
	if attached {
		c.updateLoad(r, e)
		r.attach(e)
		if r.tg != nil {
			c.updateTGLoad(r)
			c.propagateUp(r)
		}
	}
}

// setCFS sets the runqueue of e by its task's group and CPU (set_task_rq).
func (c *Class) setCFS(e *entity) *runq {
	r := c.cfsOf(e.t.SchedGroup, e.t.CPU())
	e.cfs, e.parent, e.depth = r, r.se, 0
	if r.se != nil {
		e.depth = r.se.depth + 1
	}
	return r
}

// cgroupShares follows a change of a group's shares (__sched_group_set_shares) or of cpu.idle (sched_group_set_idle).
func (c *Class) cgroupShares(g *sim.Cgroup) {
	tg := c.group(g)
	for cpu, r := range tg.rqs {
		if r == nil {
			continue
		}
		if r.idle != g.Idle {
			c.setGroupIdle(r, g.Idle)
		}
		for e := tg.ents[cpu]; e != nil; e = e.parent {
			c.updateLoad(e.cfs, e)
			c.updateGroup(e)
		}
	}
}

// setGroupIdle makes all tasks of r's group count as idle ones above it, or no longer.
func (c *Class) setGroupIdle(r *runq, idle bool) {
	r.idle = idle
	delta := r.hQueued - r.nrIdle
	if !idle {
		delta = -delta
	}
	for e := r.se; e != nil && e.onRQ; e = e.parent {
		e.cfs.nrIdle += delta
		if e.cfs.idle {
			break
		}
	}
}

// cgroupFree lets go of a group that is no more (unregister_fair_sched_group).
func (c *Class) cgroupFree(g *sim.Cgroup) {
	if int(g.Index) >= len(c.groups) || c.groups[g.Index] == nil {
		return
	}
	tg := c.groups[g.Index]
	c.destroyBandwidth(tg)
	for cpu, e := range tg.ents {
		if e == nil {
			continue
		}
		if e.delayed {
			c.dequeueEntities(&c.rqs[cpu], e, sim.DeqSleep|sim.DeqDelayed)
		}
		if e.onRQ {
			panic("BUG: fair: group " + g.Path() + " goes away with tasks")
		}
		c.detachEntity(e)
	}
	c.groups[g.Index] = nil
	for i, o := range c.groupOrder {
		if o == tg {
			c.groupOrder = append(c.groupOrder[:i], c.groupOrder[i+1:]...)
			break
		}
	}
}

// updateBlocked lets the load of what sleeps on a CPU decay (sched_balance_update_blocked_averages): children before
// parents.
func (c *Class) updateBlocked(q *cpuQueue) {
	for i := len(c.groupOrder) - 1; i >= 0; i-- {
		r := c.groupOrder[i].rqs[q.cpu]
		if r == nil {
			continue
		}
		r.updateAvg(c.peltClock(r))
		c.updateTGLoad(r)
		if e := r.se; e.avg.load != 0 || e.avg.util != 0 || r.propagate {
			c.updateLoad(e.cfs, e)
		}
	}
	q.updateAvg(c.clock(q))
}

// taskHLoad is the load that e's task adds to its CPU: its part of the load of its group, and so on upwards (task_h_load).
func (c *Class) taskHLoad(e *entity) uint64 {
	if e.parent == nil {
		return e.avg.load
	}
	r := e.cfs
	c.updateHLoad(r)
	return e.avg.load * r.hLoad / (r.avg.load + 1)
}

// updateHLoad follows update_cfs_rq_h_load.
func (c *Class) updateHLoad(r *runq) {
	now := c.ticks() + 1
	if r.hLoadAt == now {
		return
	}
	r.hLoadAt = now
	if r.se == nil {
		r.hLoad = r.avg.load
		return
	}
	up := r.se.cfs
	c.updateHLoad(up)
	r.hLoad = up.hLoad * r.se.avg.load / (up.avg.load + 1)
}
