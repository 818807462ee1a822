package workloads

import (
	"github.com/schedsim/schedsim/sim"
	"github.com/schedsim/schedsim/workloads/rtapp"
)

// sync does the ops that tasks meet at; see step for the results.
func (p *proc) sync(o *op, now sim.Time) (s sim.Step, ok, done bool) {
	r := p.r
	switch o.kind {
	case rtapp.Lock:
		return p.lock(&r.mutexes[o.mutex])

	case rtapp.Unlock:
		s, ok = r.mutexes[o.mutex].unlock()
		return s, ok, true

	case rtapp.SemPost:
		m := &r.sems[o.obj]
		m.post(now)
		return sim.Step{Kind: sim.StepWake, Queue: &m.q, N: 1}, m.q.Len() > 0, true

	case rtapp.SemWait:
		m := &r.sems[o.obj]
		at, got := m.take()
		if !got {
			return sim.Step{Kind: sim.StepWait, Queue: &m.q}, true, false
		}
		p.edge(o, at)
		return s, false, true

	case rtapp.Signal:
		s, ok = r.conds[o.obj].wake(now, false)
		return s, ok, true

	case rtapp.Broad, rtapp.Resume:
		s, ok = r.conds[o.obj].wake(now, true)
		return s, ok, true

	case rtapp.Suspend:
		c := &r.conds[o.obj]
		if p.sub == 0 {
			p.sub = 1
			return sim.Step{Kind: sim.StepWait, Queue: &c.q}, true, false
		}
		p.edge(o, c.woken)
		return s, false, true

	case rtapp.Wait, rtapp.Sync:
		return p.wait(o, now)

	case rtapp.Barrier:
		b := &r.barriers[o.obj]
		if p.sub == 0 {
			if b.waiting+1 < b.users {
				b.waiting++
				p.sub = 1
				return sim.Step{Kind: sim.StepWait, Queue: &b.q}, true, false
			}
			b.waiting, b.woken = 0, now
			p.edge(o, now)
			return sim.Step{Kind: sim.StepWake, Queue: &b.q}, b.q.Len() > 0, true
		}
		p.edge(o, b.woken)
		return s, false, true
	}
	panic("BUG: op " + o.kind.String())
}

// lock takes m or sleeps and tries again.
func (p *proc) lock(m *mutex) (s sim.Step, ok, done bool) {
	if m.owner != nil {
		return sim.Step{Kind: sim.StepWait, Queue: &m.q}, true, false
	}
	m.owner = p
	return s, false, true
}

func (m *mutex) unlock() (s sim.Step, ok bool) {
	m.owner = nil
	return sim.Step{Kind: sim.StepWake, Queue: &m.q, N: 1}, m.q.Len() > 0
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
func (p *proc) wait(o *op, now sim.Time) (s sim.Step, ok, done bool) {
	c, m := &p.r.conds[o.obj], &p.r.mutexes[o.mutex]
	for {
		switch p.sub {
		case waitSignal:
			p.sub = waitUnlock
			if o.kind == rtapp.Sync {
				if s, ok = c.wake(now, false); ok {
					return s, true, false
				}
			}
		case waitUnlock:
			p.sub = waitSleep
			c.entering++
			if m.owner == p {
				if s, ok = m.unlock(); ok {
					return s, true, false
				}
			}
		case waitSleep:
			p.sub = waitWoken
			c.entering--
			if c.grants == 0 {
				return sim.Step{Kind: sim.StepWait, Queue: &c.q}, true, false
			}
			c.grants--
		case waitWoken:
			p.sub = waitLock
			p.planned = c.woken
		case waitLock:
			if s, ok, done = p.lock(m); done {
				p.edge(o, p.planned)
			}
			return s, ok, done
		}
	}
}
