package ext

import (
	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/sim"
)

// CIDTopo is struct scx_cid_topo: where a CPU is, in cids and in indices over the machine; all -1 where that is not known.
type CIDTopo struct{ CoreCID, CoreIdx, LLCCID, LLCIdx, NodeCID, NodeIdx int32 }

var noCIDTopo = CIDTopo{-1, -1, -1, -1, -1, -1}

// cidTables map between CPUs and cids, topological CPU ids: CPUs that are close have cids that are close. They are made when
// a policy is enabled, in either form, and stay (kernel/sched/ext/cid.c, 7.2).
type cidTables struct {
	toCPU, toCID []int32 // nil before the first policy
	topo         []CIDTopo
}

// cidInit follows scx_cid_init: by node, cache, core and CPU, in order of the lowest CPU of each. CPUs that are offline come
// last and have no topology.
func (k *Kernel) cidInit() {
	n := len(k.rqs)
	c := cidTables{toCPU: make([]int32, n), toCID: make([]int32, n), topo: make([]CIDTopo, n)}
	for i := range c.toCID {
		c.toCID[i] = -1
	}
	next := int32(0)
	idx := [3]int32{} // next node, LLC and core
	tp := k.m.Topo()
	unseen := func(i int) bool { return c.toCID[i] < 0 && k.m.Online(sim.CPU(i)) }
	for a := range n {
		if !unseen(a) {
			continue
		}
		node, nodeIdx := next, idx[0]
		idx[0]++
		for b := a; b < n; b++ {
			if !unseen(b) || tp.CPUs[b].Node != tp.CPUs[a].Node {
				continue
			}
			llc, llcIdx := next, idx[1]
			idx[1]++
			for d := b; d < n; d++ {
				if !unseen(d) || tp.CPUs[d].Node != tp.CPUs[a].Node || tp.CPUs[d].LLC != tp.CPUs[b].LLC {
					continue
				}
				core, coreIdx := next, idx[2]
				idx[2]++
				for e := d; e < n; e++ {
					if !unseen(e) || tp.CPUs[e].Core != tp.CPUs[d].Core || tp.CPUs[e].LLC != tp.CPUs[b].LLC || tp.CPUs[e].Node != tp.CPUs[a].Node {
						continue
					}
					c.toCPU[next], c.toCID[e] = int32(e), next
					c.topo[next] = CIDTopo{core, coreIdx, llc, llcIdx, node, nodeIdx}
					next++
				}
			}
		}
	}
	for i := range c.toCID {
		if c.toCID[i] < 0 {
			c.toCPU[next], c.toCID[i] = int32(i), next
			c.topo[next] = noCIDTopo
			next++
		}
	}
	k.cids = c
}

// cpuArg follows scx_cpu_arg: how the running hierarchy's policies are told a CPU.
func (k *Kernel) cpuArg(cpu sim.CPU) sim.CPU {
	if k.cidType {
		return sim.CPU(k.cids.toCID[cpu])
	}
	return cpu
}

// cpuRet follows scx_cpu_ret: the CPU that a policy names. Negative numbers pass.
func (s *sched) cpuRet(c sim.CPU) sim.CPU {
	if c < 0 || !s.k.cidType {
		return c
	}
	return s.cidToCPU(int32(c))
}

// cidValid follows cid_valid.
func (s *sched) cidValid(cid int32) bool {
	if cid >= 0 && int(cid) < len(s.k.rqs) {
		return true
	}
	s.error("invalid cid %d", cid)
	return false
}

// cidToCPU follows scx_cid_to_cpu: a CPU, or -EINVAL and the end of the policy.
func (s *sched) cidToCPU(cid int32) sim.CPU {
	if !s.cidValid(cid) {
		return -sim.CPU(EINVAL)
	}
	return sim.CPU(s.k.cids.toCPU[cid])
}

// CIDToCPU follows scx_bpf_cid_to_cpu.
func (k *Kernel) CIDToCPU(cid int32) int32 {
	s := k.prog()
	if s == nil {
		return -EINVAL
	}
	return int32(s.cidToCPU(cid))
}

// CPUToCID follows scx_bpf_cpu_to_cid.
func (k *Kernel) CPUToCID(cpu sim.CPU) int32 {
	s := k.prog()
	if s == nil || !s.cpuValid(cpu, "") {
		return -EINVAL
	}
	return k.cids.toCID[cpu]
}

// CIDTopo follows scx_bpf_cid_topo.
func (k *Kernel) CIDTopo(cid int32) CIDTopo {
	s := k.prog()
	if s == nil || !s.cidValid(cid) {
		return noCIDTopo
	}
	return k.cids.topo[cid]
}

// CIDOverride follows scx_bpf_cid_override: ops.init of the root gives CPUs other cids. The new ones have no topology.
func (k *Kernel) CIDOverride(cpuToCID []int32, size uint32) {
	s := k.prog()
	if s == nil {
		return
	}
	if s.parent != nil {
		s.error("scx_bpf_cid_override() only allowed from root sched")
		return
	}
	if int(size) != len(k.rqs)*4 {
		s.error("scx_bpf_cid_override: expected %d bytes, got %d", len(k.rqs)*4, size)
		return
	}
	seen := make(cpuSet, (len(k.rqs)+63)/64)
	for cpu := range k.rqs {
		c := cpuToCID[cpu]
		if !s.cidValid(c) {
			return
		}
		if seen.has(sim.CPU(c)) {
			s.error("cid %d assigned to multiple cpus", c)
			return
		}
		seen.set(sim.CPU(c))
		k.cids.toCID[cpu], k.cids.toCPU[c] = c, int32(cpu)
	}
	for i := range k.cids.topo {
		k.cids.topo[i] = noCIDTopo
	}
}

// NrCIDs follows scx_bpf_nr_cids.
func (k *Kernel) NrCIDs() uint32 { return uint32(k.m.NrCPUs()) }

// NrOnlineCIDs follows scx_bpf_nr_online_cids.
func (k *Kernel) NrOnlineCIDs() uint32 { return uint32(k.m.OnlineMask().Weight()) }

// ThisCID follows scx_bpf_this_cid.
func (k *Kernel) ThisCID() int32 { return k.cidOf(k.m.ThisCPU()) }

// TaskCID follows scx_bpf_task_cid.
func (k *Kernel) TaskCID(t *sim.Task) int32 { return k.cidOf(t.CPU()) }

func (k *Kernel) cidOf(cpu sim.CPU) int32 {
	if k.cids.toCID == nil {
		return -EINVAL
	}
	return k.cids.toCID[cpu]
}

// KickCID follows scx_bpf_kick_cid.
func (k *Kernel) KickCID(cid int32, flags uint64) {
	if s := k.prog(); s != nil {
		if cpu := s.cidToCPU(cid); cpu >= 0 {
			k.kickCPU(s, cpu, flags)
		}
	}
}

// CIDCurr follows scx_bpf_cid_curr.
func (k *Kernel) CIDCurr(cid int32) *sim.Task {
	if s := k.prog(); s != nil {
		if cpu := s.cidToCPU(cid); cpu >= 0 {
			return k.m.Curr(cpu)
		}
	}
	return nil
}

// CIDPerfCap follows scx_bpf_cidperf_cap.
func (k *Kernel) CIDPerfCap(cid int32) uint32 {
	if s := k.prog(); s != nil {
		if cpu := s.cidToCPU(cid); cpu >= 0 {
			return k.CPUPerfCap(cpu)
		}
	}
	return ops.CPUPerfOne
}

// CIDPerfCur follows scx_bpf_cidperf_cur.
func (k *Kernel) CIDPerfCur(cid int32) uint32 {
	if s := k.prog(); s != nil {
		if cpu := s.cidToCPU(cid); cpu >= 0 {
			return k.CPUPerfCur(cpu)
		}
	}
	return ops.CPUPerfOne
}

// CIDPerfSet follows scx_bpf_cidperf_set.
func (k *Kernel) CIDPerfSet(cid int32, perf uint32) {
	if s := k.prog(); s != nil {
		if cpu := s.cidToCPU(cid); cpu >= 0 {
			k.CPUPerfSet(cpu, perf)
		}
	}
}

// CIDMask writes the cids of a mask of CPUs into the words of a cmask whose base is 0 (scx_cpumask_to_cmask).
func (k *Kernel) CIDMask(dst []uint64, cpus []uint64) {
	clear(dst)
	for i := range k.rqs {
		if test(cpus, sim.CPU(i)) {
			c := k.cids.toCID[i]
			dst[c>>6] |= 1 << (c & 63)
		}
	}
}
