package bugs_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/schedsim/schedsim/internal/runner"
	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/reports"
	"github.com/schedsim/schedsim/sim/topo"
	"github.com/schedsim/schedsim/workloads"
)

// bug is a directory with sched.bpf.c, compiled twice, and a workload.
type bug struct {
	name, topo string
	// kind and text are how the flawed scheduler ends; the fixed one goes on to the end. ops.ExitNone: neither ends, and
	// worse tells by the two reports how the flaw shows.
	kind  ops.ExitKind
	text  string
	worse func(t *testing.T, flawed, fixed *reports.Report)
}

func bugs() []bug {
	return []bug{
		{name: "gone-cgroup", topo: "1n1l1c1t", kind: ops.ExitErrorStall, text: "b-1[2] failed to run for "},
		{name: "hidden-queue", topo: "1n1l2c1t", kind: ops.ExitErrorStall, text: "pinned-2[3] failed to run for "},
		{name: "lost-aging", topo: "1n1l2c1t", worse: starved("bursty-8", 50)},
		{name: "migration-disabled", topo: "1n1l2c1t", kind: ops.ExitError,
			text: "SCX_DSQ_LOCAL[_ON] cannot move migration disabled worker-1[2] from CPU 0 to 1"},
		{name: "missing-kick", topo: "1n1l2c1t", kind: ops.ExitErrorStall, text: "sleeper-1[2] failed to run for "},
		{name: "orphan-queue", topo: "2n1l2c1t", kind: ops.ExitErrorStall, text: "nice-0[1] failed to run for "},
		{name: "small-map", topo: "1n16l1c1t", kind: ops.ExitErrorBPF, text: "failed to init cgroup 5: -7"},
		{name: "stale-cpu", topo: "1n1l2c1t", kind: ops.ExitError, text: "SCX_DSQ_LOCAL[_ON] target CPU 0 not allowed for moves-1[2]"},
		{name: "stale-mask", topo: "1n1l4c1t", kind: ops.ExitError, text: "SCX_DSQ_LOCAL[_ON] target CPU 0 not allowed for narrowed-0[1]"},
		{name: "torn-cursor", topo: "1n1l2c1t", kind: ops.ExitErrorBPF, text: "0 of 64 are free"},
		{name: "vtime-underflow", topo: "1n1l2c1t", kind: ops.ExitErrorStall, text: "child-5-0000[6] failed to run for "},
		{name: "wrong-clock", topo: "1n2l2c1t", kind: ops.ExitErrorStall, text: "guest-11[12] failed to run for "},
	}
}

// starved checks that the task gets many times more CPU time with the fix.
func starved(task string, times int64) func(*testing.T, *reports.Report, *reports.Report) {
	return func(t *testing.T, flawed, fixed *reports.Report) {
		t.Helper()
		used := func(r *reports.Report) int64 {
			for _, x := range r.Tasks {
				if x.Comm == task {
					return int64(x.CPUTime)
				}
			}
			t.Fatalf("there is no task %s", task)
			return 0
		}
		if a, b := used(flawed), used(fixed); b < times*a {
			t.Errorf("%s ran %d ns, %d ns with the fix: less than %d times as much", task, a, b, times)
		}
	}
}

// The flaw shows, and no longer does with the fix.
func TestBugs(t *testing.T) {
	for _, b := range bugs() {
		t.Run(b.name, func(t *testing.T) {
			flawed, fixed := b.run(t, "flawed"), b.run(t, "fixed")
			if fixed.Exit != nil {
				t.Errorf("fixed: ended: %s (%s)", fixed.Exit.Reason, fixed.Exit.Message)
			}
			switch e := flawed.Exit; {
			case e == nil && b.kind != ops.ExitNone:
				t.Errorf("flawed: did not end; want kind %d (%s)", b.kind, b.text)
			case e != nil && (e.Kind != b.kind || !strings.Contains(e.Message, b.text)):
				t.Errorf("flawed: ended with kind %d: %s (%s); want %d (%s)", e.Kind, e.Reason, e.Message, b.kind, b.text)
			}
			if b.worse != nil {
				b.worse(t, flawed, fixed)
			}
		})
	}
}

// Every directory is in the table.
func TestAllBugs(t *testing.T) {
	dirs, err := filepath.Glob("*/sched.bpf.c")
	if err != nil || len(dirs) != len(bugs()) {
		t.Errorf("%d directories with a scheduler, %d in the table (%v)", len(dirs), len(bugs()), err)
	}
}

func (b *bug) run(t *testing.T, variant string) *reports.Report {
	t.Helper()
	file := filepath.Join(b.name, "workload.json")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	w, err := workloads.Parse(file, text, workloads.Options{})
	if err != nil {
		t.Fatal(err)
	}
	m, err := topo.Parse(b.topo)
	if err != nil {
		t.Fatal(err)
	}
	res, err := runner.Run(runner.Options{Scheduler: filepath.Join(b.name, variant+".bpf.o"), Workload: w, Topo: m, Seed: 42, Costs: runner.DefaultCosts()})
	if err != nil {
		t.Fatalf("%s: %v", variant, err)
	}
	return res.Report
}
