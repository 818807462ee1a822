package dl

import "github.com/schedsim/schedsim/sim"

// bwShift and dlScale are BW_SHIFT and DL_SCALE.
const (
	bwShift = 20
	dlScale = 10
)

// toRatio follows to_ratio: runtime / period in units of 1 << bwShift.
func toRatio(period, runtime sim.Duration) int64 {
	if period == 0 {
		return 0
	}
	return (int64(runtime) << bwShift) / int64(period)
}

// entity is a reservation (struct sched_dl_entity): of a task, or of a class on a CPU.
type entity struct {
	t   *sim.Task // nil for a server
	srv *Server   // nil for a task
	q   *runq     // where it counts

	par sim.Deadline // Period is never 0 here
	bw  int64        // toRatio of period and runtime

	runtime  sim.Duration // left of the current instance, negative after an overrun
	deadline sim.Time     // of the current instance
	on       bool         // queued on q.list

	throttled, yielded                            bool
	deferred, deferArmed, deferRunning, deferIdle bool // dl_defer...

	timer sim.Timer
}

// longAgo is the deadline of a reservation that never had one; the kernel's 0 was long ago for a running system.
const longAgo = sim.Time(-1 << 60)

// setParam follows __setparam_dl.
func (e *entity) setParam(d sim.Deadline) {
	if d.Period == 0 {
		d.Period = d.Deadline
	}
	e.par = d
	e.bw = toRatio(d.Period, d.Runtime)
}

// implicit follows dl_is_implicit.
func (e *entity) implicit() bool { return e.par.Deadline == e.par.Period }

// nextPeriod follows dl_next_period.
func (e *entity) nextPeriod() sim.Time { return e.deadline.Add(e.par.Period - e.par.Deadline) }

// newPeriod follows replenish_dl_new_period.
func (e *entity) newPeriod(now sim.Time) {
	e.deadline = now.Add(e.par.Deadline)
	e.runtime = e.par.Runtime
	if e.deferred && !e.deferRunning {
		e.throttled, e.deferArmed = true, true
	}
}

// overflow follows dl_entity_overflow: would the rest of the instance use more than its share until the deadline?
func (e *entity) overflow(now sim.Time) bool {
	left := (int64(e.par.Deadline) >> dlScale) * (int64(e.runtime) >> dlScale)
	right := (int64(e.deadline.Sub(now)) >> dlScale) * (int64(e.par.Runtime) >> dlScale)
	return right < left
}

// update follows update_dl_entity: the wakeup rules of the constant bandwidth server.
func (e *entity) update(now sim.Time) {
	switch {
	case e.deadline < now || e.overflow(now):
		if (!e.implicit() || e.deferred && e.deferRunning) && e.deadline >= now {
			// update_dl_revised_wakeup: a constrained deadline keeps its instance and gets what its density allows.
			density := toRatio(e.par.Deadline, e.par.Runtime)
			e.runtime = sim.Duration((density * int64(e.deadline.Sub(now))) >> bwShift)
			return
		}
		e.deferRunning = false
		e.newPeriod(now)
	case e.deferred && !e.deferRunning:
		e.deferArmed, e.throttled = true, true
	}
}

// replenish follows replenish_dl_entity.
func (c *Class) replenish(e *entity) {
	now := c.clock(e.q)
	if e.deferArmed && e.overflow(now) {
		e.deadline = now.Add(e.par.Deadline)
		e.runtime = e.par.Runtime
	}
	if e.yielded && e.runtime > 0 {
		e.runtime = 0
	}
	for e.runtime <= 0 {
		e.deadline = e.deadline.Add(e.par.Period)
		e.runtime += e.par.Runtime
	}
	if e.deadline < now { // lagging too much
		e.newPeriod(now)
	}
	e.yielded, e.throttled = false, false
	if e.deferArmed {
		e.deferArmed = false
		return
	}
	if e.deferred && !e.deferRunning && now < e.deadline.Add(-e.runtime) {
		e.deferArmed, e.throttled = true, true
		if !c.startTimer(e) {
			c.m.Cancel(&e.timer)
			e.deferArmed, e.throttled = false, false
		}
	}
}

// startTimer follows start_dl_timer: it arms the timer for the next replenishment, or for a deferred server's moment of
// zero laxity, and tells whether that lies ahead.
func (c *Class) startTimer(e *entity) bool {
	at := e.nextPeriod()
	if e.deferArmed {
		at = e.deadline.Add(-e.runtime)
	}
	now := c.m.Now()
	at = at.Add(now.Sub(c.clock(e.q)))
	if at.Sub(now) <= -sim.Microsecond { // ktime_us_delta
		return false
	}
	if !e.timer.Armed() {
		c.m.Arm(&e.timer, e.q.cpu, at)
	}
	return true
}

// checkConstrained follows dl_check_constrained_dl: a task that starts again after its deadline, but within its period,
// waits for the next one.
func (c *Class) checkConstrained(e *entity) {
	now := c.clock(e.q)
	if e.deadline < now && now < e.nextPeriod() && c.startTimer(e) {
		e.throttled = true
		e.runtime = min(e.runtime, 0)
	}
}

// enqueueEntity follows enqueue_dl_entity.
func (c *Class) enqueueEntity(e *entity, f sim.EnqFlags) {
	if e.on {
		panic("BUG: dl: reservation queued twice")
	}
	if !e.throttled && !e.implicit() {
		c.checkConstrained(e)
	}
	if !e.deferred && e.throttled && f&sim.EnqReplenish == 0 {
		return // the timer queues it
	}
	now := c.clock(e.q)
	switch {
	case f&sim.EnqWakeup != 0:
		e.update(now)
	case f&sim.EnqReplenish != 0:
		c.replenish(e)
	case f&(sim.EnqMove|sim.EnqInitial) != 0 && e.deadline < now && !e.throttled:
		e.newPeriod(now) // setup_new_dl_entity
	}
	if e.throttled && c.startTimer(e) {
		return
	}
	if e.throttled {
		c.m.Cancel(&e.timer)
		e.deferArmed, e.throttled = false, false
	}
	e.q.add(e)
	if e.t != nil {
		c.m.AddNrRunning(e.q.cpu, 1)
	}
}

// dequeueEntity follows dequeue_dl_entity.
func (c *Class) dequeueEntity(e *entity) {
	if !e.on {
		return
	}
	e.q.del(e)
	if e.t != nil {
		c.m.AddNrRunning(e.q.cpu, -1)
	}
}

// charge follows update_curr_dl_se: e has run for d, or its class has.
func (c *Class) charge(e *entity, d sim.Duration) {
	idle := c.m.IdleCPU(e.q.cpu)
	if d > 0 {
		if e.srv == nil { // dl_scaled_delta_exec
			d = sim.Duration(int64(d) * int64(c.m.Topo().CPUs[e.q.cpu].Capacity) >> 10)
		}
		e.runtime -= d
		if e.deferIdle && !idle {
			e.deferIdle = false
		}
		if e.deferred && e.throttled && e.runtime <= 0 {
			// The class got its runtime without the server: not needed in this period.
			if e.deferIdle && idle {
				e.runtime = 0
				return
			}
			e.deferRunning = false
			c.m.Cancel(&e.timer)
			e.newPeriod(c.clock(e.q))
			e.deferIdle = idle
			c.startTimer(e)
			return
		}
	} else if !e.yielded {
		return
	}
	if e.runtime > 0 && !e.yielded || e.throttled {
		return
	}
	e.throttled = true
	c.dequeueEntity(e)
	if !c.startTimer(e) {
		switch {
		case e.srv != nil:
			e.newPeriod(c.clock(e.q))
			c.startTimer(e)
		default:
			c.enqueueEntity(e, sim.EnqReplenish)
		}
	}
	if e.q.first() != e {
		c.m.Resched(e.q.cpu)
	}
}
