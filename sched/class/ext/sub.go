package ext

import (
	"fmt"

	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/sim"
)

// Sub is a sub-scheduler: a policy for the tasks of a cgroup, below another one that lets it dispatch
// (scx_bpf_sub_dispatch). It needs the cid form, as all instances of its hierarchy do.
type Sub struct{ s *sched }

// ExitInfo tells why the sub-scheduler ended; nil while it has not.
func (u *Sub) ExitInfo() *ops.ExitInfo {
	if u.s.exitKind == ops.ExitNone {
		return nil
	}
	return u.s.info
}

// ExitedAt is when it ended, sim.Never while it has not.
func (u *Sub) ExitedAt() sim.Time {
	if u.s.exitKind == ops.ExitNone {
		return sim.Never
	}
	return u.s.exitedAt
}

// Events are its counters.
func (u *Sub) Events() *Events { return &u.s.events }

// Disable ends it, as Kernel.Disable ends the root.
func (u *Sub) Disable(kind ops.ExitKind) { u.s.k.disableNow(u.s, kind) }

// Do runs f, which calls kernel functions, on behalf of the sub-scheduler: what a program does that is associated with it
// but is none of its callbacks.
func (u *Sub) Do(f func()) {
	saved := u.s.k.cur
	u.s.k.cur = u.s
	f()
	u.s.k.cur = saved
}

// SubAttachError is an errno with which attaching a sub-scheduler is refused.
type SubAttachError struct {
	Errno int32
	Why   string
}

// Error says why.
func (e *SubAttachError) Error() string { return e.Why }

// EnableSub attaches t as a sub-scheduler of the cgroup t.SubCgroupID, as Enable does when that is set.
func (k *Kernel) EnableSub(t *ops.Table) (*Sub, error) {
	k.setup()
	k.enabling = true
	defer func() { k.enabling = false }()
	if err := k.checkTable(t); err != nil {
		return nil, fmt.Errorf("policy %q: %w", t.Name, err)
	}
	return k.enableSub(t)
}

// enableSub follows scx_sub_enable_workfn.
func (k *Kernel) enableSub(t *ops.Table) (*Sub, error) {
	refuse := func(errno int32, why string) (*Sub, error) {
		return nil, fmt.Errorf("policy %q: %w", t.Name, &SubAttachError{errno, why})
	}
	if !k.enabled {
		return refuse(ENODEV, "no scheduler is enabled that could have a sub-scheduler")
	}
	c := k.m.CgroupByID(t.SubCgroupID)
	if c == nil {
		return refuse(ENOENT, fmt.Sprintf("no cgroup has the id %d", t.SubCgroupID))
	}
	parent := k.cgroupSched(c)
	switch {
	case parent.cgroup == c:
		return refuse(EBUSY, fmt.Sprintf("cgroup %s has a scheduler", c.Path()))
	case parent.ops.SubAttach == nil:
		return refuse(EOPNOTSUPP, fmt.Sprintf("scheduler %q takes no sub-schedulers", parent.ops.Name))
	}
	for _, pos := range parent.children {
		if pos.cgroup.Under(c) {
			return refuse(EBUSY, fmt.Sprintf("cgroup %s below has a scheduler", pos.cgroup.Path()))
		}
	}
	sch := k.newSched(t, c, parent)
	sch.handle = &Sub{sch}
	k.nrSubs++
	k.m.HoldCgroup(c)
	ret := k.linkSched(sch)
	if ret == 0 {
		ret = k.subEnable(sch)
	}
	if ret != 0 {
		sch.error("scx_sub_enable() failed (%d)", ret)
	}
	if sch.exitKind != ops.ExitNone {
		k.disableWorks()
		return sch.handle, fmt.Errorf("policy %q: %s: %s", t.Name, sch.info.Reason, sch.info.Msg)
	}
	return sch.handle, nil
}

// linkSched follows scx_link_sched.
func (k *Kernel) linkSched(sch *sched) int32 {
	if sch.parent.exitKind != ops.ExitNone {
		sch.error("parent disabled (%d)", -ENOENT)
		return -ENOENT
	}
	sch.parent.children = append(sch.parent.children, sch)
	sch.linked = true
	k.refreshWatchdog()
	return 0
}

// unlinkSched follows scx_unlink_sched.
func (k *Kernel) unlinkSched(sch *sched) {
	if sch.linked {
		l := sch.parent.children
		for i, s := range l {
			if s == sch {
				sch.parent.children = append(l[:i:i], l[i+1:]...)
				break
			}
		}
		sch.linked = false
	}
	k.refreshWatchdog()
}

// subEnable is the part of scx_sub_enable_workfn after the instance was linked. It returns an errno, or 0 also where an error
// was reported that ends the instance.
func (k *Kernel) subEnable(sch *sched) int32 {
	if sch.level >= ops.SubMaxDepth {
		sch.error("max nesting depth %d violated", ops.SubMaxDepth)
		return 0
	}
	if sch.ops.Init != nil {
		if ret := sch.callInit(); ret != 0 {
			ret = sch.sanitizeErr("init", ret)
			sch.error("ops.init() failed (%d)", ret)
			return ret
		}
		sch.info.Flags |= ops.EFlagInitialized
	}
	if ret := k.validateOps(sch); ret != 0 {
		return ret
	}
	if ret := sch.parent.callSubAttach(sch); ret != 0 {
		ret = sch.sanitizeErr("sub_attach", ret)
		sch.error("parent rejected (%d)", ret)
		return ret
	}
	sch.attached = true
	k.scxBypass(sch, true)
	sch.hasOp = normalOps(&sch.ops) | hotplugOps(&sch.ops)
	k.setCgroupSched(sch.cgroup, sch)
	if !sch.cgroup.Online() {
		sch.error("cgroup is not online")
		return 0
	}
	// Tasks are initialised for the child before they leave the parent, so that they can stay there.
	ret := int32(0)
	k.tasksOf(sch.cgroup, func(t *sim.Task) {
		if ret != 0 || hasFlags(t, ops.TaskSubInit) || taskState(t) == ops.TaskDead {
			return
		}
		if ret = k.initTask(sch, t, false); ret == 0 {
			setFlags(t, ops.TaskSubInit)
		}
	})
	if ret != 0 {
		k.tasksOf(sch.cgroup, func(t *sim.Task) {
			if hasFlags(t, ops.TaskSubInit) {
				k.subInitCancelTask(sch, t)
				clearFlags(t, ops.TaskSubInit)
			}
		})
		return ret
	}
	k.tasksOf(sch.cgroup, func(t *sim.Task) {
		if !hasFlags(t, ops.TaskSubInit) {
			return
		}
		k.m.Change(t, sim.DeqSave|sim.DeqMove, func() {
			k.exitTask(sch.parent, t)
			k.ent(t).sch = sch
			if k.onExt(t) {
				k.enableTask(sch, t)
			}
			clearFlags(t, ops.TaskSubInit)
		})
	})
	k.scxBypass(sch, false)
	k.print("sched_ext: BPF sub-scheduler \"%s\" enabled", sch.ops.Name)
	return 0
}

// tasksOf calls f for the tasks of c and of the cgroups below it (scx_task_iter with a cgroup).
func (k *Kernel) tasksOf(c *sim.Cgroup, f func(*sim.Task)) {
	for pos := c; pos != nil; pos = pos.NextPre(c) {
		pos.Tasks(f)
	}
}

// subInitCancelTask follows scx_sub_init_cancel_task.
func (k *Kernel) subInitCancelTask(sch *sched, t *sim.Task) {
	if sch.has(ops.ExitTask) {
		sch.callExitTask(k.taskRQ(t), t, &ops.ExitTaskArgs{Cancelled: true})
	}
}

// subDisable follows scx_sub_disable: the tasks go back to the parent.
func (k *Kernel) subDisable(sch *sched) {
	parent := sch.parent
	k.scxBypass(sch, true)
	if sch.linked {
		k.setCgroupSched(sch.cgroup, parent)
		failed := false
		k.tasksOf(sch.cgroup, func(t *sim.Task) {
			if failed || k.onSched(parent, t) || taskState(t) == ops.TaskNone {
				return
			}
			if ret := k.initTask(parent, t, false); ret != 0 {
				k.failParent(sch, t, ret)
				failed = true
				return
			}
			k.m.Change(t, sim.DeqSave|sim.DeqMove, func() {
				k.disableAndExitTask(t)
				setTaskState(t, ops.TaskInitBegin)
				setTaskState(t, ops.TaskInit)
				k.ent(t).sch = parent
				setTaskState(t, ops.TaskReady)
				if k.onExt(t) {
					k.enableTask(parent, t)
				}
			})
		})
		// A task that has left the cgroup since stays with its scheduler until that ends.
		k.m.Tasks(func(t *sim.Task) {
			if k.onSched(sch, t) && taskState(t) != ops.TaskNone && !failed {
				if ret := k.initTask(parent, t, false); ret != 0 {
					k.failParent(sch, t, ret)
					failed = true
					return
				}
				k.moveToParent(sch, t)
			}
		})
	}
	sch.dumpDisabled = true
	sch.disableBypassDsp()
	k.m.Cancel(&sch.lbTimer)
	for i := range k.rqs {
		r := &k.rqs[i]
		for j := len(r.reenqLocals) - 1; j >= 0; j-- {
			if r.reenqLocals[j] == sch {
				r.reenqLocals = append(r.reenqLocals[:j], r.reenqLocals[j+1:]...)
			}
		}
		for j := len(r.reenqUsers) - 1; j >= 0; j-- {
			if r.reenqUsers[j].d.sch == sch {
				r.reenqUsers = append(r.reenqUsers[:j], r.reenqUsers[j+1:]...)
			}
		}
	}
	k.unlinkSched(sch)
	if parent.ops.SubDetach != nil && sch.attached {
		parent.callSubDetach(sch)
	}
	k.logDisable(sch)
	if sch.ops.Exit != nil {
		sch.callExit(sch.info)
	}
	k.nrSubs--
	k.m.ReleaseCgroup(sch.cgroup)
}

// moveToParent gives t, which is initialised for the parent of sch, to it.
func (k *Kernel) moveToParent(sch *sched, t *sim.Task) {
	k.m.Change(t, sim.DeqSave|sim.DeqMove, func() {
		k.disableAndExitTask(t)
		setTaskState(t, ops.TaskInitBegin)
		setTaskState(t, ops.TaskInit)
		k.ent(t).sch = sch.parent
		setTaskState(t, ops.TaskReady)
		if k.onExt(t) {
			k.enableTask(sch.parent, t)
		}
	})
}

// failParent follows scx_fail_parent: the parent does not take a task back, so it has to go too.
func (k *Kernel) failParent(sch *sched, failed *sim.Task, ret int32) {
	parent := sch.parent
	parent.error("ops.init_task() failed (%d) for %s[%d] while disabling a sub-scheduler", ret, failed.Comm, failed.PID)
	k.scxBypass(parent, true)
	k.m.Tasks(func(t *sim.Task) {
		if !k.onSched(sch, t) || taskState(t) == ops.TaskNone {
			return
		}
		k.m.Change(t, sim.DeqSave|sim.DeqMove, func() {
			k.disableAndExitTask(t)
			k.ent(t).sch = parent
		})
	})
}

// cgroupLife follows scx_cgroup_lifetime_notify.
func (k *Kernel) cgroupLife(c *sim.Cgroup, online bool) {
	if k.sch == nil {
		return
	}
	if online {
		if s := k.cgroupSched(c.Parent); s != k.sch {
			k.setOneCgroup(c, s)
		} else if int(c.Index) < len(k.groupSched) {
			k.groupSched[c.Index] = nil
		}
		return
	}
	if s := k.cgroupSched(c); s.cgroup == c {
		s.exit(ops.ExitUnregKern, ops.ECodeRsnCgroupOffline, int32(k.m.ThisCPU()), "cgroup %d going offline", c.ID)
	}
}

func (s *sched) callSubAttach(child *sched) int32 {
	s.k.enter(s, ops.SubAttach, nil, nil, nil, child.ops.SubCgroupID)
	ret := s.ops.SubAttach(&ops.SubArgs{Ops: &child.ops, CgroupPath: child.cgroup.Path()})
	s.k.leave()
	return ret
}

func (s *sched) callSubDetach(child *sched) {
	s.k.enter(s, ops.SubDetach, nil, nil, nil, child.ops.SubCgroupID)
	s.ops.SubDetach(&ops.SubArgs{Ops: &child.ops, CgroupPath: child.cgroup.Path()})
	s.k.leave()
}

// SubDispatch follows scx_bpf_sub_dispatch: the direct child of that cgroup dispatches for the CPU on whose behalf
// ops.dispatch runs. It tells whether there is something to run now.
func (k *Kernel) SubDispatch(cgroupID uint64) bool {
	if !k.called("scx_bpf_sub_dispatch", ops.Dispatch) {
		return false
	}
	parent := k.prog()
	var child *sched
	k.sch.descendants(func(s *sched) {
		if s.ops.SubCgroupID == cgroupID {
			child = s
		}
	})
	if child == nil {
		return false
	}
	if child.parent != parent {
		parent.error("trying to dispatch a distant sub-sched on cgroup %d", cgroupID)
		return false
	}
	r := &k.rqs[k.frame.Locked]
	return k.dispatchSched(child, r, r.subDispatchPrev, true) != dspNone
}
