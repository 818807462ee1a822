package ext

import (
	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/sim"
)

// The policy's view of cgroups (CONFIG_EXT_GROUP_SCHED). Each cgroup is made known by ops.cgroup_init before a task can be in
// it, and taken back by ops.cgroup_exit.

// Flags of a cgroup (enum scx_tg_flags).
const (
	tgOnline uint8 = 1 << 0
	tgInited uint8 = 1 << 1
)

// groupState is what sched_ext keeps of the cgroups of the machine.
type groupState struct {
	enabled bool    // scx_cgroup_enabled
	flags   []uint8 // by Cgroup.Index
}

// tgFlags is tg->scx.flags of c. The root is online from the beginning.
func (k *Kernel) tgFlags(c *sim.Cgroup) *uint8 {
	for len(k.groups.flags) <= int(c.Index) {
		first := uint8(0)
		if len(k.groups.flags) == 0 {
			first = tgOnline
		}
		k.groups.flags = append(k.groups.flags, first)
	}
	return &k.groups.flags[c.Index]
}

// callCgroupInit asks the policy to take c.
func (k *Kernel) callCgroupInit(c *sim.Cgroup) int32 {
	a := ops.CgroupInitArgs{Weight: c.Weight, PeriodUS: c.PeriodUS, QuotaUS: c.QuotaUS, BurstUS: c.BurstUS}
	k.enter(k.sch, ops.CgroupInit, nil, nil, nil, c.ID)
	ret := k.sch.ops.CgroupInit(c.K.Addr, &a)
	k.leave()
	return ret
}

func (k *Kernel) callCgroupExit(c *sim.Cgroup) {
	k.enter(k.sch, ops.CgroupExit, nil, nil, nil, c.ID)
	k.sch.ops.CgroupExit(c.K.Addr)
	k.leave()
}

// tgOnlineHook follows scx_tg_online.
func (k *Kernel) tgOnline(c *sim.Cgroup) sim.Errno {
	fl := k.tgFlags(c)
	*fl = 0
	if k.groups.enabled {
		if k.sch.has(ops.CgroupInit) {
			if ret := k.callCgroupInit(c); ret != 0 {
				return sim.Errno(-k.sch.sanitizeErr("cgroup_init", ret))
			}
		}
		*fl |= tgInited
	}
	*fl |= tgOnline
	return 0
}

// tgOffline follows scx_tg_offline.
func (k *Kernel) tgOffline(c *sim.Cgroup) {
	fl := k.tgFlags(c)
	if k.groups.enabled && k.sch.has(ops.CgroupExit) && *fl&tgInited != 0 {
		k.callCgroupExit(c)
	}
	*fl = 0
}

// cgroupInit follows scx_cgroup_init: the cgroups that are there, parents first.
func (k *Kernel) cgroupInit() int32 {
	root := k.m.Root()
	for c := root; c != nil; c = c.NextPre(root) {
		fl := k.tgFlags(c)
		if *fl&(tgOnline|tgInited) != tgOnline {
			continue
		}
		if k.sch.ops.CgroupInit != nil {
			if ret := k.callCgroupInit(c); ret != 0 {
				k.sch.error("ops.cgroup_init() failed (%d)", ret)
				return ret
			}
		}
		*fl |= tgInited
	}
	k.groups.enabled = true
	return 0
}

// cgroupExit follows scx_cgroup_exit: children first.
func (k *Kernel) cgroupExit() {
	k.groups.enabled = false
	root := k.m.Root()
	for c := root.FirstPost(); c != nil; c = c.NextPost(root) {
		fl := k.tgFlags(c)
		if *fl&tgInited == 0 {
			continue
		}
		*fl &^= tgInited
		if k.sch.ops.CgroupExit != nil {
			k.callCgroupExit(c)
		}
	}
}

// cgroupCanAttach follows scx_cgroup_can_attach.
func (k *Kernel) cgroupCanAttach(tasks []*sim.Task, to *sim.Cgroup) sim.Errno {
	if !k.groups.enabled {
		return 0
	}
	for _, t := range tasks {
		from := t.SchedGroup
		if from == to {
			continue
		}
		if k.sch.has(ops.CgroupPrepMove) {
			k.enter(k.sch, ops.CgroupPrepMove, nil, nil, nil, to.ID)
			ret := k.sch.ops.CgroupPrepMove(t, from.K.Addr, to.K.Addr)
			k.leave()
			if ret != 0 {
				k.cgroupCancelMove(tasks, to)
				return sim.Errno(-k.sch.sanitizeErr("cgroup_prep_move", ret))
			}
		}
		t.K.SetCgrpMovingFrom(from.K.Addr)
	}
	return 0
}

// cgroupCancelMove is the way back of cgroupCanAttach for the tasks that were prepared.
func (k *Kernel) cgroupCancelMove(tasks []*sim.Task, to *sim.Cgroup) {
	for _, t := range tasks {
		if from := t.K.CgrpMovingFrom(); from != 0 && k.sch.has(ops.CgroupCancelMove) {
			k.enter(k.sch, ops.CgroupCancelMove, nil, nil, nil, to.ID)
			k.sch.ops.CgroupCancelMove(t, from, to.K.Addr)
			k.leave()
		}
		t.K.SetCgrpMovingFrom(0)
	}
}

// cgroupMoveTask follows scx_cgroup_move_task.
func (k *Kernel) cgroupMoveTask(t *sim.Task) {
	if !k.groups.enabled {
		return
	}
	if from := t.K.CgrpMovingFrom(); from != 0 && k.sch.has(ops.CgroupMove) {
		k.enter(k.sch, ops.CgroupMove, k.taskRQ(t), t, nil, t.SchedGroup.ID)
		k.sch.ops.CgroupMove(t, from, t.SchedGroup.K.Addr)
		k.leave()
	}
	t.K.SetCgrpMovingFrom(0)
}

// groupSetWeight follows scx_group_set_weight; the machine calls it only when the weight differs.
func (k *Kernel) groupSetWeight(c *sim.Cgroup, weight uint32) {
	if k.groups.enabled && k.sch.has(ops.CgroupSetWeight) {
		k.enter(k.sch, ops.CgroupSetWeight, nil, nil, nil, c.ID)
		k.sch.ops.CgroupSetWeight(c.K.Addr, weight)
		k.leave()
	}
}

// groupSetIdle follows scx_group_set_idle.
func (k *Kernel) groupSetIdle(c *sim.Cgroup, idle bool) {
	if k.groups.enabled && k.sch.has(ops.CgroupSetIdle) {
		k.enter(k.sch, ops.CgroupSetIdle, nil, nil, nil, c.ID)
		k.sch.ops.CgroupSetIdle(c.K.Addr, idle)
		k.leave()
	}
}

// groupSetBandwidth follows scx_group_set_bandwidth.
func (k *Kernel) groupSetBandwidth(c *sim.Cgroup, changed bool) {
	if changed && k.groups.enabled && k.sch.has(ops.CgroupSetBandwidth) {
		k.enter(k.sch, ops.CgroupSetBandwidth, nil, nil, nil, c.ID)
		k.sch.ops.CgroupSetBandwidth(c.K.Addr, c.PeriodUS, c.QuotaUS, c.BurstUS)
		k.leave()
	}
}

// TaskCgroup is the cgroup that t is scheduled in (scx_bpf_task_cgroup). A task that is not one of the running callback
// ends the policy and seems to be in the root.
func (k *Kernel) TaskCgroup(t *sim.Task) *sim.Cgroup {
	if !k.TaskSubject(t) {
		return k.m.Root()
	}
	return t.SchedGroup
}
