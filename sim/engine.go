package sim

import (
	"fmt"

	"github.com/schedsim/schedsim/internal/eventq"
)

// The events of one moment are bounded: starting a task takes a few.
const (
	maxEventsAtOnce    = 1 << 21
	maxEventsAtOnceFor = 64 // for each task
)

// LockupError says that time stands still: there have been so many events at one moment that they will never end. Tasks
// cannot do that, since their steps are counted; a class can, as can a policy or a timer of its programs.
type LockupError struct {
	CPU    CPU // of the last event
	At     Time
	Events uint64
}

// Error says when and where.
func (e *LockupError) Error() string {
	return fmt.Sprintf("time stands still at %v: %d events, the last on CPU %d", e.At, e.Events, e.CPU)
}

// Run advances the machine to the time until, events of that time included, or until nothing can happen any more; in
// that case the clock stays at the last event. An error is a workload that does something impossible; it ends the run
// for good. After a *LockupError Run may be called again, to see whether something that was done about it helps.
func (m *Machine) Run(until Time) error {
	m.stopped = false
	for m.err == nil && !m.stopped {
		at, ok := m.q.Next()
		if !ok || m.onlyTick() {
			break
		}
		if at > int64(until) {
			m.now = max(m.now, until)
			break
		}
		if Time(at) != m.now {
			m.now, m.momentStart = Time(at), m.fired
		} else if m.fired-m.momentStart >= maxEventsAtOnce && m.fired-m.momentStart >= maxEventsAtOnceFor*uint64(m.NrTasks()) {
			e := &LockupError{CPU: m.this, At: m.now, Events: m.fired - m.momentStart}
			m.momentStart, m.this = m.fired, 0
			return e
		}
		m.fired++
		m.running = true
		if m.turns == nil {
			m.q.Pop().Fire()
		} else {
			m.turns.fireNext()
		}
		m.running = false
	}
	m.this = 0
	return m.err
}

// onlyTick tells that the tick is the last event and no CPU will have it. It goes out of the queue lazily, here, since
// CPUs go idle much more often than the machine comes to its end.
func (m *Machine) onlyTick() bool {
	return m.q.Len() == 1 && m.tick.Armed() && nextBit(m.busy, 0) < 0 && m.q.Cancel(&m.tick)
}

// Stop makes Run return after the current event.
func (m *Machine) Stop() { m.stopped = true }

// Events is the number of events that Run has fired so far.
func (m *Machine) Events() uint64 { return m.fired }

// Timer is a one-shot timer embedded in its owner: arming it allocates nothing. Fire runs in interrupt context on the
// CPU for which the timer was armed, and may arm it again.
type Timer struct {
	Fire func(now Time)

	ev   eventq.Event
	m    *Machine
	cpu  CPU
	late bool // on the way to its softirq
}

// Armed tells whether t will fire.
func (t *Timer) Armed() bool { return t.ev.Armed() }

// CPU is that for which t was armed last.
func (t *Timer) CPU() CPU { return t.cpu }

// At is the time for which t is armed, or was armed last.
func (t *Timer) At() Time {
	if at := t.ev.At(); at != parkTime {
		return Time(at)
	}
	return t.m.now
}

// Arm arms t to fire at the time at on cpu, as a hrtimer of that CPU; it replaces an earlier expiry. A time in the past
// means now.
func (m *Machine) Arm(t *Timer, cpu CPU, at Time) {
	if t.m != m {
		if t.m != nil {
			panic("BUG: timer of another machine")
		}
		t.m = m
		t.ev.Fire = t.fire
	}
	t.cpu, t.ev.Tag, t.late = cpu, int32(cpu), false
	m.armTimer(&t.ev, max(at, m.now))
}

// armTimer arms the event of a timer.
func (m *Machine) armTimer(e *eventq.Event, at Time) {
	m.q.Arm(e, int64(at), phaseTimer)
	if m.turns != nil {
		m.turns.armed(at)
	}
}

// Cancel disarms t and tells whether it was armed.
func (m *Machine) Cancel(t *Timer) bool { return m.q.Cancel(&t.ev) }

func (t *Timer) fire() {
	m := t.m
	cpu := m.timerCPU(t.cpu)
	m.this = cpu
	t.Fire(m.now)
	m.timerDone(&m.cpus[cpu])
}

// TimerInterrupt charges cpu for the interrupt of a timer that expires now. Those of one time, and the tick, share one.
func (m *Machine) TimerInterrupt(cpu CPU) {
	if c := &m.cpus[cpu]; !m.inInterrupt(c) && c.irqAt != m.now {
		c.irqAt, c.inIRQ = m.now, m.turns != nil
		m.Charge(cpu, CostTimer, m.costs.Timer)
	}
}

// Softirq charges the CPU of t, which expires, for its interrupt and the way to a callback that runs in a softirq
// (HRTIMER_MODE_SOFT, hrtimer_run_softirq), and tells whether the callback is to run now. With turns it is not: t fires again when the
// CPU has got there, which may be in its next turn.
func (m *Machine) Softirq(t *Timer) bool {
	if t.late {
		t.late = false
		return true
	}
	c := &m.cpus[m.timerCPU(t.cpu)]
	m.TimerInterrupt(c.id)
	m.Charge(c.id, CostTimer, m.costs.Softirq)
	if m.turns == nil || m.costs.Softirq <= 0 {
		return true
	}
	t.late = true
	m.q.Arm(&t.ev, int64(c.from), phaseLate)
	return false
}

// timerDone ends the handler of a timer on c. Timers of a CPU that expire at one time run in one interrupt
// (hrtimer_interrupt), so the way back to the task is taken after the last of them.
func (m *Machine) timerDone(c *cpu) {
	if !m.q.NextIs(int64(m.now), phaseTimer, int32(c.id)) {
		m.resume(c)
	}
}

// Resched makes cpu call its scheduler soon (resched_curr): at once after the current event if cpu is the one that
// code runs on, after an IPI otherwise. An idle CPU takes Costs.IdleExit to get there.
func (m *Machine) Resched(cpu CPU) {
	c := &m.cpus[cpu]
	if c.elapsing { // it schedules already, under its lock: once more then
		c.again = true
		return
	}
	if c.needResched || !m.online.Test(int32(cpu)) {
		return
	}
	c.needResched = true
	at := m.now
	if cpu != m.this {
		at = at.Add(m.costs.IPI)
		m.Tell(KindIPI, m.this, 0, uint64(cpu), 0)
	}
	switch {
	case c.curr != c.idle:
	case m.turns != nil:
		m.Charge(cpu, CostIdleExit, m.idleExit(c))
	default:
		c.exitCost = m.idleExit(c)
		at = at.Add(c.exitCost)
	}
	if cpu == m.this && m.running && at == m.now {
		return // resume sees the flag
	}
	m.q.Arm(&c.resched, int64(at), phaseIPI)
}

// ReschedLazy makes cpu call its scheduler when it returns to its task from the next interrupt or system call, whatever
// that is for (resched_curr_lazy with PREEMPT_LAZY). On the CPU that code runs on that is as soon as the present one is over, and an
// idle CPU is not left waiting.
func (m *Machine) ReschedLazy(cpu CPU) {
	if c := &m.cpus[cpu]; c.curr != c.idle && (cpu != m.this || m.running) {
		c.lazy = true
		return
	}
	m.Resched(cpu)
}

// takeLazy turns a lazy request to reschedule into one for now, on the way back to the current task.
func (c *cpu) takeLazy() bool {
	if !c.lazy {
		return false
	}
	c.lazy, c.needResched = false, true
	return true
}

// NeedResched tells whether a reschedule of cpu is pending.
func (m *Machine) NeedResched(cpu CPU) bool { return m.cpus[cpu].needResched }

// fireResched is a reschedule interrupt.
func (m *Machine) fireResched(c *cpu) {
	m.this = c.id
	if c.curr == c.idle && c.exitCost > 0 {
		m.tellOverhead(c, 0, c.exitCost, CostIdleExit)
	}
	m.resume(c)
}

// fireStep is the end of the current task's step, or of overhead that kept it from going on.
func (m *Machine) fireStep(c *cpu) {
	m.this = c.id
	m.progress(c)
	m.resume(c)
}

// resume is the way back from an interrupt or a system call to the current task of c: it schedules while that is
// pending, and has the task take steps until one needs time.
func (m *Machine) resume(c *cpu) {
	for m.err == nil {
		if m.busyElsewhere(c) {
			m.armStep(c)
			return
		}
		if c.from <= m.now {
			c.inIRQ = false
		}
		if c.irq.head != nil {
			m.runIRQWork(c)
		}
		t := c.curr
		switch {
		case c.needResched && (t != c.idle || !c.resched.Armed()):
			if m.costs.Preempt > 0 && t != c.idle && !c.preempting {
				c.preempting = true
				m.Charge(c.id, CostPreempt, m.costs.Preempt)
			}
			if c.from > m.now {
				m.armStep(c) // the interrupt, or the system call, is not over
				return
			}
			m.schedule(c, true)
		case t == c.idle:
			if m.turns != nil && c.from > m.now {
				m.armStep(c) // it halts then
			} else if c.step.Armed() {
				m.q.Cancel(&c.step)
			}
			if c.dying && c.nrRunning == 0 && !m.hasPinned(c.id) {
				m.takeDown(c)
			}
			return
		case t == c.stopper:
			m.runStopper(c)
		case t.killed && t.ending == 0:
			m.die(c, t)
		case t.work != nil:
			m.doTaskWork(t)
		case t.doing != doNext || c.from > m.now:
			if c.takeLazy() {
				continue
			}
			m.armStep(c)
			return
		default:
			m.takeStep(c, t)
			c.takeLazy()
		}
	}
}

// maxStepsAtOnce bounds the steps that a task can take without using time. A workload that needs more is a loop that
// will never end.
const maxStepsAtOnce = 1 << 20

// countStep fails the run when t has taken too many steps at the same time.
func (m *Machine) countStep(t *Task) bool {
	if t.stepsAt != m.now {
		t.stepsAt, t.steps = m.now, 0
	}
	if t.steps++; t.steps > maxStepsAtOnce {
		m.fail(fmt.Errorf("task %s: %d steps at %v without using any time", t, maxStepsAtOnce, m.now))
		return false
	}
	return true
}

// fireTick is the tick of all CPUs: each CPU that runs a task other than its idle task since before now, in order of
// number. It is one event for the whole machine, which keeps the ticks of all CPUs out of the event queue.
//
// Where timers expire at the same time, they run before any CPU goes back to its task: on a CPU they are of one interrupt.
func (m *Machine) fireTick() {
	if m.turns != nil {
		m.fireTicks()
		return
	}
	timers := m.q.NextIn(int64(m.now), phaseTimer)
	first := NoCPU
	if m.tickOrder != nil {
		if first = m.tickOrder(m.now); first >= 0 && int(first) < len(m.cpus) {
			m.tickCPU(&m.cpus[first], timers)
		}
	}
	for id := nextBit(m.busy, 0); id >= 0 && m.err == nil; id = nextBit(m.busy, id+1) {
		if CPU(id) != first {
			m.tickCPU(&m.cpus[id], timers)
		}
	}
	if timers {
		m.q.Arm(&m.tickEnd, int64(m.now), phaseTickEnd)
	}
	if nextBit(m.busy, 0) >= 0 {
		m.armTick()
	}
}

// fireTicks has each CPU take its tick in its turn.
func (m *Machine) fireTicks() {
	for id := nextBit(m.busy, 0); id >= 0; id = nextBit(m.busy, id+1) {
		if c := &m.cpus[id]; c.curr != c.idle && c.busySince < m.now {
			m.q.Arm(&c.tick, int64(m.now), phaseTick)
		}
	}
	if nextBit(m.busy, 0) >= 0 {
		m.armTick()
	}
}

// tickCPU is the tick of c, if it has one.
func (m *Machine) tickCPU(c *cpu, timers bool) {
	if c.curr == c.idle || c.busySince >= m.now {
		return
	}
	m.this = c.id
	m.schedTick(c)
	if !timers {
		m.resume(c)
	}
}

// fireTickEnd is the way back from the tick of CPUs that no timer has brought back. To one that is back it does nothing.
func (m *Machine) fireTickEnd() {
	for id := nextBit(m.busy, 0); id >= 0 && m.err == nil; id = nextBit(m.busy, id+1) {
		m.this = CPU(id)
		m.resume(&m.cpus[id])
	}
}

// armTick arms the tick for the next multiple of its period after now.
func (m *Machine) armTick() {
	p := Time(m.tickPeriod)
	m.q.Arm(&m.tick, int64((m.now/p+1)*p), phaseTick)
}

// schedTick follows sched_tick (kernel/sched/core.c, 7.2).
func (m *Machine) schedTick(c *cpu) {
	t := c.curr
	m.progress(c)
	c.irqAt, c.inIRQ = m.now, m.turns != nil
	c.k.SetClock(uint64(m.clock(c).Add(m.boot)))
	m.Tell(KindTick, c.id, t.PID, 0, 0)
	m.classes[t.rank].Tick(c.id, t)
	m.trace(TraceTick, t, nil, 0)
	for _, f := range m.hooked.tickAll {
		f(c.id)
	}
	m.Charge(c.id, CostTick, m.costs.Tick)
}
