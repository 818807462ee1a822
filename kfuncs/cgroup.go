package kfuncs

import (
	"encoding/binary"
	"fmt"

	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/sim"
	"github.com/schedsim/schedsim/vm/abi"
)

// cgroups is where the fields of cgroups lie.
type cgroups struct {
	taskCgroups, dflCgrp, level, ancestors, kn, id uint32
	haveCgroups                                    bool
}

// cgroupFuncs are the references to cgroups. Cgroups live as long as the machine, so references are not counted.
func cgroupFuncs(h *Host) []abi.Kfunc {
	if h.Layout != nil {
		h.haveCgroups = true
		for _, f := range []struct {
			path string
			off  *uint32
		}{
			{"task_struct.cgroups", &h.taskCgroups},
			{"css_set.dfl_cgrp", &h.dflCgrp},
			{"cgroup.level", &h.level},
			{"cgroup.ancestors", &h.ancestors},
			{"cgroup.kn", &h.kn},
			{"kernfs_node.id", &h.id},
		} {
			var ok bool
			*f.off, _, ok = h.Layout.Field(f.path)
			h.haveCgroups = h.haveCgroups && ok
		}
	}
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
			abi.Acquire|abi.RetNull|abi.RCU, ops.GroupGeneric, nil),
	}
}

// pointer reads a pointer in kernel memory, 0 if there is none.
func pointer(m abi.Memory, addr uint64) uint64 {
	b := m.Bytes(addr, 8)
	if b == nil {
		return 0
	}
	return binary.LittleEndian.Uint64(b)
}

// cgroupOf returns the address of the cgroup of t in the default hierarchy, 0 if it is in none.
func (h *Host) cgroupOf(m abi.Memory, t *sim.Task) uint64 {
	set := pointer(m, t.K.Addr+uint64(h.taskCgroups))
	if set == 0 || !h.haveCgroups {
		return 0
	}
	return pointer(m, set+uint64(h.dflCgrp))
}

// taskCgroup follows scx_bpf_task_cgroup, in a machine in which the cpu controller is enabled everywhere. A task that is
// not one of the running callback ends the policy and seems to be in the root.
func (h *Host) taskCgroup(c *abi.Call, a *abi.Args) uint64 {
	t := h.task(c, a, 0)
	if t == nil {
		return 0
	}
	if !h.Kernel.TaskSubject(t) {
		return h.Machine.RootCgroup().Addr
	}
	cgrp := h.cgroupOf(c.Mem, t)
	if cgrp == 0 {
		c.Fault = fmt.Sprintf("%s[%d] is in no cgroup", t.Comm, t.PID)
	}
	return cgrp
}

// cgroupFromID finds a cgroup by its id. The machine has one, the root.
func (h *Host) cgroupFromID(c *abi.Call, a *abi.Args) uint64 {
	root := h.Machine.RootCgroup().Addr
	kn := pointer(c.Mem, root+uint64(h.kn))
	if kn == 0 || !h.haveCgroups || pointer(c.Mem, kn+uint64(h.id)) != a[0] {
		return 0
	}
	return root
}

// taskUnderCgroup follows bpf_task_under_cgroup: is the task's cgroup the given one or below it?
func (h *Host) taskUnderCgroup(c *abi.Call, a *abi.Args) uint64 {
	t := h.task(c, a, 0)
	level, ok := h.cgroupLevel(c, &abi.Args{a[1]})
	if t == nil || !ok {
		return 0
	}
	own := &abi.Args{h.cgroupOf(c.Mem, t), uint64(level)}
	return retBool(own[0] != 0 && h.cgroupAncestor(c, own) == a[1])
}

// cgroupLevel returns the depth of the cgroup in the first register; false after a fault.
func (h *Host) cgroupLevel(c *abi.Call, a *abi.Args) (int32, bool) {
	b := c.Mem.Bytes(a[0]+uint64(h.level), 4)
	if b == nil || !h.haveCgroups {
		c.Fault = fmt.Sprintf("argument 1: %#x is no cgroup", a[0])
		return 0, false
	}
	return i32At(b, 0), true
}

func (h *Host) cgroupAcquire(c *abi.Call, a *abi.Args) uint64 {
	if _, ok := h.cgroupLevel(c, a); !ok {
		return 0
	}
	return a[0]
}

func (h *Host) cgroupRelease(c *abi.Call, a *abi.Args) uint64 {
	h.cgroupLevel(c, a)
	return 0
}

// cgroupAncestor follows bpf_cgroup_ancestor: no ancestor above the root or below the cgroup itself.
func (h *Host) cgroupAncestor(c *abi.Call, a *abi.Args) uint64 {
	level, ok := h.cgroupLevel(c, a)
	want := int32(a[1])
	if !ok || want < 0 || want > level {
		return 0
	}
	return pointer(c.Mem, a[0]+uint64(h.ancestors)+8*uint64(want))
}
