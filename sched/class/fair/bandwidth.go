package fair

import (
	"github.com/schedsim/schedsim/sim"
)

// Bandwidth control (CONFIG_CFS_BANDWIDTH): a group with cpu.max gets its quota of CPU time for all CPUs at the start of
// each period. CPUs take slices of it. A runqueue that gets no more is throttled: from then on each task of the group is
// taken out when it returns to user mode, and waits in the limbo of its runqueue for the next period.

// Constants of bandwidth control.
const (
	bandwidthSlice  = 5 * int64(sim.Millisecond) // sysctl_sched_cfs_bandwidth_slice
	minQueueRuntime = 1 * int64(sim.Millisecond) // min_cfs_rq_runtime
	minExpiration   = 2 * sim.Millisecond        // min_bandwidth_expiration
	slackPeriod     = 5 * sim.Millisecond        // cfs_bandwidth_slack_period
)

// bandwidth is struct cfs_bandwidth.
type bandwidth struct {
	quota, burst int64 // ns; quota is negative for no limit
	period       sim.Duration
	runtime      int64
	snap         int64 // runtime after the last refill
	idle         bool
	active       bool // the period's timer runs
	timer        sim.Timer
	next         sim.Time // expiry of the timer, also while it does not run
	slack        sim.Timer
	slackOn      bool
	throttled    []*runq // in the order in which they ran out

	// What cpu.stat shows.
	nrPeriods, nrThrottled, nrBurst uint64
}

func (b *bandwidth) init(c *Class, tg *taskGroup) {
	b.quota, b.period = -1, 100*sim.Millisecond
	b.timer.Fire = func(now sim.Time) { c.periodTimer(tg, now) }
	b.slack.Fire = func(sim.Time) { c.slackTimer(tg) }
	b.next = sim.Time(c.bwDice.Int64N(int64(b.period))) // so that timers interleave
}

// cgroupBandwidth follows tg_set_cfs_bandwidth.
func (c *Class) cgroupBandwidth(g *sim.Cgroup, _ bool) {
	tg := c.group(g)
	b := &tg.bandwidth
	b.period = sim.Duration(g.PeriodUS) * sim.Microsecond
	b.burst = int64(g.BurstUS) * int64(sim.Microsecond)
	was := b.quota >= 0
	b.quota = -1
	if g.QuotaUS != sim.QuotaMax {
		b.quota = int64(g.QuotaUS) * int64(sim.Microsecond)
	}
	enabled := b.quota >= 0
	b.refill()
	if enabled {
		c.startBandwidth(b)
	}
	for _, r := range tg.rqs {
		if r == nil || !c.m.Active(r.q.cpu) {
			continue
		}
		if was || enabled {
			c.updateCurr(r)
		}
		r.runtimeEnabled, r.runtimeRemaining = enabled, 1
		if r.isThrottled {
			c.unthrottle(r)
		}
	}
}

// refill follows __refill_cfs_bandwidth_runtime.
func (b *bandwidth) refill() {
	if b.quota < 0 {
		return
	}
	b.runtime += b.quota
	if b.snap > b.runtime {
		b.nrBurst++
	}
	b.runtime = min(b.runtime, b.quota+b.burst)
	b.snap = b.runtime
}

// startBandwidth follows start_cfs_bandwidth.
func (c *Class) startBandwidth(b *bandwidth) {
	if b.active {
		return
	}
	b.active = true
	b.forward(c.m.Now())
	c.m.Arm(&b.timer, c.m.ThisCPU(), b.next)
}

// forward moves the timer's expiry behind now by whole periods and returns how many (hrtimer_forward_now).
func (b *bandwidth) forward(now sim.Time) int64 {
	if b.next > now {
		return 0
	}
	n := int64(now.Sub(b.next))/int64(b.period) + 1
	b.next = b.next.Add(sim.Duration(n) * b.period)
	return n
}

// assign gives r up to target ns more than nothing from the group's runtime and tells whether it has any then
// (__assign_cfs_rq_runtime).
func (c *Class) assign(b *bandwidth, r *runq, target int64) bool {
	want := target - r.runtimeRemaining
	amount := want
	if b.quota >= 0 {
		c.startBandwidth(b)
		amount = 0
		if b.runtime > 0 {
			amount = min(b.runtime, want)
			b.runtime -= amount
			b.idle = false
		}
	}
	r.runtimeRemaining += amount
	return r.runtimeRemaining > 0
}

// accountRuntime charges r's group and tells whether r is throttled (account_cfs_rq_runtime). r.runtimeEnabled.
func (c *Class) accountRuntime(r *runq, delta int64) bool {
	r.runtimeRemaining -= delta
	if r.runtimeRemaining > 0 {
		return false
	}
	return r.isThrottled || c.throttle(r)
}

// throttle follows throttle_cfs_rq.
func (c *Class) throttle(r *runq) bool {
	b := &r.tg.bandwidth
	target := int64(1)
	if r.curr != nil && r.curr.onRQ {
		target = bandwidthSlice
	}
	if c.assign(b, r, target) {
		return false
	}
	b.throttled = append(b.throttled, r)
	c.eachBelow(r.tg, r.q.cpu, false, c.throttleDown)
	r.isThrottled = true
	if r.curr != nil && r.curr.onRQ {
		c.throttleWork(c.m.Curr(r.q.cpu))
	}
	return true
}

// eachBelow calls f for the runqueues of tg and of all groups below it on a CPU, children first if post is set.
func (c *Class) eachBelow(tg *taskGroup, cpu sim.CPU, post bool, f func(r *runq)) {
	visit := func(g *taskGroup) {
		if r := g.rqs[cpu]; r != nil && g.cg.Under(tg.cg) {
			f(r)
		}
	}
	for i := range c.groupOrder {
		if post {
			i = len(c.groupOrder) - 1 - i
		}
		visit(c.groupOrder[i])
	}
}

// throttleDown follows tg_throttle_down.
func (c *Class) throttleDown(r *runq) {
	r.throttleCount++
	if r.throttleCount == 1 && r.nrQueued == 0 {
		r.peltOff = max(1, c.clock(r.q))
	}
}

// throttleWork has t, which runs or is about to, taken out when it returns to user mode (task_throttle_setup_work).
func (c *Class) throttleWork(t *sim.Task) {
	if t.Class != sim.Class(c) || t.Exiting || t.IsKThread() {
		return
	}
	e := c.entity(t)
	if e.throttleWork {
		return
	}
	e.throttleWork = true
	c.m.TaskWork(t, c.throttleTask)
}

// throttleTask follows throttle_cfs_rq_work.
func (c *Class) throttleTask(t *sim.Task) {
	e := c.entity(t)
	e.throttleWork = false
	if t.Exiting || t.Class != sim.Class(c) || e.cfs.throttleCount == 0 || e.throttled {
		return
	}
	c.Dequeue(t.CPU(), t, sim.DeqSleep|sim.DeqThrottle)
	e.cfs.limbo.pushFront(e)
	e.throttled = true
	c.m.Resched(t.CPU())
}

// dequeueThrottled takes a throttled task out of its limbo (dequeue_throttled_task).
func (c *Class) dequeueThrottled(e *entity, f sim.DeqFlags) {
	e.cfs.limbo.remove(e)
	if f&sim.DeqSleep != 0 {
		e.throttled = false
		return
	}
	if e.t.Migrating {
		c.detachEntity(e)
	}
}

// enqueueThrottled puts a throttled task, which was dequeued to be changed, into the limbo of its runqueue, or tells that it
// is to be queued in earnest (enqueue_throttled_task).
func (c *Class) enqueueThrottled(e *entity, r *runq) bool {
	if r.throttleCount > 0 && c.m.Curr(r.q.cpu) != e.t {
		r.limbo.pushFront(e)
		return true
	}
	e.throttled = false
	return false
}

// unthrottle follows unthrottle_cfs_rq.
func (c *Class) unthrottle(r *runq) {
	c.updateCurr(r)
	if r.runtimeEnabled && r.runtimeRemaining <= 0 {
		return
	}
	r.isThrottled = false
	b := &r.tg.bandwidth
	for i, o := range b.throttled {
		if o == r {
			b.throttled = append(b.throttled[:i], b.throttled[i+1:]...)
			break
		}
	}
	c.eachBelow(r.tg, r.q.cpu, true, c.unthrottleUp)
	if cpu := r.q.cpu; c.m.Curr(cpu) == c.m.IdleTask(cpu) && r.q.nrQueued > 0 {
		c.m.Resched(cpu)
	}
}

// unthrottleUp follows tg_unthrottle_up.
func (c *Class) unthrottleUp(r *runq) {
	c.updateCurr(r)
	if r.throttleCount--; r.throttleCount > 0 {
		return
	}
	c.peltOn(r)
	var waiting list
	waiting, r.limbo = r.limbo, waiting
	for waiting.head != nil && r.throttleCount == 0 {
		e := waiting.head
		waiting.remove(e)
		e.throttled = false
		c.Enqueue(r.q.cpu, e.t, sim.EnqWakeup)
	}
	for waiting.tail != nil { // throttled again
		e := waiting.tail
		waiting.remove(e)
		r.limbo.pushFront(e)
	}
}

// peltOn lets the clock of r's averages run again.
func (c *Class) peltOn(r *runq) {
	if r.peltOff != 0 {
		r.peltLost += c.clock(r.q) - r.peltOff
		r.peltOff = 0
	}
}

// periodTimer follows sched_cfs_period_timer.
func (c *Class) periodTimer(tg *taskGroup, now sim.Time) {
	b := &tg.bandwidth
	idle := false
	for {
		n := b.forward(now)
		if n == 0 {
			break
		}
		idle = c.periodEnd(tg, uint64(n))
	}
	if idle {
		b.active = false
		return
	}
	c.m.Arm(&b.timer, c.m.ThisCPU(), b.next)
}

// periodEnd follows do_sched_cfs_period_timer; it tells whether the timer may stop.
func (c *Class) periodEnd(tg *taskGroup, overrun uint64) bool {
	b := &tg.bandwidth
	if b.quota < 0 {
		return true
	}
	throttled := len(b.throttled) > 0
	b.nrPeriods += overrun
	b.refill()
	if b.idle && !throttled {
		return true
	}
	if !throttled {
		b.idle = true
		return false
	}
	b.nrThrottled += overrun
	for throttled && b.runtime > 0 {
		throttled = c.distribute(tg)
	}
	b.idle = false
	return false
}

// distribute gives runtime to throttled runqueues, just enough to run again, in the order in which they ran out; it tells
// whether some are left (distribute_cfs_runtime). Those of other CPUs are woken by an interrupt.
func (c *Class) distribute(tg *taskGroup) (left bool) {
	b := &tg.bandwidth
	this := c.m.ThisCPU()
	remaining := int64(1)
	var local []*runq
	for _, r := range append([]*runq(nil), b.throttled...) {
		if remaining == 0 {
			left = true
			break
		}
		if !r.isThrottled || r.inCSD {
			continue
		}
		c.updateCurr(r)
		n := min(-r.runtimeRemaining+1, b.runtime)
		b.runtime -= n
		remaining = b.runtime
		r.runtimeRemaining += n
		if r.runtimeRemaining <= 0 {
			left = true
			break
		}
		r.inCSD = true
		if r.q.cpu == this {
			local = append(local, r)
		} else {
			r.q.csd = append(r.q.csd, r)
			c.m.QueueIRQWork(r.q.cpu, &r.q.csdWork)
		}
	}
	for _, r := range local {
		r.inCSD = false
		if r.isThrottled {
			c.unthrottle(r)
		}
	}
	return left
}

// unthrottleCSD is the interrupt on a CPU whose runqueues have runtime again (__cfsb_csd_unthrottle).
func (c *Class) unthrottleCSD(q *cpuQueue) {
	l := q.csd
	q.csd = nil
	for _, r := range l {
		r.inCSD = false
		if r.isThrottled {
			c.unthrottle(r)
		}
	}
}

// returnRuntime gives what an empty runqueue does not need back to its group (return_cfs_rq_runtime).
func (c *Class) returnRuntime(r *runq) {
	slack := r.runtimeRemaining - minQueueRuntime
	if slack <= 0 {
		return
	}
	b := &r.tg.bandwidth
	if b.quota >= 0 {
		b.runtime += slack
		if b.runtime > bandwidthSlice && len(b.throttled) > 0 {
			c.startSlack(b)
		}
	}
	r.runtimeRemaining -= slack
}

// refreshWithin tells whether the next period begins within d (runtime_refresh_within).
func (b *bandwidth) refreshWithin(now sim.Time, d sim.Duration) bool { return b.next.Sub(now) < d }

// startSlack follows start_cfs_slack_bandwidth.
func (c *Class) startSlack(b *bandwidth) {
	if b.slackOn || b.refreshWithin(c.m.Now(), slackPeriod+minExpiration) {
		return
	}
	b.slackOn = true
	c.m.Arm(&b.slack, c.m.ThisCPU(), c.m.Now().Add(slackPeriod))
}

// slackTimer follows do_sched_cfs_slack_timer.
func (c *Class) slackTimer(tg *taskGroup) {
	b := &tg.bandwidth
	b.slackOn = false
	if b.refreshWithin(c.m.Now(), minExpiration) {
		return
	}
	if b.quota >= 0 && b.runtime > bandwidthSlice {
		c.distribute(tg)
	}
}

// rqOffline keeps a CPU that goes offline from throttling anything (unthrottle_offline_cfs_rqs), and takes its load out of
// the groups' (clear_tg_offline_cfs_rqs).
func (c *Class) rqOffline(cpu sim.CPU) {
	for _, tg := range c.groupOrder {
		r := tg.rqs[cpu]
		if r == nil {
			continue
		}
		tg.load -= int64(r.tgContrib)
		r.tgContrib = 0
		if r.runtimeEnabled {
			r.runtimeEnabled = false
			if r.isThrottled {
				r.runtimeRemaining = 1
				c.unthrottle(r)
			}
		}
	}
}

// rqOnline follows update_runtime_enabled.
func (c *Class) rqOnline(cpu sim.CPU) {
	for _, tg := range c.groupOrder {
		if r := tg.rqs[cpu]; r != nil {
			r.runtimeEnabled = tg.quota >= 0
		}
	}
}

// destroyBandwidth follows destroy_cfs_bandwidth.
func (c *Class) destroyBandwidth(tg *taskGroup) {
	c.m.Cancel(&tg.timer)
	c.m.Cancel(&tg.slack)
}

// Throttling is what cpu.stat tells about a cgroup: how many periods there were, and in how many of them it was throttled.
func (c *Class) Throttling(g *sim.Cgroup) (periods, throttled uint64) {
	tg := c.group(g)
	if tg == nil {
		return 0, 0
	}
	return tg.nrPeriods, tg.nrThrottled
}
