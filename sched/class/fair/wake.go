package fair

import "github.com/schedsim/schedsim/sim"

// SelectCPU implements sim.Class and follows select_task_rq_fair: a waking task goes to an idle CPU near the one it
// last ran on or near its waker, a new one to the idlest CPU of the machine.
func (c *Class) SelectCPU(t *sim.Task, prev sim.CPU, f sim.WakeFlags) sim.CPU {
	cpu := c.m.ThisCPU()
	cur := c.m.Curr(cpu)
	sync := f&sim.WakeSync != 0 && !cur.Exiting
	affine := false
	if f&sim.WakeTTWU != 0 {
		ce := c.currEntity(cpu)
		c.recordWakee(ce, t)
		if f&sim.WakeCurrentCPU != 0 && allowed(t, cpu) {
			return cpu
		}
		affine = !c.wakeWide(cpu, ce, c.entity(t)) && allowed(t, cpu)
	}

	target := prev
	var slow *domain
	for sd := c.base[cpu]; sd != nil; sd = sd.parent {
		if affine && sd.span.set.has(prev) {
			if cpu != prev {
				target = c.wakeAffine(sd, t, cpu, prev, sync)
			}
			slow = nil
			break
		}
		if f&sim.WakeFork != 0 {
			slow = sd
		} else if !affine {
			break
		}
	}
	if slow != nil {
		return c.findIdlest(slow, t, cpu, prev)
	}
	if f&sim.WakeTTWU != 0 {
		return c.selectIdleSibling(t, prev, target)
	}
	return target
}

// allowed tells whether t may run on cpu.
func allowed(t *sim.Task, cpu sim.CPU) bool { return t.K.Allows(int32(cpu)) }

// currEntity is the entity of the task that cpu runs, of its idle task if need be.
func (c *Class) currEntity(cpu sim.CPU) *entity {
	if cur := c.m.Curr(cpu); cur != c.m.IdleTask(cpu) {
		return c.entity(cur)
	}
	return &c.idle[cpu]
}

// recordWakee counts how often the waker changes whom it wakes (record_wakee).
func (c *Class) recordWakee(cur *entity, t *sim.Task) {
	now := c.ticks()
	if now > cur.flipDecayAt+c.hz() {
		cur.wakeeFlips >>= 1
		cur.flipDecayAt = now
	}
	if cur.lastWakee != t.PID {
		cur.lastWakee = t.PID
		cur.wakeeFlips++
	}
}

// hz is the number of ticks in a second.
func (c *Class) hz() int64 { return int64(sim.Second) / int64(c.tickNS) }

// wakeWide tells whether waker and wakee have so many partners that they should spread over the machine (wake_wide).
func (c *Class) wakeWide(cpu sim.CPU, cur, e *entity) bool {
	master, slave := cur.wakeeFlips, e.wakeeFlips
	factor := uint32(c.llcs[cpu].weight())
	if master < slave {
		master, slave = slave, master
	}
	return slave >= factor && master >= slave*factor
}

// wakeAffine decides between the waker's CPU and prev (wake_affine).
func (c *Class) wakeAffine(sd *domain, t *sim.Task, cpu, prev sim.CPU, sync bool) sim.CPU {
	target := sim.NoCPU
	if c.has(WAIdle) {
		target = c.wakeAffineIdle(cpu, prev, sync)
	}
	if target == sim.NoCPU && c.has(WAWeight) {
		target = c.wakeAffineWeight(sd, t, cpu, prev, sync)
	}
	if target != cpu {
		return prev
	}
	return cpu
}

// wakeAffineIdle follows wake_affine_idle.
func (c *Class) wakeAffineIdle(cpu, prev sim.CPU, sync bool) sim.CPU {
	if c.idleCPU(cpu) && c.shareCache(cpu, prev) {
		// An interrupt woke the task.
		if c.idleCPU(prev) {
			return prev
		}
		return cpu
	}
	if q := &c.rqs[cpu]; sync && c.m.NrRunning(cpu)-(q.hQueued-q.nrRunnable) == 1 {
		return cpu
	}
	if c.idleCPU(prev) {
		return prev
	}
	return sim.NoCPU
}

// wakeAffineWeight follows wake_affine_weight: the CPU that would be less loaded.
func (c *Class) wakeAffineWeight(sd *domain, t *sim.Task, cpu, prev sim.CPU, sync bool) sim.CPU {
	this := int64(c.cpuLoad(cpu))
	if sync {
		cur := int64(c.taskHLoad(c.currEntity(cpu)))
		if cur > this {
			return cpu
		}
		this -= cur
	}
	task := int64(c.taskHLoad(c.entity(t)))
	this += task
	other := int64(c.cpuLoad(prev)) - task
	if c.has(WABias) {
		this *= 100
		other *= 100 + int64(sd.imbalancePct-100)/2
	}
	this *= int64(c.capacity(prev))
	other *= int64(c.capacity(cpu))
	if sync {
		other++
	}
	if this < other {
		return cpu
	}
	return sim.NoCPU
}

// selectIdleSibling looks for an idle CPU that shares target's cache (select_idle_sibling).
func (c *Class) selectIdleSibling(t *sim.Task, prev, target sim.CPU) sim.CPU {
	if c.chooseIdle(target, t) {
		return target
	}
	if prev != target && c.shareCache(prev, target) && c.chooseIdle(prev, t) {
		return prev
	}
	recent := sim.CPU(t.K.RecentUsedCPU())
	t.K.SetRecentUsedCPU(int32(prev))
	if recent != prev && recent != target && c.shareCache(recent, target) && c.chooseIdle(recent, t) &&
		allowed(t, recent) {
		return recent
	}

	l := c.llcs[target]
	if l.weight() == 1 {
		return target
	}
	idleCore := false
	if c.hasSMT {
		idleCore = l.idleCores
		if !idleCore && c.shareCache(prev, target) {
			if cpu := c.selectIdleSMT(t, prev); cpu >= 0 {
				return cpu
			}
		}
	}
	if cpu := c.selectIdleCPU(t, l, idleCore, target); cpu >= 0 {
		return cpu
	}
	return target
}

// selectIdleSMT looks at the other threads of cpu's core (select_idle_smt).
func (c *Class) selectIdleSMT(t *sim.Task, cpu sim.CPU) sim.CPU {
	for _, o := range c.smt[cpu].cpus {
		if o != cpu && allowed(t, o) && c.chooseIdle(o, t) {
			return o
		}
	}
	return sim.NoCPU
}

// selectIdleCPU scans the LLC from target on: for an idle core if there may be one, else for an idle CPU, as far as the
// utilization of the LLC makes that promising (select_idle_cpu).
func (c *Class) selectIdleCPU(t *sim.Task, l *llc, idleCore bool, target sim.CPU) sim.CPU {
	nr := int(^uint(0) >> 1)
	if c.has(SISUtil) {
		if nr = l.nrIdleScan + 1; nr == 1 {
			return sim.NoCPU
		}
	}
	start := 0
	for start < len(l.cpus) && l.cpus[start] <= target {
		start++
	}
	found := sim.NoCPU
	skip := c.work2
	clear(skip)
	for i := range l.cpus {
		cpu := l.cpus[(start+i)%len(l.cpus)]
		if !allowed(t, cpu) {
			continue
		}
		if idleCore {
			if skip.has(cpu) {
				continue
			}
			if c.selectIdleCore(t, cpu, skip, &found) {
				return cpu
			}
			continue
		}
		if nr--; nr <= 0 {
			return sim.NoCPU
		}
		if c.chooseIdle(cpu, t) {
			return cpu
		}
	}
	if idleCore {
		l.idleCores = false
	}
	return found
}

// selectIdleCore tells whether cpu's core is idle; if not, its threads are skipped from now on and the first idle one
// that t may use is remembered in found (select_idle_core).
func (c *Class) selectIdleCore(t *sim.Task, cpu sim.CPU, skip cpuset, found *sim.CPU) bool {
	idle := true
	for _, o := range c.smt[cpu].cpus {
		usable := *found == sim.NoCPU && allowed(t, o) && !skip.has(o)
		if !c.idleCPU(o) {
			idle = false
			if *found != sim.NoCPU {
				break
			}
			if usable && t.Policy != sim.PolicyIdle && c.schedIdle(o) {
				*found = o
				break
			}
			continue
		}
		if usable {
			*found = o
		}
	}
	if !idle {
		for _, o := range c.smt[cpu].cpus {
			skip.add(o)
		}
	}
	return idle
}
