package idle

import (
	"fmt"

	"github.com/schedsim/schedsim/sim"
)

// Class is the idle class of one machine.
type Class struct{ m *sim.Machine }

var _ sim.Hooker = (*Class)(nil)

// New returns the idle class of m.
func New(m *sim.Machine) *Class { return &Class{m: m} }

// Name implements sim.Class.
func (c *Class) Name() string { return "idle" }

// Hooks implements sim.Hooker.
func (c *Class) Hooks() sim.Hooks {
	return sim.Hooks{
		UpdateCurr: c.updateCurr,
		// Whatever wakes up on an idle CPU runs at once (wakeup_preempt_idle).
		WakeupPreempt: func(cpu sim.CPU, _ *sim.Task, _ sim.WakeFlags) { c.m.Resched(cpu) },
	}
}

// SelectCPU implements sim.Class: idle tasks never migrate (select_task_rq_idle).
func (c *Class) SelectCPU(t *sim.Task, _ sim.CPU, _ sim.WakeFlags) sim.CPU { return t.CPU() }

// Enqueue implements sim.Class. Idle tasks are not enqueued, and no other task may join the class.
func (c *Class) Enqueue(cpu sim.CPU, t *sim.Task, _ sim.EnqFlags) {
	panic(fmt.Sprintf("BUG: %s enqueued in the idle class of cpu %d", t, cpu))
}

// Dequeue implements sim.Class. Idle tasks do not sleep (dequeue_task_idle).
func (c *Class) Dequeue(cpu sim.CPU, t *sim.Task, _ sim.DeqFlags) bool {
	panic(fmt.Sprintf("BUG: %s dequeued from the idle class of cpu %d", t, cpu))
}

// Pick implements sim.Class (pick_task_idle).
func (c *Class) Pick(cpu sim.CPU, _ *sim.Task) *sim.Task {
	c.m.PickIdle(cpu)
	return c.m.IdleTask(cpu)
}

// SetNext implements sim.Class (set_next_task_idle).
func (c *Class) SetNext(cpu sim.CPU, _ *sim.Task, _ bool) { c.m.EnterIdle(cpu) }

// PutPrev implements sim.Class (put_prev_task_idle).
func (c *Class) PutPrev(cpu sim.CPU, _, _ *sim.Task) {
	c.updateCurr(cpu)
	c.m.ExitIdle(cpu)
}

// Tick implements sim.Class. The machine does not tick on idle CPUs.
func (c *Class) Tick(cpu sim.CPU, _ *sim.Task) { c.updateCurr(cpu) }

func (c *Class) updateCurr(cpu sim.CPU) {
	if d := c.m.AccountExec(cpu); d > 0 {
		c.m.ServerUpdateIdle(cpu, d)
	}
}
