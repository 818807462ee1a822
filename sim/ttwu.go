package sim

import "github.com/schedsim/schedsim/sim/topo"

// wakeList are the tasks whose wakeups a CPU is to finish itself (rq->wake_entry): they have a CPU, but are on no queue.
type wakeList struct {
	head, tail *Task
	work       IRQWork
}

// ttwuQueue follows ttwu_queue: the waker enqueues t on cpu, or has that CPU do it.
func (m *Machine) ttwuQueue(cpu CPU, t *Task, f WakeFlags) {
	if m.ttwuQueueCond(cpu, t) {
		m.ttwuQueueWakelist(cpu, t, f)
		return
	}
	m.ttwuDoActivate(cpu, t, f)
}

// ttwuQueueCond follows ttwu_queue_cond. A task is never waking here while its CPU is still in the middle of switching away
// from it, so that case of the kernel does not arise.
func (m *Machine) ttwuQueueCond(cpu CPU, t *Task) bool {
	h := m.classes[t.rank].h.QueueWakeup
	switch {
	case h == nil || !h(t):
		return false
	case !m.Active(cpu) || !t.K.Allows(int32(cpu)):
		return false
	case m.topo.Level(int32(m.this), int32(cpu)) > topo.SameLLC:
		return true
	}
	return cpu != m.this && m.cpus[cpu].nrRunning == 0
}

// ttwuQueueWakelist follows __ttwu_queue_wakelist. Of the flags of the wakeup only WakeMigrated is kept.
func (m *Machine) ttwuQueueWakelist(cpu CPU, t *Task, f WakeFlags) {
	l := &m.cpus[cpu].wakes
	t.wokenRemotely = f&WakeMigrated != 0
	t.wakeQueued = true
	if l.head == nil {
		l.head = t
	} else {
		l.tail.nextWoken = t
	}
	l.tail = t
	if l.work.Do == nil {
		l.work.Do = func() { m.ttwuPending(&m.cpus[cpu]) }
	}
	m.QueueIRQWork(cpu, &l.work)
}

// ttwuPending follows sched_ttwu_pending.
func (m *Machine) ttwuPending(c *cpu) {
	for t := c.wakes.head; t != nil; t = c.wakes.head {
		c.wakes.head, t.nextWoken, t.wakeQueued = t.nextWoken, nil, false
		f := WakeFlags(0)
		if t.wokenRemotely {
			f = WakeMigrated
		}
		m.ttwuDoActivate(c.id, t, f)
	}
	c.wakes.tail = nil
}

// flushWakes finishes the wakeups that cpu was given, before something that must not find tasks between two states: its way
// offline, and a change of their affinity (migration_cpu_stop calls flush_smp_call_function_queue).
func (m *Machine) flushWakes(cpu CPU) { m.ttwuPending(&m.cpus[cpu]) }
