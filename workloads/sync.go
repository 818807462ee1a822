package workloads

import (
	"github.com/schedsim/schedsim/sim"
	"github.com/schedsim/schedsim/workloads/rtapp"
)

// sync does the ops that tasks meet at; see step for the results.
func (p *proc) sync(s *sim.Step, o *op, now sim.Time) (ok, done bool) {
	r := p.r
	switch o.kind {
	case rtapp.Lock:
		return p.lock(s, &r.mutexes[o.mutex])

	case rtapp.Unlock:
		return r.mutexes[o.mutex].unlock(s), true

	case rtapp.SemPost:
		m := &r.sems[o.obj]
		m.post(now)
		s.Kind, s.Queue, s.N = sim.StepWake, &m.q, 1
		return m.q.Len() > 0 || p.inVain(s, m.late > 0), true

	case rtapp.SemWait:
		m := &r.sems[o.obj]
		m.late -= int(p.sub)
		p.sub = 0
		at, got := m.take()
		if !got {
			m.late++
			p.sub = 1
			return waitFor(s, &m.q), false
		}
		p.edge(o, at)
		return false, true

	case rtapp.Signal:
		return r.conds[o.obj].wake(s, now, false) || p.inVain(s, true), true

	case rtapp.Broad, rtapp.Resume:
		return r.conds[o.obj].wake(s, now, true) || p.inVain(s, true), true

	case rtapp.Suspend:
		c := &r.conds[o.obj]
		if p.sub == 0 {
			p.sub = 1
			return waitFor(s, &c.q), false
		}
		p.edge(o, c.woken)
		return false, true

	case rtapp.Wait, rtapp.Sync:
		return p.wait(s, o, now)

	case rtapp.Barrier:
		b := &r.barriers[o.obj]
		if p.sub == 0 {
			if b.waiting+1 < b.users {
				b.waiting++
				p.sub = 1
				return waitFor(s, &b.q), false
			}
			b.waiting, b.woken = 0, now
			p.edge(o, now)
			s.Kind, s.Queue, s.N = sim.StepWake, &b.q, 0
			return b.q.Len() > 0, true
		}
		p.edge(o, b.woken)
		return false, true
	}
	panic("BUG: op " + o.kind.String())
}

// waitFor makes s a sleep on q. It returns true.
func waitFor(s *sim.Step, q *sim.WaitQueue) bool {
	s.Kind, s.Queue, s.Dur = sim.StepWait, q, 0
	return true
}

// inVain is what a post or a signal takes that nobody waits for. called: the kernel is asked nevertheless.
func (p *proc) inVain(s *sim.Step, called bool) bool {
	s.Kind, s.Dur = sim.StepRun, p.r.own.Post
	if called {
		s.Dur += p.r.own.Call
	}
	return s.Dur > 0
}

// lock takes m or sleeps and tries again.
func (p *proc) lock(s *sim.Step, m *mutex) (ok, done bool) {
	if m.owner != nil {
		return waitFor(s, &m.q), false
	}
	m.owner = p
	return false, true
}

// unlock gives m up. It makes s the step that wakes a sleeper, or returns false if there is none.
func (m *mutex) unlock(s *sim.Step) bool {
	m.owner = nil
	s.Kind, s.Queue, s.N = sim.StepWake, &m.q, 1
	return m.q.Len() > 0
}

// The parts of wait and sync.
const (
	waitSignal uint8 = iota // sync only: signal
	waitUnlock
	waitSleep
	waitWoken
	waitLock
)

// wait is pthread_cond_wait: give up the mutex, sleep, take the mutex again. sync signals the condition before, so it
// wakes another waiter, never itself.
func (p *proc) wait(s *sim.Step, o *op, now sim.Time) (ok, done bool) {
	c, m := &p.r.conds[o.obj], &p.r.mutexes[o.mutex]
	for {
		switch p.sub {
		case waitSignal:
			p.sub = waitUnlock
			if o.kind == rtapp.Sync && c.wake(s, now, false) {
				return true, false
			}
		case waitUnlock:
			p.sub = waitSleep
			c.entering++
			if m.owner == p && m.unlock(s) {
				return true, false
			}
		case waitSleep:
			p.sub = waitWoken
			c.entering--
			if c.grants == 0 {
				return waitFor(s, &c.q), false
			}
			c.grants--
		case waitWoken:
			p.sub = waitLock
			p.planned = c.woken
		case waitLock:
			if ok, done = p.lock(s, m); done {
				p.edge(o, p.planned)
			}
			return ok, done
		}
	}
}
