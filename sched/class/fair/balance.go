package fair

import (
	"github.com/schedsim/schedsim/sim"
)

// Load balancing. Each CPU pulls work for the groups around it: a CPU that goes idle from anywhere at once, a busy one
// at intervals that grow with the size of the domain, and an idle one whose tick has stopped when a busy CPU asks for it
// (nohz). When that fails for a while, a running task is stopped to be moved (active balancing).

// maxPinned is the longest interval, in ms, while all tasks are pinned (MAX_PINNED_INTERVAL).
const maxPinned = 512

// shouldBalance lets one CPU of a group balance for all (should_we_balance).
func (c *Class) shouldBalance(env *lbEnv) bool {
	if !env.cpus.has(env.dst.cpu) {
		return false
	}
	if env.idle == cpuNewlyIdle {
		return c.m.NrRunning(env.dst.cpu) == 0
	}
	g := env.sd.localGroup()
	skip := c.work2
	clear(skip)
	idleSMT := sim.NoCPU
	for _, cpu := range g.cpus {
		if !env.cpus.has(cpu) || skip.has(cpu) || !c.idleCPU(cpu) {
			continue
		}
		if c.hasSMT && env.sd.flags&sdShareCapacity == 0 && !c.coreIdle(cpu) {
			if idleSMT == sim.NoCPU {
				idleSMT = cpu
			}
			for _, o := range c.smt[cpu].cpus {
				skip.add(o)
			}
			continue
		}
		return cpu == env.dst.cpu
	}
	if idleSMT != sim.NoCPU {
		return idleSMT == env.dst.cpu
	}
	return g.cpus[0] == env.dst.cpu
}

// balance tries to balance sd around cpu and returns the number of tasks moved; more is false when another CPU of the
// group is to do it (sched_balance_rq).
func (c *Class) balance(cpu sim.CPU, sd *domain, idle idleKind) (moved int, more bool) {
	env := lbEnv{sd: sd, dst: &c.rqs[cpu], idle: idle, cpus: c.work}
	clear(env.cpus)
	for _, o := range sd.span.cpus {
		if c.m.Online(o) {
			env.cpus.add(o)
		}
	}
	more = true
	for {
		if !c.shouldBalance(&env) {
			more = false
			break
		}
		g := c.findBusiestGroup(&env)
		if g == nil {
			break
		}
		if env.src = c.findBusiestQueue(&env, g); env.src == nil {
			break
		}
		env.allPinned = true
		if c.m.NrRunning(env.src.cpu) > 1 {
			env.loopMax = min(nrMigrate, c.m.NrRunning(env.src.cpu))
			moved = c.pullAll(&env)
			if sd.parent != nil && env.somePinned && env.imbalance > 0 {
				sd.parent.localGroup().imbalance = true
			}
			if env.allPinned {
				env.cpus.del(env.src.cpu)
				if !env.cpus.subsetOf(sd.localGroup().set) {
					env.loop = 0
					continue
				}
				c.balanced(&env)
				return 0, more
			}
		}
		started := false
		if moved != 0 {
			sd.failed = 0
		} else {
			if idle != cpuNewlyIdle {
				sd.failed++
			}
			if env.needActive() {
				var ok bool
				if started, ok = c.startActive(&env, cpu); !ok {
					c.backOff(&env)
					return 0, more
				}
			}
		}
		if !started || env.needActive() {
			sd.interval = sd.minInterval
		}
		return moved, more
	}
	if sd.parent != nil && !env.allPinned {
		sd.parent.localGroup().imbalance = false
	}
	c.balanced(&env)
	return 0, more
}

// pullAll pulls from env.src, and what may not run on the CPU that balances for another CPU of its group.
func (c *Class) pullAll(env *lbEnv) int {
	moved := 0
	for {
		moved += c.pullTasks(env)
		if !env.dstPinned || env.imbalance <= 0 {
			return moved
		}
		env.cpus.del(env.dst.cpu)
		env.dst = &c.rqs[env.newDst]
		env.dstPinned = false
		env.loop = 0
	}
}

// balanced makes the next attempt later (the end of sched_balance_rq).
func (c *Class) balanced(env *lbEnv) {
	env.sd.failed = 0
	c.backOff(env)
}

func (c *Class) backOff(env *lbEnv) {
	sd := env.sd
	if env.idle == cpuNewlyIdle {
		return
	}
	if env.allPinned && sd.interval < maxPinned || sd.interval < sd.maxInterval {
		sd.interval *= 2
	}
}

// intervalTicks is the time between two attempts in ticks (get_sd_balance_interval). It is asked for more often than it changes.
func (c *Class) intervalTicks(sd *domain, busy bool) int64 {
	at := &sd.ticks[0]
	if busy {
		at = &sd.ticks[1]
	}
	if at.interval == sd.interval {
		return at.ticks
	}
	iv := sd.interval
	if busy {
		iv *= busyFactor
	}
	tick := int64(c.tickNS)
	iv = (iv*int64(sim.Millisecond) + tick - 1) / tick
	if busy {
		iv--
	}
	at.interval, at.ticks = sd.interval, max(1, min(iv, max(1, c.hz()*int64(c.nr)/10)))
	return at.ticks
}

// balanceDomains attempts every domain of cpu that is due (sched_balance_domains).
func (c *Class) balanceDomains(cpu sim.CPU, idle idleKind) {
	now := c.ticks()
	next := now + 60*c.hz()
	more := true
	busy := idle == cpuBusy && !c.schedIdle(cpu)
	for sd := c.base[cpu]; sd != nil && more; sd = sd.parent {
		iv := c.intervalTicks(sd, busy)
		if now-(sd.last+iv) >= 0 {
			var moved int
			if moved, more = c.balance(cpu, sd, idle); moved != 0 {
				idle = cpuBusy
				if c.idleCPU(cpu) {
					idle = cpuIdle
				}
				busy = idle == cpuBusy && !c.schedIdle(cpu)
			}
			sd.last = now
			iv = c.intervalTicks(sd, busy)
		}
		next = min(next, sd.last+iv)
	}
	c.rqs[cpu].nextBalance = next
}

// balanceTrigger is the tick's part of load balancing (sched_balance_trigger and nohz_balancer_kick).
func (c *Class) balanceTrigger(cpu sim.CPU) {
	if c.base[cpu] == nil {
		return
	}
	now := c.ticks()
	idle := cpuBusy
	if c.idleCPU(cpu) {
		idle = cpuIdle
	}
	if q := &c.rqs[cpu]; now >= q.nextBalance {
		c.updateBlocked(q)
		c.balanceDomains(cpu, idle)
	}
	if idle == cpuBusy && now >= c.nohzNext && c.wantsIdle(cpu) {
		c.nohzBalance(now)
	}
}

// wantsIdle tells whether a busy CPU has reason to let the idle ones balance (nohz_balancer_kick).
func (c *Class) wantsIdle(cpu sim.CPU) bool {
	if c.m.NrRunning(cpu) >= 2 {
		return true
	}
	busy := 0
	for _, o := range c.llcs[cpu].cpus {
		if !c.idleCPU(o) {
			busy++
		}
	}
	return busy > 1
}

// nohzBalance balances on behalf of the idle CPUs, starting behind the first one, which does the work in the kernel
// (_nohz_idle_balance).
func (c *Class) nohzBalance(now int64) {
	c.nohzNext = now + 1
	first := sim.NoCPU
	for cpu := range sim.CPU(c.nr) {
		if c.idleCPU(cpu) {
			first = cpu
			break
		}
	}
	if first == sim.NoCPU {
		return
	}
	next := now + 60*c.hz()
	for i := range sim.CPU(c.nr) {
		cpu := (first + 1 + i) % sim.CPU(c.nr)
		if !c.idleCPU(cpu) {
			continue
		}
		q := &c.rqs[cpu]
		if now >= q.nextBalance {
			c.updateBlocked(q)
			c.balanceDomains(cpu, cpuIdle)
		}
		next = min(next, q.nextBalance)
	}
	c.nohzNext = max(next, now+1)
}

// scanNS is what looking at one CPU in newidle balancing would take. It is assumed: here it takes no time, but a CPU that is not
// likely to be idle for as long as it would take does not look, as in the kernel, which measures (max_newidle_lb_cost).
const scanNS = 50

// newidle pulls a task to a CPU that is about to go idle and tells whether there is one now (sched_balance_newidle).
func (c *Class) newidle(q *cpuQueue) bool {
	sd := c.base[q.cpu]
	now := c.ticks()
	q.idleStamp = c.now()
	if sd == nil || !c.m.Online(q.cpu) {
		return false
	}
	next := now + c.hz()
	moved := 0
	if !c.overloaded || c.nrTasks == 0 || q.avgIdle < sd.newidleCost { // with nrTasks 0 there is nothing to pull: all tasks are another class's
		next = min(next, sd.last+c.intervalTicks(sd, false))
	} else {
		c.updateBlocked(q)
		var cost int64
		for more := true; sd != nil && moved == 0 && more; sd = sd.parent {
			next = min(next, sd.last+c.intervalTicks(sd, false))
			if q.avgIdle < cost+sd.newidleCost {
				break
			}
			w := 1
			if c.has(NIRandom) && sd.newidleRatio < 1024 {
				// Only as often as it was of use.
				w = 1 + sd.newidleRatio
				if int(c.dice.Uint32()%1024) > w {
					c.newidleStats(sd, 0)
					continue
				}
				w = (1024 + w/2) / w
			}
			if moved, more = c.balance(q.cpu, sd, cpuNewlyIdle); moved == 0 {
				w = 0
			}
			c.newidleStats(sd, w)
			cost += sd.newidleCost
		}
	}
	q.nextBalance = min(q.nextBalance, next)
	if moved != 0 || q.hQueued != 0 {
		q.idleStamp = 0
		return true
	}
	return false
}

// newidleStats follows update_newidle_stats.
func (c *Class) newidleStats(sd *domain, success int) {
	sd.newidleCall++
	sd.newidleSuccess += success
	if sd.newidleCall < 1024 {
		return
	}
	now := c.now()
	delta := max(0, now-sd.newidleStamp)
	sd.newidleStamp = now
	ratio := 0
	if c.has(NIRate) {
		ratio = int(delta >> 22)
	}
	sd.newidleRatio = min(1024, ratio+sd.newidleSuccess)
	sd.newidleCall /= 2
	sd.newidleSuccess /= 2
}
