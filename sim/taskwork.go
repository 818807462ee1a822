package sim

// TaskWork has t run f when it next returns to user mode, before it goes on (task_work_add with TWA_RESUME): at once if it
// is the task that an event interrupted, after an interrupt if another CPU runs it. A task has one work at a time.
func (m *Machine) TaskWork(t *Task, f func(t *Task)) {
	if t.work != nil {
		panic("BUG: " + t.String() + " has work already")
	}
	t.work = f
	cpu := t.CPU()
	if c := &m.cpus[cpu]; c.curr == t && (cpu != m.this || !m.running) {
		m.QueueIRQWork(cpu, &c.notify)
	}
}

// doTaskWork follows task_work_run.
func (m *Machine) doTaskWork(t *Task) {
	f := t.work
	t.work = nil
	f(t)
}
