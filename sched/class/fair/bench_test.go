package fair

import (
	"fmt"
	"slices"
	"testing"

	"github.com/schedsim/schedsim/sched/class/idle"
	"github.com/schedsim/schedsim/sim"
	"github.com/schedsim/schedsim/sim/topo"
)

// quiet is a machine without a sink.
func quiet(t testing.TB, topology string) *sim.Machine {
	t.Helper()
	tp, err := topo.Parse(topology)
	if err != nil {
		t.Fatal(err)
	}
	m, err := sim.New(sim.Config{Topo: tp, Classes: func(m *sim.Machine) []sim.Class {
		return []sim.Class{New(m), idle.New(m)}
	}})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// mixed starts n tasks: hogs, sleepers, and pairs that wake each other.
func mixed(t testing.TB, m *sim.Machine, n int) {
	t.Helper()
	var last *sim.WaitQueue
	for i := range n {
		run := sim.Step{Kind: sim.StepRun, Dur: sim.Duration(100_000 + 37_000*(i%7))}
		b := sim.Behavior(hog{})
		switch i % 4 {
		case 1:
			b = &loop{steps: []sim.Step{run, {Kind: sim.StepSleep, Dur: 1_300_000}}}
		case 2:
			last = new(sim.WaitQueue)
			b = &loop{steps: []sim.Step{run, {Kind: sim.StepWait, Queue: last}}}
		case 3:
			b = &loop{steps: []sim.Step{run, {Kind: sim.StepWake, Queue: last}, {Kind: sim.StepSleep, Dur: 700_000}}}
		}
		if _, err := m.Spawn(sim.TaskSpec{Comm: "t", Nice: i%11 - 5, Behavior: b}); err != nil {
			t.Fatal(err)
		}
	}
}

// TestNoAllocs guards the rule that scheduling allocates nothing: picks, wakeups, ticks and balancing.
func TestNoAllocs(t *testing.T) {
	for _, tc := range []struct {
		topo  string
		tasks int
	}{{"1n1l1c1t", 8}, {"1n1l4c2t", 40}, {"2n2l2c2t", 24}} {
		t.Run(tc.topo, func(t *testing.T) {
			m := quiet(t, tc.topo)
			mixed(t, m, tc.tasks)
			now := sim.Time(200 * sim.Millisecond)
			run := func() {
				now = now.Add(5 * sim.Millisecond)
				if err := m.Run(now); err != nil {
					t.Fatal(err)
				}
			}
			run()
			if n := testing.AllocsPerRun(100, run); n != 0 {
				t.Errorf("%v allocations in 5 ms", n)
			}
		})
	}
}

// BenchmarkPick is a pick, and putting the picked entity back behind the others.
func BenchmarkPick(b *testing.B) {
	for _, n := range []int{2, 16, 256} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			r := testQueue(1, Options{})
			for i := range n {
				e := testEntity(niceWeights[i%len(niceWeights)])
				r.place(e, 0)
				r.join(e)
			}
			b.ReportAllocs()
			for b.Loop() {
				e := r.pickEEVDF(true)
				r.runFor(e, (e.weight*(e.deadline-e.vruntime)+nice0Load-1)/nice0Load)
			}
		})
	}
}

// BenchmarkMachine is one simulated ms of a mixed load; it also says how many events that is.
func BenchmarkMachine(b *testing.B) {
	for _, bc := range []struct {
		topo  string
		tasks int
	}{{"1n1l1c1t", 8}, {"1n1l8c1t", 32}, {"2n2l4c2t", 128}} {
		b.Run(fmt.Sprint(bc.topo, "/", bc.tasks), func(b *testing.B) {
			m := quiet(b, bc.topo)
			mixed(b, m, bc.tasks)
			now := sim.Time(0)
			before := m.Events()
			b.ReportAllocs()
			for b.Loop() {
				now = now.Add(sim.Millisecond)
				if err := m.Run(now); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(m.Events()-before)/float64(b.N), "events/op")
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(m.Events()-before), "ns/event")
		})
	}
}

// BenchmarkSwitch is one slice of two hogs on one CPU: the timer, the pick and the switch.
func BenchmarkSwitch(b *testing.B) {
	m := quiet(b, "1n1l1c1t")
	for range 2 {
		if _, err := m.Spawn(sim.TaskSpec{Comm: "hog", Behavior: hog{}}); err != nil {
			b.Fatal(err)
		}
	}
	now := sim.Time(0)
	b.ReportAllocs()
	for b.Loop() {
		now = now.Add(700 * sim.Microsecond)
		if err := m.Run(now); err != nil {
			b.Fatal(err)
		}
	}
}

// TestDeterminism: the same machine twice gives the same records.
func TestDeterminism(t *testing.T) {
	stream := func() []sim.Record {
		var rs []sim.Record
		tp, err := topo.Parse("2n2l2c2t")
		if err != nil {
			t.Fatal(err)
		}
		m, err := sim.New(sim.Config{Topo: tp, Seed: 7, Sink: sim.SinkFunc(func(r *sim.Record) { rs = append(rs, *r) }),
			Classes: func(m *sim.Machine) []sim.Class { return []sim.Class{New(m), idle.New(m)} }})
		if err != nil {
			t.Fatal(err)
		}
		mixed(t, m, 40)
		if err := m.Run(sim.Time(300 * sim.Millisecond)); err != nil {
			t.Fatal(err)
		}
		return rs
	}
	a, b := stream(), stream()
	if len(a) < 1000 || !slices.Equal(a, b) {
		t.Errorf("%d and %d records, want more than a thousand, and the same", len(a), len(b))
	}
}
