package sim

import "fmt"

// Active tells whether cpu runs ordinary tasks: it is online and not about to go offline (cpu_active).
func (m *Machine) Active(cpu CPU) bool { return m.active.Test(int32(cpu)) }

// ActiveMask is the bit mask of active CPUs, which callers must not change.
func (m *Machine) ActiveMask() []uint64 { return m.active.Words() }

// HotplugPending tells whether a CPU is on its way offline: tasks that may not leave it keep it.
func (m *Machine) HotplugPending(cpu CPU) bool { return m.cpus[cpu].dying }

// CPUDown takes cpu offline. It follows sched_cpu_deactivate, balance_push, sched_cpu_wait_empty and sched_cpu_dying
// (kernel/sched/core.c, 7.2): the CPU stops taking tasks at once, pushes away those that it has, one after the other as it
// would run them, and is offline when none is left. What the steps cost a real machine besides, milliseconds in
// all, is not modelled.
func (m *Machine) CPUDown(cpu CPU) error {
	op := fmt.Sprintf("offline CPU %d", cpu)
	switch {
	case cpu < 0 || int(cpu) >= len(m.cpus):
		return &OpError{op, ENODEV, fmt.Sprintf("the machine has CPUs 0-%d", len(m.cpus)-1)}
	case cpu == 0:
		return &OpError{op, ENOENT, "the boot CPU stays online"}
	case m.cpus[cpu].dying:
		return &OpError{op, EBUSY, "on its way already"}
	case !m.Online(cpu):
		return &OpError{op, EINVAL, "not online"}
	}
	c := &m.cpus[cpu]
	m.flushWakes(cpu)
	m.active.Clear(int32(cpu))
	c.dying = true
	for _, f := range m.hooked.rqOffline {
		f(cpu)
	}
	for _, f := range m.hooked.hotplug {
		f(cpu, false)
	}
	m.domainsChanged()
	m.Emit(Record{Kind: KindHotplug, CPU: cpu})
	m.Resched(cpu) // the hotplug thread of the CPU preempts whatever runs
	return nil
}

// CPUUp takes cpu online. It follows sched_cpu_activate.
func (m *Machine) CPUUp(cpu CPU) error {
	op := fmt.Sprintf("online CPU %d", cpu)
	switch {
	case cpu < 0 || int(cpu) >= len(m.cpus):
		return &OpError{op, ENODEV, fmt.Sprintf("the machine has CPUs 0-%d", len(m.cpus)-1)}
	case m.cpus[cpu].dying:
		return &OpError{op, EBUSY, "on its way offline"}
	case m.Online(cpu):
		return &OpError{op, EINVAL, "online already"}
	}
	m.online.Set(int32(cpu))
	m.active.Set(int32(cpu))
	m.domainsChanged()
	for _, f := range m.hooked.hotplug {
		f(cpu, true)
	}
	for _, f := range m.hooked.rqOnline {
		f(cpu)
	}
	m.Emit(Record{Kind: KindHotplug, CPU: cpu, A: 1})
	// The CPU's hotplug thread ran, and now the CPU is idle.
	m.ExitIdle(cpu)
	m.EnterIdle(cpu)
	m.Resched(cpu)
	return nil
}

// domainsChanged rebuilds what depends on which CPUs are active (cpuset_update_active_cpus).
func (m *Machine) domainsChanged() {
	for _, f := range m.hooked.domains {
		f()
	}
	m.updateCpusets(m.cg.root)
}

// balancePush follows balance_push: the stopper of a CPU that goes offline moves away what the CPU would run. Tasks that
// are bound to the CPU, or must not migrate now, may stay until they leave by themselves.
func (m *Machine) balancePush(c *cpu) {
	t := c.curr
	if t == c.idle || t == c.stopper || m.perCPUKThread(t) || t.MigrationDisabled > 0 {
		return
	}
	m.StopCPU(c.id, &StopWork{Do: func() {
		if t.gone || t.CPU() != c.id || !t.OnRQ || t.OnCPU {
			return
		}
		if cpu := m.selectFallbackRQ(c.id, t); cpu != c.id {
			m.MoveQueuedTask(t, cpu)
		}
	}})
}

// perCPUKThread follows kthread_is_per_cpu.
func (m *Machine) perCPUKThread(t *Task) bool { return t.kthread && t.K.NrCPUsAllowed() == 1 }

// hasPinned tells whether a task must not leave cpu now (rq_has_pinned_tasks): the CPU has to wait for it.
func (m *Machine) hasPinned(cpu CPU) bool {
	for t := m.tasks.first; t != nil; t = t.next {
		if t.MigrationDisabled > 0 && t.CPU() == cpu && t.State != StateDead {
			return true
		}
	}
	return false
}

// takeDown ends the way of an idle CPU offline (sched_cpu_dying).
func (m *Machine) takeDown(c *cpu) {
	c.dying, c.needResched, c.lazy = false, false, false
	if c.resched.Armed() {
		m.q.Cancel(&c.resched)
	}
	m.online.Clear(int32(c.id))
	m.Emit(Record{Kind: KindHotplug, CPU: c.id, A: 2})
}

// timerCPU is the CPU on which a timer of cpu fires: timers of an offline CPU have moved (hrtimers_cpu_dying).
func (m *Machine) timerCPU(cpu CPU) CPU {
	if m.online.Test(int32(cpu)) {
		return cpu
	}
	return CPU(m.online.First())
}
