package ext

import (
	"slices"
	"testing"

	"github.com/schedsim/schedsim/sim"
	"github.com/schedsim/schedsim/sim/topo"
)

// TestClockSkew: scx_bpf_now differs between CPUs by what the machine says, goes never back on any, and changes nothing about
// when things happen under a policy that does not look at it.
func TestClockSkew(t *testing.T) {
	skew := []sim.Duration{0, 250 * sim.Microsecond, 3 * sim.Millisecond}
	type seen struct {
		cpu sim.CPU
		at  sim.Time
		now uint64
	}
	measure := func(skew []sim.Duration) (out []seen) {
		r := newRig(t, rigOptions{topo: "1n1l3c1t", fair: true, skew: skew, costs: sim.Costs{Switch: 900, Tick: 700, IPI: 500}})
		tb := fifoTable(r.k)
		note := func(*sim.Task) { out = append(out, seen{r.m.ThisCPU(), r.m.RQClock(r.m.ThisCPU()), r.k.Now()}) }
		tb.Running, tb.Tick = note, note
		r.enable(tb)
		for range 5 {
			r.spawn(sim.TaskSpec{Comm: "t", Behavior: &steps{list: []sim.Step{run(3 * sim.Millisecond), sleep(sim.Millisecond)}}})
		}
		r.run(ms(300))
		return out
	}
	plain, skewed := measure(nil), measure(skew)
	last := make([]uint64, 3)
	count := make([]int, 3)
	for _, s := range skewed {
		if want := uint64(s.at.Add(skew[s.cpu])); s.now != want {
			t.Fatalf("CPU %d at %v: clock %d, want %d", s.cpu, s.at, s.now, want)
		}
		if s.now < last[s.cpu] {
			t.Fatalf("CPU %d at %v: clock goes back from %d to %d", s.cpu, s.at, last[s.cpu], s.now)
		}
		last[s.cpu] = s.now
		count[s.cpu]++
	}
	if slices.Min(count) < 50 {
		t.Fatalf("looked at the clocks %v times", count)
	}
	same := slices.EqualFunc(plain, skewed, func(a, b seen) bool { return a.cpu == b.cpu && a.at == b.at })
	if !same {
		t.Error("the schedule changes with clocks that nobody looks at")
	}
}

// TestClockSkewFair: the fair class accounts by each CPU's own clock, so that a skew changes no task's CPU time.
func TestClockSkewFair(t *testing.T) {
	measure := func(skew []sim.Duration) (out []sim.Duration) {
		r := newRig(t, rigOptions{topo: "1n1l2c1t", fair: true, skew: skew})
		var tasks []*sim.Task
		for i := range 4 {
			tasks = append(tasks, r.spawn(sim.TaskSpec{Comm: "hog", Behavior: hog(), CPUs: []sim.CPU{sim.CPU(i % 2)}, Nice: i}))
		}
		r.run(ms(1000))
		for _, k := range tasks {
			out = append(out, r.m.CPUTime(k))
		}
		return out
	}
	if a, b := measure(nil), measure([]sim.Duration{0, 700 * sim.Microsecond}); !slices.Equal(a, b) {
		t.Errorf("CPU times %v, with a skew %v", a, b)
	}
}

// TestCPUPerfCap: scx_bpf_cpuperf_cap tells of a hybrid machine's CPUs.
func TestCPUPerfCap(t *testing.T) {
	r := newRig(t, rigOptions{topo: "1n1l1c2t+2c1t@512"})
	var caps []uint32
	tb := fifoTable(r.k)
	tb.Running = func(*sim.Task) {
		if caps == nil {
			for cpu := range sim.CPU(4) {
				caps = append(caps, r.k.CPUPerfCap(cpu))
			}
		}
	}
	r.enable(tb)
	r.spawn(sim.TaskSpec{Comm: "t", Behavior: hog()})
	r.run(ms(10))
	if want := []uint32{1024, 1024, 512, 512}; !slices.Equal(caps, want) {
		t.Errorf("capacities %v, want %v", caps, want)
	}
}

// TestSkewRefused: clocks are for all CPUs or none, and none is behind the time.
func TestSkewRefused(t *testing.T) {
	tp, err := topo.Flat(2)
	if err != nil {
		t.Fatal(err)
	}
	for _, skew := range [][]sim.Duration{{1}, {0, 1, 2}, {0, -1}} {
		if _, err := sim.New(sim.Config{Topo: tp, ClockSkew: skew, Classes: func(m *sim.Machine) []sim.Class { return []sim.Class{newPlain(m, "fair")} }}); err == nil {
			t.Errorf("clock skew %v is taken", skew)
		}
	}
}
