package ext

import (
	"github.com/schedsim/schedsim/sim"
)

// tree is the place of an instance among others (struct scx_sched): the root schedules the machine, a sub-scheduler the
// tasks of a cgroup and those below it, less those of its own children.
type tree struct {
	parent   *sched   // nil for the root
	children []*sched // in order of attachment
	level    int      // 0 for the root
	cgroup   *sim.Cgroup
	linked   bool // among its parent's children (scx_link_sched)
	attached bool // ops.sub_attach of the parent has accepted it (sub_attached)
	handle   *Sub // nil for the root
}

// under follows scx_is_descendant: is s a, or below it?
func (s *sched) under(a *sched) bool {
	for ; s != nil; s = s.parent {
		if s == a {
			return true
		}
	}
	return false
}

// self calls f for s and its descendants, parents first (scx_for_each_descendant_pre).
func (s *sched) self(f func(*sched)) {
	f(s)
	s.descendants(f)
}

// descendants calls f for all instances below s, parents first.
func (s *sched) descendants(f func(*sched)) {
	for i := 0; i < len(s.children); i++ {
		s.children[i].self(f)
	}
}

// onSched follows scx_task_on_sched.
func (k *Kernel) onSched(s *sched, t *sim.Task) bool { return k.ent(t).sch == s }

// cgroupSched is cgrp->scx_sched: the instance that schedules the tasks that are born in c.
func (k *Kernel) cgroupSched(c *sim.Cgroup) *sched {
	if c != nil && int(c.Index) < len(k.groupSched) {
		if s := k.groupSched[c.Index]; s != nil {
			return s
		}
	}
	return k.sch
}

// setCgroupSched follows set_cgroup_sched: c and all live cgroups below it.
func (k *Kernel) setCgroupSched(c *sim.Cgroup, s *sched) {
	for pos := c; pos != nil; pos = pos.NextPre(c) {
		k.setOneCgroup(pos, s)
	}
}

func (k *Kernel) setOneCgroup(c *sim.Cgroup, s *sched) {
	for int(c.Index) >= len(k.groupSched) {
		k.groupSched = append(k.groupSched, nil)
	}
	k.groupSched[c.Index] = s
}
