package builtin_test

import (
	"fmt"
	"hash/fnv"
	"testing"

	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/sched"
	"github.com/schedsim/schedsim/sched/builtin"
	"github.com/schedsim/schedsim/sched/class/ext"
	"github.com/schedsim/schedsim/sched/class/idle"
	"github.com/schedsim/schedsim/sim"
	"github.com/schedsim/schedsim/sim/topo"
)

// cycle is a behaviour that repeats its steps for ever.
type cycle struct {
	list []sim.Step
	i    int
}

func (c *cycle) Next(*sim.Task, sim.Time) sim.Step {
	c.i++
	return c.list[(c.i-1)%len(c.list)]
}

func run(d sim.Duration) sim.Step   { return sim.Step{Kind: sim.StepRun, Dur: d} }
func sleep(d sim.Duration) sim.Step { return sim.Step{Kind: sim.StepSleep, Dur: d} }

// machine has n CPUs, sched_ext and the idle class, and the policy enabled.
func machine(tb testing.TB, n int, name string, sink sim.Sink) (*sim.Machine, *ext.Kernel) {
	tb.Helper()
	tp, err := topo.Flat(n)
	if err != nil {
		tb.Fatal(err)
	}
	var k *ext.Kernel
	m, err := sim.New(sim.Config{
		Topo: tp, Sink: sink, Costs: sim.Costs{Tick: 3 * sim.Microsecond, Switch: sim.Microsecond},
		Classes: func(m *sim.Machine) []sim.Class {
			k = ext.New(m)
			return []sim.Class{k, idle.New(m)}
		},
	})
	if err != nil {
		tb.Fatal(err)
	}
	p, ok := builtin.ByName(name)
	if !ok {
		tb.Fatalf("no policy %s", name)
	}
	t, err := p.Open(sched.Env{Machine: m, Kernel: k})
	if err != nil {
		tb.Fatal(err)
	}
	if err := k.Enable(t); err != nil {
		tb.Fatal(err)
	}
	return m, k
}

// spawn creates the tasks of a busy machine: hogs, and tasks that come and go.
func spawn(tb testing.TB, m *sim.Machine, hogs, others int) []*sim.Task {
	var out []*sim.Task
	add := func(s sim.TaskSpec) {
		t, err := m.Spawn(s)
		if err != nil {
			tb.Fatal(err)
		}
		out = append(out, t)
	}
	for i := range hogs {
		add(sim.TaskSpec{Comm: fmt.Sprintf("hog%d", i), Behavior: &cycle{list: []sim.Step{run(sim.Second)}}})
	}
	for i := range others {
		add(sim.TaskSpec{Comm: fmt.Sprintf("nap%d", i), Behavior: &cycle{list: []sim.Step{
			run(sim.Duration(100+i%7*50) * sim.Microsecond), sleep(sim.Duration(500+i%11*90) * sim.Microsecond),
		}}})
	}
	return out
}

// TestPolicies: all tasks of an overcommitted machine run, no CPU is idle meanwhile, nothing ends.
func TestPolicies(t *testing.T) {
	for _, e := range builtin.All() {
		for _, n := range []int{1, 4} {
			t.Run(fmt.Sprintf("%s/%d", e.Name, n), func(t *testing.T) {
				m, k := machine(t, n, e.Name, nil)
				tasks := spawn(t, m, 2*n, 3*n)
				if err := m.Run(sim.Time(sim.Second)); err != nil {
					t.Fatal(err)
				}
				if x := k.ExitInfo(); x != nil {
					t.Fatalf("policy ended: %s", x.Msg)
				}
				var total sim.Duration
				for _, p := range tasks {
					c := m.CPUTime(p)
					total += c
					if c < 2*sim.Millisecond {
						t.Errorf("%v ran %v only", p, c)
					}
				}
				if want := sim.Duration(n) * sim.Second; total < want-sim.Millisecond {
					t.Errorf("tasks ran %v of %v", total, want)
				}
			})
		}
	}
}

// TestVtimeShares: many busy tasks share a CPU by weight. Two take turns whatever their weights: when one's slice ends it
// is not queued yet, so that the other is all there is to dispatch.
func TestVtimeShares(t *testing.T) {
	for _, tc := range []struct {
		name string
		nice []int
		want []float64
	}{
		{"two", []int{0, 5}, []float64{0.5, 0.5}},
		// Weights 100 and 33.
		{"six", []int{0, 0, 0, 5, 5, 5}, []float64{0.251, 0.251, 0.251, 0.083, 0.083, 0.083}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m, _ := machine(t, 1, "vtime", nil)
			var tasks []*sim.Task
			for _, nice := range tc.nice {
				p, err := m.Spawn(sim.TaskSpec{Comm: "hog", Nice: nice, Behavior: &cycle{list: []sim.Step{run(sim.Second)}}})
				if err != nil {
					t.Fatal(err)
				}
				tasks = append(tasks, p)
			}
			if err := m.Run(sim.Time(20 * sim.Second)); err != nil {
				t.Fatal(err)
			}
			for i, p := range tasks {
				if share := m.CPUTime(p).Seconds() / 20; share < tc.want[i]-0.01 || share > tc.want[i]+0.01 {
					t.Errorf("task %d of nice %d has %.3f of the CPU, want %.3f", i, tc.nice[i], share, tc.want[i])
				}
			}
		})
	}
}

// TestDeterminism: the same machine and tasks give the same records.
func TestDeterminism(t *testing.T) {
	for _, e := range builtin.All() {
		t.Run(e.Name, func(t *testing.T) {
			var sums [2]uint64
			for i := range sums {
				h := fnv.New64a()
				n := 0
				m, _ := machine(t, 4, e.Name, sim.SinkFunc(func(r *sim.Record) {
					n++
					fmt.Fprintf(h, "%+v\n", *r)
				}))
				spawn(t, m, 5, 9)
				if err := m.Run(sim.Time(300 * sim.Millisecond)); err != nil {
					t.Fatal(err)
				}
				if n < 1000 {
					t.Fatalf("%d records only", n)
				}
				sums[i] = h.Sum64()
			}
			if sums[0] != sums[1] {
				t.Errorf("%#x and %#x", sums[0], sums[1])
			}
		})
	}
}

// TestNoAllocation: once warm, a machine under a built-in policy allocates nothing.
func TestNoAllocation(t *testing.T) {
	for _, e := range builtin.All() {
		t.Run(e.Name, func(t *testing.T) {
			m, _ := machine(t, 4, e.Name, nil)
			spawn(t, m, 4, 12)
			at := sim.Time(100 * sim.Millisecond)
			step := func() {
				at = at.Add(10 * sim.Millisecond)
				if err := m.Run(at); err != nil {
					t.Fatal(err)
				}
			}
			step()
			if n := testing.AllocsPerRun(20, step); n > 0 {
				t.Errorf("%v allocations in 10 ms", n)
			}
		})
	}
}

// BenchmarkSwitches measures context switches simulated per second of real time: four tasks per CPU that run 100 to
// 400 us and sleep 0.5 to 1.4 ms.
func BenchmarkSwitches(b *testing.B) {
	for _, name := range []string{"fifo", "vtime"} {
		for _, n := range []int{8, 64} {
			b.Run(fmt.Sprintf("%s/cpus=%d", name, n), func(b *testing.B) {
				m, k := machine(b, n, name, nil)
				spawn(b, m, 0, 4*n)
				at := sim.Time(50 * sim.Millisecond)
				if err := m.Run(at); err != nil {
					b.Fatal(err)
				}
				switches := func() (s uint64) {
					for i := range n {
						s += m.NrSwitches(sim.CPU(i))
					}
					return s
				}
				start := switches()
				b.ReportAllocs()
				for b.Loop() {
					at = at.Add(10 * sim.Millisecond)
					if err := m.Run(at); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(switches()-start)/b.Elapsed().Seconds(), "switches/s")
				b.ReportMetric(float64(switches()-start)/float64(b.N), "switches/op")
				if k.State() != ops.Enabled {
					b.Fatal("policy ended")
				}
			})
		}
	}
}
