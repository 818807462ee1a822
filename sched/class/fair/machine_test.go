package fair

import (
	"slices"

	"github.com/schedsim/schedsim/sched/class/idle"
	"github.com/schedsim/schedsim/sim"
	"github.com/schedsim/schedsim/sim/topo"
)

// failer is what a test of any kind can do.
type failer interface {
	Helper()
	Fatal(args ...any)
	Errorf(format string, args ...any)
}

// bench is a machine with the fair class, and what a test wants to know of its run.
type bench struct {
	t failer
	m *sim.Machine
	c *Class

	since      []sim.Time // start of the present run, by CPU
	slices     []sim.Duration
	byTask     map[int32][]sim.Duration // preempted slices
	switches   int
	migrations map[int32]int
	wokenAt    map[int32]sim.Time
	latency    []sim.Duration
	from       sim.Time // what is before does not count
}

func newBench(t failer, topology string, o Options, costs sim.Costs) *bench {
	t.Helper()
	tp, err := topo.Parse(topology)
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{t: t, since: make([]sim.Time, len(tp.CPUs)), byTask: map[int32][]sim.Duration{},
		migrations: map[int32]int{}, wokenAt: map[int32]sim.Time{}}
	b.m, err = sim.New(sim.Config{Topo: tp, Costs: costs, Sink: sim.SinkFunc(b.record), Classes: func(m *sim.Machine) []sim.Class {
		b.c = NewWith(m, o)
		return []sim.Class{b.c, idle.New(m)}
	}})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *bench) record(r *sim.Record) {
	switch r.Kind {
	case sim.KindSwitch:
		if r.At >= b.from {
			b.switches++
			if d := r.At.Sub(b.since[r.CPU]); r.A != 0 && r.B == uint64(sim.StateRunning) {
				b.slices = append(b.slices, d)
				b.byTask[int32(r.A)] = append(b.byTask[int32(r.A)], d)
			}
			if at, ok := b.wokenAt[r.Task]; ok {
				b.latency = append(b.latency, r.At.Sub(at))
			}
		}
		delete(b.wokenAt, r.Task)
		b.since[r.CPU] = r.At
	case sim.KindWakeup:
		b.wokenAt[r.Task] = r.At
	case sim.KindMigrate:
		if r.At >= b.from {
			b.migrations[r.Task]++
		}
	}
}

func (b *bench) spawn(s sim.TaskSpec) *sim.Task {
	b.t.Helper()
	t, err := b.m.Spawn(s)
	if err != nil {
		b.t.Fatal(err)
	}
	return t
}

func (b *bench) run(until sim.Duration) {
	b.t.Helper()
	if err := b.m.Run(sim.Time(until)); err != nil {
		b.t.Fatal(err)
	}
	b.check()
}

// check looks for lost tasks: what should be queued is, exactly once, and the counts agree on all levels.
func (b *bench) check() {
	b.t.Helper()
	total := 0
	b.m.Tasks(func(t *sim.Task) {
		e := b.c.entity(t)
		if e.onRQ != (t.OnRQ && !e.throttled) || e.delayed != t.SchedDelayed {
			b.t.Errorf("%v: entity queued %v delayed %v throttled %v, task %v %v", t, e.onRQ, e.delayed, e.throttled, t.OnRQ, t.SchedDelayed)
		}
		if t.State == sim.StateRunning && !t.OnRQ {
			b.t.Errorf("%v: runnable but not queued", t)
		}
		if e.throttled && (e.cfs.throttleCount == 0 || t.OnCPU) {
			b.t.Errorf("%v: throttled in %d groups, running %v", t, e.cfs.throttleCount, t.OnCPU)
		}
		if e.onRQ {
			total++
			if e.cfs != b.c.cfsOf(t.SchedGroup, t.CPU()) {
				b.t.Errorf("%v: queued elsewhere than in %s on cpu %d", t, t.SchedGroup.Path(), t.CPU())
			}
			if in := e.cfs.curr == e || slices.Contains(e.cfs.order(), e); !in {
				b.t.Errorf("%v: queued, but neither current nor in the tree", t)
			}
		}
	})
	for i := range b.c.rqs {
		q := &b.c.rqs[i]
		n, _, _ := b.checkQueue(&q.runq, "root")
		if nr := b.m.NrRunning(q.cpu) - n; nr < 0 || nr > 1 { // the stopper may wait, too
			b.t.Errorf("cpu %d: %d tasks, nr_running %d", i, n, b.m.NrRunning(q.cpu))
		}
		total -= n
	}
	if total != 0 {
		b.t.Errorf("%d tasks queued, but not found", total)
	}
}

// checkQueue checks the counts of a runqueue and of those below and returns its tasks: all, those that are not delayed, and
// idle ones.
func (b *bench) checkQueue(r *runq, name string) (queued, runnable, idle int) {
	b.t.Helper()
	es := r.order()
	if e := r.running(); e != nil {
		es = append(es, e)
	}
	var load uint64
	for _, e := range es {
		if !e.onRQ || e.cfs != r {
			b.t.Errorf("%s: entity in a tree, queued %v", name, e.onRQ)
		}
		load += e.weight
		if e.my == nil {
			queued++
			if !e.delayed {
				runnable++
			}
			if e.t.Policy == sim.PolicyIdle {
				idle++
			}
			continue
		}
		q, n, i := b.checkQueue(e.my, name+"/"+e.my.tg.cg.Name)
		if e.my.idle {
			i = q
		}
		queued, runnable, idle = queued+q, runnable+n, idle+i
		if e.my.nrQueued == 0 && !e.delayed {
			b.t.Errorf("%s: an empty group is queued", name)
		}
		if r.curr == e != (e.my.curr != nil) {
			b.t.Errorf("%s: current group %v, its own current one %v", name, r.curr == e, e.my.curr != nil)
		}
	}
	if len(es) != r.nrQueued || queued != r.hQueued || runnable != r.nrRunnable || idle != r.nrIdle || load != r.load {
		b.t.Errorf("%s on cpu %d: %d entities (nr_queued %d), tasks %d (%d), runnable %d (%d), idle %d (%d), load %d (%d)", name, r.q.cpu,
			len(es), r.nrQueued, queued, r.hQueued, runnable, r.nrRunnable, idle, r.nrIdle, load, r.load)
	}
	return queued, runnable, idle
}

// cpuTime is the time that t had until now.
func (b *bench) cpuTime(t *sim.Task) sim.Duration { return b.m.CPUTime(t) }

// moves is the number of migrations.
func (b *bench) moves() int {
	n := 0
	b.m.Tasks(func(t *sim.Task) { n += b.migrations[t.PID] })
	return n
}

// percentile returns the p-th percentile of d.
func percentile(d []sim.Duration, p int) sim.Duration {
	if len(d) == 0 {
		return -1
	}
	d = slices.Sorted(slices.Values(d))
	return d[min(len(d)-1, len(d)*p/100)]
}

// hog runs for ever.
type hog struct{}

func (hog) Next(*sim.Task, sim.Time) sim.Step {
	return sim.Step{Kind: sim.StepRun, Dur: 3600 * sim.Second}
}

// loop repeats its steps.
type loop struct {
	steps []sim.Step
	i     int
}

func (l *loop) Next(*sim.Task, sim.Time) sim.Step {
	s := l.steps[l.i%len(l.steps)]
	l.i++
	return s
}

// periodic runs for run every period.
func periodic(run, period sim.Duration) sim.Behavior {
	var n sim.Time
	return behave(func(t *sim.Task, now sim.Time) sim.Step {
		n++
		if n%2 == 1 {
			return sim.Step{Kind: sim.StepRun, Dur: run}
		}
		return sim.Step{Kind: sim.StepSleepUntil, At: n / 2 * sim.Time(period)}
	})
}

type behave func(t *sim.Task, now sim.Time) sim.Step

func (f behave) Next(t *sim.Task, now sim.Time) sim.Step { return f(t, now) }
