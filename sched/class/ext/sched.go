package ext

import (
	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/sim"
)

// sched is one instance of a policy (struct scx_sched).
type sched struct {
	k     *Kernel
	ops   ops.Table  // a copy
	given *ops.Table // what ops is a copy of; only compared
	hasOp uint64     // bit by ops.Callback: the core may call it

	dsqs    map[uint64]*dsq // looked up only, never ranged over
	lowDSQs []*dsq          // those with small ids, by id
	dsqList []*dsq          // in order of creation
	global  []*dsq          // by NUMA node

	// hasCPUPreempt is SCX_OPS_HAS_CPU_PREEMPT: the policy wants cpu_acquire or cpu_release.
	hasCPUPreempt bool

	sliceDfl        uint64
	dspMaxBatch     uint32
	watchdogTimeout uint64 // jiffies

	bypassDepth     int
	bypassTimestamp sim.Time
	// bypassDspClaim and bypassDspDepth tell whether the bypass queues of this instance are to be consumed: because it
	// bypasses, or because a child does.
	bypassDspClaim bool
	bypassDspDepth int
	lbTimer        sim.Timer // bypass_lb_timer

	pcpu []schedCPU
	tree // its place among other instances

	exitKind ops.ExitKind // ExitNone, the claimed kind, ExitDone
	exitedAt sim.Time
	aborting bool
	dumped   bool
	dying    bool // its disable work is queued, or done
	info     *ops.ExitInfo

	warnedZeroSlice    bool
	warnedDeprecatedRQ bool
	dumpDisabled       bool

	events Events
}

// schedCPU is what an instance keeps of a CPU (struct scx_sched_pcpu).
type schedCPU struct {
	dsp       dspCtx
	bypass    dsq
	bypassing bool // SCX_SCHED_PCPU_BYPASSING
	hostSeq   uint32
	reenq     reenqLocal
}

// reenqLocal is a deferred re-enqueue of a CPU's local DSQ on behalf of an instance (struct scx_deferred_reenq_local).
type reenqLocal struct {
	pending bool
	flags   uint64
	seq     uint64
	cnt     uint32
}

// has follows SCX_HAS_OP.
func (s *sched) has(c ops.Callback) bool { return s.hasOp&(1<<c) != 0 }

// normalOps are the callbacks of t that become callable when tasks are initialised (SCX_OPI_NORMAL_*), hotplugOps
// those that are callable once ops.init returned (SCX_OPI_CPU_HOTPLUG_*).
func normalOps(t *ops.Table) uint64 {
	var m uint64
	for _, o := range []struct {
		c    ops.Callback
		have bool
	}{
		{ops.SelectCPU, t.SelectCPU != nil}, {ops.Enqueue, t.Enqueue != nil}, {ops.Dequeue, t.Dequeue != nil},
		{ops.Dispatch, t.Dispatch != nil}, {ops.Tick, t.Tick != nil}, {ops.Runnable, t.Runnable != nil},
		{ops.Running, t.Running != nil}, {ops.Stopping, t.Stopping != nil}, {ops.Quiescent, t.Quiescent != nil},
		{ops.Yield, t.Yield != nil}, {ops.CoreSchedBefore, t.CoreSchedBefore != nil},
		{ops.SetWeight, t.SetWeight != nil}, {ops.SetCPUMask, t.SetCPUMask != nil},
		{ops.UpdateIdle, t.UpdateIdle != nil}, {ops.InitTask, t.InitTask != nil}, {ops.ExitTask, t.ExitTask != nil},
		{ops.Enable, t.Enable != nil}, {ops.Disable, t.Disable != nil}, {ops.Dump, t.Dump != nil},
		{ops.DumpCPU, t.DumpCPU != nil}, {ops.DumpTask, t.DumpTask != nil},
		{ops.CgroupInit, t.CgroupInit != nil}, {ops.CgroupExit, t.CgroupExit != nil},
		{ops.CgroupPrepMove, t.CgroupPrepMove != nil}, {ops.CgroupMove, t.CgroupMove != nil},
		{ops.CgroupCancelMove, t.CgroupCancelMove != nil}, {ops.CgroupSetWeight, t.CgroupSetWeight != nil},
		{ops.CgroupSetBandwidth, t.CgroupSetBandwidth != nil}, {ops.CgroupSetIdle, t.CgroupSetIdle != nil},
	} {
		if o.have {
			m |= 1 << o.c
		}
	}
	return m
}

func hotplugOps(t *ops.Table) uint64 {
	var m uint64
	if t.CPUOnline != nil {
		m |= 1 << ops.CPUOnline
	}
	if t.CPUOffline != nil {
		m |= 1 << ops.CPUOffline
	}
	return m
}

// bypassing follows scx_bypassing.
func (s *sched) bypassing(r *rq) bool { return s.pcpu[r.cpu].bypassing }

// dsp is the dispatch buffer of s on a CPU.
func (s *sched) dsp(cpu sim.CPU) *dspCtx { return &s.pcpu[cpu].dsp }

// schedOf follows scx_task_sched: the instance that schedules t. A task that sched_ext does not know is the root's.
func (k *Kernel) schedOf(t *sim.Task) *sched {
	if k.nrSubs == 0 {
		return k.sch
	}
	if i := int(t.Index); i >= 0 && i < len(k.ents) {
		if e := k.ents[i]; e != nil && e.t == t && e.sch != nil {
			return e.sch
		}
	}
	return k.sch
}

// findGlobalDSQ follows find_global_dsq.
func (s *sched) findGlobalDSQ(cpu sim.CPU) *dsq { return s.global[s.k.topo.node[cpu]] }

// findUserDSQ follows find_user_dsq; nil if there is none.
func (s *sched) findUserDSQ(id uint64) *dsq {
	if id < uint64(len(s.lowDSQs)) {
		return s.lowDSQs[id]
	}
	if id < maxLowDSQ {
		return nil
	}
	return s.dsqs[id]
}

// maxLowDSQ bounds the ids of DSQs that are found without a hash: most policies number theirs by CPU, node or priority.
const maxLowDSQ = 1 << 14

// setUserDSQ makes d the DSQ with its id; nil: there is none any more.
func (s *sched) setUserDSQ(id uint64, d *dsq) {
	if d == nil {
		delete(s.dsqs, id)
	} else {
		s.dsqs[id] = d
	}
	if id >= maxLowDSQ {
		return
	}
	for uint64(len(s.lowDSQs)) <= id {
		s.lowDSQs = append(s.lowDSQs, nil)
	}
	s.lowDSQs[id] = d
}
