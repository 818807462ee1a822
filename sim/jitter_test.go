package sim_test

import (
	"slices"
	"testing"

	"github.com/schedsim/schedsim/sched/class/fair"
	"github.com/schedsim/schedsim/sched/class/idle"
	"github.com/schedsim/schedsim/sim"
	"github.com/schedsim/schedsim/sim/topo"
)

// TestJitter: costs are drawn within what Jitter says, around their values, by the seed alone.
func TestJitter(t *testing.T) {
	const price = 10_000
	tp, err := topo.Flat(1)
	if err != nil {
		t.Fatal(err)
	}
	charged := func(seed uint64, jitter int32) (out []sim.Duration) {
		m, err := sim.New(sim.Config{Topo: tp, Seed: seed, Costs: sim.Costs{Switch: price, Jitter: jitter},
			Classes: func(m *sim.Machine) []sim.Class { return []sim.Class{fair.New(m), idle.New(m)} },
			Sink: sim.SinkFunc(func(r *sim.Record) {
				if r.Kind == sim.KindOverhead {
					out = append(out, sim.Duration(r.A))
				}
			})})
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			b := make(once, 0, 200)
			for range 100 {
				b = append(b, work(sim.Millisecond), nap(sim.Millisecond))
			}
			if _, err := m.Spawn(sim.TaskSpec{Comm: "t", Behavior: &b}); err != nil {
				t.Fatal(err)
			}
		}
		if err := m.Run(sim.Time(sim.Second)); err != nil {
			t.Fatal(err)
		}
		return out
	}
	if got := charged(1, 0); len(got) < 300 || slices.Min(got) != price || slices.Max(got) != price {
		t.Errorf("without jitter: %d charges, %v to %v", len(got), slices.Min(got), slices.Max(got))
	}
	got := charged(1, 256)
	var sum sim.Duration
	for _, d := range got {
		sum += d
	}
	if min, max := slices.Min(got), slices.Max(got); min < price*3/4 || min > price*8/10 || max > price*5/4 || max < price*12/10 {
		t.Errorf("a quarter of %d: %v to %v", price, min, max)
	}
	if mean := sum / sim.Duration(len(got)); mean < price*97/100 || mean > price*103/100 {
		t.Errorf("mean %v", mean)
	}
	if !slices.Equal(got, charged(1, 256)) || slices.Equal(got, charged(2, 256)) {
		t.Error("the draws are not the seed's")
	}
	for _, j := range []int32{-1, 1025} {
		if _, err := sim.New(sim.Config{Topo: tp, Costs: sim.Costs{Jitter: j}, Classes: func(m *sim.Machine) []sim.Class { return []sim.Class{idle.New(m)} }}); err == nil {
			t.Errorf("jitter %d is taken", j)
		}
	}
}
