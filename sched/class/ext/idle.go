package ext

import (
	"math/bits"

	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/sim"
	"github.com/schedsim/schedsim/sim/kobj"
)

// noNode is NUMA_NO_NODE.
const noNode int32 = -1

// idleState is the built-in idle tracking (kernel/sched/ext/idle.c): which CPUs are idle, and which cores are wholly
// so. The masks live in kernel-object memory, where programs read them.
type idleState struct {
	enabled bool // scx_builtin_idle_enabled
	perNode bool // scx_builtin_idle_per_node
	global  idleMasks
	nodes   []idleMasks
	// useLLC and useNUMA are scx_selcpu_topo_llc and scx_selcpu_topo_numa.
	useLLC, useNUMA bool
	// local, llc and numa are scratch.
	local, llc, numa []uint64
	// online, possible and none are cpu_online_mask, cpu_possible_mask and cpu_none_mask.
	online, possible, none kobj.CPUMask
}

// idleMasks are the masks of the machine or of one node (struct scx_idle_cpus).
type idleMasks struct{ cpu, smt kobj.CPUMask }

// domains are the spans of the machine's scheduling domains, as the core looks at them.
type domains struct {
	node    []int32 // cpu_to_node
	nrNodes int
	smt     [][]uint64 // cpu_smt_mask; nil when no core has two threads (sched_smt_active)
	llc     [][]uint64 // llc_span; nil where the last-level cache is one CPU's own
	numa    [][]uint64 // numa_span; nil on a machine of one node
	llcID   []int32
	nodes   [][]uint64 // cpumask_of_node
}

// domainsChanged builds the domains anew from the CPUs that are active now.
func (k *Kernel) domainsChanged() {
	if k.rqs != nil {
		k.initDomains()
	}
}

func (k *Kernel) initDomains() {
	tp := k.m.Topo()
	k.topo = domains{nrNodes: tp.Nodes}
	d := &k.topo
	active := k.m.ActiveMask()
	within := func(mask []uint64) []uint64 {
		if subset(mask, active) {
			return mask
		}
		both := make([]uint64, len(mask))
		andInto(both, mask, active)
		return both
	}
	for i := range tp.CPUs {
		c := &tp.CPUs[i]
		d.node = append(d.node, c.Node)
		d.llcID = append(d.llcID, c.LLC)
		if tp.Threads > 1 {
			d.smt = append(d.smt, within(tp.Siblings(c.ID).Mask))
		}
		var llc, numa []uint64
		if s := within(tp.LLC(c.LLC).Mask); weight(s) > 1 && test(s, sim.CPU(i)) {
			llc = s
		}
		if tp.Nodes > 1 {
			numa = within(tp.Node(c.Node).Mask)
		}
		d.llc = append(d.llc, llc)
		d.numa = append(d.numa, numa)
	}
	for n := range tp.Nodes {
		d.nodes = append(d.nodes, tp.Node(int32(n)).Mask)
	}
}

// newMask allocates a cpumask; kernel-object memory is sized for what a machine needs, so failing is a bug.
func (k *Kernel) newMask() kobj.CPUMask {
	m, err := kobj.NewCPUMask(k.m.Mem(), k.m.Layout())
	if err != nil {
		panic("BUG: ext: cpumask: " + err.Error())
	}
	return m
}

// initIdleMasks follows scx_idle_init_masks.
func (k *Kernel) initIdleMasks() {
	s := &k.idle
	s.global = idleMasks{k.newMask(), k.newMask()}
	for range k.topo.nrNodes {
		s.nodes = append(s.nodes, idleMasks{k.newMask(), k.newMask()})
	}
	s.online, s.possible, s.none = k.m.OnlineMask(), k.newMask(), k.newMask()
	s.possible.Fill(len(k.rqs))
	w := len(s.global.cpu.Words())
	s.local, s.llc, s.numa = make([]uint64, w), make([]uint64, w), make([]uint64, w)
}

// smtActive follows sched_smt_active.
func (k *Kernel) smtActive() bool { return k.topo.smt != nil }

// idleMask follows idle_cpumask.
func (k *Kernel) idleMask(node int32) *idleMasks {
	if node == noNode {
		return &k.idle.global
	}
	return &k.idle.nodes[node]
}

// nodeIfEnabled follows scx_cpu_node_if_enabled.
func (k *Kernel) nodeIfEnabled(cpu sim.CPU) int32 {
	if !k.idle.perNode {
		return noNode
	}
	return k.topo.node[cpu]
}

func weight(w []uint64) int {
	n := 0
	for _, x := range w {
		n += bits.OnesCount64(x)
	}
	return n
}

func subset(a, b []uint64) bool {
	for i := range a {
		if a[i]&^b[i] != 0 {
			return false
		}
	}
	return true
}

func test(w []uint64, cpu sim.CPU) bool { return w[cpu>>6]>>(cpu&63)&1 != 0 }

// andInto sets dst to a AND b and tells whether it is not empty.
func andInto(dst, a, b []uint64) bool {
	var any uint64
	for i := range dst {
		dst[i] = a[i] & b[i]
		any |= dst[i]
	}
	return any != 0
}

// nextWrap returns the first CPU above prev that is in a and b (b nil: in a), searching on from 0; -1 if there is none.
func nextWrap(a, b []uint64, prev int) int {
	word := func(i int) uint64 {
		if b == nil {
			return a[i]
		}
		return a[i] & b[i]
	}
	at := prev + 1
	n := len(a)
	for step, i := 0, at>>6; step <= n; step, i = step+1, i+1 {
		if i >= n {
			i = 0
		}
		w := word(i)
		if step == 0 && at>>6 < n {
			w &= ^uint64(0) << (at & 63)
		}
		if w != 0 {
			return i<<6 + bits.TrailingZeros64(w)
		}
	}
	return -1
}

// anyAndDistribute follows cpumask_any_and_distribute (and, with b nil, cpumask_any_distribute): successive calls on a
// CPU go round. It returns -1 where the kernel returns nr_cpu_ids.
func (k *Kernel) anyAndDistribute(a, b []uint64) sim.CPU {
	prev := &k.distribute[k.m.ThisCPU()]
	c := nextWrap(a, b, *prev)
	if c >= 0 {
		*prev = c
	}
	return sim.CPU(c)
}

// testAndClearIdle follows scx_idle_test_and_clear_cpu: it claims an idle CPU.
func (k *Kernel) testAndClearIdle(cpu sim.CPU) bool {
	s := k.idleMask(k.nodeIfEnabled(cpu))
	if k.smtActive() {
		var any uint64
		for i, w := range k.topo.smt[cpu] {
			any |= s.smt.Words()[i] & w
			s.smt.Words()[i] &^= w
		}
		if any == 0 {
			s.smt.Clear(int32(cpu)) // a CPU that is offline is not among its own threads
		}
	}
	return s.cpu.TestAndClear(int32(cpu))
}

// pickIdleCPUInNode follows pick_idle_cpu_in_node.
func (k *Kernel) pickIdleCPUInNode(allowed []uint64, node int32, flags uint64) sim.CPU {
	s := k.idleMask(node)
	for {
		cpu := sim.CPU(-1)
		if k.smtActive() {
			cpu = k.anyAndDistribute(s.smt.Words(), allowed)
			if cpu < 0 && flags&ops.PickIdleCore != 0 {
				return -sim.CPU(EBUSY)
			}
		}
		if cpu < 0 {
			if cpu = k.anyAndDistribute(s.cpu.Words(), allowed); cpu < 0 {
				return -sim.CPU(EBUSY)
			}
		}
		if k.testAndClearIdle(cpu) {
			return cpu
		}
	}
}

// pickIdle follows scx_pick_idle_cpu. Other nodes are visited in order of distance, all others being equally far:
// in order of number.
func (k *Kernel) pickIdle(allowed []uint64, node int32, flags uint64) sim.CPU {
	cpu := k.pickIdleCPUInNode(allowed, node, flags)
	if cpu >= 0 || node == noNode || flags&ops.PickIdleInNode != 0 {
		return cpu
	}
	for n := range int32(k.topo.nrNodes) {
		if n == node {
			continue
		}
		if cpu := k.pickIdleCPUInNode(allowed, n, flags); cpu >= 0 {
			return cpu
		}
	}
	return -sim.CPU(EBUSY)
}

// idleUpdateSelCPUTopology follows scx_idle_update_selcpu_topology: is it worth looking at caches and nodes?
func (k *Kernel) idleUpdateSelCPUTopology() {
	online := k.idle.online
	cpu := online.First()
	n := online.Weight()
	llc := weight(k.topo.llc[cpu])
	k.idle.useLLC = llc > 0 && llc < n
	numa := weight(k.topo.numa[cpu])
	k.idle.useNUMA = k.sch.ops.Flags&ops.FlagBuiltinIdlePerNode == 0 && numa > 0 && numa < n && k.llcNUMAMismatch()
}

// llcNUMAMismatch follows llc_numa_mismatch.
func (k *Kernel) llcNUMAMismatch() bool {
	for i := range k.rqs {
		if weight(k.topo.llc[i]) != weight(k.topo.numa[i]) {
			return true
		}
	}
	return false
}

// idleEnable follows scx_idle_enable: all CPUs count as idle until they say otherwise.
func (k *Kernel) idleEnable() {
	t := &k.sch.ops
	k.idle.enabled = t.UpdateIdle == nil || t.Flags&ops.FlagKeepBuiltinIdle != 0
	k.idle.perNode = t.Flags&ops.FlagBuiltinIdlePerNode != 0
	if !k.idle.perNode {
		k.idle.global.cpu.Copy(k.idle.online)
		k.idle.global.smt.Copy(k.idle.online)
		return
	}
	for i, s := range k.idle.nodes {
		andInto(s.cpu.Words(), k.idle.online.Words(), k.topo.nodes[i])
		andInto(s.smt.Words(), k.idle.online.Words(), k.topo.nodes[i])
	}
}

// updateBuiltinIdle follows update_builtin_idle.
func (k *Kernel) updateBuiltinIdle(cpu sim.CPU, idle bool) {
	s := k.idleMask(k.nodeIfEnabled(cpu))
	if idle {
		s.cpu.Set(int32(cpu))
	} else {
		s.cpu.Clear(int32(cpu))
	}
	if !k.smtActive() {
		return
	}
	smt := k.topo.smt[cpu]
	words := s.smt.Words()
	if !idle {
		for i, w := range smt {
			words[i] &^= w
		}
	} else if subset(smt, s.cpu.Words()) {
		for i, w := range smt {
			words[i] |= w
		}
	}
}

// updateIdle follows __scx_update_idle. notify tells a real transition from the refresh of the masks of a CPU that
// stays idle.
func (k *Kernel) updateIdle(cpu sim.CPU, idle, notify bool) {
	if !k.enabled {
		return
	}
	r := &k.rqs[cpu]
	if k.idle.enabled && (notify || k.currIdle(cpu)) {
		k.updateBuiltinIdle(cpu, idle)
	}
	if notify && k.sch.has(ops.UpdateIdle) && !k.sch.bypassing(r) {
		k.sch.callUpdateIdle(r, idle)
	}
}
