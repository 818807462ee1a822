package fair

import (
	"github.com/schedsim/schedsim/sim"
	"github.com/schedsim/schedsim/sim/topo"
)

// cpuset is a set of CPUs.
type cpuset []uint64

func newCPUSet(n int) cpuset { return make(cpuset, (n+63)/64) }

func (s cpuset) has(cpu sim.CPU) bool { return s[cpu>>6]>>(cpu&63)&1 != 0 }
func (s cpuset) add(cpu sim.CPU)      { s[cpu>>6] |= 1 << (cpu & 63) }
func (s cpuset) del(cpu sim.CPU)      { s[cpu>>6] &^= 1 << (cpu & 63) }

// subsetOf tells whether all of s is in o.
func (s cpuset) subsetOf(o cpuset) bool {
	for i, w := range s {
		if w&^o[i] != 0 {
			return false
		}
	}
	return true
}

// domainFlags are the properties of a scheduling domain (SD_*).
type domainFlags uint8

const (
	sdShareCapacity domainFlags = 1 << iota // threads of a core
	sdShareLLC
	sdPreferSibling
	sdNUMA // implies SD_SERIALIZE
)

// domain is one level of the machine as one CPU sees it (struct sched_domain): the CPUs of a core, an LLC, a node, the
// machine. Levels that add nothing to the one below do not exist.
type domain struct {
	flags         domainFlags
	span          *group   // the CPUs
	groups        []*group // in the order of their CPUs; see group
	local         int      // the one around the domain's CPU
	parent, child *domain

	imbalancePct int
	niceTries    int // cache_nice_tries
	imbNUMA      int // imb_numa_nr

	minInterval, maxInterval int64 // ms
	interval                 int64 // ms
	last                     int64 // ticks
	failed                   int   // nr_balance_failed

	newidleCall, newidleSuccess, newidleRatio int
	newidleStamp                              int64
	newidleCost                               int64 // ns

	// ticks are the intervals in ticks, of an idle and of a busy CPU, for the interval that they were worked out for.
	ticks [2]struct{ interval, ticks int64 }
}

// localGroup is the group around the domain's CPU.
func (sd *domain) localGroup() *group { return sd.groups[sd.local] }

// group returns the i-th group as the domain's CPU sees them: its own first, then round.
func (sd *domain) group(i int) *group {
	if i += sd.local; i >= len(sd.groups) {
		i -= len(sd.groups)
	}
	return sd.groups[i]
}

// group is a set of CPUs between which a domain balances (struct sched_group with its sched_group_capacity). The CPUs of
// a domain share its groups.
type group struct {
	cpus      []sim.CPU // ascending
	set       cpuset
	flags     domainFlags // of the domain below
	capacity  uint64
	cores     int
	imbalance bool // tasks that could not move because of their affinity left the group below unbalanced
}

func (g *group) weight() int { return len(g.cpus) }

// llc is what the CPUs of a last-level cache share (struct sched_domain_shared).
type llc struct {
	*group
	idleCores  bool // some core may be idle
	nrIdleScan int  // how many CPUs to look at in the search for an idle one
}

// domains is the machine as the class sees it.
type domains struct {
	nr     int
	caps   []uint64
	base   []*domain // the lowest domain of each CPU, nil on a machine of one
	smt    []*group  // the threads of each CPU's core
	llcs   []*llc    // each CPU's
	hasSMT bool
	work   cpuset // load_balance_mask
	work2  cpuset // should_we_balance_tmpmask, select_rq_mask
}

// busyFactor makes balancing rarer on busy CPUs (sched_domain.busy_factor).
const busyFactor = 16

// level is a level of the topology under construction.
type level struct {
	flags domainFlags
	id    func(topo.Info) int32
}

// buildDomains follows build_sched_domains for the levels SMT, MC, PKG and NUMA with one distance. CPUs that are not active
// are in no domain; a nil set means that all are.
func (c *Class) buildDomains(t *topo.Topology, active cpuset) {
	n := len(t.CPUs)
	alone := partition(t, nil, 0, func(in topo.Info) int32 { return in.ID })
	d := &c.domains
	*d = domains{nr: n, caps: make([]uint64, n), base: make([]*domain, n), smt: make([]*group, n),
		llcs: make([]*llc, n), work: newCPUSet(n), work2: newCPUSet(n)}
	for i, in := range t.CPUs {
		d.caps[i] = uint64(in.Capacity)
	}
	d.smt = partition(t, active, 0, func(in topo.Info) int32 { return in.Core })
	for i, g := range d.smt {
		if g == nil {
			g = alone[i]
			d.smt[i] = g
		}
		d.hasSMT = d.hasSMT || g.weight() > 1
	}
	for i, g := range partition(t, active, 0, func(in topo.Info) int32 { return in.LLC }) {
		if g == nil {
			g = alone[i]
		}
		if first := int(g.cpus[0]); first < i {
			d.llcs[i] = d.llcs[first]
		} else {
			// Before the run the machine was idle.
			d.llcs[i] = &llc{group: g, idleCores: true, nrIdleScan: g.weight()}
		}
	}

	cur := partition(t, active, 0, func(in topo.Info) int32 { return in.ID }) // the widest group so far around each CPU
	top := make([]*domain, n)
	for _, lv := range []level{
		{sdShareCapacity | sdShareLLC | sdPreferSibling, func(in topo.Info) int32 { return in.Core }},
		{sdShareLLC | sdPreferSibling, func(in topo.Info) int32 { return in.LLC }},
		{sdPreferSibling, func(in topo.Info) int32 { return in.Node }},
		{sdNUMA, func(topo.Info) int32 { return 0 }},
	} {
		spans := partition(t, active, lv.flags, lv.id)
		groups := make([][]*group, n) // of each span, by its first CPU
		for i, span := range spans {
			if span == nil {
				continue
			}
			if span.weight() == cur[i].weight() {
				spans[i] = cur[i] // the level adds nothing here
				continue
			}
			first := span.cpus[0]
			if groups[first] == nil {
				groups[first] = groupsOf(span, cur)
			}
			top[i] = d.addDomain(i, lv.flags, span, groups[first], cur[i], top[i])
		}
		cur = spans
	}
	for i := range d.base {
		d.setNUMAImbalance(sim.CPU(i))
	}
}

// partition groups the CPUs of among, nil for all, by id and returns each CPU's group.
func partition(t *topo.Topology, among cpuset, flags domainFlags, id func(topo.Info) int32) []*group {
	byID := map[int32]*group{} // only looked up
	byCPU := make([]*group, len(t.CPUs))
	cores := map[*group]map[int32]bool{}
	for i, in := range t.CPUs {
		if among != nil && !among.has(sim.CPU(i)) {
			continue
		}
		g := byID[id(in)]
		if g == nil {
			g = &group{set: newCPUSet(len(t.CPUs)), flags: flags}
			byID[id(in)] = g
			cores[g] = map[int32]bool{}
		}
		g.cpus = append(g.cpus, sim.CPU(i))
		g.set.add(sim.CPU(i))
		g.capacity += uint64(in.Capacity)
		if !cores[g][in.Core] {
			cores[g][in.Core] = true
			g.cores++
		}
		byCPU[i] = g
	}
	return byCPU
}

// groupsOf lists the groups among by that make up span, in the order of their first CPUs.
func groupsOf(span *group, by []*group) []*group {
	var gs []*group
	for _, cpu := range span.cpus {
		if g := by[cpu]; g.cpus[0] == cpu {
			gs = append(gs, g)
		}
	}
	return gs
}

// addDomain puts a domain on top of cpu's chain, which ends with child (sd_init). local is cpu's group.
func (d *domains) addDomain(cpu int, flags domainFlags, span *group, groups []*group, local *group, child *domain) *domain {
	w := int64(span.weight())
	sd := &domain{flags: flags, span: span, groups: groups, child: child, imbalancePct: 117,
		minInterval: w, maxInterval: 2 * w, interval: w, newidleCall: 512, newidleSuccess: 256, newidleRatio: 512, newidleCost: scanNS * w}
	switch {
	case flags&sdShareCapacity != 0:
		sd.imbalancePct = 110
	case flags&sdNUMA != 0:
		sd.niceTries = 2
	default:
		sd.niceTries = 1
	}
	for groups[sd.local] != local {
		sd.local++
	}
	if child != nil {
		child.parent = sd
	} else {
		d.base[cpu] = sd
	}
	return sd
}

// setNUMAImbalance allows a small imbalance between nodes (adjust_numa_imbalance in topology.c): an eighth of a node
// with one LLC, one task for each LLC otherwise.
func (d *domains) setNUMAImbalance(cpu sim.CPU) {
	var span int
	for sd := d.base[cpu]; sd != nil; sd = sd.parent {
		if sd.flags&sdNUMA == 0 {
			span = sd.span.weight()
			continue
		}
		llc := d.llcs[cpu].weight()
		span = max(span, llc)
		if nr := span / llc; nr > 1 {
			sd.imbNUMA = nr
		} else {
			sd.imbNUMA = max(1, span>>3)
		}
	}
}

func (c *Class) capacity(cpu sim.CPU) uint64 { return c.caps[cpu] }

// shareCache tells whether two CPUs have the same last-level cache (cpus_share_cache).
func (d *domains) shareCache(a, b sim.CPU) bool { return d.llcs[a] == d.llcs[b] }

// idleCPU tells whether cpu runs nothing and has nothing queued (idle_cpu, available_idle_cpu).
func (c *Class) idleCPU(cpu sim.CPU) bool {
	return c.m.IdleCPU(cpu) && c.m.Online(cpu)
}

// schedIdle tells whether cpu has only SCHED_IDLE tasks (sched_idle_rq).
func (c *Class) schedIdle(cpu sim.CPU) bool {
	n := c.m.NrRunning(cpu)
	return n != 0 && n == c.rqs[cpu].nrIdle
}

// chooseIdle tells whether t would find cpu as good as idle (choose_idle_cpu).
func (c *Class) chooseIdle(cpu sim.CPU, t *sim.Task) bool {
	return c.idleCPU(cpu) || t.Policy != sim.PolicyIdle && c.schedIdle(cpu)
}

// coreIdle tells whether the other threads of cpu's core are idle (is_core_idle).
func (c *Class) coreIdle(cpu sim.CPU) bool {
	for _, o := range c.smt[cpu].cpus {
		if o != cpu && !c.idleCPU(o) {
			return false
		}
	}
	return true
}

// enterIdle notes an idle core (__update_idle_core).
func (c *Class) enterIdle(cpu sim.CPU) {
	q := &c.rqs[cpu]
	if q.idleStamp == 0 {
		q.idleStamp = c.now()
	}
	if c.hasSMT && !c.llcs[cpu].idleCores && c.coreIdle(cpu) {
		c.llcs[cpu].idleCores = true
	}
}

// exitIdle notes how long the CPU was idle (put_prev_task_idle, update_rq_avg_idle).
func (c *Class) exitIdle(cpu sim.CPU) {
	q := &c.rqs[cpu]
	if q.idleStamp != 0 {
		q.avgIdle = min(q.avgIdle+(c.now()-q.idleStamp-q.avgIdle)/8, 2*migrationCostNS)
		q.idleStamp = 0
	}
}
