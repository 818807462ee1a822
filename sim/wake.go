package sim

// Wake wakes t if it sleeps and tells whether it did. It follows try_to_wake_up (kernel/sched/core.c, 7.2).
func (m *Machine) Wake(t *Task, f WakeFlags) bool {
	if t.State != StateInterruptible {
		return false
	}
	f |= WakeTTWU
	t.timerLate = false
	if t.waitOn != nil {
		t.waitOn.remove(t)
	}
	if t.timer.Armed() {
		m.q.Cancel(&t.timer)
	}
	m.Tell(KindWaking, m.this, t.PID, uint64(m.cpus[m.this].curr.PID), uint64(t.CPU()))
	m.trace(TraceWaking, t, nil, 0)
	if t.OnRQ {
		m.ttwuRunnable(t, f)
	} else {
		t.setState(StateWaking)
		cpu := m.selectTaskRQ(t, CPU(t.K.WakeCPU()), &f)
		if cpu != t.CPU() {
			f |= WakeMigrated
			m.SetTaskCPU(t, cpu)
		}
		m.ttwuQueue(cpu, t, f)
	}
	// Most of what a wakeup takes comes after the task was queued: it is queued at the time of the event.
	m.Charge(m.this, CostWakeup, m.costs.Wakeup)
	if m.costs.Queue > 0 && !m.wakingLate {
		m.Charge(m.this, CostWakeup, m.queueCost(t))
	}
	return true
}

// queueCost is what comes before t is queued when it is woken.
func (m *Machine) queueCost(t *Task) Duration {
	if t.K.NrCPUsAllowed() > 1 {
		return m.costs.Queue + m.costs.Select
	}
	return m.costs.Queue
}

// WakeQueue wakes the first n waiters of q, all for n <= 0, in arrival order, and returns how many it woke.
func (m *Machine) WakeQueue(q *WaitQueue, n int, f WakeFlags) int {
	if n <= 0 || n > q.n {
		n = q.n
	}
	for i := range n {
		if !m.Wake(q.head, f) {
			return i
		}
	}
	return n
}

// ttwuRunnable follows ttwu_runnable: t sleeps but was kept on its runqueue.
func (m *Machine) ttwuRunnable(t *Task, f WakeFlags) {
	cpu := t.CPU()
	if t.SchedDelayed {
		m.classes[t.rank].Enqueue(cpu, t, EnqNoClock|EnqDelayed)
		if t.SchedDelayed {
			panic("BUG: class " + t.Class.Name() + " leaves " + t.String() + " delayed after a wakeup")
		}
	}
	m.handOver(t, &m.cpus[m.this])
	if !t.OnCPU {
		m.WakeupPreempt(cpu, t, f)
	}
	m.ttwuDoWakeup(cpu, t)
}

// ttwuDoActivate follows ttwu_do_activate.
func (m *Machine) ttwuDoActivate(cpu CPU, t *Task, f WakeFlags) {
	en := EnqWakeup | EnqNoClock
	if f&WakeRQSelected != 0 {
		en |= EnqRQSelected
	}
	if f&WakeMigrated != 0 {
		en |= EnqMigrated
	}
	m.Activate(t, en)
	m.WakeupPreempt(cpu, t, f)
	m.ttwuDoWakeup(cpu, t)
	if h := m.classes[t.rank].h.TaskWoken; h != nil {
		h(cpu, t)
	}
}

// ttwuDoWakeup follows ttwu_do_wakeup.
func (m *Machine) ttwuDoWakeup(cpu CPU, t *Task) {
	t.setState(StateRunning)
	m.Tell(KindWakeup, cpu, t.PID, 0, 0)
	m.trace(TraceWakeup, t, nil, 0)
}

// Activate enqueues t on the runqueue of its CPU; after Deactivate it adds EnqMigrated. It follows activate_task.
func (m *Machine) Activate(t *Task, f EnqFlags) {
	if t.Migrating {
		f |= EnqMigrated
		m.Charge(m.this, CostMigration, m.costs.Move)
	}
	m.classes[t.rank].Enqueue(t.CPU(), t, f)
	m.handOver(t, &m.cpus[m.this])
	t.setOnRQ(onRQQueued)
}

// Deactivate takes the queued, not running t out of its runqueue in order to move it: SetTaskCPU and Activate must
// follow. It follows deactivate_task.
func (m *Machine) Deactivate(t *Task, f DeqFlags) {
	t.setOnRQ(onRQMigrating)
	m.classes[t.rank].Dequeue(t.CPU(), t, f)
}

// MoveQueuedTask moves the queued, not running task t to the runqueue of cpu. It follows move_queued_task.
func (m *Machine) MoveQueuedTask(t *Task, cpu CPU) {
	m.Deactivate(t, DeqNoClock)
	m.SetTaskCPU(t, cpu)
	m.Activate(t, 0)
	m.WakeupPreempt(cpu, t, 0)
}

// WakeupPreempt checks whether t, just enqueued on cpu, should run there at once. It follows wakeup_preempt.
func (m *Machine) WakeupPreempt(cpu CPU, t *Task, f WakeFlags) {
	c := &m.cpus[cpu]
	if t.rank > c.next {
		return
	}
	if h := m.classes[c.next].h.WakeupPreempt; h != nil {
		h(cpu, t, f)
	}
	if t.rank < c.next {
		m.Resched(cpu)
		c.next = t.rank
	}
}

// SetTaskCPU sets the CPU of t, which is waking or migrating: the caller dequeues before and enqueues after. It
// follows set_task_cpu.
func (m *Machine) SetTaskCPU(t *Task, cpu CPU) {
	old := t.CPU()
	if old == cpu {
		return
	}
	m.trace(TraceMigrate, t, nil, uint64(cpu))
	if h := m.classes[t.rank].h.Migrate; h != nil {
		h(t, cpu)
	}
	t.setCPU(cpu)
	m.Tell(KindMigrate, old, t.PID, uint64(cpu), 0)
}

// selectTaskRQ follows select_task_rq.
func (m *Machine) selectTaskRQ(t *Task, prev CPU, f *WakeFlags) CPU {
	var cpu CPU
	switch {
	case t.MigrationDisabled > 0:
		cpu = t.CPU()
	case t.K.NrCPUsAllowed() > 1:
		cpu = m.classes[t.rank].SelectCPU(t, prev, *f)
		*f |= WakeRQSelected
	default:
		cpu = CPU(t.K.CPUs().First())
	}
	if !m.CPUAllowed(t, cpu) {
		cpu = m.selectFallbackRQ(t.CPU(), t)
	}
	return cpu
}

// CPUAllowed tells whether t may run on cpu: it is in t's mask and active, for a thread of the kernel that is bound to it
// online (is_cpu_allowed). Any number may be asked.
func (m *Machine) CPUAllowed(t *Task, cpu CPU) bool {
	if !t.K.Allows(int32(cpu)) {
		return false
	}
	if m.Active(cpu) {
		return true
	}
	return m.Online(cpu) && (t.MigrationDisabled > 0 || m.perCPUKThread(t))
}

// selectFallbackRQ follows select_fallback_rq: a CPU of the node of cpu, any allowed one, any at all.
func (m *Machine) selectFallbackRQ(cpu CPU, t *Task) CPU {
	for _, c := range m.topo.Node(m.topo.CPUs[cpu].Node).CPUs {
		if m.CPUAllowed(t, CPU(c)) {
			return CPU(c)
		}
	}
	if c := t.K.CPUs().FirstAnd(m.active); c >= 0 {
		return CPU(c)
	}
	// What the task may use is gone: first the CPUs of its cgroup are tried, then any.
	if set := t.Cgroup.cpus; set != nil && intersect(set, m.active.Words()) != nil {
		m.doSetCPUsAllowed(t, set)
	} else {
		m.doSetCPUsAllowed(t, m.possible())
	}
	return CPU(t.K.CPUs().FirstAnd(m.active))
}
