package workloads

import (
	"fmt"
	"math/rand/v2"
	"strconv"

	"github.com/schedsim/schedsim/sim"
	"github.com/schedsim/schedsim/workloads/gen"
	"github.com/schedsim/schedsim/workloads/rtapp"
)

// Instance is one run of a workload: the tasks to spawn and the objects that they share.
type Instance struct {
	// Specs are the tasks that start with the run, in the order of the file.
	Specs []sim.TaskSpec

	b        *Bound
	zero     sim.Time
	operator sim.Duration
	asleep   bool
	byClock  bool
	own      Own
	rand     func(name string) *rand.Rand
	mutexes  []mutex
	conds    []cond
	sems     []sem
	barriers []barrier
	timers   []timer
	threads  int // created so far
	live     int // forked and not yet ended
	refused  int // forks beyond maxLive

	attach func(a Attach) error
	detach func(cgroup string) error

	m            *sim.Machine // after Prepare
	events       []event
	problems     int // actions of the timeline that were refused
	firstProblem string
}

// maxLive bounds the forked tasks that live at once, against files whose tasks fork themselves.
const maxLive = 1 << 15

// RunOptions say how an Instance meets its machine.
type RunOptions struct {
	// Rand gives the random stream of a name (sim.Machine.Rand). Required if the workload draws random numbers.
	Rand func(name string) *rand.Rand
	// Zero is the time at which the workload starts.
	Zero sim.Time
	// Asleep has the tasks there from the beginning of the run, asleep until their time comes, as the tasks of a program are
	// that waits for all of them; otherwise they are forked then.
	Asleep bool
	// ByClock has tasks compute until their CPU clock says that they have, as programs do, and as those of recorded runs did; so what
	// interrupts and switches take from them in between is part of it. Otherwise they have their time in full.
	ByClock bool
	// Own is the program's own work.
	Own Own
	// Attach and Detach do what the timeline asks for: Detach ends the scheduler of a cgroup, the one of all tasks for "". Nil: there
	// is nothing to attach to.
	Attach func(a Attach) error
	Detach func(cgroup string) error
	// Before tells of each task, by its name in the file and the number of its instance, when it was made and woken before it sleeps
	// until its time comes, in order, and how long it then ran: what a recorded task did. With Asleep only; nil, or none: nothing.
	Before func(task string, instance int) []Awake
	// Operator is how long after its time somebody who does the timeline comes to an action.
	Operator sim.Duration
}

// Own is what a program that plays a workload needs itself, besides what the workload says.
type Own struct {
	// Iteration is what an iteration of a phase costs besides its events.
	Iteration sim.Duration
	// Post is what a post or a signal costs that nobody waits for, Call what it costs more if the program calls the kernel: for each
	// signal, and for a post while somebody who waited has been woken and has not run yet.
	Post, Call sim.Duration
	// Clock is what it costs a task to ask for its CPU time, which those that compute by the clock do when they begin after they have not
	// looked at the time for longer than Gap. It is part of what they compute.
	Clock, Gap sim.Duration
}

// Awake is a time at which a task is woken, and how long it then runs.
type Awake struct {
	At  sim.Time
	Run sim.Duration
}

// New makes the tasks of one run.
func (b *Bound) New(o RunOptions) *Instance {
	n := &b.w.objects
	r := &Instance{
		b: b, zero: o.Zero, operator: o.Operator, asleep: o.Asleep, byClock: o.ByClock, own: o.Own, rand: o.Rand,
		attach: o.Attach, detach: o.Detach,
		mutexes: make([]mutex, len(n.mutex)), conds: make([]cond, len(n.cond)), sems: make([]sem, len(n.sem)),
		barriers: make([]barrier, len(n.barrier)), timers: make([]timer, len(n.timer)),
	}
	for i, name := range n.mutex {
		r.mutexes[i].q.Name = "lock " + name
	}
	for i, name := range n.cond {
		r.conds[i].q.Name = "wait " + name
	}
	for i, name := range n.sem {
		r.sems[i].q.Name = "sem " + name
	}
	for i, name := range n.barrier {
		r.barriers[i] = barrier{users: b.w.barriers[i], q: sim.WaitQueue{Name: "barrier " + name}}
	}
	for i := range r.timers {
		r.timers[i].absolute = b.w.absolute[i]
	}
	for _, t := range b.w.tasks {
		for i := range t.instances {
			suffix := "-" + strconv.Itoa(r.threads)
			p := r.newProc(t, t.name+suffix)
			p.release = o.Zero.Add(t.delay)
			start := p.release
			if o.Asleep {
				start = 0
				if o.Before != nil {
					p.before = o.Before(t.name, i)
				}
				if len(p.before) > 0 {
					start = p.before[0].At
				}
			}
			r.Specs = append(r.Specs, p.spec(suffix, start))
		}
	}
	return r
}

// Problems tells what the run could not do as the file says, one line each.
func (r *Instance) Problems() []string {
	var l []string
	if r.refused > 0 {
		l = append(l, fmt.Sprintf("%d forks were refused: more than %d forked tasks lived at once", r.refused, maxLive))
	}
	if r.problems > 0 {
		l = append(l, fmt.Sprintf("%d actions of the timeline were refused; the first: %s", r.problems, r.firstProblem))
	}
	return l
}

// proc is one task at work.
type proc struct {
	r       *Instance
	prog    *taskProg
	phase   int
	pc      int
	prep    uint8 // what of the start of an iteration is done; all is when it is prepared
	sub     uint8 // where within the op
	forked  bool
	ended   bool
	release sim.Time // of the unit of work at hand
	planned sim.Time // when the sleep at hand is to end
	at      sim.Time // when an iteration last ended
	spins   int      // iterations in a row that ended at that time

	iter, round int
	samplers    []*gen.Sampler
	uniques     []timer
	cpus        *cpuSet
	sched       sim.SchedParams
	forks       int
	name        string // of its random stream
	before      []Awake
	left        sim.Duration // of a run by the clock
	looked      bool         // it computes by the clock
	seen        sim.Time     // when it last looked at the time
}

func (r *Instance) newProc(t *taskProg, stream string) *proc {
	p := &proc{r: r, prog: t, name: stream, sched: t.sched, at: -1}
	r.threads++
	if len(t.phases) > 0 {
		first := &t.phases[0]
		p.cpus = first.cpus
		if first.setNice {
			p.sched = first.sched
		}
	}
	if len(t.dists) > 0 {
		src := r.rand(stream)
		p.samplers = make([]*gen.Sampler, len(t.dists))
		for i, d := range t.dists {
			p.samplers[i] = gen.NewSampler(d, src)
		}
	}
	p.uniques = make([]timer, t.uniques)
	for i := range p.uniques {
		p.uniques[i].absolute = t.uniqueAbs[i]
	}
	return p
}

func (p *proc) spec(suffix string, start sim.Time) sim.TaskSpec {
	s := sim.TaskSpec{
		Comm: comm(p.prog.name, suffix), Group: p.prog.name, Nice: p.sched.Nice,
		Policy: p.sched.Policy, RTPrio: p.sched.RTPrio, DL: p.sched.DL,
		CgroupW: p.prog.cgroupW, Start: start, Behavior: p,
	}
	if p.cpus != nil {
		s.CPUs = p.cpus.cpus
	}
	return s
}

// maxSpins bounds the iterations in a row that take no time; then a microsecond is spent, so that a loop of them does not
// stop the clock.
const maxSpins = 16

// Next implements sim.Behavior. It allocates only to fork and when a semaphore holds more posts than ever before.
//
// The step is large: what follows writes the few fields that matter into the one that is returned. What an op leaves there
// that needs no step is undone by the next one that does, which sets all of the fields that its kind has.
func (p *proc) Next(_ *sim.Task, now sim.Time) (s sim.Step) {
	if p.looked {
		p.looked, p.seen = false, now
	}
	for !p.ended {
		if p.prep != prepared && p.begin(&s, now) {
			return s
		}
		if p.ended {
			break
		}
		ph := &p.prog.phases[p.phase]
		if p.pc == len(ph.ops) {
			p.endIteration(ph)
			if now != p.at {
				p.at, p.spins = now, 0
			}
			if p.r.own.Iteration > 0 {
				s.Kind, s.Dur = sim.StepRun, p.r.own.Iteration
				return s
			}
			if p.spins++; p.spins > maxSpins {
				p.spins = 0
				s.Kind, s.Dur = sim.StepRun, sim.Microsecond
				return s
			}
			continue
		}
		ok, done := p.step(&s, &ph.ops[p.pc], now)
		if done {
			p.pc++
			p.sub = 0
		}
		if ok {
			return s
		}
	}
	p.gone()
	s.Kind = sim.StepExit
	return s
}

// gone tells that the task ends.
func (p *proc) gone() {
	if p.forked {
		p.forked = false
		p.r.live--
	}
}

// Killed implements sim.Killable.
func (p *proc) Killed(*sim.Task) { p.gone() }

// prepared is proc.prep when nothing of the start of an iteration is left.
const prepared = 3

// begin does what comes before the events of an iteration: the delay of a task that is there already (others start late), then
// affinity and nice value, as rt-app's thread_body does.
func (p *proc) begin(s *sim.Step, now sim.Time) bool {
	if p.prep == 0 {
		if len(p.prog.phases) == 0 || p.prog.loop >= 0 && p.round >= p.prog.loop {
			p.ended = true
			return false
		}
		if len(p.before) > 0 {
			w := &p.before[0]
			if now < w.At {
				s.Kind, s.At = sim.StepSleepUntil, w.At
				return true
			}
			s.Kind, s.Dur = sim.StepRunClock, w.Run
			p.before = p.before[1:]
			return true
		}
		p.prep = 1
		if first := p.round == 0 && p.phase == 0 && p.iter == 0; first && (p.forked || p.r.asleep) {
			if at := p.r.zero.Add(p.prog.delay); at > now {
				p.release = at
				s.Kind, s.At = sim.StepSleepUntil, at
				return true
			}
		}
	}
	ph := &p.prog.phases[p.phase]
	if p.prep == 1 {
		p.prep = 2
		if ph.cpus != p.cpus {
			p.cpus = ph.cpus
			s.Kind, s.CPUs = sim.StepSetAffinity, p.r.b.all
			if ph.cpus != nil {
				s.CPUs = ph.cpus.cpus
			}
			return true
		}
	}
	if p.prep == 2 {
		p.prep = prepared
		if n := ph.sched; ph.setNice && n != p.sched {
			old := p.sched
			p.sched = n
			if old.Policy == n.Policy && !n.Policy.Realtime() {
				s.Kind, s.N = sim.StepSetNice, int32(n.Nice)
			} else {
				s.Kind, s.Sched = sim.StepSetScheduler, &ph.sched
			}
			return true
		}
	}
	return false
}

func (p *proc) endIteration(ph *phaseProg) {
	p.pc, p.prep = 0, 0
	p.iter++
	if ph.loop <= 0 || p.iter < ph.loop {
		return
	}
	p.iter = 0
	if p.phase++; p.phase < len(p.prog.phases) {
		return
	}
	p.phase = 0
	p.round++
}

// duration is the duration of an op, drawn if it is random.
func (p *proc) duration(o *op) sim.Duration {
	if o.dist >= 0 {
		return p.samplers[o.dist].Sample()
	}
	return o.dur
}

// edge notes that waiting at the edge of the iteration ended at the time at.
func (p *proc) edge(o *op, at sim.Time) {
	if o.edge {
		p.release = at
	}
}

// runtimeUnit is the work that rt-app does between two looks at the clock in runtime.
const runtimeUnit = 32 * sim.Microsecond

// step does one op or a part of it. ok tells that s is to be returned to the machine, done that the op is over.
func (p *proc) step(s *sim.Step, o *op, now sim.Time) (ok, done bool) {
	switch o.kind {
	case opMark:
		s.Kind, s.Mark, s.A = sim.StepMark, sim.MarkWork, uint64(now.Sub(p.release))
		p.release = now
		return true, true

	case rtapp.Run:
		if !p.r.byClock {
			s.Kind, s.Dur = sim.StepRun, p.duration(o)
			return s.Dur > 0, true
		}
		return p.runByClock(s, o, now)

	case rtapp.Runtime:
		s.Kind, s.Dur = sim.StepRunWall, max(p.duration(o), runtimeUnit)
		return true, true

	case rtapp.Sleep:
		if p.sub == 0 {
			if d := p.duration(o); d > 0 {
				p.sub, p.planned = 1, now.Add(d)
				s.Kind, s.Dur = sim.StepSleep, d
				return true, false
			}
			p.planned = now
		}
		p.edge(o, p.planned)
		return false, true

	case rtapp.Timer:
		return p.timer(s, o, now)

	case rtapp.Yield:
		s.Kind = sim.StepYield
		return true, true

	case rtapp.Fork:
		return p.fork(s, o, now)
	}
	return p.sync(s, o, now)
}

// runByClock has p compute until its clock says that it has, the time of asking for it included.
func (p *proc) runByClock(s *sim.Step, o *op, now sim.Time) (ok, done bool) {
	own := &p.r.own
	if p.sub == 0 {
		if p.left = p.duration(o); own.Clock > 0 && p.left > own.Clock && now.Sub(p.seen) > own.Gap {
			p.sub = 1
			p.left -= own.Clock
			s.Kind, s.Dur = sim.StepRun, own.Clock
			return true, false
		}
	}
	p.looked = true
	s.Kind, s.Dur = sim.StepRunClock, p.left
	return s.Dur > 0, true
}

// timer follows rt-app: the expiry moves by a period each time; a timer that is late starts anew from now if it is
// relative, and catches up if it is absolute.
func (p *proc) timer(s *sim.Step, o *op, now sim.Time) (ok, done bool) {
	t := &p.r.timers
	if o.unique {
		t = &p.uniques
	}
	tm := &(*t)[o.obj]
	if p.sub > 0 {
		p.edge(o, p.planned)
		return false, true
	}
	if !tm.started {
		tm.started = true
		tm.next = p.r.zero.Add(p.prog.delay)
	}
	tm.next = tm.next.Add(p.duration(o))
	p.planned = tm.next
	if now < tm.next {
		p.sub = 1
		s.Kind, s.At = sim.StepSleepUntil, tm.next
		return true, false
	}
	late := now.Sub(tm.next)
	if !tm.absolute {
		tm.next = now
	}
	p.edge(o, tm.next)
	if late > 0 && o.dist < 0 && o.dur > 0 {
		s.Kind, s.Mark, s.A = sim.StepMark, sim.MarkMiss, uint64(late)
		return true, true
	}
	return false, true
}

// fork creates a task. Its random stream is named after its parent's, so that it does not depend on what else forks.
func (p *proc) fork(s *sim.Step, o *op, now sim.Time) (ok, done bool) {
	if p.r.live >= maxLive {
		p.r.refused++
		return false, true
	}
	suffix := fmt.Sprintf("-%d-%04d", p.r.threads, p.forks)
	child := p.r.newProc(o.fork, fmt.Sprintf("%s/%d:%s", p.name, p.forks, o.fork.name))
	p.forks++
	p.r.live++
	child.forked = true
	child.release = now
	spec := child.spec(suffix, 0)
	if g, err := p.r.cgroup(o.fork); err == nil {
		spec.Cgroup = g // else it stays in that of its parent
	}
	s.Kind, s.Spawn = sim.StepFork, &spec
	return true, true
}
