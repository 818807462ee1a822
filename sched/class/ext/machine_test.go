package ext

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/sched/class/fair"
	"github.com/schedsim/schedsim/sched/class/idle"
	"github.com/schedsim/schedsim/sim"
	"github.com/schedsim/schedsim/sim/topo"
)

// plain is a first-come-first-served class in the place of the fair class, so that these tests depend on no other.
// Ticks rotate its tasks.
type plain struct {
	m    *sim.Machine
	name string
	q    [][]*sim.Task // queued and not running
	cur  []*sim.Task
}

func newPlain(m *sim.Machine, name string) *plain {
	return &plain{m: m, name: name, q: make([][]*sim.Task, m.NrCPUs()), cur: make([]*sim.Task, m.NrCPUs())}
}

func (p *plain) Name() string                                                 { return p.name }
func (p *plain) SelectCPU(_ *sim.Task, prev sim.CPU, _ sim.WakeFlags) sim.CPU { return prev }

func (p *plain) Enqueue(cpu sim.CPU, t *sim.Task, _ sim.EnqFlags) {
	p.m.AddNrRunning(cpu, 1)
	if p.m.Curr(cpu) != t {
		p.q[cpu] = append(p.q[cpu], t)
	}
}

func (p *plain) Dequeue(cpu sim.CPU, t *sim.Task, _ sim.DeqFlags) bool {
	p.m.AddNrRunning(cpu, -1)
	for i, o := range p.q[cpu] {
		if o == t {
			p.q[cpu] = append(p.q[cpu][:i:i], p.q[cpu][i+1:]...)
		}
	}
	if p.cur[cpu] == t {
		p.cur[cpu] = nil
	}
	return true
}

func (p *plain) Pick(cpu sim.CPU, prev *sim.Task) *sim.Task {
	if len(p.q[cpu]) > 0 {
		return p.q[cpu][0]
	}
	return p.cur[cpu]
}

func (p *plain) SetNext(cpu sim.CPU, t *sim.Task, _ bool) {
	if len(p.q[cpu]) > 0 && p.q[cpu][0] == t {
		p.q[cpu] = p.q[cpu][1:]
	}
	p.cur[cpu] = t
}

func (p *plain) PutPrev(cpu sim.CPU, prev, _ *sim.Task) {
	p.m.AccountExec(cpu)
	if p.cur[cpu] == prev {
		p.q[cpu] = append(p.q[cpu], prev)
	}
	p.cur[cpu] = nil
}

func (p *plain) Tick(cpu sim.CPU, _ *sim.Task) {
	if len(p.q[cpu]) > 0 {
		p.m.Resched(cpu)
	}
}

// rig is a machine with sched_ext.
type rig struct {
	*testing.T
	m *sim.Machine
	k *Kernel
	// recs are the records, if asked for.
	recs []sim.Record
	rng  *rand.Rand // of random tests
}

// rigOptions tune a rig. The zero value is one CPU without costs.
type rigOptions struct {
	topo   string // "": 1n1l1c1t
	costs  sim.Costs
	record bool
	seed   uint64
	fair   bool // the real fair class instead of plain
	skew   []sim.Duration
	ticks  func(sim.Time) sim.CPU
	turn   sim.Duration
}

func newRig(tb testing.TB, o rigOptions) *rig {
	tb.Helper()
	if o.topo == "" {
		o.topo = "1n1l1c1t"
	}
	tp, err := topo.Parse(o.topo)
	if err != nil {
		tb.Fatal(err)
	}
	r := &rig{}
	r.T, _ = tb.(*testing.T)
	c := sim.Config{
		Topo: tp, Costs: o.costs, Seed: o.seed, ClockSkew: o.skew, TickOrder: o.ticks, Turn: o.turn,
		Classes: func(m *sim.Machine) []sim.Class {
			r.k = New(m)
			normal := sim.Class(newPlain(m, "fair"))
			if o.fair {
				normal = fair.New(m)
			}
			return []sim.Class{newPlain(m, "rt"), normal, r.k, idle.New(m)}
		},
	}
	if o.record {
		c.Sink = sim.SinkFunc(func(rec *sim.Record) { r.recs = append(r.recs, *rec) })
	}
	if r.m, err = sim.New(c); err != nil {
		tb.Fatal(err)
	}
	return r
}

// steps is a behaviour that is a list; at its end it starts over, unless once.
type steps struct {
	list []sim.Step
	once bool
	i    int
}

func (s *steps) Next(*sim.Task, sim.Time) sim.Step {
	if s.i == len(s.list) {
		if s.once {
			return sim.Step{Kind: sim.StepExit}
		}
		s.i = 0
	}
	s.i++
	return s.list[s.i-1]
}

func run(d sim.Duration) sim.Step   { return sim.Step{Kind: sim.StepRun, Dur: d} }
func sleep(d sim.Duration) sim.Step { return sim.Step{Kind: sim.StepSleep, Dur: d} }

// hog runs for ever.
func hog() sim.Behavior { return &steps{list: []sim.Step{run(100 * sim.Second)}} }

// spawn creates a task.
func (r *rig) spawn(s sim.TaskSpec) *sim.Task {
	t, err := r.m.Spawn(s)
	if err != nil {
		panic(err)
	}
	return t
}

func (r *rig) enable(t *ops.Table) {
	if err := r.k.Enable(t); err != nil {
		panic(err)
	}
}

func (r *rig) run(until sim.Time) {
	if err := r.m.Run(until); err != nil {
		panic(err)
	}
}

// ms is a time in milliseconds.
func ms(n int64) sim.Time { return sim.Time(n * int64(sim.Millisecond)) }

// fifoTable is a policy with one queue.
func fifoTable(k *Kernel) *ops.Table {
	return &ops.Table{
		Name: "fifo",
		Init: func() int32 { return k.CreateDSQ(0, -1) },
		Enqueue: func(t *sim.Task, f uint64) {
			k.DSQInsert(t, 0, ops.SliceDfl, f)
		},
		Dispatch: func(sim.CPU, *sim.Task) { k.DSQMoveToLocal(0, 0) },
	}
}

// check verifies the invariants of the core between two events: every queued task is in exactly one place, and the
// counts are right.
func (k *Kernel) check() error {
	where := map[*sim.Task]string{}
	place := func(t *sim.Task, what string) error {
		if o, dup := where[t]; dup {
			return fmt.Errorf("task %v is on %s and on %s", t, o, what)
		}
		where[t] = what
		return nil
	}
	walk := func(d *dsq, what string) error {
		n := uint32(0)
		for e := d.list.next; e != &d.list; e = e.next {
			if e.t == nil {
				continue
			}
			n++
			if k.ent(e.t).dsq != d {
				return fmt.Errorf("task %v is on %s and believes to be elsewhere", e.t, what)
			}
			if d.rq != nil && e.t.CPU() != d.rq.cpu {
				return fmt.Errorf("task %v of cpu %d is on %s", e.t, e.t.CPU(), what)
			}
			if err := place(e.t, what); err != nil {
				return err
			}
		}
		if n != d.nr {
			return fmt.Errorf("%s: nr is %d, %d tasks are on it", what, d.nr, n)
		}
		return nil
	}
	if k.sch == nil {
		return nil
	}
	for i := range k.rqs {
		r := &k.rqs[i]
		if err := walk(&r.local, fmt.Sprintf("local DSQ %d", i)); err != nil {
			return err
		}
		for n := r.ddspDeferred.next; n != &r.ddspDeferred; n = n.next {
			if err := place(n.t, fmt.Sprintf("deferred list %d", i)); err != nil {
				return err
			}
		}
	}
	var err error
	k.sch.self(func(s *sched) {
		walkOne := func(d *dsq, what string) {
			if err == nil {
				err = walk(d, what)
			}
		}
		for i := range s.pcpu {
			walkOne(&s.pcpu[i].bypass, fmt.Sprintf("bypass DSQ %d", i))
		}
		for i, d := range s.global {
			walkOne(d, fmt.Sprintf("global DSQ %d", i))
		}
		for _, d := range s.dsqList {
			walkOne(d, fmt.Sprintf("DSQ %#x", d.id))
		}
		if err == nil && s.bypassDepth < 0 || s.bypassDspDepth < 0 {
			err = fmt.Errorf("%s: bypass depth %d, %d", s.ops.Name, s.bypassDepth, s.bypassDspDepth)
		}
	})
	if err != nil {
		return err
	}
	nr := make([]uint32, len(k.rqs))
	runnable := make([]int, len(k.rqs))
	for i := range k.rqs {
		for n := k.rqs[i].runnable.next; n != &k.rqs[i].runnable; n = n.next {
			if !queued(n.t) || int(n.t.CPU()) != i {
				return fmt.Errorf("task %v is on the runnable list of cpu %d", n.t, i)
			}
			runnable[i]++
		}
	}
	k.m.Tasks(func(t *sim.Task) {
		if err != nil || !k.onExt(t) {
			if err == nil && where[t] != "" {
				err = fmt.Errorf("task %v is not on sched_ext, but on %s", t, where[t])
			}
			return
		}
		e := k.ent(t)
		switch {
		case e.sch == nil:
			err = fmt.Errorf("task %v is on sched_ext and has no scheduler", t)
		case queued(t) != t.OnRQ:
			err = fmt.Errorf("task %v: queued %t, on_rq %t", t, queued(t), t.OnRQ)
		case !queued(t) && where[t] != "":
			err = fmt.Errorf("task %v sleeps on %s", t, where[t])
		case t.OnCPU && where[t] != "":
			err = fmt.Errorf("task %v runs and is on %s", t, where[t])
		case t.OnCPU && e.run.on():
			err = fmt.Errorf("task %v runs and is on the runnable list", t)
		case queued(t) && !t.OnCPU && !e.run.on():
			err = fmt.Errorf("task %v waits and is not on the runnable list", t)
		case queued(t) && !t.OnCPU && where[t] == "" && e.state != opssQueued:
			err = fmt.Errorf("task %v is lost: on no queue, owner %d", t, e.state)
		case e.state == opssQueued && where[t] != "":
			err = fmt.Errorf("task %v is the policy's and on %s", t, where[t])
		case e.state == opssQueueing || e.state == opssDispatching:
			err = fmt.Errorf("task %v: transient owner %d", t, e.state)
		case t.K.StickyCPU() >= 0 || t.K.HoldingCPU() >= 0:
			err = fmt.Errorf("task %v: sticky/holding cpu %d/%d", t, t.K.StickyCPU(), t.K.HoldingCPU())
		}
		if queued(t) {
			nr[t.CPU()]++
		}
	})
	for i := range k.rqs {
		if err == nil && nr[i] != k.rqs[i].nrRunning {
			err = fmt.Errorf("cpu %d: nr_running is %d, %d tasks are queued", i, k.rqs[i].nrRunning, nr[i])
		}
	}
	return err
}
