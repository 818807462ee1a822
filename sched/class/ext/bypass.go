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

// bypassHostNth is SCX_BYPASS_HOST_NTH: how often an instance with a bypassing child runs the child's tasks.
const bypassHostNth = 2

// bypassEnqTarget follows bypass_enq_target_dsq: tasks of a bypassing instance go to the nearest ancestor that does not
// bypass, or to the root.
func (s *sched) bypassEnqTarget(cpu sim.CPU) *dsq {
	for s.parent != nil && s.pcpu[cpu].bypassing {
		s = s.parent
	}
	return &s.pcpu[cpu].bypass
}

// incBypassDepth follows inc_bypass_depth.
func (s *sched) incBypassDepth() bool {
	if s.bypassDepth++; s.bypassDepth != 1 {
		return false
	}
	s.sliceDfl = ops.SliceBypass
	s.bypassTimestamp = s.k.m.Now()
	s.events.BypassActivate++
	return true
}

// decBypassDepth follows dec_bypass_depth.
func (s *sched) decBypassDepth() bool {
	if s.bypassDepth--; s.bypassDepth != 0 {
		return false
	}
	s.sliceDfl = ops.SliceDfl
	s.events.BypassDuration += uint64(s.k.m.Now().Sub(s.bypassTimestamp))
	return true
}

// enableBypassDsp follows enable_bypass_dsp.
func (s *sched) enableBypassDsp() {
	if s.bypassDspClaim {
		panic("BUG: ext: bypass queues are enabled twice")
	}
	s.bypassDspClaim = true
	s.bypassDspDepth++
	host := s
	if s.parent != nil {
		host = s.parent
		host.bypassDspDepth++
	}
	if !host.lbTimer.Armed() {
		s.k.m.Arm(&host.lbTimer, 0, s.k.m.Now().Add(bypassLBInterval))
	}
}

// disableBypassDsp follows disable_bypass_dsp.
func (s *sched) disableBypassDsp() {
	if !s.bypassDspClaim {
		return
	}
	s.bypassDspClaim = false
	s.bypassDspDepth--
	if s.parent != nil {
		s.parent.bypassDspDepth--
	}
}

// scxBypass follows scx_bypass: while the depth is not 0, tasks of sch and of those below it are scheduled first come first
// served from per-CPU queues with short slices, and the policies are not asked.
func (k *Kernel) scxBypass(sch *sched, on bool) {
	changed := false
	if on {
		if changed = sch.incBypassDepth(); changed {
			sch.enableBypassDsp()
		}
	} else {
		changed = sch.decBypassDepth()
	}
	sch.descendants(func(s *sched) {
		switch {
		case !on:
			s.decBypassDepth()
		case s.incBypassDepth():
			s.enableBypassDsp()
		}
	})
	if !changed {
		return
	}
	for i := range k.rqs {
		r := &k.rqs[i]
		sch.self(func(s *sched) { s.pcpu[i].bypassing = s.bypassDepth > 0 })
		if !k.enabled {
			continue
		}
		// Queue all waiting tasks anew under the new rule. They are appended, so walk from the tail.
		for n := r.runnable.prev; n != &r.runnable; {
			t := n.t
			n = n.prev
			if k.schedOf(t).under(sch) {
				k.m.Change(t, sim.DeqSave|sim.DeqMove, func() {})
			}
		}
		k.m.Resched(r.cpu)
	}
	if !on {
		sch.self(func(s *sched) {
			if s.bypassDepth == 0 {
				s.disableBypassDsp()
			}
			if s.bypassDspDepth == 0 {
				k.m.Cancel(&s.lbTimer)
			}
		})
	}
}

// bypassLB follows scx_bypass_lb_timerfn.
func (s *sched) bypassLB(now sim.Time) {
	if s.bypassDspDepth == 0 {
		return
	}
	for node := range s.global {
		s.k.bypassLBNode(s, int32(node))
	}
	s.k.m.Arm(&s.lbTimer, 0, now.Add(bypassLBInterval))
}

func divRoundUp(a, b uint32) uint32 { return (a + b - 1) / b }

// bypassLBNode follows bypass_lb_node: CPUs with many waiting tasks give some to those with few.
func (k *Kernel) bypassLBNode(sch *sched, node int32) {
	var tasks, cpus uint32
	each := func(f func(r *rq)) {
		for i := range k.rqs {
			if r := &k.rqs[i]; k.topo.node[i] == node && k.m.Online(r.cpu) {
				f(r)
			}
		}
	}
	each(func(r *rq) {
		tasks += sch.pcpu[r.cpu].bypass.nr
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
		if sch.pcpu[r.cpu].bypass.nr < target {
			donees.set(r.cpu)
		}
	})
	each(func(r *rq) {
		if !donees.empty() && !donees.has(r.cpu) && sch.pcpu[r.cpu].bypass.nr > donorTarget {
			k.bypassLBCPU(sch, r, donees, resched, donorTarget, target)
		}
	})
	each(func(r *rq) {
		if resched.has(r.cpu) {
			k.m.Resched(r.cpu)
		}
	})
}

// bypassLBCPU follows bypass_lb_cpu.
func (k *Kernel) bypassLBCPU(sch *sched, donor *rq, donees, resched cpuSet, donorTarget, doneeTarget uint32) {
	minDelta := divRoundUp(uint32(bypassLBInterval/sim.Microsecond)/bypassLBMinDeltaDiv, uint32(ops.SliceBypass/1000))
	if int32(sch.pcpu[donor.cpu].bypass.nr-donorTarget) < int32(minDelta) {
		return
	}
	d := &sch.pcpu[donor.cpu].bypass
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
		if cpu < 0 || !k.taskCanRunOnRemoteRQ(sch, t, &k.rqs[cpu], false) {
			continue
		}
		e := k.ent(t)
		donee := &k.rqs[cpu]
		k.unlinkFromDSQ(e, d)
		e.dsq = nil
		k.dispatchEnqueue(sch, donee, &sch.pcpu[donee.cpu].bypass, t, ops.EnqNested)
		resched.set(donee.cpu)
		if sch.pcpu[donee.cpu].bypass.nr >= doneeTarget {
			donees.clear(donee.cpu)
		}
	}
}
