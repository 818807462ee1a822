package play

import (
	"bufio"
	goflag "flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/schedsim/schedsim/internal/fidelity"
)

var updateSMP = goflag.Bool("update-smp", false, "write testdata/streams-smp.txt anew")

const smpFile = "testdata/streams-smp.txt"

// The choices at which callbacks of two CPUs part: the kernel's seeds from each other, and the simulator from the kernel.
const (
	oneTick = "the slices of both CPUs end in one tick: which CPU takes the first task of the queue, and whether the other's is in it yet"
	aThread = "a thread of the kernel wakes beside a tick: on which CPU is not recorded, and which of the two is first takes microseconds"
	oneWake = "each CPU wakes a task within some 10 us: which is first in the queue"
	idleYet = "each CPU wakes a task within some 10 us, and one of them blocks: whether the other CPU still finds it idle"
	blocks  = "a task blocks within 10 us of a wakeup on the other CPU: which is first"
)

// partsSMP says which choice parts the callbacks of a case first, where they are not the same from T0 on: tasks of the kernel's seeds may sleep
// on the other CPU there.
var partsSMP = map[string]string{
	"hogs-2 central-tap 2":             aThread,
	"hogs-2 llc_vtime-tap 2":           oneTick,
	"hogs-2 scx_central-tap 2":         aThread,
	"hogs-2 scx_flatcg-tap 2":          oneTick,
	"hogs-2 scx_simple-fifo-tap 2":     oneTick,
	"hogs-2 scx_simple-tap 2":          oneTick,
	"hogs-2 simple-tap 2":              oneTick,
	"pingpong-2 central-tap 2":         blocks,
	"pingpong-2 llc_vtime-tap 2":       idleYet,
	"pingpong-2 scx_central-tap 2":     oneWake,
	"pingpong-2 scx_flatcg-tap 2":      idleYet,
	"pingpong-2 scx_simple-fifo-tap 2": idleYet,
	"pingpong-2 scx_simple-tap 2":      idleYet,
	"pingpong-2 simple-tap 2":          idleYet,
}

// smpRow is how far streams of a case are equal: for a seed, on each CPU, the simulator and the other seed of the kernel that goes
// with it longest.
type smpRow struct {
	name         string
	seed         uint64
	sim, kernels [2]int
}

func (r smpRow) String() string {
	return fmt.Sprintf("%s seed %d: simulator %d %d, another seed of the kernel %d %d", r.name, r.seed, r.sim[0], r.sim[1], r.kernels[0], r.kernels[1])
}

// TestStreamsSMP: on two CPUs, where what happens at one time on both has no order that must be equal, callbacks are equal on each CPU until
// the kernel parts from itself: as many as in the run of another seed that goes with it longest. Where they part earlier, which
// testdata/streams-smp.txt tells, it is not earlier than there.
func TestStreamsSMP(t *testing.T) {
	if testing.Short() {
		t.Skip("42 runs of two CPUs; not with -short")
	}
	rows := smpRows(t)
	if *updateSMP {
		var b strings.Builder
		for _, r := range rows {
			fmt.Fprintln(&b, r)
		}
		if err := os.WriteFile(smpFile, []byte(b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	file, err := os.Open(smpFile)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	known := map[string]smpRow{}
	for s := bufio.NewScanner(file); s.Scan(); {
		var r smpRow
		name, rest, _ := strings.Cut(s.Text(), " seed ")
		if _, err := fmt.Sscanf(rest, "%d: simulator %d %d, another seed of the kernel %d %d", &r.seed, &r.sim[0], &r.sim[1], &r.kernels[0], &r.kernels[1]); err != nil {
			t.Fatalf("%q: %v", s.Text(), err)
		}
		r.name = name
		known[fmt.Sprint(name, r.seed)] = r
	}
	for _, r := range rows {
		want, ok := known[fmt.Sprint(r.name, r.seed)]
		if !ok || want.kernels != r.kernels {
			t.Errorf("%v: not in %s", r, smpFile)
			continue
		}
		for cpu := range r.sim {
			if r.sim[cpu] < min(want.sim[cpu], r.kernels[cpu]) {
				t.Errorf("%v: CPU %d: %d before", r, cpu, want.sim[cpu])
			}
		}
		if partsSMP[r.name] == "" {
			t.Errorf("%s: nothing says which choice parts it", r.name)
		}
	}
}

func smpRows(t *testing.T) []smpRow {
	t.Helper()
	var rows []smpRow
	eachStreams(t, "../../../benchmarks/lab/streams-smp", func(c *fidelity.Case, bySeed map[uint64][]fidelity.Divergence) {
		streams := make([]*fidelity.Stream, len(c.Streams))
		var err error
		for i, file := range c.Streams {
			if streams[i], err = fidelity.ReadStreamFile(file); err != nil {
				t.Fatal(err)
			}
		}
		for i, run := range c.Runs {
			r := smpRow{name: c.Name(), seed: run.Manifest.Seed}
			for cpu, d := range bySeed[r.seed] {
				r.sim[cpu] = d.Equal
			}
			for j, other := range streams {
				if i == j {
					continue
				}
				for cpu, d := range fidelity.FirstDivergence(streams[i], other) {
					r.kernels[cpu] = max(r.kernels[cpu], d.Equal)
				}
			}
			rows = append(rows, r)
		}
	})
	slices.SortFunc(rows, func(a, b smpRow) int { return strings.Compare(a.String(), b.String()) })
	return rows
}
