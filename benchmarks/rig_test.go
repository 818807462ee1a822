package benchmarks

import (
	"testing"

	"github.com/schedsim/schedsim/examples"
	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/ops/kernels"
	"github.com/schedsim/schedsim/sched"
	"github.com/schedsim/schedsim/sched/bpf"
	"github.com/schedsim/schedsim/sched/class/ext"
	"github.com/schedsim/schedsim/sched/class/fair"
	"github.com/schedsim/schedsim/sched/class/idle"
	"github.com/schedsim/schedsim/sched/fifo"
	"github.com/schedsim/schedsim/sim"
	"github.com/schedsim/schedsim/sim/kobj"
	"github.com/schedsim/schedsim/sim/topo"
	"github.com/schedsim/schedsim/vm"
	"github.com/schedsim/schedsim/vm/mem"
)

// rig is a machine with a policy and tasks, warmed up.
type rig struct {
	m        *sim.Machine
	k        *ext.Kernel
	switches uint64
}

// policies are the ways to run one and the same FIFO, and the machine's own classes.
var policies = []string{"go", "jit", "interp"}

func newRig(b *testing.B, policy string, cpus int) *rig {
	b.Helper()
	r := &rig{}
	tp, err := topo.Flat(cpus)
	if err != nil {
		b.Fatal(err)
	}
	kernel, err := kernels.Get("7.2")
	if err != nil {
		b.Fatal(err)
	}
	layout, err := kobj.NewLayout(kernel)
	if err != nil {
		b.Fatal(err)
	}
	space, err := mem.New(mem.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { space.Close() })
	r.m, err = sim.New(sim.Config{
		Topo: tp, Layout: layout, Mem: space, Seed: 1,
		Classes: func(m *sim.Machine) []sim.Class {
			r.k = ext.New(m)
			return []sim.Class{fair.New(m), r.k, idle.New(m)}
		},
		Sink: r,
	})
	if err != nil {
		b.Fatal(err)
	}
	if p := r.policy(b, policy, kernel, space); p != nil {
		t, err := p.Open(sched.Env{Machine: r.m, Kernel: r.k})
		if err != nil {
			b.Fatal(err)
		}
		if err := r.k.Enable(t); err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() {
			if r.k.State() != ops.Enabled {
				b.Errorf("the policy ended: %+v", r.k.ExitInfo())
			}
			p.Close()
		})
	}
	for i := range 3 * cpus {
		if _, err := r.m.Spawn(sim.TaskSpec{Comm: "worker", Behavior: &worker{x: uint64(i)}}); err != nil {
			b.Fatal(err)
		}
	}
	r.run(b, 50*sim.Millisecond)
	return r
}

func (r *rig) policy(b *testing.B, name string, kernel *kernels.Kernel, space *mem.Space) sched.Policy {
	switch name {
	case "eevdf":
		return nil
	case "go":
		return new(fifo.Policy)
	}
	e, err := vm.EngineByName(name)
	if err != nil {
		b.Skip(err)
	}
	obj, err := examples.Object("simple")
	if err != nil {
		b.Fatal(err)
	}
	p, err := bpf.Read("simple.bpf.o", obj, bpf.Options{Kernel: kernel, Mem: space, Engine: e})
	if err != nil {
		b.Fatal(err)
	}
	return p
}

// Wants implements sim.Chooser. A run that only sums up hears of little more.
func (r *rig) Wants() sim.KindSet { return sim.Kinds(sim.KindSwitch) }

// Record implements sim.Sink.
func (r *rig) Record(*sim.Record) { r.switches++ }

func (r *rig) run(b *testing.B, d sim.Duration) {
	if err := r.m.Run(r.m.Now().Add(d)); err != nil {
		b.Fatal(err)
	}
}

// worker runs and sleeps for ever, for times that it draws from a small generator of its own: 150 µs and 360 µs on
// average, so that three of them keep a CPU busy and most wakeups queue.
type worker struct {
	x     uint64
	sleep bool
}

func (w *worker) Next(*sim.Task, sim.Time) sim.Step {
	w.x = w.x*6364136223846793005 + 1442695040888963407
	r := sim.Duration(w.x >> 40) // up to 16.8 million
	if w.sleep = !w.sleep; w.sleep {
		return sim.Step{Kind: sim.StepSleep, Dur: 100*sim.Microsecond + r/32}
	}
	return sim.Step{Kind: sim.StepRun, Dur: 50*sim.Microsecond + r/84}
}
