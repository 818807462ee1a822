package sim

import (
	"fmt"
	"slices"
)

// joinCgroup makes t a member of c (css_set_move_task).
func (t *Task) joinCgroup(c *Cgroup) {
	if old := t.Cgroup; old != nil && t.inCgroup {
		if t.cgPrev != nil {
			t.cgPrev.cgNext = t.cgNext
		} else {
			old.tasks = t.cgNext
		}
		if t.cgNext != nil {
			t.cgNext.cgPrev = t.cgPrev
		} else {
			old.tasksEnd = t.cgPrev
		}
		old.nrTasks--
		for p := old; p != nil; p = p.Parent {
			p.populated--
		}
		t.inCgroup, t.cgPrev, t.cgNext = false, nil, nil
	}
	if c == nil { // dead, but what points at its cgroup stays
		return
	}
	t.Cgroup = c
	t.K.SetCgroups(c.K.CSSSet)
	t.cgPrev = c.tasksEnd
	if c.tasksEnd != nil {
		c.tasksEnd.cgNext = t
	} else {
		c.tasks = t
	}
	c.tasksEnd = t
	c.nrTasks++
	for p := c; p != nil; p = p.Parent {
		p.populated++
	}
	t.inCgroup = true
}

// setSchedGroup makes c the task group of t (p->sched_task_group).
func (t *Task) setSchedGroup(c *Cgroup) {
	t.SchedGroup = c
	t.K.SetSchedTaskGroup(c.K.Group)
}

// MoveTasks moves tasks to the cgroup to, all or none of them, as a write to cgroup.procs or cgroup.threads does. It follows
// cgroup_attach_task and cgroup_migrate_execute (kernel/cgroup/cgroup.c, 7.2) with cpuset_attach and cpu_cgroup_attach.
func (m *Machine) MoveTasks(to *Cgroup, tasks ...*Task) error {
	refuse := func(e Errno, why string) error { return &OpError{"move to " + to.Path(), e, why} }
	switch {
	case !to.online:
		return refuse(ENODEV, "the cgroup was removed")
	case to.Parent != nil && to.populated > to.nrTasks:
		return refuse(EBUSY, "it has children with tasks") // cgroup_migrate_vet_dst
	}
	var moving []*Task
	for _, t := range tasks {
		switch {
		case t.State == StateNew:
			t.Cgroup = to // it is forked into the cgroup
		case !t.gone && !t.Exiting && t.Cgroup != to:
			moving = append(moving, t)
		}
	}
	if len(moving) == 0 {
		return nil
	}
	for _, f := range m.hooked.canAttach {
		if e := f(moving, to); e != 0 {
			return refuse(e, "refused by a scheduler")
		}
	}
	for _, t := range moving {
		t.joinCgroup(to)
	}
	for _, t := range moving {
		m.cpusetUpdateTask(t)
	}
	for _, t := range moving {
		m.moveTask(t, to, false)
	}
	if m.Traced(TraceCgroupAttachTask) {
		m.traceMoved(to, moving)
	}
	return nil
}

// traceMoved tells of tasks that came to a cgroup: once of a process all of whose threads did, as after a write to cgroup.procs, of each
// other thread.
func (m *Machine) traceMoved(to *Cgroup, moved []*Task) {
	left := map[int32]bool{} // processes with threads elsewhere, or dying
	m.Tasks(func(t *Task) {
		if t.State != StateDead && t.State != StateNew && !slices.Contains(moved, t) {
			left[t.K.TGID()] = true
		}
	})
	for _, t := range moved {
		switch tgid := t.K.TGID(); {
		case left[tgid]:
			m.trace(TraceCgroupAttachTask, t, to, 0)
		case t.PID == tgid:
			m.trace(TraceCgroupAttachTask, t, to, 1)
		}
	}
}

// moveTask follows sched_move_task (kernel/sched/core.c, 7.2): the scheduling group of t is to. Where that is because t leaves its
// autogroup, a policy of sched_ext is not told that the task moved.
func (m *Machine) moveTask(t *Task, to *Cgroup, forAutogroup bool) {
	m.Change(t, DeqSave|DeqMove, func() {
		t.setSchedGroup(to)
		if h := m.classes[t.rank].h.ChangeGroup; h != nil {
			h(t)
		}
		if forAutogroup {
			return
		}
		for _, f := range m.hooked.cgroupMove {
			f(t)
		}
	})
	switch cpu := t.CPU(); {
	case m.cpus[cpu].curr == t:
		m.Resched(cpu)
	case t.OnRQ:
		m.WakeupPreempt(cpu, t, 0)
	}
}

// SetCgroupWeight is a write to cpu.weight. It follows cpu_weight_write_u64 (kernel/sched/core.c, 7.2).
func (m *Machine) SetCgroupWeight(c *Cgroup, weight uint64) error {
	if weight < CgroupWeightMin || weight > CgroupWeightMax {
		return &OpError{fmt.Sprintf("cpu.weight of %s", c.Path()), ERANGE, fmt.Sprintf("%d, want 1 to 10000", weight)}
	}
	return m.setShares(c, "cpu.weight", (weight*1024+50)/100<<10, uint32(weight))
}

// SetCgroupWeightNice is a write to cpu.weight.nice (cpu_weight_nice_write_s64).
func (m *Machine) SetCgroupWeightNice(c *Cgroup, nice int) error {
	if nice < -20 || nice > 19 {
		return &OpError{fmt.Sprintf("cpu.weight.nice of %s", c.Path()), ERANGE, fmt.Sprintf("%d, want -20 to 19", nice)}
	}
	w := prioToWeight[nice+20]
	return m.setShares(c, "cpu.weight.nice", w<<10, uint32(min(max((w*100+512)/1024, CgroupWeightMin), CgroupWeightMax)))
}

// setShares follows sched_group_set_shares and scx_group_set_weight.
func (m *Machine) setShares(c *Cgroup, file string, shares uint64, weight uint32) error {
	switch {
	case !c.online:
		return &OpError{file + " of " + c.Path(), ENODEV, "the cgroup was removed"}
	case c.Parent == nil:
		return &OpError{file + " of /", ENOENT, "the root has no such file"}
	case c.Idle:
		return &OpError{file + " of " + c.Path(), EINVAL, "cpu.idle is set"}
	}
	old := c.Weight
	if shares != c.Shares {
		c.Shares = shares
		c.K.SetShares(shares)
		for _, f := range m.hooked.cgroupShares {
			f(c)
		}
	}
	if weight != old {
		for _, f := range m.hooked.cgroupWeight {
			f(c, weight)
		}
	}
	c.Weight = weight
	return nil
}

// SetCgroupIdle is a write to cpu.idle (cpu_idle_write_s64): the tasks of an idle cgroup are as SCHED_IDLE tasks to those
// outside it.
func (m *Machine) SetCgroupIdle(c *Cgroup, idle bool) error {
	switch {
	case !c.online:
		return &OpError{"cpu.idle of " + c.Path(), ENODEV, "the cgroup was removed"}
	case c.Parent == nil:
		return &OpError{"cpu.idle of /", ENOENT, "the root has no such file"}
	}
	if c.Idle != idle {
		c.Idle = idle
		if c.Shares = defaultShares; idle {
			c.Shares = idleShares
		}
		c.K.SetShares(c.Shares)
		for _, f := range m.hooked.cgroupShares {
			f(c)
		}
	}
	for _, f := range m.hooked.cgroupIdle {
		f(c, idle)
	}
	return nil
}

// SetCgroupBandwidth is a write to cpu.max and cpu.max.burst: at most quotaUS microseconds of CPU time in each period
// of periodUS (QuotaMax: no limit), and up to burstUS more that were saved in periods before. It follows
// tg_set_bandwidth.
func (m *Machine) SetCgroupBandwidth(c *Cgroup, periodUS, quotaUS, burstUS uint64) error {
	refuse := func(e Errno, why string) error { return &OpError{"cpu.max of " + c.Path(), e, why} }
	switch {
	case !c.online:
		return refuse(ENODEV, "the cgroup was removed")
	case c.Parent == nil:
		return refuse(ENOENT, "the root has no such file")
	case quotaUS < minBandwidthUS || periodUS < minBandwidthUS:
		return refuse(EINVAL, fmt.Sprintf("quota and period must be at least %d us", minBandwidthUS))
	case periodUS > maxPeriodUS:
		return refuse(EINVAL, fmt.Sprintf("the period must be at most %d us", maxPeriodUS))
	case quotaUS != QuotaMax && quotaUS > maxRuntimeUS:
		return refuse(EINVAL, "the quota is too large")
	case quotaUS != QuotaMax && (burstUS > quotaUS || burstUS+quotaUS > maxRuntimeUS):
		return refuse(EINVAL, "the burst must not be more than the quota")
	}
	same := c.PeriodUS == periodUS && c.QuotaUS == quotaUS && c.BurstUS == burstUS
	c.PeriodUS, c.QuotaUS, c.BurstUS = periodUS, quotaUS, burstUS
	for _, f := range m.hooked.cgroupBandwidth {
		f(c, !same)
	}
	return nil
}

// SetCgroupCPUs is a write to cpuset.cpus; nil takes the limit away. It follows update_cpumask and
// update_cpumasks_hier (kernel/cgroup/cpuset.c, 7.2).
func (m *Machine) SetCgroupCPUs(c *Cgroup, cpus []CPU) error {
	op := "cpuset.cpus of " + c.Path()
	switch {
	case !c.online:
		return &OpError{op, ENODEV, "the cgroup was removed"}
	case c.Parent == nil:
		return &OpError{op, ENOENT, "the root has no such file"}
	}
	c.cpus = nil
	if cpus != nil {
		if err := m.checkCPUs(cpus); err != nil {
			return &OpError{op, EINVAL, err.Error()}
		}
		c.cpus = m.maskOf(cpus)
	}
	m.trace(TraceCpusetWrite, nil, c, 0)
	m.updateCpusets(c)
	return nil
}

// maskOf makes a bit mask of CPUs.
func (m *Machine) maskOf(cpus []CPU) []uint64 {
	mask := make([]uint64, m.topo.Words())
	for _, c := range cpus {
		mask[c/64] |= 1 << (c % 64)
	}
	return mask
}

// EffectiveCPUs is cpuset.cpus.effective as a bit mask, which callers must not change.
func (c *Cgroup) EffectiveCPUs() []uint64 { return c.effective }

// updateCpusets brings the effective CPUs of c and everything below it up to date and tells their tasks.
func (m *Machine) updateCpusets(top *Cgroup) {
	for c := top; c != nil; c = c.NextPre(top) {
		if c.Parent == nil {
			c.effective = slices.Clone(m.active.Words()) // the masks of tasks in the root are left alone
			continue
		}
		eff := make([]uint64, len(c.Parent.effective))
		any := uint64(0)
		for i, w := range c.Parent.effective {
			if c.cpus != nil {
				w &= c.cpus[i]
			}
			eff[i] = w
			any |= w
		}
		if any == 0 {
			eff = slices.Clone(c.Parent.effective)
		}
		if slices.Equal(eff, c.effective) {
			continue
		}
		c.effective = eff
		c.Tasks(m.cpusetUpdateTask)
	}
}

// cpusetUpdateTask gives t the CPUs that its cgroup has now, as far as its own affinity allows them
// (cpuset_update_tasks_cpumask, cpuset_attach_task; the masking is in __set_cpus_allowed_ptr).
func (m *Machine) cpusetUpdateTask(t *Task) {
	mask := t.Cgroup.effective
	if t.Cgroup.Parent == nil {
		mask = m.possible() // tasks of the root may use CPUs that come later
	}
	if t.userCPUs != nil {
		if both := intersect(mask, t.userCPUs); both != nil {
			mask = both
		}
	}
	m.setCPUsAllowed(t, mask)
}

// possible is the mask of all CPUs.
func (m *Machine) possible() []uint64 {
	mask := make([]uint64, m.topo.Words())
	for i := range m.cpus {
		mask[i/64] |= 1 << (i % 64)
	}
	return mask
}

// intersect returns the CPUs in both masks, nil if there are none.
func intersect(a, b []uint64) []uint64 {
	var any uint64
	out := make([]uint64, len(a))
	for i := range a {
		out[i] = a[i] & b[i]
		any |= out[i]
	}
	if any == 0 {
		return nil
	}
	return out
}
