package play

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/schedsim/schedsim/internal/fidelity"
	"github.com/schedsim/schedsim/internal/runner"
	"github.com/schedsim/schedsim/sched"
	"github.com/schedsim/schedsim/sched/bpf"
	"github.com/schedsim/schedsim/sched/class/fair"
	"github.com/schedsim/schedsim/sim"
	"github.com/schedsim/schedsim/sim/topo"
	"github.com/schedsim/schedsim/workloads"
)

// TestPlaced: at T0 tasks wake where they slept, and that is no migration.
func TestPlaced(t *testing.T) {
	const at = -10_000_000
	for _, cpus := range [][3]int64{{0, 1, 1}, {1, 0, 0}, {1, 1, 0}} {
		tasks := []fidelity.Task{{Group: "a"}, {Group: "a", Instance: 1}, {Group: "hog"}}
		for i := range tasks {
			tasks[i].Before, tasks[i].Asleep = [][2]int64{{-150_000_000, 20_000}}, [5]int64{cpus[i], 1 - cpus[i]}
		}
		r := mustRun(t, Options{Scheduler: "eevdf", CPUs: 2, Tasks: tasks, Start: &fidelity.Start{AtNS: at}})
		first := map[int32]int32{}
		for _, e := range r.Events {
			if _, ok := first[e.Task]; e.Kind == fidelity.EventWakeup && e.At >= 0 && !ok {
				first[e.Task] = e.CPU
			}
		}
		// The second of two on one CPU may find the other one idle.
		if task := &r.Run.Tasks[0]; first[task.PID] != int32(cpus[0]) || task.Migrations != 0 {
			t.Errorf("%v: %s wakes on CPU %d and migrates %d times", cpus, task.Name, first[task.PID], task.Migrations)
		}
	}
}

// TestStart: ops.init runs where it ran, and a machine stands as recorded when its time has come: programs' timers, and the past of load
// balancing with its ticks.
func TestStart(t *testing.T) {
	tp, err := topo.Flat(2)
	if err != nil {
		t.Fatal(err)
	}
	w, err := workloads.Parse("w.json", []byte(pair), workloads.Options{CPUs: 2})
	if err != nil {
		t.Fatal(err)
	}
	const t0 = sim.Time(settle - 3*sim.Millisecond)
	s := &start{p: &player{t0: t0}, from: &fidelity.Start{AtNS: -10_000_000, Timers: [][2]int64{{0, -9_500_000}},
		CPUs: []fidelity.Balancing{{}, {AvgIdleNS: 700, NextTick: -1, LastTick: -5, IntervalMS: 4, Failed: 1, Call: 600, Success: 300, Ratio: 200,
			StampNS: -100_000_000, CostNS: 20_000}}}}
	began := false
	_, err = runner.Run(runner.Options{Scheduler: "../../../examples/bpf/central.bpf.o", Globals: map[string]any{"nr_cpus": int64(2)}, Workload: w, Topo: tp,
		Settle: sim.Duration(t0), InitCPU: 1, StartAt: s.at(), Start: func(m *sim.Machine, p sched.Policy) {
			began = true
			if m.Now() != t0.Add(-10*sim.Millisecond) {
				t.Errorf("at %v", m.Now())
			}
			o := p.(*bpf.Policy)
			if list := o.Timers(); len(list) != 1 || list[0].CPU != 1 {
				t.Errorf("timers %v, want one on the CPU of ops.init", list)
			}
			s.begin(m, p)
			if d := cmp.Diff([]bpf.ArmedTimer{{CPU: 0, At: t0.Add(-9500 * sim.Microsecond)}}, o.Timers()); d != "" {
				t.Error(d)
			}
			// Three ticks come until T0: at 388, 392 and 396 ms.
			want := fair.Balancing{AvgIdle: 700, NextBalance: 2, Last: -2, Interval: 4 * sim.Millisecond, Failed: 1, Call: 600, Success: 300, Ratio: 200,
				Stamp: t0.Add(-100 * sim.Millisecond), Cost: 20 * sim.Microsecond}
			if d := cmp.Diff(want, m.ClassByName("fair").(*fair.Class).Balancing(1)); d != "" {
				t.Error(d)
			}
		}})
	if err != nil {
		t.Fatal(err)
	}
	if !began {
		t.Error("it did not begin so")
	}
}

// TestLabStart: tasks of a run without a look at the kernel slept where they ran last.
func TestLabStart(t *testing.T) {
	looked := &fidelity.Start{AtNS: -9}
	for _, tc := range []struct {
		name  string
		cpus  int
		start *fidelity.Start
		ran   []int
		want  *fidelity.Start
		on    int64
	}{
		{"looked", 2, looked, []int{0, 1}, looked, 0},
		{"ran", 2, nil, []int{0, 1, -1}, &fidelity.Start{AtNS: -int64(lookTime)}, 1},
		{"never ran", 2, nil, []int{-1}, nil, 0},
		{"not told", 2, nil, nil, nil, 0},
		{"one CPU", 1, nil, []int{0}, nil, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := &fidelity.Run{Manifest: fidelity.Manifest{CPUs: tc.cpus}, Start: tc.start, Tasks: []fidelity.Task{{Name: "a", BeforeCPUs: tc.ran}}}
			got, tasks := labStart(r)
			if d := cmp.Diff(tc.want, got); d != "" {
				t.Error(d)
			}
			if tasks[0].Asleep[0] != tc.on || r.Tasks[0].Asleep != [5]int64{} {
				t.Errorf("asleep %v, of the recorded %v", tasks[0].Asleep, r.Tasks[0].Asleep)
			}
		})
	}
}

// TestBudget: tasks come out of their sleep with the slices that they had, and as far behind each other.
func TestBudget(t *testing.T) {
	tasks := []fidelity.Task{
		{Group: "a", Before: [][2]int64{{-150_000_000, 20_000}}, Asleep: [5]int64{0, 0, 0, 7_000_000, 5_000_123}},
		{Group: "hog", Before: [][2]int64{{-150_000_000, 20_000}}, Asleep: [5]int64{0, 0, 0, 6_000_000, 5_000_000}},
	}
	r := mustRun(t, Options{Scheduler: "fifo", Tasks: tasks, Start: &fidelity.Start{AtNS: -10_000_000}, Stream: true})
	seen := map[int32]fidelity.Op{}
	for _, o := range r.Stream.Ops {
		if _, ok := seen[o.PID]; !ok && o.At >= 0 && o.Name == "enqueue" {
			seen[o.PID] = o
		}
	}
	a, hog := seen[r.Run.Tasks[0].PID], seen[r.Run.Tasks[2].PID]
	if a.Slice.N != 7_000_000 || hog.Slice.N != 6_000_000 || a.VTime.N-hog.VTime.N != 123 {
		t.Errorf("%v, %v", a, hog)
	}
}
