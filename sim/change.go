package sim

import (
	"fmt"
	"slices"
)

// Change runs f with t out of its class's queues, as sched_change_begin and sched_change_end do: dequeue, put_prev, f,
// the hooks of a change of class, enqueue, set_next. flags are those of the dequeue and, as the kernel's flags match,
// of the enqueue; DeqClass must be among them if f changes t.Class. It follows kernel/sched/core.c, 7.2.
func (m *Machine) Change(t *Task, flags DeqFlags, f func()) {
	cpu := t.CPU()
	if flags&0xffff_0000 != 0 {
		panic(fmt.Sprintf("BUG: change with unmatched flags %#x", uint64(flags)))
	}
	flags |= DeqNoClock
	old := &m.classes[t.rank]
	oldRank, oldPrio := t.rank, t.K.Prio()
	change := flags&DeqClass != 0
	if change && old.h.SwitchingFrom != nil {
		old.h.SwitchingFrom(cpu, t)
	}
	queued, running := t.OnRQ, m.cpus[cpu].curr == t
	if queued {
		old.Dequeue(cpu, t, flags)
	}
	if running {
		m.progress(&m.cpus[cpu])
		old.PutPrev(cpu, t, nil)
	}
	if change && old.h.SwitchedFrom != nil {
		old.h.SwitchedFrom(cpu, t)
	}

	f()

	if t.CPU() != cpu {
		panic(fmt.Sprintf("BUG: change of %s moved it from cpu %d to %d", t, cpu, t.CPU()))
	}
	t.rank = m.rankOf(t.Class)
	if t.rank != oldRank && !change {
		panic("BUG: change of class without DeqClass")
	}
	now := &m.classes[t.rank]
	if change && now.h.SwitchingTo != nil {
		now.h.SwitchingTo(cpu, t)
	}
	if queued {
		now.Enqueue(cpu, t, EnqFlags(flags))
	}
	if running {
		now.SetNext(cpu, t, false)
	}
	if !change {
		if now.h.PrioChanged != nil {
			now.h.PrioChanged(cpu, t, oldPrio)
		}
		return
	}
	if now.h.SwitchedTo != nil {
		now.h.SwitchedTo(cpu, t)
	}
	if queued {
		m.WakeupPreempt(cpu, t, 0)
	}
	if running && oldRank < t.rank {
		m.Resched(cpu) // a lower class: others may come first now
	}
}

// SetClass moves t to class c through Change.
func (m *Machine) SetClass(t *Task, c Class) {
	flags := DeqSave | DeqMove
	if t.Class != c {
		flags |= DeqClass
	}
	m.Change(t, flags, func() { t.Class = c })
}

// SetNice sets the nice value of t, -20 to 19; others are ignored. It follows set_user_nice
// (kernel/sched/syscalls.c, 7.2).
func (m *Machine) SetNice(t *Task, nice int) {
	if nice == t.Nice || nice < -20 || nice > 19 {
		return
	}
	if t.State == StateNew { // not forked yet
		t.setNice(nice)
		return
	}
	if t.Policy.Realtime() {
		t.Nice = nice
		t.K.SetStaticPrio(int32(defaultPrio + nice))
		return
	}
	m.Change(t, DeqSave, func() {
		t.setNice(nice)
		if h := m.classes[t.rank].h.Reweight; h != nil {
			h(t.CPU(), t)
		}
	})
}

// SetScheduler sets policy, real-time priority and nice value of t; SetDeadline is for SCHED_DEADLINE. It follows
// __sched_setscheduler (kernel/sched/syscalls.c, 7.2).
func (m *Machine) SetScheduler(t *Task, p Policy, rtPrio, nice int) error {
	rt := p == PolicyFIFO || p == PolicyRR
	switch {
	case p == PolicyDeadline:
		return fmt.Errorf("task %s: SCHED_DEADLINE needs a runtime, a deadline and a period", t)
	case nice < -20 || nice > 19:
		return fmt.Errorf("task %s: nice %d, want -20 to 19", t, nice)
	case rt && (rtPrio < 1 || rtPrio > 99):
		return fmt.Errorf("task %s: real-time priority %d, want 1 to 99", t, rtPrio)
	case !rt && rtPrio != 0:
		return fmt.Errorf("task %s: real-time priority %d with policy %d, want 0", t, rtPrio, p)
	case p == t.Policy && rtPrio == t.RTPrio && nice == t.Nice:
		return nil
	}
	return m.setScheduler(t, p, rtPrio, nice, Deadline{})
}

// SetDeadline makes t a task of SCHED_DEADLINE, or changes its parameters (sched_setattr). The deadline class may refuse
// it for want of bandwidth; as in the kernel, t must then be allowed on all CPUs.
func (m *Machine) SetDeadline(t *Task, d Deadline) error {
	if err := d.Check(); err != nil {
		return fmt.Errorf("task %s: %w", t, err)
	}
	if t.Policy == PolicyDeadline && t.DL == d {
		return nil
	}
	return m.setScheduler(t, PolicyDeadline, 0, t.Nice, d)
}

// setScheduler is the part of __sched_setscheduler that changes the task; d counts for PolicyDeadline.
func (m *Machine) setScheduler(t *Task, p Policy, rtPrio, nice int, d Deadline) error {
	if p == PolicyDeadline || t.Policy == PolicyDeadline {
		if err := m.admit(t, p, d); err != nil {
			return fmt.Errorf("task %s: %w", t, err)
		}
	}
	if p == PolicyDeadline {
		t.DL = d
	}
	if t.State == StateNew {
		t.Policy, t.RTPrio = p, rtPrio
		t.setNice(nice)
		return nil
	}
	oldPolicy, oldRT := t.Policy, t.RTPrio
	t.Policy, t.RTPrio = p, rtPrio
	class := m.classFor(t)
	t.Policy, t.RTPrio = oldPolicy, oldRT
	flags := DeqSave | DeqMove | DeqNoClock
	if class != t.Class {
		flags |= DeqClass
	}
	m.Change(t, flags, func() {
		t.Policy, t.RTPrio = p, rtPrio
		t.setNice(nice)
		t.Class = class
	})
	return nil
}

// admit asks the classes whether t may have the policy p (sched_dl_overflow).
func (m *Machine) admit(t *Task, p Policy, d Deadline) error {
	for i := range m.classes {
		if f := m.classes[i].h.Admit; f != nil {
			return f(t, p, d)
		}
	}
	return nil
}

// SetMigrationDisabled sets the depth of migrate_disable of t: above 0 it stays on its CPU. A task that may leave its CPU
// again and is no longer allowed there is moved (migrate_enable).
func (m *Machine) SetMigrationDisabled(t *Task, depth int32) {
	was := t.MigrationDisabled
	t.MigrationDisabled = depth
	t.K.SetMigrationDisabled(uint16(depth))
	if depth > 0 || was == 0 || t.gone {
		return
	}
	if own := t.K.CPUsMask().Addr; t.K.CPUsPtr() != own {
		m.setCPUsPtr(t, own)
	}
	if t.State == StateNew {
		return
	}
	if !t.K.Allows(t.K.CPU()) {
		m.leaveCPU(t, m.selectFallbackRQ(t.CPU(), t))
	}
	if m.cpus[t.CPU()].dying {
		m.Resched(t.CPU())
	}
}

// SetAffinity sets the CPUs that t may use (sched_setaffinity). A task that runs, or waits to run, where it may not any
// more is moved, a running one by its CPU's stopper. It follows __set_cpus_allowed_ptr_locked and affine_move_task
// (kernel/sched/core.c, 7.2).
func (m *Machine) SetAffinity(t *Task, cpus []CPU) error {
	if err := m.checkCPUs(cpus); err != nil {
		return fmt.Errorf("task %s: %w", t, err)
	}
	return m.SetAffinityMask(t, m.maskOf(cpus))
}

// SetAffinityMask is SetAffinity with a bit mask of topo.Words words. The task gets those of the CPUs that its cgroup has,
// and others that were asked for once its cgroup has them (__sched_setaffinity).
func (m *Machine) SetAffinityMask(t *Task, mask []uint64) error {
	within := mask
	if t.Cgroup.Parent != nil {
		if within = intersect(mask, t.Cgroup.effective); within == nil {
			return &OpError{"affinity of " + t.String(), EINVAL, "none of the CPUs is in the cpuset of " + t.Cgroup.Path()}
		}
	}
	if intersect(within, m.active.Words()) == nil {
		return &OpError{"affinity of " + t.String(), EINVAL, "none of the CPUs is online"}
	}
	t.userCPUs = slices.Clone(mask)
	m.setCPUsAllowed(t, within)
	return nil
}

// setCPUsAllowed follows __set_cpus_allowed_ptr_locked and affine_move_task.
func (m *Machine) setCPUsAllowed(t *Task, mask []uint64) {
	if slices.Equal(t.K.CPUsMask().Words(), mask) || intersect(mask, m.active.Words()) == nil {
		return
	}
	dest := m.anyAndDistribute(mask)
	m.doSetCPUsAllowed(t, mask)
	if t.State == StateNew || t.K.Allows(t.K.CPU()) || t.MigrationDisabled > 0 {
		return
	}
	m.leaveCPU(t, dest)
}

// leaveCPU moves t away from a CPU that it may not use any more. A sleeping task moves when it wakes.
func (m *Machine) leaveCPU(t *Task, dest CPU) {
	switch {
	case t.OnCPU:
		m.migrateByStopper(t, dest)
	case t.OnRQ:
		m.MoveQueuedTask(t, dest)
	}
}

// doSetCPUsAllowed follows do_set_cpus_allowed.
func (m *Machine) doSetCPUsAllowed(t *Task, mask []uint64) {
	set := func() {
		t.K.CPUsMask().CopyWords(mask)
		t.K.SetNrCPUsAllowed(int32(t.K.CPUsMask().Weight()))
	}
	if t.State == StateNew {
		set()
		return
	}
	if t.wakeQueued {
		m.flushWakes(t.CPU())
	}
	m.Change(t, DeqSave, func() {
		set()
		if h := m.classes[t.rank].h.SetAffinity; h != nil {
			h(t)
		}
	})
}

// anyAndDistribute follows cpumask_any_and_distribute: an online CPU of mask, the next one at each call.
func (m *Machine) anyAndDistribute(mask []uint64) CPU {
	online := m.active.Words()
	for range len(m.cpus) {
		m.distributed = (m.distributed + 1) % CPU(len(m.cpus))
		if c := m.distributed; mask[c/64]&online[c/64]>>(c%64)&1 != 0 {
			return c
		}
	}
	panic("BUG: no online CPU in the mask")
}
