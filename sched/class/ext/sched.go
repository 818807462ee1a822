package ext

import (
	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/sim"
)

// sched is one instance of a policy (struct scx_sched).
type sched struct {
	ops   ops.Table // a copy
	hasOp uint64    // bit by ops.Callback: the core may call it

	dsqs    map[uint64]*dsq // looked up only, never ranged over
	dsqList []*dsq          // in order of creation
	global  []*dsq          // by NUMA node

	// hasCPUPreempt is SCX_OPS_HAS_CPU_PREEMPT: the policy wants cpu_acquire or cpu_release.
	hasCPUPreempt bool

	sliceDfl        uint64
	dspMaxBatch     uint32
	watchdogTimeout uint64 // jiffies

	bypassDepth     int
	bypassTimestamp sim.Time

	exitKind ops.ExitKind // ExitNone, the claimed kind, ExitDone
	aborting bool
	info     *ops.ExitInfo

	warnedZeroSlice    bool
	warnedDeprecatedRQ bool
	dumpDisabled       bool

	events Events
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
func (k *Kernel) bypassing(r *rq) bool { return r.bypassing }

// findGlobalDSQ follows find_global_dsq.
func (k *Kernel) findGlobalDSQ(cpu sim.CPU) *dsq { return k.sch.global[k.topo.node[cpu]] }

// findUserDSQ follows find_user_dsq; nil if there is none.
func (k *Kernel) findUserDSQ(id uint64) *dsq { return k.sch.dsqs[id] }
