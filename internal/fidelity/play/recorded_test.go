package play

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/schedsim/schedsim/internal/fidelity"
	"github.com/schedsim/schedsim/machines"
)

// page is the committed comparison: misses by case name.
func page(t *testing.T) map[string]int {
	t.Helper()
	data, err := os.ReadFile("../../../docs/fidelity-measured.md")
	if err != nil {
		t.Fatal(err)
	}
	misses := map[string]int{}
	for line := range strings.Lines(string(data)) {
		f := strings.Split(line, "|")
		var cpus, runs, hit, missed, rest int
		if len(f) != 9 {
			continue
		}
		if _, err := fmt.Sscan(strings.Join(f[3:8], " "), &cpus, &runs, &hit, &missed, &rest); err == nil {
			misses[fmt.Sprintf("%s %s %d", strings.TrimSpace(f[1]), strings.TrimSpace(f[2]), cpus)] = missed
		}
	}
	return misses
}

// TestRecorded: no case of those whose schedulers are here has more figures beyond their tolerances than the committed page
// says. After a change that makes more hit, or that is right although fewer do, scripts/fidelity writes the page anew.
func TestRecorded(t *testing.T) {
	cases, err := fidelity.Load(recorded)
	if err != nil {
		t.Fatal(err)
	}
	lab, err := machines.Get("lab")
	if err != nil {
		t.Fatal(err)
	}
	known := page(t)
	l := &Lab{Workloads: []string{recorded + "/../workloads"}, Objects: []string{"../../../examples/bpf"}, Costs: lab.Machine.Costs}
	compared := 0
	for _, c := range cases {
		if testing.Short() && c.CPUs > 1 {
			continue
		}
		runs, err := l.Case(c)
		if missing := (*MissingError)(nil); errors.As(err, &missing) && missing.What == "object" {
			continue
		}
		if err != nil {
			t.Error(err)
			continue
		}
		compared++
		want, ok := known[c.Name()]
		if !ok {
			t.Errorf("%s: not on the page", c.Name())
			continue
		}
		if cmp := fidelity.Compare(c, runs); cmp.Count(fidelity.Miss) > want {
			t.Errorf("%s: %d figures are beyond their tolerances, %d on the page:", c.Name(), cmp.Count(fidelity.Miss), want)
			for _, r := range cmp.Rows {
				if r.Verdict == fidelity.Miss {
					t.Logf("%s: %v to %v, here %v", r.Figure, r.Kernel.Min, r.Kernel.Max, r.Simulator.Median)
				}
			}
		}
	}
	if compared == 0 {
		t.Error("nothing was compared")
	}
}

// parting are the streams that part, and after how many equal callbacks: of two tasks that wake each other thousands of times a second,
// when after 99 ms a thread of the kernel comes, which finds the simulator some microseconds earlier in the round.
var parting = map[string]int{
	"pingpong-1 scx_simple-tap 1": 4127,
}

// eachStreams runs the simulator beside the recorded streams of a folder, of schedulers that are here, and calls f for each case with where its
// streams part.
func eachStreams(t *testing.T, folder string, f func(c *fidelity.Case, bySeed map[uint64][]fidelity.Divergence)) {
	t.Helper()
	cases, err := fidelity.Load(folder)
	if err != nil {
		t.Fatal(err)
	}
	lab, err := machines.Get("lab")
	if err != nil {
		t.Fatal(err)
	}
	l := &Lab{Workloads: []string{recorded + "/../workloads"}, Costs: lab.Machine.Costs,
		Objects: append([]string{"../../../examples/bpf"}, filepath.SplitList(os.Getenv("SCHEDSIM_OBJECTS"))...)}
	for _, c := range cases {
		bySeed, err := l.Streams(c)
		if missing := (*MissingError)(nil); errors.As(err, &missing) && missing.What == "object" {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		f(c, bySeed)
	}
}

// TestStreams: the callbacks of the recorded streams, with their arguments, are equal from the first to the last.
func TestStreams(t *testing.T) {
	compared := 0
	eachStreams(t, "../../../benchmarks/lab/streams", func(c *fidelity.Case, bySeed map[uint64][]fidelity.Divergence) {
		for seed, list := range bySeed {
			for _, d := range list {
				compared += d.Equal
				if want, ok := parting[c.Name()]; ok && d.Equal >= want {
					continue
				}
				if d.Parted() {
					t.Errorf("%s, seed %d, CPU %d: %d of %d equal; then the kernel: %s, here: %s", c.Name(), seed, d.CPU, d.Equal, d.Recorded, d.Kernel, d.Ours)
				}
			}
		}
	})
	if compared < 500 {
		t.Errorf("%d callbacks compared", compared)
	}
}
