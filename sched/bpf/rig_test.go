package bpf

import (
	"cmp"
	"testing"

	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/ops/kernels"
	"github.com/schedsim/schedsim/sched"
	"github.com/schedsim/schedsim/sched/bpf/agent/recipes"
	"github.com/schedsim/schedsim/sched/class"
	"github.com/schedsim/schedsim/sched/class/ext"
	"github.com/schedsim/schedsim/sim"
	"github.com/schedsim/schedsim/sim/kobj"
	"github.com/schedsim/schedsim/sim/topo"
	"github.com/schedsim/schedsim/vm"
	"github.com/schedsim/schedsim/vm/mem"
)

// rig is a machine on which a policy runs.
type rig struct {
	t       *testing.T
	m       *sim.Machine
	k       *ext.Kernel
	kernel  *kernels.Kernel
	space   *mem.Space
	records []sim.Record
}

type rigConfig struct {
	topo  string
	costs sim.Costs
	quiet bool // keep no records
	// kernel is a version, "": 7.2.
	kernel string
}

func newRig(t *testing.T, c rigConfig) *rig {
	t.Helper()
	r := &rig{t: t}
	tp, err := topo.Parse(c.topo)
	if err != nil {
		t.Fatal(err)
	}
	if r.kernel, err = kernels.Get(cmp.Or(c.kernel, "7.2")); err != nil {
		t.Fatal(err)
	}
	layout, err := kobj.NewLayout(r.kernel)
	if err != nil {
		t.Fatal(err)
	}
	if r.space, err = mem.New(mem.Options{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.space.Close(); err != nil {
			t.Error(err)
		}
	})
	r.m, err = sim.New(sim.Config{
		Topo: tp, Layout: layout, Mem: r.space, Costs: c.costs, Seed: 1, Boot: 10 * sim.Second,
		Classes: func(m *sim.Machine) []sim.Class {
			c := class.New(m)
			r.k = c.Ext
			return c.List()
		},
		Sink: sim.SinkFunc(func(rec *sim.Record) {
			if !c.quiet {
				r.records = append(r.records, *rec)
			}
		}),
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// open opens a policy and closes it.
func (r *rig) open(p sched.Policy) error {
	_, err := p.Open(sched.Env{Machine: r.m, Kernel: r.k})
	if e := p.Close(); err == nil {
		err = e
	}
	return err
}

// enable opens and enables a policy.
func (r *rig) enable(p sched.Policy) {
	r.t.Helper()
	tbl, err := p.Open(sched.Env{Machine: r.m, Kernel: r.k})
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() {
		if err := p.Close(); err != nil {
			r.t.Error(err)
		}
	})
	if err := r.k.Enable(tbl); err != nil {
		r.t.Fatal(err)
	}
	if a, ok := p.(sched.Attacher); ok {
		if err := a.Attached(); err != nil {
			r.t.Fatal(err)
		}
	}
}

func (r *rig) spawn(specs ...sim.TaskSpec) {
	r.t.Helper()
	for _, s := range specs {
		if _, err := r.m.Spawn(s); err != nil {
			r.t.Fatal(err)
		}
	}
}

func (r *rig) run(d sim.Duration) {
	r.t.Helper()
	if err := r.m.Run(r.m.Now().Add(d)); err != nil {
		r.t.Fatal(err)
	}
}

// mustLive fails unless the policy still schedules.
func (r *rig) mustLive() {
	r.t.Helper()
	if e := r.k.ExitInfo(); e != nil || r.k.State() != ops.Enabled {
		r.t.Fatalf("policy ended: state %v, exit %+v", r.k.State(), e)
	}
}

func (r *rig) options(engine string) Options {
	r.t.Helper()
	e, err := vm.EngineByName(engine)
	if err != nil {
		r.t.Skipf("engine %s: %v", engine, err)
	}
	return Options{Kernel: r.kernel, Mem: r.space, Engine: e, Agent: recipes.New(recipes.Options{})}
}

// loop is a behaviour that repeats its steps.
type loop struct {
	steps []sim.Step
	next  int
}

func (l *loop) Next(*sim.Task, sim.Time) sim.Step {
	s := l.steps[l.next]
	l.next = (l.next + 1) % len(l.steps)
	return s
}

func hog() sim.Behavior { return &loop{steps: []sim.Step{{Kind: sim.StepRun, Dur: sim.Second}}} }

func periodic(run, sleep sim.Duration) sim.Behavior {
	return &loop{steps: []sim.Step{{Kind: sim.StepRun, Dur: run}, {Kind: sim.StepSleep, Dur: sleep}}}
}
