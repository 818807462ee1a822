package ext

import (
	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/sim"
)

// State of a task in p->scx.flags.
func taskState(t *sim.Task) uint32 { return t.K.SCXFlags() & ops.TaskStateMask }

// setTaskState follows scx_set_task_state; what makes the kernel warn is a bug of ours.
func setTaskState(t *sim.Task, to uint32) {
	from := taskState(t)
	ok := true
	switch to {
	case ops.TaskNone:
		ok = from != ops.TaskDead
	case ops.TaskInitBegin:
		ok = from == ops.TaskNone
	case ops.TaskInit:
		ok = from == ops.TaskInitBegin
	case ops.TaskReady:
		ok = from == ops.TaskInit || from == ops.TaskEnabled
	case ops.TaskEnabled:
		ok = from == ops.TaskReady
	case ops.TaskDead:
		ok = from == ops.TaskNone || from == ops.TaskInitBegin
	}
	if !ok {
		panic("BUG: ext: task " + t.Comm + ": state " + taskStateName(from) + " -> " + taskStateName(to))
	}
	f := t.K.SCXFlags()&^ops.TaskStateMask | to
	if to == ops.TaskInit {
		f |= ops.TaskResetRunnableAt
	}
	t.K.SetSCXFlags(f)
}

func taskStateName(s uint32) string {
	switch s {
	case ops.TaskNone:
		return "NONE"
	case ops.TaskInitBegin:
		return "INIT_BEGIN"
	case ops.TaskInit:
		return "INIT"
	case ops.TaskReady:
		return "READY"
	case ops.TaskEnabled:
		return "ENABLED"
	case ops.TaskDead:
		return "DEAD"
	}
	return "?"
}

// Errno values that the core returns.
const (
	ENOENT     int32 = 2
	ENOMEM     int32 = 12
	EBUSY      int32 = 16
	EEXIST     int32 = 17
	ENODEV     int32 = 19
	EINVAL     int32 = 22
	EPROTO     int32 = 71
	EOPNOTSUPP int32 = 95
	maxErrno   int32 = 4095
)

// sanitizeErr follows ops_sanitize_err.
func (s *sched) sanitizeErr(op string, err int32) int32 {
	if err < 0 && err >= -maxErrno {
		return err
	}
	s.error("ops.%s() returned an invalid errno %d", op, err)
	return -EPROTO
}

// initTask follows __scx_init_task.
func (k *Kernel) initTask(sch *sched, t *sim.Task, fork bool) int32 {
	t.K.SetDisallow(false)
	if sch.has(ops.InitTask) {
		a := ops.InitTaskArgs{Fork: fork, Cgroup: t.SchedGroup.K.Addr}
		if ret := sch.callInitTask(t, &a); ret != 0 {
			return sch.sanitizeErr("init_task", ret)
		}
	}
	if t.K.Disallow() {
		switch {
		case sch.parent != nil:
			sch.error("non-root ops.init_task() set task->scx.disallow for %s[%d]", t.Comm, t.PID)
		case fork && k.old.Early && t.Policy != sim.PolicyExt:
		case fork:
			sch.error("ops.init_task() set task->scx.disallow for %s[%d] during fork", t.Comm, t.PID)
		case k.state != ops.Enabling:
			sch.error("ops.init_task() set task->scx.disallow for %s[%d] outside the enable path", t.Comm, t.PID)
		case t.Policy == sim.PolicyExt:
			t.Policy = sim.PolicyNormal
			k.nrRejected++
		}
	}
	return 0
}

// weightIdlePrio is WEIGHT_IDLEPRIO.
const weightIdlePrio = 3

// weightToCgroup follows sched_weight_to_cgroup: 1024 is 100, between 1 and 10000.
func weightToCgroup(w uint64) uint32 {
	return uint32(min(max((w*100+512)/1024, 1), 10000))
}

// enableTask follows scx_enable_task.
func (k *Kernel) enableTask(sch *sched, t *sim.Task) {
	r := k.taskRQ(t)
	w := t.Weight
	if t.Policy == sim.PolicyIdle {
		w = weightIdlePrio
	}
	t.K.SetSCXWeight(weightToCgroup(w))
	if sch.has(ops.Enable) {
		sch.callEnable(r, t)
	}
	if sch.has(ops.SetWeight) {
		sch.callSetWeight(r, t, t.K.SCXWeight())
	}
	setTaskState(t, ops.TaskEnabled)
}

// disableTask follows scx_disable_task.
func (k *Kernel) disableTask(sch *sched, t *sim.Task) {
	clearDirectDispatch(t)
	if sch.has(ops.Disable) {
		sch.callDisable(k.taskRQ(t), t)
	}
	setTaskState(t, ops.TaskReady)
	t.K.SetDSQVtime(0)
	t.K.SetSlice(0)
}

// exitTask follows __scx_disable_and_exit_task.
func (k *Kernel) exitTask(sch *sched, t *sim.Task) {
	a := ops.ExitTaskArgs{}
	switch taskState(t) {
	case ops.TaskNone:
		return
	case ops.TaskInit:
		a.Cancelled = true
	case ops.TaskEnabled:
		k.disableTask(sch, t)
	}
	if sch.has(ops.ExitTask) {
		sch.callExitTask(k.taskRQ(t), t, &a)
	}
}

// disableAndExitTask follows scx_disable_and_exit_task: t is no longer of any instance.
func (k *Kernel) disableAndExitTask(t *sim.Task) {
	k.exitTask(k.schedOf(t), t)
	k.ent(t).sch = nil
	setTaskState(t, ops.TaskNone)
}

// forkError is why ops.init_task refused a new task.
type forkError int32

func (e forkError) Error() string { return errnoText(int32(-e)) }

// fork follows the sched_ext parts of sched_fork and scx_fork.
func (k *Kernel) fork(t *sim.Task) error {
	k.setup()
	k.initEntity(t)
	t.K.SetTID(k.tidCursor)
	k.tidCursor++
	if !k.initTasks {
		return nil
	}
	setTaskState(t, ops.TaskInitBegin)
	sch := k.cgroupSched(t.Cgroup)
	if ret := k.initTask(sch, t, true); ret != 0 {
		setTaskState(t, ops.TaskNone)
		return forkError(ret)
	}
	setTaskState(t, ops.TaskInit)
	k.ent(t).sch = sch
	return nil
}

// postFork follows scx_post_fork.
func (k *Kernel) postFork(t *sim.Task) {
	if k.initTasks {
		setTaskState(t, ops.TaskReady)
		if k.onExt(t) {
			k.enableTask(k.schedOf(t), t)
		}
	}
	if k.tids != nil {
		k.tids[t.K.TID()] = t
	}
}

// cancelFork follows scx_cancel_fork.
func (k *Kernel) cancelFork(t *sim.Task) {
	if k.initTasks {
		k.disableAndExitTask(t)
	}
}

// dead follows sched_ext_dead.
func (k *Kernel) dead(t *sim.Task) {
	delete(k.tids, t.K.TID())
	if taskState(t) != ops.TaskNone {
		k.disableAndExitTask(t)
		setTaskState(t, ops.TaskDead)
	}
}

// deadAndDone follows task_dead_and_done.
func deadAndDone(t *sim.Task) bool { return t.State == sim.StateDead && !t.OnCPU }

// reweightTask follows reweight_task_scx.
func (k *Kernel) reweightTask(cpu sim.CPU, t *sim.Task) {
	if deadAndDone(t) || taskState(t) != ops.TaskEnabled {
		return
	}
	t.K.SetSCXWeight(weightToCgroup(t.Weight))
	if sch := k.schedOf(t); sch.has(ops.SetWeight) {
		sch.callSetWeight(&k.rqs[cpu], t, t.K.SCXWeight())
	}
}

// setCPUsAllowed follows set_cpus_allowed_scx, after the machine stored the mask.
func (k *Kernel) setCPUsAllowed(t *sim.Task) {
	if deadAndDone(t) || k.sch == nil {
		return
	}
	if sch := k.schedOf(t); sch.has(ops.SetCPUMask) {
		sch.callSetCPUMask(k.taskRQ(t), t)
	}
}

// switchingTo follows switching_to_scx.
func (k *Kernel) switchingTo(cpu sim.CPU, t *sim.Task) {
	if deadAndDone(t) {
		return
	}
	sch := k.schedOf(t)
	k.enableTask(sch, t)
	if sch.has(ops.SetCPUMask) {
		sch.callSetCPUMask(&k.rqs[cpu], t)
	}
}

// switchedFrom follows switched_from_scx.
func (k *Kernel) switchedFrom(_ sim.CPU, t *sim.Task) {
	if deadAndDone(t) || taskState(t) == ops.TaskNone {
		return
	}
	k.disableTask(k.schedOf(t), t)
}
