package sim

import (
	"math"

	"github.com/schedsim/schedsim/internal/eventq"
)

// turns has the CPUs of a machine execute one after the other, as virtual CPUs do that one thread emulates (Config.Turn). It follows
// QEMU's round robin under icount (rr_cpu_thread_fn and icount_percpu_budget in accel/tcg, 10.0).
//
// Time goes on for all CPUs, but only the one whose turn it is executes: it does what it was charged with, notices that its task
// has computed long enough, and takes interrupts. A pass gives each CPU that is not halted, in order of number, the time to the
// next timer of the machine divided by the number of CPUs; a timer that has nothing to do with the CPUs comes every Config.Turn, which
// bounds turns. That timer, and any that is armed to be the next one, asks all CPUs to leave their turn. Whoever was asked before its
// turn came has the division made anew, by what is left: with two busy CPUs and a timer every 20 us, turns last 10, 5, 2.5 and
// 2.5 us. So the first CPU executes more than the last. With four there is an instruction left at the end of the second pass, which
// the first CPU has; the second finds nothing left, and the next 20 us begin with the third.
//
// The alternative, prices that grow with the number of busy CPUs, has the mean right and nothing else: which of two CPUs has its tick
// first, how a round of two tasks falls into step with the turns, and who leaves idle first all come from the turns.
type turns struct {
	m       *Machine
	length  Duration
	origin  Time         // a time at which the timer that bounds turns comes
	ppb     int64        // how much later than length it comes again, in parts per billion
	ev      eventq.Event // the turn ends
	holder  CPU          // NoCPU: all are halted
	pos     int          // of the CPU whose turn it is, or will be
	asked   []bool       // by CPU: asked to leave its turn (exit_request)
	bound   Time         // when the timer that bounds turns comes next
	started Time
	limit   Time // the next timer as of the last division
	part    Duration
	alone   bool     // nobody else wants a turn: it lasts until the next timer
	asleep  bool     // all CPUs are halted
	look    Duration // Config.Look
}

// parkedEvent is an event of a CPU that comes when its turn does.
type parkedEvent struct {
	ev    *eventq.Event
	phase int
}

// parkTime is for when parked events are armed: never.
const parkTime = math.MaxInt64 - 1

// newTurns makes the turns of m; the first is given when a CPU has something to do.
func newTurns(m *Machine, length Duration, at Time, ppb int64) *turns {
	s := &turns{m: m, length: length, origin: at, ppb: ppb, holder: NoCPU, asked: make([]bool, len(m.cpus))}
	s.ev.Fire, s.ev.Tag = s.fire, -1
	for i := range m.cpus {
		c := &m.cpus[i]
		c.held = true
		c.tick.Tag = int32(c.id)
		c.tick.Fire = func() { m.fireOwnTick(c) }
	}
	return s
}

// admit tells whether the event, which was taken out of the queue, may fire now; one of a CPU whose turn it is not comes later.
func (s *turns) admit(e *eventq.Event, phase int) bool {
	if e.Tag < 0 {
		return true
	}
	m := s.m
	id := m.timerCPU(CPU(e.Tag))
	c := &m.cpus[id]
	if id == s.holder {
		if phase == phaseStep || c.from <= m.now {
			return true
		}
		// A CPU does one thing after the other.
		m.q.Arm(e, int64(c.from), phaseLate)
		return false
	}
	c.parked = append(c.parked, parkedEvent{e, phase})
	s.m.q.Arm(e, parkTime, phase)
	s.want()
	return false
}

// wants tells whether c is not halted.
func (s *turns) wants(c *cpu) bool {
	return c.curr != c.idle || c.owed > 0 || len(c.parked) > 0 || !c.held && c.from > s.m.now
}

// want tells that one more CPU wants a turn.
func (s *turns) want() {
	switch {
	case s.holder == NoCPU:
		// Those for which something has come at this moment too are to be there.
		s.m.q.Arm(&s.ev, int64(s.m.now), phaseIPI)
	case s.alone:
		// The other passes were as short as they would have been: each gave an equal part of what was left.
		s.alone = false
		n := Duration(len(s.m.cpus))
		at, left := s.started, s.limit.Sub(s.started)
		for at <= s.m.now && left > 0 {
			part := max(left/n, 1)
			at, left = at.Add(part), left-part
		}
		s.m.q.Arm(&s.ev, int64(max(at, s.m.now)), phaseStep)
	}
}

func (s *turns) askAll() {
	for i := range s.asked {
		s.asked[i] = true
	}
}

// armed tells that a timer was armed: if it is the next of all, whose turn it is leaves it (qemu_timer_notify_cb).
func (s *turns) armed(at Time) {
	if s.holder != NoCPU && at < s.limit && at > s.m.now {
		s.askAll()
		s.alone = false
		s.m.q.Arm(&s.ev, int64(s.m.now), phaseStep)
	}
}

// fireNext deals with the earliest event, or puts it by until it is its CPU's turn.
func (s *turns) fireNext() {
	phase := s.m.q.NextPhase()
	if e := s.m.q.Pop(); s.admit(e, phase) {
		e.Fire()
		s.after()
	}
}

// after looks, when the events of a moment have been dealt with, whether the CPU whose turn it is halts.
func (s *turns) after() {
	if at, ok := s.m.q.Next(); ok && at == int64(s.m.now) {
		return
	}
	if s.holder != NoCPU && !s.wants(&s.m.cpus[s.holder]) {
		s.leave()
		s.next()
	}
}

// fire ends a turn, the moment in which timers expired, or the time in which all CPUs were halted.
func (s *turns) fire() {
	m := s.m
	if s.holder == NoCPU {
		if s.asleep {
			s.askAll() // the way out of sleep
		}
		s.next()
		return
	}
	s.leave()
	if m.now >= s.limit {
		m.q.Arm(&s.ev, int64(m.now), phaseIPI) // what the timers bring is to be there
		return
	}
	s.next()
}

// leave takes the turn from the CPU that has it.
func (s *turns) leave() {
	m := s.m
	c := &m.cpus[s.holder]
	m.progress(c)
	c.held, c.owed = true, max(0, c.from.Sub(m.now))
	for _, e := range [...]*eventq.Event{&c.step, &c.pause} {
		if e.Armed() {
			m.q.Arm(e, parkTime, phaseStep)
		}
	}
	s.asked[s.holder] = false
	s.holder, s.alone = NoCPU, false
	s.pos++
}

// next gives the next CPU that wants it a turn.
func (s *turns) next() {
	m := s.m
	wanting := 0
	for i := range m.cpus {
		if s.wants(&m.cpus[i]) {
			wanting++
		}
	}
	m.q.Cancel(&s.ev)
	if s.asleep = wanting == 0; s.asleep {
		s.pos = 0
		return
	}
	for ; ; s.pos++ {
		if s.pos >= len(m.cpus) {
			s.pos = 0
			s.divide()
		}
		if s.asked[s.pos] {
			s.asked[s.pos] = false
			s.divide()
		}
		c := &m.cpus[s.pos]
		if m.now >= s.limit {
			// Nothing is left for this one: its turn is that of the timers (icount_prepare_for_run).
			s.expire()
			if s.wants(c) {
				s.asked[s.pos] = false
			}
			continue
		}
		if !s.wants(c) {
			continue
		}
		turn := min(s.part, s.limit.Sub(m.now))
		if s.alone = wanting == 1; s.alone {
			turn = s.limit.Sub(m.now)
		}
		s.started = m.now
		m.q.Arm(&s.ev, int64(m.now.Add(turn)), phaseStep)
		s.enter(c)
		return
	}
}

// expire has the timer that bounds turns come, if it is due, and finds the next timer.
func (s *turns) expire() {
	m := s.m
	if m.now >= s.bound {
		s.bound = s.boundAfter(m.now)
		s.askAll()
	}
	s.limit = s.bound
	if at, ok := m.q.After(int64(m.now), phaseTick, phaseTimer); ok {
		s.limit = min(s.limit, Time(at))
	}
}

// boundAfter is when the timer that bounds turns comes after now.
func (s *turns) boundAfter(now Time) Time {
	n := int64(now-s.origin) / int64(s.length)
	n -= max(n*s.ppb/1e9, 0) + 2 // not too late for sure
	for ; ; n++ {
		d := n * int64(s.length)
		if at := s.origin + Time(d) + Time(d/1000*s.ppb/1e6); at > now {
			return at
		}
	}
}

// divide begins a pass, or the rest of one: it works out the time of each CPU, in whole instructions (icount_percpu_budget).
func (s *turns) divide() {
	s.expire()
	left := s.limit.Sub(s.m.now)
	insn := max(Duration(s.m.costs.InsnPS/1000), 1)
	if s.part = left / insn / Duration(len(s.m.cpus)) * insn; s.part == 0 {
		s.part = left
	}
}

// enter gives c the turn: it goes on where it was, after what has come for it meanwhile.
func (s *turns) enter(c *cpu) {
	m := s.m
	s.holder, c.held = c.id, false
	if c.owed == 0 {
		c.inIRQ = false
	}
	c.from, c.owed = m.now.Add(c.owed), 0
	for _, p := range c.parked {
		if p.ev.Armed() && p.ev.At() == parkTime {
			m.q.Arm(p.ev, int64(m.now), p.phase)
		}
	}
	c.parked = c.parked[:0]
	if c.step.Armed() {
		m.armStep(c)
	}
	if c.pause.Armed() {
		m.q.Arm(&c.pause, int64(c.from), phaseStep)
	}
}

// inInterrupt tells whether c is still in an interrupt of a timer, so that another that has come needs none of its own.
func (m *Machine) inInterrupt(c *cpu) bool {
	c.inIRQ = c.inIRQ && c.from >= m.now
	return c.inIRQ
}

// fireOwnTick is the tick of a CPU that takes it in its turn.
func (m *Machine) fireOwnTick(c *cpu) {
	m.this = c.id
	if c.curr != c.idle {
		m.schedTick(c)
	}
	if !m.q.NextIs(int64(m.now), phaseTimer, int32(c.id)) {
		m.resume(c)
	}
}

// lastLook is what a task that looks at its clock no longer halves.
const lastLook = 200 * Nanosecond

// compute has t, whose clock lacks left now, have executed for d: it looks at its clock every Config.Look and, when less than twice that
// is left, when half of what is left is over.
func (s *turns) compute(t *Task, d, left Duration) {
	for s.look > 0 && d > 0 {
		if t.lookIn == 0 {
			at := left + d
			switch n := min(d, at-2*s.look) / s.look; {
			case at <= 0:
				return
			case n > 0:
				d -= n * s.look
				continue
			case at >= 2*s.look:
				t.lookIn = s.look
			case at > lastLook:
				t.lookIn = at / 2
			default:
				t.lookIn = at
			}
		}
		n := min(d, t.lookIn)
		d -= n
		t.lookIn -= n
	}
}
