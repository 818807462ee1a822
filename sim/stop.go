package sim

import (
	"fmt"

	"github.com/schedsim/schedsim/sim/kobj"
)

// StopWork is work for a CPU's stopper, the thread of highest priority. It is embedded in its owner or made for one use.
type StopWork struct {
	// Do runs on the CPU in the context of its stopper, with the task that ran before preempted and queued.
	Do   func()
	next *StopWork
	busy bool
}

// StopCPU has cpu's stopper do w soon (stop_one_cpu_nowait). It returns false if w is waiting already.
func (m *Machine) StopCPU(cpu CPU, w *StopWork) bool {
	if w.busy || !m.online.Test(int32(cpu)) {
		return false
	}
	w.busy, w.next = true, nil
	c := &m.cpus[cpu]
	end := &c.stopWork
	for *end != nil {
		end = &(*end).next
	}
	*end = w
	if c.stopper == nil {
		m.newStopper(c)
	}
	if t := c.stopper; !t.OnRQ {
		m.Emit(Record{Kind: KindWaking, CPU: m.this, Task: t.PID, A: uint64(m.cpus[m.this].curr.PID), B: uint64(cpu)})
		m.Activate(t, EnqWakeup|EnqNoClock)
		m.WakeupPreempt(cpu, t, WakeTTWU)
		m.ttwuDoWakeup(cpu, t)
	}
	return true
}

// newStopper makes c's migration thread. Machines that never need one have none, nor the PID that it takes.
func (m *Machine) newStopper(c *cpu) {
	t, err := m.newTask(fmt.Sprintf("migration/%d", c.id), m.tasks.newPID())
	if err != nil {
		m.fail(fmt.Errorf("cpu %d: stopper: %w", c.id, err))
		return
	}
	t.Class, t.rank = m.classes[0].Class, 0
	t.Policy, t.RTPrio = PolicyFIFO, 99
	t.setNice(0)
	t.setState(StateInterruptible)
	t.K.SetFlags(kobj.FlagKThread)
	t.setCPU(c.id)
	t.K.CPUsMask().Set(int32(c.id))
	t.K.SetNrCPUsAllowed(1)
	t.K.SetStartTime(uint64(m.Uptime()))
	t.kthread = true
	c.stopper = t
}

// runStopper does the work of c's stopper, which is the current task, and has it sleep.
func (m *Machine) runStopper(c *cpu) {
	for c.stopWork != nil {
		w := c.stopWork
		c.stopWork, w.next, w.busy = w.next, nil, false
		w.Do()
	}
	c.stopper.setState(StateInterruptible)
	m.schedule(c, false)
}

// migrateByStopper has the stopper of the running t move it to an allowed CPU, dest if that still is one then
// (migration_cpu_stop).
func (m *Machine) migrateByStopper(t *Task, dest CPU) {
	from := t.CPU()
	m.StopCPU(from, &StopWork{Do: func() {
		switch {
		case t.gone || t.K.Allows(int32(t.cpu)) || t.MigrationDisabled > 0:
		case t.CPU() != from: // it has moved before the stopper came, to where it may not run either
			m.migrateByStopper(t, dest)
		case !m.CPUAllowed(t, dest):
			m.migrateTask(t, m.selectFallbackRQ(t.CPU(), t))
		default:
			m.migrateTask(t, dest)
		}
	}})
}

// migrateTask moves t, which does not run, to cpu: now if it is queued, at its next wakeup otherwise.
func (m *Machine) migrateTask(t *Task, cpu CPU) {
	if t.OnRQ {
		m.MoveQueuedTask(t, cpu)
	} else {
		t.K.SetWakeCPU(int32(cpu))
	}
}

// stopClass is the class of the stoppers, above all others. It follows kernel/sched/stop_task.c, 7.2.
type stopClass struct{ m *Machine }

func (s *stopClass) Name() string                              { return "stop" }
func (s *stopClass) SelectCPU(t *Task, _ CPU, _ WakeFlags) CPU { return t.CPU() }
func (s *stopClass) Enqueue(cpu CPU, _ *Task, _ EnqFlags)      { s.m.AddNrRunning(cpu, 1) }
func (s *stopClass) SetNext(CPU, *Task, bool)                  {}
func (s *stopClass) PutPrev(cpu CPU, _, _ *Task)               { s.m.AccountExec(cpu) }
func (s *stopClass) Tick(CPU, *Task)                           {}
func (s *stopClass) Dequeue(cpu CPU, _ *Task, _ DeqFlags) bool {
	s.m.AddNrRunning(cpu, -1)
	return true
}

func (s *stopClass) Pick(cpu CPU, _ *Task) *Task {
	if t := s.m.cpus[cpu].stopper; t != nil && t.OnRQ {
		return t
	}
	return nil
}
