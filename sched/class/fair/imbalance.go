package fair

import "github.com/schedsim/schedsim/sim"

// idleKind says why a CPU balances (enum cpu_idle_type).
type idleKind uint8

const (
	cpuBusy idleKind = iota
	cpuIdle
	cpuNewlyIdle
)

// migrationType is what is counted when tasks are pulled (enum migration_type).
type migrationType uint8

const (
	migrateLoad migrationType = iota
	migrateUtil
	migrateTask
)

// lbEnv is one attempt to balance (struct lb_env).
type lbEnv struct {
	sd        *domain
	src, dst  *cpuQueue
	idle      idleKind
	cpus      cpuset // under consideration
	imbalance int64
	typ       migrationType

	allPinned, somePinned bool
	dstPinned             bool
	active                bool
	newDst                sim.CPU
	loop, loopMax         int
}

// lbStats are the statistics of a domain (struct sd_lb_stats).
type lbStats struct {
	busiest, local *group
	bs, ls         groupStats
	load, capacity uint64
	avgLoad        uint64
	preferSibling  bool
}

// groupStats follows update_sg_lb_stats.
func (c *Class) groupStats(env *lbEnv, g *group, local bool, overloaded *bool) groupStats {
	var s groupStats
	for _, cpu := range g.cpus {
		if !env.cpus.has(cpu) {
			continue
		}
		s.add(c, cpu)
		if env.sd.parent == nil && c.m.NrRunning(cpu) > 1 {
			*overloaded = true
		}
	}
	s.capacity, s.weight = g.capacity, g.weight()
	// A core with several busy threads gives one to an idle CPU.
	smt := !local && env.idle != cpuBusy && g.flags&sdShareCapacity != 0 && s.hRunning > 1
	s.typ = s.classify(env.sd.imbalancePct, g.imbalance, smt)
	if s.typ == groupOverloaded {
		s.avgLoad = s.load * capacityScale / s.capacity
	}
	return s
}

// domainStats follows update_sd_lb_stats.
func (c *Class) domainStats(env *lbEnv, st *lbStats) {
	*st = lbStats{bs: groupStats{idleCPUs: int(^uint(0) >> 1)}}
	var util uint64
	overloaded := false
	for i := range env.sd.groups {
		g := env.sd.group(i)
		local := g.set.has(env.dst.cpu)
		s := c.groupStats(env, g, local, &overloaded)
		if local {
			st.local, st.ls = g, s
		} else if st.busier(&s, g) {
			st.busiest, st.bs = g, s
		}
		st.load += s.load
		st.capacity += s.capacity
		util += s.util
	}
	if st.busiest != nil {
		st.preferSibling = st.busiest.flags&sdPreferSibling != 0
	}
	if env.sd.parent == nil {
		c.overloaded = overloaded
	}
	c.updateIdleScan(env, util)
}

// busier tells whether the group g is busier than the busiest so far (update_sd_pick_busiest).
func (st *lbStats) busier(s *groupStats, g *group) bool {
	b := &st.bs
	if s.hRunning == 0 {
		return false
	}
	if s.typ != b.typ {
		return s.typ > b.typ
	}
	switch s.typ {
	case groupOverloaded:
		return s.avgLoad > b.avgLoad
	case groupImbalanced:
		return false
	case groupSMTBalance, groupFullyBusy:
		if s.typ == groupSMTBalance && (s.idleCPUs != 0 || b.idleCPUs != 0) {
			break
		}
		if s.avgLoad != b.avgLoad {
			return s.avgLoad > b.avgLoad
		}
		return st.busiest == nil || st.busiest.flags&sdShareCapacity == 0
	case groupHasSpare:
		if st.busiest != nil && (st.busiest.flags^g.flags)&sdShareCapacity != 0 {
			// Do not empty a core for a CPU that has no siblings.
			return g.flags&sdShareCapacity == 0 || s.hRunning > 1
		}
	}
	if s.idleCPUs != b.idleCPUs {
		return s.idleCPUs < b.idleCPUs
	}
	return s.nrRunning > b.nrRunning
}

// updateIdleScan limits the search for an idle CPU by the square of the utilization (update_idle_cpu_scan).
func (c *Class) updateIdleScan(env *lbEnv, util uint64) {
	l := c.llcs[env.dst.cpu]
	if !c.has(SISUtil) || env.idle == cpuNewlyIdle || env.sd.flags&sdShareLLC == 0 || env.sd.span.weight() != l.weight() {
		return
	}
	w := uint64(l.weight())
	x := util / w
	pct := uint64(env.sd.imbalancePct)
	y := capacityScale - min(x*x*pct*pct/(10_000*capacityScale), capacityScale)
	l.nrIdleScan = int(y * w / capacityScale)
}

// siblingImbalance is the difference in tasks per core (sibling_imbalance).
func (st *lbStats) siblingImbalance(env *lbEnv) int64 {
	if env.idle == cpuBusy || st.bs.nrRunning == 0 {
		return 0
	}
	nb, nl := int64(st.busiest.cores), int64(st.local.cores)
	b, l := int64(st.bs.nrRunning), int64(st.ls.nrRunning)
	if nb == nl {
		return max(0, b-l)
	}
	n := max(0, nl*b-nb*l)
	n = (2*n + nl + nb) / (nl + nb)
	if n <= 1 && l == 0 && b > 1 {
		n = 2
	}
	return n
}

// findBusiestGroup returns the group to pull from and sets what to pull, nil when the domain is balanced
// (sched_balance_find_src_group).
func (c *Class) findBusiestGroup(env *lbEnv) *group {
	var st lbStats
	c.domainStats(env, &st)
	env.imbalance = 0
	if st.busiest == nil || st.local == nil || !c.worthBalancing(env, &st) {
		return nil
	}
	st.calculate(env)
	if env.imbalance == 0 {
		return nil
	}
	return st.busiest
}

// worthBalancing is the decision matrix of sched_balance_find_src_group.
func (c *Class) worthBalancing(env *lbEnv, st *lbStats) bool {
	b, l := &st.bs, &st.ls
	if b.typ == groupImbalanced {
		return true
	}
	if l.typ > b.typ {
		return false
	}
	if l.typ == groupOverloaded {
		if l.avgLoad >= b.avgLoad {
			return false
		}
		st.avgLoad = st.load * capacityScale / st.capacity
		if l.avgLoad >= st.avgLoad || 100*b.avgLoad <= uint64(env.sd.imbalancePct)*l.avgLoad {
			return false
		}
	}
	if st.preferSibling && l.typ == groupHasSpare && st.siblingImbalance(env) > 1 {
		return true
	}
	if b.typ != groupOverloaded {
		if env.idle == cpuBusy {
			return false
		}
		if b.typ == groupSMTBalance && (st.local.flags^st.busiest.flags)&sdShareCapacity != 0 {
			return true
		}
		if b.weight > 1 && l.idleCPUs <= b.idleCPUs+1 || b.hRunning == 1 {
			return false
		}
	}
	return true
}

// calculate sets how much to pull (calculate_imbalance).
func (st *lbStats) calculate(env *lbEnv) {
	b, l := &st.bs, &st.ls
	if b.typ == groupSMTBalance || b.typ == groupImbalanced {
		env.typ, env.imbalance = migrateTask, 1
		return
	}
	if l.typ == groupHasSpare {
		if b.typ > groupFullyBusy && env.sd.flags&sdShareLLC == 0 {
			env.typ = migrateUtil
			env.imbalance = int64(max(l.capacity, l.util) - l.util)
			if env.idle != cpuBusy && env.imbalance == 0 {
				env.typ, env.imbalance = migrateTask, 1
			}
			return
		}
		env.typ = migrateTask
		if b.weight == 1 || st.preferSibling {
			env.imbalance = st.siblingImbalance(env)
		} else {
			env.imbalance = max(0, int64(l.idleCPUs-b.idleCPUs))
		}
		if env.sd.flags&sdNUMA != 0 {
			env.imbalance = int64(adjustNUMA(int(env.imbalance), l.nrRunning+1, env.sd.imbNUMA))
		}
		env.imbalance >>= 1
		return
	}
	if l.typ < groupOverloaded {
		l.avgLoad = l.load * capacityScale / l.capacity
		if l.avgLoad >= b.avgLoad {
			return
		}
		st.avgLoad = st.load * capacityScale / st.capacity
		if l.avgLoad >= st.avgLoad {
			return
		}
	}
	env.typ = migrateLoad
	env.imbalance = int64(min((b.avgLoad-st.avgLoad)*b.capacity, (st.avgLoad-l.avgLoad)*l.capacity) / capacityScale)
}

// findBusiestQueue returns the CPU of g to pull from (sched_balance_find_src_rq).
func (c *Class) findBusiestQueue(env *lbEnv, g *group) *cpuQueue {
	var busiest *cpuQueue
	var load, util uint64
	capacity := uint64(1)
	nr := 0
	for _, cpu := range g.cpus {
		if !env.cpus.has(cpu) {
			continue
		}
		q := &c.rqs[cpu]
		n := q.nrRunnable
		if n == 0 {
			continue
		}
		switch env.typ {
		case migrateLoad:
			l := c.cpuLoad(cpu)
			if n == 1 && l > uint64(max(0, env.imbalance)) {
				continue
			}
			if l*capacity > load*c.caps[cpu] {
				load, capacity, busiest = l, c.caps[cpu], q
			}
		case migrateUtil:
			if n <= 1 {
				continue
			}
			if u := c.cpuUtil(cpu, true); util < u {
				util, busiest = u, q
			}
		case migrateTask:
			if nr < n {
				nr, busiest = n, q
			}
		}
	}
	return busiest
}
