package ext

import (
	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/sim"
)

// Constants of the load balancer of bypass mode.
const (
	bypassLBInterval    = 500 * sim.Millisecond // SCX_BYPASS_LB_DFL_INTV_US
	bypassLBDonorPct    = 125                   // SCX_BYPASS_LB_DONOR_PCT
	bypassLBMinDeltaDiv = 4                     // SCX_BYPASS_LB_MIN_DELTA_DIV
)

// scxBypass follows scx_bypass: while the depth is not 0, tasks are scheduled first come first served from per-CPU
// queues with short slices, and the policy is not asked.
func (k *Kernel) scxBypass(on bool) {
	sch := k.sch
	if on {
		if sch.bypassDepth++; sch.bypassDepth != 1 {
			return
		}
		sch.sliceDfl = ops.SliceBypass
		sch.bypassTimestamp = k.m.Now()
		sch.events.BypassActivate++
		k.m.Arm(&k.lbTimer, 0, k.m.Now().Add(bypassLBInterval))
	} else {
		if sch.bypassDepth--; sch.bypassDepth != 0 {
			return
		}
		sch.sliceDfl = ops.SliceDfl
		sch.events.BypassDuration += uint64(k.m.Now().Sub(sch.bypassTimestamp))
		k.m.Cancel(&k.lbTimer)
	}
	for i := range k.rqs {
		r := &k.rqs[i]
		r.bypassing = sch.bypassDepth > 0
		if !k.enabled {
			continue
		}
		// Queue all waiting tasks anew under the new rule. They are appended, so walk from the tail.
		for n := r.runnable.prev; n != &r.runnable; {
			t := n.t
			n = n.prev
			k.m.Change(t, sim.DeqSave|sim.DeqMove, func() {})
		}
		k.m.Resched(r.cpu)
	}
}

// bypassLB follows scx_bypass_lb_timerfn.
func (k *Kernel) bypassLB(now sim.Time) {
	if k.sch == nil || k.sch.bypassDepth == 0 {
		return
	}
	for node := range k.sch.global {
		k.bypassLBNode(int32(node))
	}
	k.m.Arm(&k.lbTimer, 0, now.Add(bypassLBInterval))
}

func divRoundUp(a, b uint32) uint32 { return (a + b - 1) / b }

// bypassLBNode follows bypass_lb_node: CPUs with many waiting tasks give some to those with few.
func (k *Kernel) bypassLBNode(node int32) {
	var tasks, cpus uint32
	each := func(f func(r *rq)) {
		for i := range k.rqs {
			if r := &k.rqs[i]; k.topo.node[i] == node && k.m.Online(r.cpu) {
				f(r)
			}
		}
	}
	each(func(r *rq) {
		tasks += r.bypass.nr
		cpus++
	})
	if cpus == 0 {
		return
	}
	target := divRoundUp(tasks, cpus)
	donorTarget := divRoundUp(target*bypassLBDonorPct, 100)
	words := (len(k.rqs) + 63) / 64
	donees, resched := make(cpuSet, words), make(cpuSet, words)
	each(func(r *rq) {
		if r.bypass.nr < target {
			donees.set(r.cpu)
		}
	})
	each(func(r *rq) {
		if !donees.empty() && !donees.has(r.cpu) && r.bypass.nr > donorTarget {
			k.bypassLBCPU(r, donees, resched, donorTarget, target)
		}
	})
	each(func(r *rq) {
		if resched.has(r.cpu) {
			k.m.Resched(r.cpu)
		}
	})
}

// bypassLBCPU follows bypass_lb_cpu.
func (k *Kernel) bypassLBCPU(donor *rq, donees, resched cpuSet, donorTarget, doneeTarget uint32) {
	minDelta := divRoundUp(uint32(bypassLBInterval/sim.Microsecond)/bypassLBMinDeltaDiv, uint32(ops.SliceBypass/1000))
	if int32(donor.bypass.nr-donorTarget) < int32(minDelta) {
		return
	}
	d := &donor.bypass
	for n := d.list.next; n != &d.list; {
		t := n.t
		n = n.next
		if d.nr <= donorTarget || donees.empty() {
			break
		}
		if t == nil || k.taskRQ(t) != donor {
			continue
		}
		cpu := k.anyAndDistribute(donees, t.K.CPUs().Words())
		if cpu < 0 || !k.taskCanRunOnRemoteRQ(t, &k.rqs[cpu], false) {
			continue
		}
		e := k.ent(t)
		donee := &k.rqs[cpu]
		k.unlinkFromDSQ(e, d)
		e.dsq = nil
		k.dispatchEnqueue(donee, &donee.bypass, t, ops.EnqNested)
		resched.set(donee.cpu)
		if donee.bypass.nr >= doneeTarget {
			donees.clear(donee.cpu)
		}
	}
}
