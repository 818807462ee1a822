package sim

// How a machine comes to stand as a recorded one did.

// On runs f as code of cpu: ThisCPU is cpu meanwhile.
func (m *Machine) On(cpu CPU, f func()) {
	was := m.this
	m.this = cpu
	f()
	m.this = was
}

// Place has a sleeping task sleep on cpu, where it is then when it is woken, and its timer: as if it had run there last. It tells
// whether it does; a task that is queued, or may not run there, stays.
func (m *Machine) Place(t *Task, cpu CPU) bool {
	if t.State != StateInterruptible || t.OnRQ || t.OnCPU || !t.K.CPUsMask().Test(int32(cpu)) || !m.Online(cpu) {
		return false
	}
	m.SetTaskCPU(t, cpu)
	t.K.SetWakeCPU(int32(cpu))
	t.lastRan = cpu
	if t.timerOn != NoCPU {
		t.timerOn, t.timer.Tag = cpu, int32(cpu)
	}
	return true
}
