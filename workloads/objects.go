package workloads

import "github.com/schedsim/schedsim/sim"

// mutex is a futex lock: the owner gives it up and wakes one waiter, which competes for it like anybody else.
type mutex struct {
	owner *proc
	q     sim.WaitQueue
}

// cond is a condition variable, and what suspend waits for.
type cond struct {
	q sim.WaitQueue
	// entering are the tasks that gave up the mutex of wait but do not sleep yet; grants are the signals sent to them
	// meanwhile, so that none is lost between the two.
	entering, grants int
	// woken is when the condition was last signalled.
	woken sim.Time
}

// wake is one signal (all: broadcast). It makes s the step that wakes a sleeper, or returns false if none is needed.
func (c *cond) wake(s *sim.Step, now sim.Time, all bool) bool {
	c.woken = now
	switch {
	case all:
		c.grants = c.entering
		if c.q.Len() > 0 {
			s.Kind, s.Queue, s.N = sim.StepWake, &c.q, 0
			return true
		}
	case c.q.Len() > 0:
		s.Kind, s.Queue, s.N = sim.StepWake, &c.q, 1
		return true
	case c.grants < c.entering:
		c.grants++
	}
	return false
}

// sem is a counting semaphore that remembers when each post was made, so that the wait that takes it knows for how long
// the work has been waiting.
type sem struct {
	late  int // tasks that began to wait and have not run since
	q     sim.WaitQueue
	posts []sim.Time // ring
	head  int
	n     int
}

func (s *sem) post(now sim.Time) {
	if s.n == len(s.posts) {
		bigger := make([]sim.Time, max(8, 2*len(s.posts)))
		for i := range s.n {
			bigger[i] = s.posts[(s.head+i)%len(s.posts)]
		}
		s.posts, s.head = bigger, 0
	}
	s.posts[(s.head+s.n)%len(s.posts)] = now
	s.n++
}

// take consumes the oldest post and tells when it was made.
func (s *sem) take() (sim.Time, bool) {
	if s.n == 0 {
		return 0, false
	}
	at := s.posts[s.head]
	s.head = (s.head + 1) % len(s.posts)
	s.n--
	return at, true
}

// barrier lets its users go when the last of them has come.
type barrier struct {
	users, waiting int
	q              sim.WaitQueue
	woken          sim.Time
}

// timer is a periodic timer, shared or of one task.
type timer struct {
	started, absolute bool
	next              sim.Time
}
