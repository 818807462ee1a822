package sim_test

import (
	"fmt"
	"math/bits"
	"slices"

	"github.com/schedsim/schedsim/sched/class/idle"
	"github.com/schedsim/schedsim/sim"
	"github.com/schedsim/schedsim/sim/topo"
)

// rr is a scheduling class for tests: one round-robin queue per CPU, and a wakeup goes to an idle CPU if there is one.
// It writes down how it is called.
type rr struct {
	m     *sim.Machine
	name  string
	slice sim.Duration
	cpus  []rrCPU
	idle  []uint64       // CPUs that run their idle task and have nothing queued
	left  []sim.Duration // by task Index
	// keepLog makes it note each call in log, in the words of the kernel's functions.
	keepLog bool
	log     []string
	sink    func(line string) // where notes go instead of to log
	hooks   sim.Hooks
}

type rrCPU struct {
	// queue is a ring: tasks leave at head.
	queue []*sim.Task
	head  int
	n     int
}

func newRR(m *sim.Machine) *rr {
	r := &rr{m: m, name: "fair", slice: 10 * sim.Millisecond, cpus: make([]rrCPU, m.NrCPUs())}
	r.idle = make([]uint64, m.Topo().Words())
	for i := range r.cpus {
		r.idle[i/64] |= 1 << (i % 64)
		r.cpus[i].queue = make([]*sim.Task, 16)
	}
	return r
}

func (r *rr) note(format string, args ...any) {
	if line := fmt.Sprintf(format, args...); r.sink != nil {
		r.sink(line)
	} else {
		r.log = append(r.log, line)
	}
}

func (q *rrCPU) push(t *sim.Task) {
	if q.n == len(q.queue) {
		bigger := make([]*sim.Task, 2*q.n)
		for i := range q.n {
			bigger[i] = q.queue[(q.head+i)%q.n]
		}
		q.queue, q.head = bigger, 0
	}
	q.queue[(q.head+q.n)%len(q.queue)] = t
	q.n++
}

func (q *rrCPU) remove(t *sim.Task) {
	for i := range q.n {
		if q.queue[(q.head+i)%len(q.queue)] == t {
			for ; i < q.n-1; i++ {
				q.queue[(q.head+i)%len(q.queue)] = q.queue[(q.head+i+1)%len(q.queue)]
			}
			q.n--
			return
		}
	}
	panic("BUG: " + t.String() + " is not queued")
}

func (r *rr) Name() string { return r.name }

func (r *rr) SelectCPU(t *sim.Task, prev sim.CPU, f sim.WakeFlags) sim.CPU {
	if r.keepLog {
		r.note("select %s prev=%d flags=%#x", t, prev, uint64(f))
	}
	if t.K.Allows(int32(prev)) && r.m.IdleCPU(prev) {
		return prev
	}
	allowed := t.K.CPUs()
	for i, w := range allowed.Words() {
		if w &= r.idle[i]; w != 0 {
			return sim.CPU(64*i + bits.TrailingZeros64(w))
		}
	}
	return prev
}

func (r *rr) Enqueue(cpu sim.CPU, t *sim.Task, f sim.EnqFlags) {
	if r.keepLog {
		r.note("enqueue %s cpu=%d flags=%#x", t, cpu, uint64(f))
	}
	r.m.AddNrRunning(cpu, 1)
	if int(t.Index) >= len(r.left) {
		r.left = append(r.left, make([]sim.Duration, int(t.Index)+1-len(r.left))...)
	}
	if f&(sim.EnqWakeup|sim.EnqInitial) != 0 {
		r.left[t.Index] = r.slice
	}
	r.idle[cpu/64] &^= 1 << (cpu % 64)
	if r.m.Curr(cpu) != t {
		r.cpus[cpu].push(t)
	}
}

func (r *rr) Dequeue(cpu sim.CPU, t *sim.Task, f sim.DeqFlags) bool {
	if r.keepLog {
		r.note("dequeue %s cpu=%d flags=%#x", t, cpu, uint64(f))
	}
	r.m.AddNrRunning(cpu, -1)
	if r.m.Curr(cpu) == t {
		r.update(cpu)
	} else {
		r.cpus[cpu].remove(t)
	}
	return true
}

func (r *rr) Pick(cpu sim.CPU, prev *sim.Task) *sim.Task {
	q := &r.cpus[cpu]
	keep := prev.Class == sim.Class(r) && prev.OnRQ
	if keep {
		r.update(cpu)
		if r.left[prev.Index] > 0 || q.n == 0 {
			if r.left[prev.Index] <= 0 {
				r.left[prev.Index] = r.slice
			}
			return prev
		}
	}
	if q.n == 0 {
		return nil
	}
	return q.queue[q.head]
}

func (r *rr) SetNext(cpu sim.CPU, t *sim.Task, first bool) {
	if r.keepLog {
		r.note("set_next %s cpu=%d first=%t", t, cpu, first)
	}
	if first {
		r.cpus[cpu].remove(t)
	}
}

func (r *rr) PutPrev(cpu sim.CPU, prev, next *sim.Task) {
	if r.keepLog {
		r.note("put_prev %s cpu=%d next=%v", prev, cpu, next)
	}
	r.update(cpu)
	if prev.OnRQ && next != nil {
		if r.left[prev.Index] <= 0 {
			r.left[prev.Index] = r.slice
		}
		r.cpus[cpu].push(prev)
	}
}

func (r *rr) Tick(cpu sim.CPU, cur *sim.Task) {
	if r.keepLog {
		r.note("tick %s cpu=%d", cur, cpu)
	}
	r.update(cpu)
	if r.left[cur.Index] <= 0 && r.cpus[cpu].n > 0 {
		r.m.Resched(cpu)
	}
}

func (r *rr) update(cpu sim.CPU) {
	d := r.m.AccountExec(cpu)
	r.left[r.m.Curr(cpu).Index] -= d
}

func (r *rr) Hooks() sim.Hooks {
	h := r.hooks
	h.EnterIdle = func(cpu sim.CPU) { r.idle[cpu/64] |= 1 << (cpu % 64) }
	h.Yield = func(cpu sim.CPU) {
		if r.keepLog {
			r.note("yield cpu=%d", cpu)
		}
		r.left[r.m.Curr(cpu).Index] = 0
	}
	return h
}

// script is a behaviour that takes the given steps, then exits.
type script []sim.Step

func (s *script) Next(*sim.Task, sim.Time) sim.Step {
	if len(*s) == 0 {
		return sim.Step{Kind: sim.StepExit}
	}
	st := (*s)[0]
	*s = (*s)[1:]
	return st
}

func steps(s ...sim.Step) sim.Behavior { return (*script)(&s) }

// loop is a behaviour that takes the given steps for ever.
type loop struct {
	steps []sim.Step
	at    int
}

func (l *loop) Next(*sim.Task, sim.Time) sim.Step {
	s := l.steps[l.at]
	l.at = (l.at + 1) % len(l.steps)
	return s
}

func forever(s ...sim.Step) sim.Behavior { return &loop{steps: s} }

func run(d sim.Duration) sim.Step   { return sim.Step{Kind: sim.StepRun, Dur: d} }
func sleep(d sim.Duration) sim.Step { return sim.Step{Kind: sim.StepSleep, Dur: d} }

const (
	us = sim.Microsecond
	ms = sim.Millisecond
)

// testing.TB without the import cycle of a helper package.
type tb interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// rig is a machine with the rr class.
type rig struct {
	*sim.Machine
	rr      *rr
	records []sim.Record
}

// newRig builds a machine of n CPUs; change may edit the configuration first.
func newRig(t tb, n int, change func(c *sim.Config, r *rig)) *rig {
	t.Helper()
	top, err := topo.Flat(n)
	if err != nil {
		t.Fatal(err)
	}
	g := &rig{}
	cfg := sim.Config{
		Topo: top,
		Classes: func(m *sim.Machine) []sim.Class {
			g.rr = newRR(m)
			return []sim.Class{g.rr, idle.New(m)}
		},
		Sink: sim.SinkFunc(func(r *sim.Record) { g.records = append(g.records, *r) }),
	}
	if change != nil {
		change(&cfg, g)
	}
	if g.Machine, err = sim.New(cfg); err != nil {
		t.Fatal(err)
	}
	return g
}

func (g *rig) spawn(t tb, comm string, b sim.Behavior, cpus ...sim.CPU) *sim.Task {
	t.Helper()
	task, err := g.Spawn(sim.TaskSpec{Comm: comm, Behavior: b, CPUs: slices.Clip(cpus)})
	if err != nil {
		t.Fatal(err)
	}
	return task
}

func (g *rig) run(t tb, until sim.Time) {
	t.Helper()
	if err := g.Run(until); err != nil {
		t.Fatal(err)
	}
}
