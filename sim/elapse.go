package sim

// Elapse has the other CPUs go on until the CPU that code runs on is through with what it was charged for. What a CPU does is one instant,
// the beginning of the time that it takes. A class calls Elapse in its Pick where another CPU may look in between: while a program has
// taken a group out of a tree and not put it back, the other finds the tree empty.
//
// Interrupts are off in a pick, so nothing comes for the CPU itself meanwhile. The others go on within the call of Elapse, on top of its
// stack, so they do only what leaves the CPU in the middle of its pick alone: they compute, take their ticks and schedule because
// of them. Before anything else (a timer, a step of a task, a work) Elapse returns, and also if a CPU further down the stack is through
// with its own: the rest of the pick is then at that instant, and its time is paid afterwards. A lock that the CPU holds meanwhile
// keeps nobody waiting.
//
// It does something only where CPUs take turns: elsewhere each event of a CPU is over before the next begins.
func (m *Machine) Elapse() {
	c, s := &m.cpus[m.this], m.turns
	if s == nil || s.holder != c.id || c.from <= m.now || c.elapsing {
		return
	}
	c.elapsing = true
	m.elapsing++
	m.q.Cancel(&c.step)
	m.q.Arm(&c.pause, int64(c.from), phaseStep)
	for m.err == nil && m.fired-m.momentStart < maxEventsAtOnce && s.goOn(c) {
		m.fired++
		s.fireNext()
	}
	m.q.Cancel(&c.pause)
	m.elapsing--
	c.elapsing = false
	m.this, m.running = c.id, true
}

// Elapses tells whether Elapse does anything.
func (m *Machine) Elapses() bool { return m.turns != nil }

// goOn makes the time of the next event now, if that is one that may come while c, and perhaps others, are in the middle of a pick.
func (s *turns) goOn(c *cpu) bool {
	m := s.m
	e, at := m.q.Peek()
	if e == nil {
		return false
	}
	if s.holder != NoCPU {
		if h := &m.cpus[s.holder]; h.elapsing && at >= int64(h.from) {
			if h == c {
				m.now = max(m.now, c.from)
			}
			return false
		}
	}
	switch {
	case e == &s.ev || e == &m.tick:
	case e.Tag < 0:
		return false
	default:
		h := &m.cpus[m.timerCPU(CPU(e.Tag))]
		scheduling := h.needResched && (e == &h.step || e == &h.resched)
		if h.id == s.holder && !h.elapsing && (h.irq.head != nil || e != &h.tick && !scheduling) {
			return false
		}
	}
	if Time(at) != m.now {
		m.now, m.momentStart = Time(at), m.fired
	}
	return true
}

// busyElsewhere tells that c, on its way back to its task, cannot do more now: it lost its turn in the middle of a pick, or others are in the
// middle of theirs.
func (m *Machine) busyElsewhere(c *cpu) bool {
	return c.held || m.elapsing > 0 && !c.needResched && (c.curr != c.idle || c.irq.head != nil)
}
