package kfuncs

import (
	"fmt"

	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/sim"
	"github.com/schedsim/schedsim/vm/abi"
)

// cgroupFuncs are the references to cgroups: a removed cgroup stays while a program holds it.
func cgroupFuncs(h *Host) []abi.Kfunc {
	return []abi.Kfunc{
		row("struct cgroup *scx_bpf_task_cgroup(struct task_struct *p)",
			abi.Acquire|abi.RCU|abi.ImplicitArgs, ops.GroupAny, h.taskCgroup),
		row("struct cgroup *bpf_cgroup_acquire(struct cgroup *cgrp)",
			abi.Acquire|abi.RetNull|abi.RCU, ops.GroupGeneric, h.cgroupAcquire),
		row("void bpf_cgroup_release(struct cgroup *cgrp)",
			abi.Release, ops.GroupGeneric, h.cgroupRelease),
		row("struct cgroup *bpf_cgroup_ancestor(struct cgroup *cgrp, int level)",
			abi.Acquire|abi.RetNull|abi.RCU, ops.GroupGeneric, h.cgroupAncestor),
		row("struct cgroup *bpf_cgroup_from_id(u64 cgid)",
			abi.Acquire|abi.RetNull, ops.GroupGeneric, h.cgroupFromID),
		row("long int bpf_task_under_cgroup(struct task_struct *task, struct cgroup *ancestor)",
			abi.RCU, ops.GroupGeneric, h.taskUnderCgroup),
		row("struct cgroup *bpf_task_get_cgroup1(struct task_struct *task, int hierarchy_id)",
			abi.Acquire|abi.RetNull|abi.RCU, ops.GroupGeneric, h.taskGetCgroup1),
	}
}

// taskGetCgroup1 finds nothing: no hierarchy of version 1 is mounted.
func (h *Host) taskGetCgroup1(c *abi.Call, a *abi.Args) uint64 {
	h.task(c, a, 0)
	return 0
}

// cgroup returns the cgroup that register r points to; nil after a fault.
func (h *Host) cgroup(c *abi.Call, a *abi.Args, r int) *sim.Cgroup {
	cg := h.Machine.CgroupByAddr(a[r])
	if cg == nil {
		c.Fault = fmt.Sprintf("argument %d: %#x is no cgroup", r+1, a[r])
	}
	return cg
}

// holdCgroup gives programs a reference to cg and returns its address; 0 for nil.
func (h *Host) holdCgroup(cg *sim.Cgroup) uint64 {
	if cg == nil {
		return 0
	}
	h.Machine.HoldCgroup(cg)
	if h.heldCgroups == nil {
		h.heldCgroups = map[*sim.Cgroup]int{}
	}
	h.heldCgroups[cg]++
	return cg.K.Addr
}

// taskCgroup follows scx_bpf_task_cgroup.
func (h *Host) taskCgroup(c *abi.Call, a *abi.Args) uint64 {
	t := h.task(c, a, 0)
	if t == nil {
		return 0
	}
	return h.holdCgroup(h.Kernel.TaskCgroup(t))
}

// cgroupFromID follows bpf_cgroup_from_id: a removed cgroup is not found.
func (h *Host) cgroupFromID(_ *abi.Call, a *abi.Args) uint64 {
	return h.holdCgroup(h.Machine.CgroupByID(a[0]))
}

// taskUnderCgroup follows bpf_task_under_cgroup: is the task's cgroup the given one or below it?
func (h *Host) taskUnderCgroup(c *abi.Call, a *abi.Args) uint64 {
	t := h.task(c, a, 0)
	if t == nil {
		return 0
	}
	cg := h.cgroup(c, a, 1)
	return retBool(cg != nil && t.Cgroup.Under(cg))
}

func (h *Host) cgroupAcquire(c *abi.Call, a *abi.Args) uint64 { return h.holdCgroup(h.cgroup(c, a, 0)) }

func (h *Host) cgroupRelease(c *abi.Call, a *abi.Args) uint64 {
	cg := h.cgroup(c, a, 0)
	switch {
	case cg == nil:
	case h.heldCgroups[cg] == 0:
		c.Fault = fmt.Sprintf("argument 1: no reference to cgroup %s is held", cg.Path())
	default:
		if h.heldCgroups[cg]--; h.heldCgroups[cg] == 0 {
			delete(h.heldCgroups, cg)
		}
		h.Machine.ReleaseCgroup(cg)
	}
	return 0
}

// cgroupAncestor follows bpf_cgroup_ancestor: no ancestor above the root or below the cgroup itself.
func (h *Host) cgroupAncestor(c *abi.Call, a *abi.Args) uint64 {
	cg := h.cgroup(c, a, 0)
	want := int32(a[1])
	if cg == nil || want < 0 || want > cg.K.Level() {
		return 0
	}
	for cg.K.Level() > want {
		cg = cg.Parent
	}
	return h.holdCgroup(cg)
}
