package sim

import (
	"errors"
	"fmt"
)

// takeStep has t, the current task of c, begin its next step. Steps that need no time are done when it returns.
func (m *Machine) takeStep(c *cpu, t *Task) {
	if !m.countStep(t) {
		return
	}
	if t.blocking {
		// It may have been woken meanwhile; then it only passes through the scheduler.
		t.blocking = false
		m.schedule(c, false)
		return
	}
	if t.wakes.n > 0 {
		m.wakeUpQ(c, t)
		return
	}
	if t.ending > 0 {
		m.exit(c, t)
		return
	}
	if t.inWait {
		t.inWait = false
		m.traceReturn(TraceFutexWait, t, t.waitRet)
	}
	var s Step
	if t.late != nil {
		s, t.late = *t.late, nil
	} else {
		s = t.Prog.Next(t, m.now)
		if kind, d := m.costBefore(&s); d > 0 {
			late := s // only this one is allocated
			t.late = &late
			m.Charge(c.id, kind, d)
			return
		}
	}
	switch s.Kind {
	case StepRun:
		if s.Dur > 0 {
			t.left, t.doing = runLeft(s.Dur), doRun
		}
	case StepRunClock:
		if s.Dur > 0 {
			t.clockEnd, t.lookIn, t.doing = m.CPUTime(t)+s.Dur, 0, doRunClock
		}
	case StepRunWall:
		if s.Dur > 0 {
			t.wallEnd, t.doing = m.now.Add(s.Dur), doRunWall
		}
	case StepSleep:
		m.sleep(c, t, m.now.Add(s.Dur))
	case StepSleepUntil:
		m.sleep(c, t, s.At)
	case StepWait:
		if s.Queue == nil {
			m.fail(fmt.Errorf("task %s: wait without a queue", t))
			return
		}
		m.trace(TraceFutexWait, t, nil, 0)
		t.inWait, t.waitRet = true, 0
		s.Queue.add(t)
		timeout := Never
		if s.Dur > 0 {
			timeout = m.now.Add(s.Dur)
		}
		m.sleep(c, t, timeout)
	case StepWake:
		if s.Queue == nil {
			m.fail(fmt.Errorf("task %s: wake without a queue", t))
			return
		}
		t.wakeSync, t.woke = s.Sync, 0
		m.trace(TraceFutexWake, t, nil, 0)
		s.Queue.moveTo(&t.wakes, int(s.N))
		m.wakeUpQ(c, t)
	case StepFork:
		if s.Spawn == nil {
			m.fail(fmt.Errorf("task %s: fork without a task", t))
			return
		}
		spec := *s.Spawn
		spec.Start = 0
		if _, err := m.Spawn(spec); err != nil {
			m.fail(fmt.Errorf("task %s: fork: %w", t, err))
		}
	case StepYield:
		m.yield(c, t)
	case StepSetNice:
		if s.N < -20 || s.N > 19 {
			m.fail(fmt.Errorf("task %s: nice %d, want -20 to 19", t, s.N))
			return
		}
		m.SetNice(t, int(s.N))
	case StepSetScheduler:
		if s.Sched == nil {
			m.fail(fmt.Errorf("task %s: a change of policy without one", t))
			return
		}
		if err := m.SetSchedParams(t, *s.Sched); err != nil {
			m.fail(err)
		}
	case StepSetAffinity:
		var refused *OpError
		if err := m.SetAffinity(t, s.CPUs); errors.As(err, &refused) {
			m.Note(err.Error(), true) // the task goes on, as programs do that do not look
		} else if err != nil {
			m.fail(err)
		}
	case StepMark:
		m.Emit(Record{Kind: KindMark, CPU: c.id, Task: t.PID, A: s.A, B: s.B, Aux: uint8(s.Mark)})
	case StepExit:
		m.exit(c, t)
	default:
		m.fail(fmt.Errorf("task %s: unknown step %d", t, s.Kind))
	}
}

// costBefore is what comes before a step has its effect.
func (m *Machine) costBefore(s *Step) (CostKind, Duration) {
	switch {
	case s.Kind == StepWake && s.Queue != nil && s.Queue.n > 0 && m.costs.Queue > 0:
		return CostWakeup, m.costs.Call + m.queueCost(s.Queue.head)
	case s.Kind == StepFork:
		return CostFork, m.costs.Fork
	case s.Kind == StepExit:
		return CostExit, m.costs.Exit
	}
	return 0, 0
}

// wakeUpQ has t, the current task of c, wake those that it took from a queue (wake_up_q). Where one of them is to run at once, t is
// preempted between two wakeups and does the rest when it runs again. A lazy request to reschedule waits until t is done.
func (m *Machine) wakeUpQ(c *cpu, t *Task) {
	var f WakeFlags
	if t.wakeSync {
		f = WakeSync
	}
	for t.wakes.n > 0 {
		m.wakingLate = t.woke == 0 // of the first Costs.Queue was charged before
		if w := t.wakes.head; m.Wake(w, f) {
			t.woke++
		} else {
			t.wakes.remove(w)
		}
		m.wakingLate = false
		if c.irq.head != nil {
			m.runIRQWork(c)
		}
		if c.needResched && t.wakes.n > 0 {
			return
		}
	}
	m.traceReturn(TraceFutexWake, t, t.woke)
}

// sleep blocks t until the time at, on a timer of its CPU. It does not block if that time has come.
func (m *Machine) sleep(c *cpu, t *Task, at Time) {
	if at <= m.now {
		return
	}
	t.setState(StateInterruptible)
	t.timerOn, t.timer.Tag = c.id, int32(c.id)
	if at != Never {
		m.armTimer(&t.timer, at)
	}
	if m.costs.Block > 0 {
		t.blocking = true
		m.Charge(c.id, CostBlock, m.costs.Block)
		return
	}
	m.schedule(c, false)
}

// yield follows do_sched_yield (kernel/sched/syscalls.c, 7.2).
func (m *Machine) yield(c *cpu, t *Task) {
	if h := m.classes[t.rank].h.Yield; h != nil {
		h(c.id)
	}
	m.schedule(c, false)
}

// fireTimer is the end of t's sleep, or its start.
func (m *Machine) fireTimer(t *Task) {
	c := &m.cpus[m.timerCPU(t.timerOn)]
	m.this = c.id
	if t.State == StateNew {
		if err := m.fork(t); err != nil {
			m.fail(fmt.Errorf("task %q: %w", t.Comm, err))
			return
		}
	} else {
		if m.turns != nil && !m.inInterrupt(c) && m.costs.Timer > 0 {
			m.TimerInterrupt(c.id)
			m.q.Arm(&t.timer, int64(c.from), phaseLate)
			return
		}
		m.TimerInterrupt(c.id)
		// What comes before the task is queued takes time, and the turn may end in it.
		if m.turns != nil && m.costs.Queue > 0 && !t.timerLate {
			t.timerLate = true
			m.Charge(c.id, CostWakeup, m.queueCost(t))
			m.q.Arm(&t.timer, int64(c.from), phaseLate)
			return
		}
		m.wakingLate = t.timerLate
		if t.waitOn != nil {
			t.waitRet = -int64(etimedout)
		}
		m.Wake(t, 0)
		m.wakingLate = false
	}
	m.timerDone(c)
}
