package fair

import "github.com/schedsim/schedsim/sim"

// groupType says how busy a group is; a greater value is more urgent to pull from (enum group_type). The kernel's types
// for asymmetric capacity, packing and cache-aware balancing are not modelled.
type groupType uint8

const (
	groupHasSpare groupType = iota
	groupFullyBusy
	groupSMTBalance
	groupImbalanced
	groupOverloaded
)

// groupStats describes a group at one moment (struct sg_lb_stats).
type groupStats struct {
	avgLoad, load, util, runnable, capacity uint64

	nrRunning int // tasks of all classes
	hRunning  int // tasks of this class that are not delayed
	idleCPUs  int
	weight    int
	typ       groupType
}

// cpuLoad is the load of cpu (cpu_load). The load of an idle CPU is brought up to date, as the kernel does every 32 ms.
func (c *Class) cpuLoad(cpu sim.CPU) uint64 {
	return c.freshAvg(cpu).load
}

func (c *Class) freshAvg(cpu sim.CPU) *loadAvg {
	q := &c.rqs[cpu]
	if q.nrQueued == 0 {
		c.updateBlocked(q)
	}
	return &q.avg
}

// cpuUtil is the utilization of cpu (cpu_util_cfs, with boost cpu_util_cfs_boost).
func (c *Class) cpuUtil(cpu sim.CPU, boost bool) uint64 {
	a := c.freshAvg(cpu)
	util := a.util
	if boost {
		util = max(util, a.runnable)
	}
	if c.has(UtilEst) {
		util = max(util, uint64(a.est))
	}
	return min(util, c.caps[cpu])
}

// add counts cpu, without the task t if it is queued there.
func (s *groupStats) add(c *Class, cpu sim.CPU) {
	a := c.freshAvg(cpu)
	s.load += a.load
	s.util += c.cpuUtil(cpu, false)
	s.runnable += a.runnable
	s.hRunning += c.rqs[cpu].nrRunnable
	nr := c.m.NrRunning(cpu)
	s.nrRunning += nr
	if nr == 0 && c.idleCPU(cpu) {
		s.idleCPUs++
	}
}

// hasCapacity follows group_has_capacity.
func (s *groupStats) hasCapacity(pct int) bool {
	if s.nrRunning < s.weight {
		return true
	}
	if s.capacity*uint64(pct) < s.runnable*100 {
		return false
	}
	return s.capacity*100 > s.util*uint64(pct)
}

// isOverloaded follows group_is_overloaded.
func (s *groupStats) isOverloaded(pct int) bool {
	if s.nrRunning <= s.weight {
		return false
	}
	return s.capacity*100 < s.util*uint64(pct) || s.capacity*uint64(pct) < s.runnable*100
}

// classify follows group_classify.
func (s *groupStats) classify(pct int, imbalance, smt bool) groupType {
	switch {
	case s.isOverloaded(pct):
		return groupOverloaded
	case imbalance:
		return groupImbalanced
	case smt:
		return groupSMTBalance
	case !s.hasCapacity(pct):
		return groupFullyBusy
	}
	return groupHasSpare
}

// findIdlest descends through the domains from sd to the idlest CPU for a new task (sched_balance_find_dst_cpu).
func (c *Class) findIdlest(sd *domain, t *sim.Task, cpu, prev sim.CPU) sim.CPU {
	if !anyAllowed(t, sd.span) {
		return prev
	}
	found := cpu
	for sd != nil {
		g := c.findIdlestGroup(sd, t, cpu)
		if g == nil {
			sd = sd.child
			continue
		}
		found = c.findIdlestCPU(g, t, cpu)
		if found == cpu {
			sd = sd.child
			continue
		}
		cpu = found
		w := sd.span.weight()
		sd = nil
		for o := c.base[cpu]; o != nil && o.span.weight() < w; o = o.parent {
			sd = o
		}
	}
	return found
}

func anyAllowed(t *sim.Task, g *group) bool {
	for _, cpu := range g.cpus {
		if allowed(t, cpu) {
			return true
		}
	}
	return false
}

// wakeStats follows update_sg_wakeup_stats for a task that is on no CPU yet.
func (c *Class) wakeStats(sd *domain, g *group, t *sim.Task) groupStats {
	var s groupStats
	for _, cpu := range g.cpus {
		if allowed(t, cpu) {
			s.add(c, cpu)
		}
	}
	s.capacity, s.weight = g.capacity, g.weight()
	s.typ = s.classify(sd.imbalancePct, g.imbalance, false)
	if s.typ == groupFullyBusy || s.typ == groupOverloaded {
		s.avgLoad = s.load * capacityScale / s.capacity
	}
	return s
}

// idlerThan follows update_pick_idlest: whether s is to be preferred to o.
func (s *groupStats) idlerThan(o *groupStats) bool {
	if s.typ != o.typ {
		return s.typ < o.typ
	}
	switch s.typ {
	case groupOverloaded, groupFullyBusy:
		return o.avgLoad > s.avgLoad
	case groupHasSpare:
		if o.idleCPUs != s.idleCPUs {
			return o.idleCPUs < s.idleCPUs
		}
		return o.util > s.util
	}
	return false
}

// findIdlestGroup returns the group of sd to which a new task should go, nil for the one around cpu
// (sched_balance_find_dst_group).
func (c *Class) findIdlestGroup(sd *domain, t *sim.Task, cpu sim.CPU) *group {
	var idlest, local *group
	var ls groupStats
	is := groupStats{avgLoad: 1<<32 - 1, typ: groupOverloaded}
	for i := range sd.groups {
		g := sd.group(i)
		if !anyAllowed(t, g) {
			continue
		}
		s := c.wakeStats(sd, g, t)
		if g.set.has(cpu) {
			local, ls = g, s
		} else if s.idlerThan(&is) {
			idlest, is = g, s
		}
	}
	if idlest == nil {
		return nil
	}
	if local == nil || ls.typ > is.typ {
		return idlest
	}
	if ls.typ < is.typ {
		return nil
	}
	switch ls.typ {
	case groupOverloaded, groupFullyBusy:
		imbalance := uint64(capacityScale * (sd.imbalancePct - 100) / 100)
		if sd.flags&sdNUMA != 0 && is.avgLoad+imbalance >= ls.avgLoad {
			return nil
		}
		if is.avgLoad >= ls.avgLoad+imbalance || 100*ls.avgLoad <= uint64(sd.imbalancePct)*is.avgLoad {
			return nil
		}
	case groupHasSpare:
		if sd.flags&sdNUMA != 0 {
			limit := 0
			for _, o := range local.cpus {
				if allowed(t, o) {
					limit++
				}
			}
			limit = min(limit, sd.imbNUMA)
			diff := ls.idleCPUs - is.idleCPUs
			if diff < 0 {
				diff = -diff
			}
			if adjustNUMA(diff, ls.nrRunning+1, limit) == 0 {
				return nil
			}
		}
		if ls.idleCPUs >= is.idleCPUs {
			return nil
		}
	default:
		return nil
	}
	return idlest
}

// adjustNUMA tolerates an imbalance between nodes while few tasks run (adjust_numa_imbalance in fair.c).
func adjustNUMA(imbalance, running, limit int) int {
	if running <= limit && imbalance <= 2 {
		return 0
	}
	return imbalance
}

// findIdlestCPU returns the idlest CPU of g: the one that went idle last, or the least loaded
// (sched_balance_find_dst_group_cpu).
func (c *Class) findIdlestCPU(g *group, t *sim.Task, cpu sim.CPU) sim.CPU {
	if g.weight() == 1 {
		return g.cpus[0]
	}
	least, minLoad := cpu, ^uint64(0)
	shallow, latest := sim.NoCPU, int64(-1)
	for _, o := range g.cpus {
		if !allowed(t, o) {
			continue
		}
		if t.Policy != sim.PolicyIdle && c.schedIdle(o) {
			return o
		}
		if c.idleCPU(o) {
			if stamp := c.rqs[o].idleStamp; stamp > latest {
				latest, shallow = stamp, o
			}
		} else if shallow == sim.NoCPU {
			if load := c.cpuLoad(o); load < minLoad {
				minLoad, least = load, o
			}
		}
	}
	if shallow != sim.NoCPU {
		return shallow
	}
	return least
}
