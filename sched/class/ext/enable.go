package ext

import (
	"errors"
	"fmt"
	"math"

	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/sim"
)

// ErrBusy is what Enable returns while another policy is enabled.
var ErrBusy = errors.New("another scheduler is enabled")

// Enable attaches a policy, as scx_root_enable_workfn does, at one instant: ops.init, then init_task for every task,
// then the tasks of the fair class join sched_ext. It returns an error when the table is refused or the policy ended
// before it was enabled; ExitInfo then tells more, and the policy's exit callback has run. Call it before the machine
// runs, between two calls of Machine.Run, or from a timer, but not from a callback.
func (k *Kernel) Enable(t *ops.Table) error {
	k.setup()
	k.enabling = true
	defer func() { k.enabling = false }()
	if err := k.checkTable(t); err != nil {
		return fmt.Errorf("policy %q: %w", t.Name, err)
	}
	if t.SubCgroupID > 1 {
		_, err := k.enableSub(t)
		return err
	}
	if k.state != ops.Disabled {
		return fmt.Errorf("policy %q: %w", t.Name, ErrBusy)
	}
	k.sch = k.newSched(t, k.m.Root(), nil)
	k.cidType = t.CID
	k.exitInfo = nil
	k.nrRejected = 0
	k.setEnableState(ops.Enabling)
	if ret := k.rootEnable(); ret != 0 {
		if k.old.Early {
			k.sch.error("scx_enable() failed (%d)", ret)
		} else {
			k.sch.error("scx_root_enable() failed (%d)", ret)
		}
	}
	if k.sch.exitKind != ops.ExitNone {
		k.disableWorks()
		info := k.exitInfo
		return fmt.Errorf("policy %q: %s: %s", t.Name, info.Reason, info.Msg)
	}
	return nil
}

// checkTable follows bpf_scx_init_member: values that the kernel refuses when the struct_ops map is created. It also
// refuses what is not modelled.
func (k *Kernel) checkTable(t *ops.Table) error {
	switch {
	case t.Name == "":
		return errors.New("name is empty")
	case len(t.Name) >= ops.NameLen:
		return fmt.Errorf("name is longer than %d bytes", ops.NameLen-1)
	case t.DispatchMaxBatch > math.MaxInt32:
		return fmt.Errorf("dispatch_max_batch %d is larger than %d", t.DispatchMaxBatch, math.MaxInt32)
	case t.Flags&^ops.FlagAll != 0:
		return fmt.Errorf("flags 0x%x: unknown flags 0x%x", t.Flags, t.Flags&^ops.FlagAll)
	case k.msToJiffies(uint64(t.TimeoutMS)) > k.watchdogMaxJiffies():
		return fmt.Errorf("timeout_ms %d is larger than %d", t.TimeoutMS, ops.WatchdogMaxTimeout)
	}
	for i := range len(t.Name) {
		c := t.Name[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '.') {
			return fmt.Errorf("name contains %q", c)
		}
	}
	return nil
}

// newSched follows scx_alloc_and_add_sched.
func (k *Kernel) newSched(t *ops.Table, c *sim.Cgroup, parent *sched) *sched {
	s := &sched{
		k:        k,
		ops:      *t,
		given:    t,
		dsqs:     make(map[uint64]*dsq),
		global:   make([]*dsq, k.topo.nrNodes),
		sliceDfl: ops.SliceDfl,
		info:     &ops.ExitInfo{ExitCPU: -1},
		pcpu:     make([]schedCPU, len(k.rqs)),
	}
	k.Unregister(t)
	k.registered = append(k.registered, s)
	s.cgroup, s.parent = c, parent
	if parent != nil {
		s.level = parent.level + 1
	}
	s.lbTimer.Fire = s.bypassLB
	for i := range s.global {
		s.global[i] = new(dsq)
		s.global[i].init(ops.DSQGlobal, nil, s)
	}
	for i := range s.pcpu {
		s.pcpu[i].bypass.init(ops.DSQBypass, nil, s)
	}
	if s.ops.ExitDumpLen == 0 {
		s.ops.ExitDumpLen = ops.ExitDumpDflLen
	}
	s.dspMaxBatch = t.DispatchMaxBatch
	if s.dspMaxBatch == 0 {
		s.dspMaxBatch = ops.DspDflMaxBatch
	}
	s.watchdogTimeout = k.watchdogMaxJiffies()
	if t.TimeoutMS != 0 {
		s.watchdogTimeout = k.msToJiffies(uint64(t.TimeoutMS))
	}
	if parent != nil {
		return s
	}
	for i := range k.rqs {
		k.rqs[i].perfTarget = ops.CPUPerfOne
		k.m.RequestSpeed(sim.CPU(i), sim.FullSpeed)
	}
	k.callbackCost = k.m.Costs().Callback
	return s
}

// rootEnable follows scx_root_enable_workfn from the point where the scheduler is visible. It returns an errno when
// the policy has to go.
func (k *Kernel) rootEnable() int32 {
	sch := k.sch
	k.refreshWatchdog()
	k.cidInit()
	k.idleEnable()
	if sch.ops.Init != nil {
		if ret := sch.callInit(); ret != 0 {
			ret = sch.sanitizeErr("init", ret)
			sch.error("ops.init() failed (%d)", ret)
			return ret
		}
		sch.info.Flags |= ops.EFlagInitialized
	}
	sch.hasOp |= hotplugOps(&sch.ops)
	if seq := sch.ops.HotplugSeq; seq != 0 && seq != k.hotplugSeq {
		sch.exit(ops.ExitUnregKern, ops.ECodeActRestart|ops.ECodeRsnHotplug, int32(k.m.ThisCPU()),
			"expected hotplug seq %d did not match actual %d", seq, k.hotplugSeq)
		return -EBUSY
	}
	k.idleUpdateSelCPUTopology()
	if ret := k.validateOps(sch); ret != 0 {
		return ret
	}
	for i := range k.rqs {
		if !k.old.Server && !k.m.ServerAttach(sim.CPU(i), k) {
			k.print("sched_ext: failed to attach ext_server on CPU %d (%d)", i, -EBUSY)
			return -EBUSY
		}
	}
	k.scxBypass(sch, true)
	sch.hasOp |= normalOps(&sch.ops)
	sch.hasCPUPreempt = sch.ops.CPUAcquire != nil || sch.ops.CPURelease != nil
	k.initTasks = true
	if sch.ops.Flags&ops.FlagTIDToTask != 0 {
		k.tids = make(map[uint64]*sim.Task)
	}

	ret := k.cgroupInit()
	k.m.Tasks(func(t *sim.Task) {
		if ret != 0 || taskState(t) == ops.TaskDead {
			return
		}
		setTaskState(t, ops.TaskInitBegin)
		if ret = k.initTask(sch, t, false); ret != 0 {
			setTaskState(t, ops.TaskNone)
			sch.error("ops.init_task() failed (%d) for %s[%d]", ret, t.Comm, t.PID)
			return
		}
		setTaskState(t, ops.TaskInit)
		k.ent(t).sch = sch
		setTaskState(t, ops.TaskReady)
		if k.tids != nil {
			k.tids[t.K.TID()] = t
		}
	})
	if ret != 0 {
		return ret // bypass stays on
	}

	k.switchingAll = sch.ops.Flags&ops.FlagSwitchPartial == 0
	k.enabled = true
	k.m.SetClassFor(k.classFor)
	k.m.Tasks(func(t *sim.Task) {
		if taskState(t) != ops.TaskReady {
			return
		}
		to := k.classFor(t)
		flags := sim.DeqSave | sim.DeqMove
		if to != t.Class {
			flags |= sim.DeqClass
		}
		k.m.Change(t, flags, func() {
			t.K.SetSlice(sch.sliceDfl)
			t.Class = to
		})
	})
	k.scxBypass(sch, false)
	if sch.exitKind != ops.ExitNone {
		return 0 // the caller sees the exit
	}
	k.setEnableState(ops.Enabled)
	k.switchedAll = k.switchingAll
	if k.switchedAll {
		k.swapServers(false)
	}
	partial := ""
	if !k.switchedAll {
		partial = " (partial)"
	}
	k.print("sched_ext: BPF scheduler \"%s\" enabled%s", sch.ops.Name, partial)
	k.enableSeq++
	return 0
}

// swapServers gives the bandwidth of the fair class's deadline servers back while all tasks are on sched_ext, or reserves
// it again. It does nothing on a machine without a fair class.
func (k *Kernel) swapServers(fair bool) {
	f := k.m.ClassByName("fair")
	if f == nil || k.old.Server {
		return
	}
	for i := range k.rqs {
		cpu := sim.CPU(i)
		if !fair {
			k.m.ServerDetach(cpu, f)
			continue
		}
		k.m.ServerDetach(cpu, k)
		if !k.m.ServerAttach(cpu, f) {
			k.print("failed to re-attach fair_server on CPU %d", i)
		}
	}
}

// validateOps follows validate_ops.
func (k *Kernel) validateOps(sch *sched) int32 {
	t := &sch.ops
	if t.Flags&ops.FlagEnqLast != 0 && t.Enqueue == nil {
		sch.error("SCX_OPS_ENQ_LAST requires ops.enqueue() to be implemented")
		return -EINVAL
	}
	if t.Flags&ops.FlagTIDToTask != 0 && sch.parent != nil && k.sch.ops.Flags&ops.FlagTIDToTask == 0 {
		sch.error("SCX_OPS_TID_TO_TASK requires root scheduler to enable it")
		return -EINVAL
	}
	if t.Flags&ops.FlagBuiltinIdlePerNode != 0 && t.UpdateIdle != nil && t.Flags&ops.FlagKeepBuiltinIdle == 0 {
		sch.error("SCX_OPS_BUILTIN_IDLE_PER_NODE requires CPU idle selection enabled")
		return -EINVAL
	}
	if !t.CID && (t.CPUAcquire != nil || t.CPURelease != nil) {
		k.print("ops->cpu_acquire/release() are deprecated, use sched_switch TP instead")
	}
	if !t.CID {
		if sch.parent != nil {
			sch.error("sub-sched requires cid-form struct_ops")
			return -EINVAL
		}
		if t.SubAttach != nil || t.SubDetach != nil {
			sch.error("sub_attach/sub_detach requires cid-form struct_ops")
			return -EINVAL
		}
	}
	return 0
}

// classFor follows __setscheduler_class: which class a task belongs to by its policy, given the state of sched_ext
// (task_should_scx).
func (k *Kernel) classFor(t *sim.Task) sim.Class {
	switch {
	case t.Policy.Realtime() || !k.enabled:
	case k.switchingAll, k.state != ops.Disabling && t.Policy == sim.PolicyExt:
		return k
	}
	return k.m.DefaultClass(t)
}
