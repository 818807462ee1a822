package sim

import "github.com/schedsim/schedsim/internal/eventq"

// IRQWork is something that a CPU does as soon as it takes interrupts again (struct irq_work): after the event that
// queued it, before the CPU schedules or goes on with its task. It is embedded in its owner; queueing it allocates
// nothing.
type IRQWork struct {
	Do     func()
	next   *IRQWork
	queued bool
}

// irqWorks are the works queued on a CPU, in order.
type irqWorks struct {
	head, tail *IRQWork
	ev         eventq.Event // the interrupt, where the CPU is not the one that code runs on
}

// QueueIRQWork has cpu do w soon (irq_work_queue_on). It returns false if w is queued already.
func (m *Machine) QueueIRQWork(cpu CPU, w *IRQWork) bool {
	if w.queued {
		return false
	}
	w.queued, w.next = true, nil
	cpu = m.timerCPU(cpu)
	c := &m.cpus[cpu]
	if c.irq.tail != nil && c.irq.head != nil {
		c.irq.tail.next = w
	} else {
		c.irq.head = w
	}
	c.irq.tail = w
	if cpu == m.this && m.running {
		return true // resume does it
	}
	if c.irq.ev.Fire == nil {
		c.irq.ev.Fire = func() {
			m.this = c.id
			m.resume(c)
		}
		c.irq.ev.Tag = int32(cpu)
	}
	if !c.irq.ev.Armed() {
		at := m.now
		if cpu != m.this {
			at = at.Add(m.costs.IPI)
		}
		m.q.Arm(&c.irq.ev, int64(at), phaseIPI)
	}
	return true
}

// runIRQWork does the works queued on c, those queued meanwhile included.
func (m *Machine) runIRQWork(c *cpu) {
	for w := c.irq.head; w != nil; w = c.irq.head {
		c.irq.head, w.queued = w.next, false
		w.Do()
	}
	c.irq.tail = nil
}
