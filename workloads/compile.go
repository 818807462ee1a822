package workloads

import (
	"fmt"
	"slices"

	"github.com/schedsim/schedsim/sim"
	"github.com/schedsim/schedsim/workloads/gen"
	"github.com/schedsim/schedsim/workloads/rtapp"
)

// taskProg is a compiled task. Its instances share it.
type taskProg struct {
	name, title string
	instances   int
	delay       sim.Duration
	loop        int // -1: for ever
	phases      []phaseProg
	sched       sim.SchedParams
	cgroupW     int
	cgroup      string // path, "" if the file names none
	cgroupPos   rtapp.Pos
	dists       []gen.Dist
	uniques     int    // timers of its own
	uniqueAbs   []bool // which of them are absolute
}

func (t *taskProg) endless() bool {
	if len(t.phases) == 0 || t.loop == 0 {
		return false
	}
	return t.loop < 0 || slices.ContainsFunc(t.phases, func(p phaseProg) bool { return p.loop <= 0 })
}

// phaseProg is a compiled phase.
type phaseProg struct {
	ops     []op
	loop    int     // <= 0: for ever
	cpus    *cpuSet // nil: all
	sched   sim.SchedParams
	setNice bool // the phase says something of its nice value or policy
}

type cpuSet struct {
	src  *rtapp.CPUSet
	cpus []sim.CPU // sorted, no doubles
}

// opMark ends a unit of work; it is no event of rt-app.
const opMark = rtapp.EventKind(200)

// op is one compiled event.
type op struct {
	kind rtapp.EventKind
	// edge tells that the op waits at the edge of the iteration: its end releases the next unit of work.
	edge bool
	// unique tells a timer of the instance's own.
	unique bool
	// obj and mutex are indices of objects: of the timer, semaphore, ... and of the mutex of wait and sync.
	obj, mutex int32
	// dist is the index of the distribution that replaces dur, -1 if none does.
	dist int32
	dur  sim.Duration
	fork *taskProg
}

// objectNames gives each named object of a kind a number. A condition and the task of suspend share the names of conds,
// as in rt-app.
type objectNames struct{ mutex, cond, sem, barrier, timer []string }

func number(names *[]string, name string) int32 {
	i := slices.Index(*names, name)
	if i < 0 {
		i = len(*names)
		*names = append(*names, name)
	}
	return int32(i)
}

type compiler struct {
	f    *rtapp.File
	w    *Workload
	errs rtapp.Errors
}

func (c *compiler) errorf(pos rtapp.Pos, format string, args ...any) {
	c.errs = append(c.errs, &rtapp.Error{File: c.f.Name, Pos: pos, Msg: fmt.Sprintf(format, args...)})
}

func (c *compiler) warnf(pos rtapp.Pos, format string, args ...any) {
	c.w.Warnings = append(c.w.Warnings, Warning{File: c.f.Name, Pos: pos, Msg: fmt.Sprintf(format, args...)})
}

func (c *compiler) compile() {
	// First the tasks, then their events: fork may name a task that comes later.
	for _, t := range c.f.Tasks {
		c.w.tasks = append(c.w.tasks, &taskProg{
			name: t.Name, title: t.Title, instances: t.Instances, loop: t.Loop,
			delay: sim.Duration(t.Delay) * sim.Microsecond, cgroupW: t.CgroupWeight,
			cgroup: t.Cgroup, cgroupPos: t.CgroupPos,
		})
		if n := len(t.Name) + len("-0"); n > maxComm {
			c.warnf(t.Pos, "task %q: the name is longer than the kernel's %d characters, shown as %q", t.Name, maxComm,
				comm(t.Name, "-0"))
		}
	}
	for i, t := range c.f.Tasks {
		c.task(c.w.tasks[i], t)
	}
	c.timeline()
}

func (c *compiler) task(prog *taskProg, t *rtapp.Task) {
	prog.sched = c.params(&t.Sched, t.Sched.Policy)
	var taskCPUs *cpuSet
	if t.CPUs != nil {
		taskCPUs = newCPUSet(t.CPUs)
	}
	uniqueNames := []string{}
	for _, ph := range t.Phases {
		p := phaseProg{loop: ph.Loop, cpus: taskCPUs}
		if ph.CPUs != nil && ph.CPUs != t.CPUs {
			p.cpus = newCPUSet(ph.CPUs)
		}
		switch {
		case ph.Sched.Policy != rtapp.PolicyNone:
			p.setNice = true // rt-app's default then is nice 0
			p.sched = c.params(&ph.Sched, ph.Sched.Policy)
		case ph.Sched.HasPriority:
			p.setNice = true
			s := ph.Sched
			s.DLRuntime, s.DLPeriod, s.DLDeadline = t.Sched.DLRuntime, t.Sched.DLPeriod, t.Sched.DLDeadline
			p.sched = c.params(&s, t.Sched.Policy)
		}
		c.slice(&ph.Sched)
		for _, e := range ph.Events {
			p.ops = append(p.ops, c.op(prog, t, e, &uniqueNames))
		}
		p.ops = markWork(p.ops)
		prog.phases = append(prog.phases, p)
	}
	c.slice(&t.Sched)
	prog.uniques = len(uniqueNames)
}

// defaultRTPrio is the real-time priority of tasks that give none (rt-app's DEFAULT_THREAD_PRIORITY).
const defaultRTPrio = 10

// params translates scheduling parameters, with p for a policy that is not given.
func (c *compiler) params(s *rtapp.Sched, p rtapp.Policy) sim.SchedParams {
	out := sim.SchedParams{Nice: s.Priority}
	switch p {
	case rtapp.PolicyBatch:
		out.Policy = sim.PolicyBatch
	case rtapp.PolicyIdle:
		out.Policy = sim.PolicyIdle
	case rtapp.PolicyFIFO, rtapp.PolicyRR:
		out.Policy, out.Nice, out.RTPrio = sim.PolicyFIFO, 0, defaultRTPrio
		if p == rtapp.PolicyRR {
			out.Policy = sim.PolicyRR
		}
		if s.HasPriority {
			out.RTPrio = s.Priority
		}
	case rtapp.PolicyDeadline:
		us := func(n int) sim.Duration { return sim.Duration(n) * sim.Microsecond }
		out.Policy, out.Nice = sim.PolicyDeadline, 0
		out.DL = sim.Deadline{Runtime: us(s.DLRuntime), Deadline: us(s.DLDeadline), Period: us(s.DLPeriod)}
		if err := out.DL.Check(); err != nil {
			pos := s.DLPos
			if pos == (rtapp.Pos{}) {
				pos = s.PolicyPos
			}
			c.errorf(pos, "%v", err)
		}
	}
	return out
}

func (c *compiler) slice(s *rtapp.Sched) {
	if s.DLRuntime != 0 && s.DLPos != (rtapp.Pos{}) && s.Policy != rtapp.PolicyDeadline {
		c.warnf(s.DLPos, "dl-runtime: a custom slice is not modelled and has no effect")
	}
}

func newCPUSet(src *rtapp.CPUSet) *cpuSet {
	s := &cpuSet{src: src}
	for _, n := range src.CPUs {
		s.cpus = append(s.cpus, sim.CPU(n))
	}
	slices.Sort(s.cpus)
	s.cpus = slices.Compact(s.cpus)
	return s
}

func (c *compiler) op(prog *taskProg, t *rtapp.Task, e *rtapp.Event, uniqueNames *[]string) op {
	n := &c.w.objects
	o := op{kind: e.Kind, dist: -1, dur: sim.Duration(e.US) * sim.Microsecond}
	if e.Dist != nil {
		o.dist = int32(len(prog.dists))
		prog.dists = append(prog.dists, *e.Dist)
	}
	switch e.Kind {
	case rtapp.Run, rtapp.Runtime, rtapp.Sleep, rtapp.Yield:
	case rtapp.Lock, rtapp.Unlock:
		o.mutex = number(&n.mutex, e.Ref)
	case rtapp.Signal, rtapp.Broad, rtapp.Suspend, rtapp.Resume:
		o.obj = number(&n.cond, e.Ref)
	case rtapp.Wait, rtapp.Sync:
		o.obj, o.mutex = number(&n.cond, e.Ref), number(&n.mutex, e.Mutex)
	case rtapp.Barrier:
		o.obj = number(&n.barrier, e.Ref)
		for len(c.w.barriers) < len(n.barrier) {
			c.w.barriers = append(c.w.barriers, 0)
		}
		c.w.barriers[o.obj] += t.Instances
	case rtapp.SemPost, rtapp.SemWait:
		o.obj = number(&n.sem, e.Ref)
	case rtapp.Timer:
		// The mode belongs to the timer, not to the event: one absolute event makes the timer absolute.
		o.unique = e.Unique
		names, abs := &n.timer, &c.w.absolute
		if e.Unique {
			names, abs = uniqueNames, &prog.uniqueAbs
		}
		o.obj = number(names, e.Ref)
		for len(*abs) < len(*names) {
			*abs = append(*abs, false)
		}
		if e.Absolute {
			(*abs)[o.obj] = true
		}
	case rtapp.Fork:
		for i := range c.f.Tasks {
			if c.f.Tasks[i].Name == e.Ref {
				o.fork = c.w.tasks[i]
				break
			}
		}
	default:
		c.errorf(e.Pos, "event %q (%s) is not supported yet", e.Key, e.Kind)
	}
	return o
}

// waits tells the events that put a task to sleep until something outside it happens.
func waits(k rtapp.EventKind) bool {
	switch k {
	case rtapp.Sleep, rtapp.Timer, rtapp.Wait, rtapp.Sync, rtapp.Suspend, rtapp.Barrier, rtapp.SemWait:
		return true
	}
	return false
}

// works tells the events that are more than waiting or the locking around it.
func works(k rtapp.EventKind) bool { return !waits(k) && k != rtapp.Lock && k != rtapp.Unlock }

// markWork finds the waiting at the edges of an iteration and puts the mark of finished work before that at its end. An
// iteration that computes nothing gets no mark.
func markWork(ops []op) []op {
	first := slices.IndexFunc(ops, func(o op) bool { return works(o.kind) })
	if first < 0 {
		first = len(ops)
	}
	last := len(ops) - 1
	for last >= 0 && !works(ops[last].kind) {
		last--
	}
	at := len(ops)
	for i := range ops {
		if waits(ops[i].kind) && (i < first || i > last) {
			ops[i].edge = true
			if i > last {
				at = min(at, i)
			}
		}
	}
	if !slices.ContainsFunc(ops, func(o op) bool { return o.kind == rtapp.Run || o.kind == rtapp.Runtime }) {
		return ops
	}
	return slices.Insert(ops, at, op{kind: opMark, dist: -1})
}
