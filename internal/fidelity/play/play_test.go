package play

import (
	"errors"
	"fmt"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/schedsim/schedsim/internal/fidelity"
	"github.com/schedsim/schedsim/sim"
)

const recorded = "../../../benchmarks/lab/recorded"

const pair = `{"global": {"schedsim": {"duration": "200ms"}}, "tasks": {
	"a": {"instance": 2, "run": 1000, "timer": {"ref": "unique", "period": 10000}},
	"hog": {"run": 10000}}}`

func mustRun(t *testing.T, o Options) *Result {
	t.Helper()
	o.Name, o.Workload = "w.json", []byte(pair)
	r, err := Run(o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestRun: a run has the form of a recorded one, its numbers count from T0, and it is the same each time.
func TestRun(t *testing.T) {
	o := Options{Scheduler: "eevdf", Seed: 3, Threads: []Thread{{Name: "kworker/9", Every: 10 * sim.Millisecond, Run: 20 * sim.Microsecond}}}
	r := mustRun(t, o)
	run := r.Run
	if err := run.Check(); err != nil {
		t.Fatal(err)
	}
	if run.Window.LengthNS != int64(200*sim.Millisecond) || run.Manifest.Mode != "simulator" || run.Manifest.Workload != "w" {
		t.Errorf("%+v %+v", run.Window, run.Manifest)
	}
	var names []string
	var cpu int64
	for _, k := range run.Tasks {
		names = append(names, k.Name)
		cpu += k.CPUNS
		if k.Group == "a" && (k.Units < 18 || k.Units > 20 || k.CPUNS < 18e6) {
			t.Errorf("%+v: want a unit of 1 ms every 10 ms", k)
		}
	}
	if d := cmp.Diff([]string{"a-0", "a-1", "hog-2"}, names); d != "" {
		t.Error(d)
	}
	if got := cpu + run.Totals.OtherCPUNS + run.Totals.IdleNS; got != run.Window.LengthNS {
		t.Errorf("%d ns of CPU time in all, want %d", got, run.Window.LengthNS)
	}
	if len(run.Others) != 1 || run.Others[0].Name != "kworker/9" || len(run.Others[0].Wakes) < 10 {
		t.Errorf("others: %+v", run.Others)
	}
	if d := cmp.Diff(run, mustRun(t, o).Run); d != "" {
		t.Errorf("another run with the same seed:\n%s", d)
	}
}

// TestReplay: threads of a recorded run are woken when they were, and run for as long.
func TestReplay(t *testing.T) {
	want := []fidelity.Other{{Name: "kworker/3:1", PID: 99, Wakes: [][2]int64{{7_000_000, 30_000}, {50_000_000, 10_000}}}}
	r := mustRun(t, Options{Scheduler: "eevdf", Others: want})
	got := r.Run.Others
	if len(got) != 1 || got[0].Name != want[0].Name {
		t.Fatalf("%+v", got)
	}
	if d := cmp.Diff(want[0].Wakes, got[0].Wakes); d != "" {
		t.Errorf("(-recorded +simulated):\n%s", d)
	}
}

// TestReplayTurns: where CPUs take turns, what a recorded thread used has the turns of the others in it.
func TestReplayTurns(t *testing.T) {
	const used = 400_000
	o := Options{
		Name: "w.json", Workload: []byte(`{"global": {"schedsim": {"duration": "200ms"}}, "tasks": {"hog": {"instance": 4, "run": 10000}}}`),
		Scheduler: "fifo", CPUs: 4, Turn: 20 * sim.Microsecond,
		Costs: sim.Costs{Switch: 3 * sim.Microsecond, Block: 4 * sim.Microsecond, InsnPS: 2000},
	}
	for i := range 4 {
		o.Others = append(o.Others, fidelity.Other{Name: fmt.Sprintf("migration/%d", i), Wakes: [][2]int64{{7_000_000, used}, {50_000_000, used}}})
	}
	r, err := Run(o)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range r.Run.Others {
		for _, w := range k.Wakes {
			if d := w[1] - used; w[0] > 0 && (d < -40_000 || d > 40_000) {
				t.Errorf("%s used %d, recorded were %d", k.Name, w[1], used)
			}
		}
	}
	if len(r.Run.Others) != 4 {
		t.Errorf("%d threads", len(r.Run.Others))
	}
}

// TestTick: the first tick after T0 comes when it is asked for.
func TestTick(t *testing.T) {
	for _, tick := range []sim.Duration{0, sim.Millisecond, 3 * sim.Millisecond} {
		r := mustRun(t, Options{Scheduler: "fifo", Tick: tick, Stream: true})
		if r.Stream == nil {
			t.Fatal("no stream")
		}
		for _, o := range r.Stream.Ops {
			if o.Name == "tick" && o.At > 0 {
				if got := sim.Duration(o.At) % tickPeriod; got != tick {
					t.Errorf("a tick %v after T0, want one after %v", sim.Duration(o.At), tick)
				}
				break
			}
		}
	}
}

// TestStream: the callbacks are noted with their arguments, and the same twice; a snapshot tells how things stood.
func TestStream(t *testing.T) {
	o := Options{Scheduler: "vtime", CPUs: 2, Stream: true}
	a := mustRun(t, o)
	seen := map[string]int{}
	for _, op := range a.Stream.Ops {
		seen[op.Name]++
	}
	for _, name := range []string{"enqueue", "running", "stopping", "dispatch", "dispatch_ret"} {
		if seen[name] == 0 {
			t.Errorf("no %s among %v", name, seen)
		}
	}
	o.SnapshotAt = len(a.Stream.Ops) / 2
	b := mustRun(t, o)
	for _, d := range fidelity.FirstDivergence(a.Stream, b.Stream) {
		if d.Parted() || d.Equal == 0 {
			t.Errorf("%+v", d)
		}
	}
	if !strings.Contains(b.Snapshot, "in ops.") || !strings.Contains(b.Snapshot, "CPU 1: nr_running") {
		t.Errorf("snapshot:\n%s", b.Snapshot)
	}
	if mustRun(t, Options{Scheduler: "eevdf", Stream: true}).Stream != nil {
		t.Error("EEVDF has callbacks")
	}
}

// TestMissing: cases whose files are not there say which.
func TestMissing(t *testing.T) {
	c := &fidelity.Case{Workload: "w", Scheduler: "x", CPUs: 1, Manifest: fidelity.Manifest{Workload: "w", Object: "x.bpf.o"}}
	dir := t.TempDir()
	l := &Lab{Workloads: []string{dir}}
	var missing *MissingError
	if _, err := l.Case(c); !errors.As(err, &missing) || missing.What != "workload" {
		t.Errorf("%v", err)
	}
	if err := os.WriteFile(dir+"/w.json", []byte(pair), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Case(c); !errors.As(err, &missing) || missing.What != "object" || missing.Name != "x.bpf.o" {
		t.Errorf("%v", err)
	}
}

// TestShares: of two tasks per CPU that never sleep, with the recorded disturbances, each gets what it got on the kernel.
func TestShares(t *testing.T) {
	cases, err := fidelity.Load(recorded + "/hogs-1")
	if err != nil {
		t.Fatal(err)
	}
	l := &Lab{Workloads: []string{recorded + "/../workloads"}}
	for _, c := range cases {
		if c.Scheduler != "eevdf" {
			continue // of the others the objects are not here
		}
		runs, err := l.Case(c)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range fidelity.Compare(c, runs).Rows {
			if strings.HasPrefix(r.Figure, "share") && math.Abs(r.Diff) > r.Tolerance.Allowed {
				t.Errorf("%s: %s differs by %v, allowed %v", c.Name(), r.Figure, r.Diff, r.Tolerance.Allowed)
			}
		}
	}
}
