package ladder

import (
	"bytes"
	"context"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/schedsim/schedsim/reports"
	"github.com/schedsim/schedsim/sim"
	"github.com/schedsim/schedsim/sim/topo"
	"github.com/schedsim/schedsim/workloads"
)

var update = flag.Bool("update", false, "rewrite golden files")

func TestEntries(t *testing.T) {
	seen := map[string]bool{}
	for _, e := range Entries() {
		if seen[e.Name] || !strings.HasPrefix(e.Name, "scx_") {
			t.Errorf("%s: twice, or no name of an object", e.Name)
		}
		seen[e.Name] = true
		if e.Rung < 0 || e.Rung > TopRung || e.CID > TopRung || len(e.Checks) == 0 {
			t.Errorf("%s: rung %d, %d in the cid form, checks %v", e.Name, e.Rung, e.CID, e.Checks)
		}
		for _, c := range e.Checks {
			if CheckByName(c) == nil {
				t.Errorf("%s: no check %q", e.Name, c)
			}
		}
	}
	for n := range TopRung + 1 {
		if RungText(n) == RungText(-1) {
			t.Errorf("rung %d says nothing", n)
		}
	}
}

func TestFind(t *testing.T) {
	for _, tc := range []struct {
		path string
		cid  bool
		rung int
	}{
		{"x/scx_simple.bpf.o", false, 1},
		{"scx_lavd.bpf.o", false, 10},
		{"x/scx_qmap.bpf.o", false, 6},
		{"x/scx_qmap.bpf.o", true, 12},
		{"x/scx_qmap.bpf.o:qmap_ops", true, 12},
		{"x/mine.bpf.o", false, -1},
	} {
		rung := -1
		if e := Find(tc.path, tc.cid); e != nil {
			rung = e.Rung
		}
		if rung != tc.rung {
			t.Errorf("%s, cid form %v: rung %d, want %d", tc.path, tc.cid, rung, tc.rung)
		}
	}
}

// Every check has a workload that can be read and fits its machine, and says what it is about.
func TestChecksWhole(t *testing.T) {
	used := map[string]bool{}
	for _, e := range Entries() {
		for _, c := range e.Checks {
			used[c] = true
		}
	}
	for _, c := range Checks() {
		m, err := topo.Parse(c.Topo)
		if err != nil {
			t.Fatalf("%s: %v", c.Name, err)
		}
		w, err := workloads.Parse(c.Name, []byte(c.Workload), workloads.Options{CPUs: len(m.CPUs)})
		if err != nil {
			t.Fatalf("%s: %v", c.Name, err)
		}
		if _, err := w.Bind(len(m.CPUs)); err != nil || len(w.Warnings) > 0 {
			t.Errorf("%s: %v %v", c.Name, err, w.Warnings)
		}
		if c.Says == "" || c.Limit == "" || c.Length <= 0 || c.Measure == nil || !used[c.Name] {
			t.Errorf("%s: something is missing, or nobody uses it", c.Name)
		}
	}
}

func TestObjects(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a/scx_lavd.bpf.o", "a/scx_prev.bpf.o", "a/mine.bpf.o", "a/notes.txt", "b/x"} {
		if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte("no object"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	list, err := Objects(filepath.Join(dir, "a"), filepath.Join(dir, "missing.bpf.o"))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, o := range list {
		got = append(got, strings.TrimPrefix(o.Label, filepath.Base(dir)+"/"))
	}
	if diff := cmp.Diff([]string{"a/prev", "a/lavd", "missing", "a/mine"}, got); diff != "" {
		// Those that are not known come last, in the order of their labels.
		if diff = cmp.Diff([]string{"a/prev", "a/lavd", "a/mine", "missing"}, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	if !list[0].Named("prev") || !list[0].Named("scx_prev") || list[0].Named("lavd") {
		t.Error("an object is not called by its name")
	}
	if _, err := Objects(filepath.Join(dir, "b")); err == nil || !strings.Contains(err.Error(), "no object (*.bpf.o) in this folder") {
		t.Errorf("folder without objects: %v", err)
	}
}

const bugs = "../../examples/bugs/"

// How far an object comes, and what is said of it.
func TestStages(t *testing.T) {
	dir := t.TempDir()
	junk := filepath.Join(dir, "junk.bpf.o")
	if err := os.WriteFile(junk, []byte("no object"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name   string
		job    Job
		stage  Stage
		exit   string
		reason string
	}{
		{"runs", Job{Object: "../../examples/bpf/simple.bpf.o", Workload: "saturated"}, StageDone, "", ""},
		{"built in", Job{Object: "vtime", Workload: "interactive"}, StageDone, "", ""},
		{"missing", Job{Object: filepath.Join(dir, "none.bpf.o"), Workload: "saturated"}, StageMissing, "", "no such file"},
		{"no object", Job{Object: junk, Workload: "saturated"}, StageLoad, "", "junk.bpf.o"},
		{"refused by the verifier", Job{Object: "../../sched/bpf/testdata/ksyms.bpf.o", Workload: "saturated", Kernel: "none"}, StageRun, "", "kernel"},
		{"ends", Job{Object: bugs + "stale-mask/flawed.bpf.o", Check: "test-narrowed"}, StageMissing, "", "there is none"},
		{"no such workload", Job{Object: "fifo", Workload: "nope"}, StageMissing, "", "not one of"},
		{"check holds", Job{Object: "fifo", Check: "fifo"}, StageDone, "", ""},
		{"check does not hold", Job{Object: "fifo", Check: "one-cpu"}, StageCheck, "", "of the CPU time is on CPU 0"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.job.Topo, tc.job.Seed, tc.job.Costs = "1n1l4c1t", 42, true
			tc.job.Length = 200 * sim.Millisecond
			r := Run(tc.job).Result
			if r.Stage != tc.stage || r.Exit != tc.exit || !strings.Contains(r.Reason, tc.reason) || (r.Reason == "") != (tc.reason == "") {
				t.Errorf("stage %s, exit %q, reason %q; want %s, %q, %q", r.Stage, r.Exit, r.Reason, tc.stage, tc.exit, tc.reason)
			}
			if r.Stage == StageDone && tc.job.Check == "" && (r.Simulated != 200*sim.Millisecond || r.Callbacks == 0 || r.CPUs != 4 || r.Switches == 0) {
				t.Errorf("nothing seems to have run: %+v", r)
			}
		})
	}
}

// The result is the same each time, whatever else runs.
func TestClimbDeterministic(t *testing.T) {
	objects := []Object{object("../../examples/bpf/simple.bpf.o"), object("vtime")}
	run := func(jobs int) []Result {
		o := Options{Workloads: []string{"interactive"}, Topos: []string{"1n1l2c1t", "1n2l2c1t"}, Length: 100 * sim.Millisecond, Seed: 1, Jobs: jobs}
		done := 0
		o.Done = func(Outcome) { done++ }
		table, err := Climb(context.Background(), objects, o)
		if err != nil {
			t.Fatal(err)
		}
		if done != o.Count(objects) || done != 4 {
			t.Errorf("%d runs done, %d planned", done, o.Count(objects))
		}
		var list []Result
		for _, r := range table.Rows {
			for _, out := range r.Outcomes {
				list = append(list, out.Result)
			}
		}
		return list
	}
	if diff := cmp.Diff(run(1), run(3)); diff != "" {
		t.Errorf("(-one at a time +three):\n%s", diff)
	}
}

func TestClimbStops(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	n := 0
	o := Options{NoChecks: true, Do: func(_ context.Context, j Job) Outcome {
		if n++; n == 3 {
			cancel()
		}
		return Outcome{Job: j, Result: Result{Stage: StageDone}}
	}}
	table, err := Climb(ctx, []Object{{Path: "a"}}, o)
	if err == nil || n > 4 {
		t.Errorf("%d runs after the end, error %v", n, err)
	}
	// What was done until then counts.
	if got, of := table.Rows[0].passed(StageRun); got != 2 || of != 2 || table.OK() || len(table.Problems()) != 0 {
		t.Errorf("%d of %d runs, problems %v", got, of, table.Problems())
	}
}

// sample is a table with one of everything.
func sample() *Table {
	o := Options{Workloads: []string{"saturated", "forkstorm"}, Topos: []string{"1n1l4c1t", "1n2l8c2t"}}
	good := func(topo, workload string) Outcome {
		return Outcome{Job: Job{Topo: topo, Workload: workload},
			Result:   Result{Scheduler: "good", Stage: StageDone, Simulated: 10 * sim.Second, Callbacks: 4_000_000, Insns: 900_000_000},
			Measured: Measured{Load: 200 * time.Millisecond, Run: 4 * time.Second, CPU: 2 * time.Second, Peak: 64 << 20, End: 24 << 20, Space: 10 << 20}}
	}
	bad := func(topo, workload string, stage Stage, exit, reason string) Outcome {
		return Outcome{Job: Job{Topo: topo, Workload: workload}, Result: Result{Stage: stage, Exit: exit, Reason: reason}}
	}
	late := good("1n2l8c2t", "saturated")
	late.Measured.CPU = 20 * time.Second
	var t Table
	t.Options = o
	t.Rows = []Row{
		{Object{Label: "x/good", Rung: 1}, []Outcome{good("1n1l4c1t", "saturated"), good("1n1l4c1t", "forkstorm"), good("1n2l8c2t", "saturated"),
			good("1n2l8c2t", "forkstorm"), {Job: Job{Check: "vtime"}, Result: Result{Stage: StageDone, Finding: &Finding{OK: true, Figure: "within 1.0 %"}}}}},
		{Object{Label: "x/ends", Rung: 3}, []Outcome{good("1n1l4c1t", "saturated"), good("1n1l4c1t", "forkstorm"), late,
			bad("1n2l8c2t", "forkstorm", StageRun, "SCX_EXIT_ERROR_STALL", "runnable task stall: cc|1 failed"),
			{Job: Job{Check: "central"}, Result: Result{Stage: StageCheck, Reason: "1 of 9", Finding: &Finding{Figure: "11 %"}}}}},
		{Object{Label: "x/refused", Rung: -1}, []Outcome{bad("1n1l4c1t", "saturated", StageVerify, "", "R1 is bad"), bad("1n1l4c1t", "forkstorm", StageVerify, "", "R1 is bad"),
			bad("1n2l8c2t", "saturated", StageVerify, "", "R1 is bad"), bad("1n2l8c2t", "forkstorm", StageVerify, "", "R1 is bad")}},
	}
	return &t
}

func TestEffort(t *testing.T) {
	small := Job{Topo: "1n1l4c1t", Workload: "saturated", Length: sim.Second}
	large, longer, check := small, small, Job{Check: "cells"}
	large.Topo, longer.Length = "2n4l8c2t", 2*sim.Second
	for name, j := range map[string]Job{"a larger machine": large, "longer": longer} {
		if j.Effort() <= small.Effort() {
			t.Errorf("%s: effort %v, of a small one %v", name, j.Effort(), small.Effort())
		}
	}
	if check.Effort() <= loadEffort {
		t.Errorf("a check: effort %v, of loading alone %v", check.Effort(), loadEffort)
	}
}

func TestTable(t *testing.T) {
	var text, md bytes.Buffer
	if err := sample().WriteText(&text, reports.TextOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := sample().WriteMarkdown(&md); err != nil {
		t.Fatal(err)
	}
	for name, got := range map[string]string{"table.txt": text.String(), "table.md": md.String()} {
		file := filepath.Join("testdata", name)
		if *update {
			if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", file, diff)
		}
	}
	if sample().OK() {
		t.Error("all is well, though two objects did not come far")
	}
	rows := sample().Rows
	if !rows[0].OK() || rows[1].OK() {
		t.Error("a row is not what it says")
	}
}

// What was written can be read, and says the same.
func TestRead(t *testing.T) {
	var all, one, two bytes.Buffer
	whole := sample()
	for b, rows := range map[*bytes.Buffer][]Row{&all: whole.Rows, &one: whole.Rows[1:], &two: whole.Rows[:1]} {
		if err := (&Table{Rows: rows}).WriteJSON(b); err != nil {
			t.Fatal(err)
		}
	}
	want, err := Read(&all)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Read(&one, &two)
	if err != nil {
		t.Fatal(err)
	}
	var a, b, c bytes.Buffer
	for w, table := range map[*bytes.Buffer]*Table{&a: whole, &b: want, &c: got} {
		if err := table.WriteMarkdown(w); err != nil {
			t.Fatal(err)
		}
	}
	// The sample does not say how long it ran.
	head, _, _ := strings.Cut(a.String(), "\n")
	if diff := cmp.Diff(strings.TrimPrefix(a.String(), head), b.String()[strings.Index(b.String(), "\n"):]); diff != "" {
		t.Errorf("(-written +read):\n%s", diff)
	}
	if diff := cmp.Diff(b.String(), c.String()); diff != "" {
		t.Errorf("(-one file +two):\n%s", diff)
	}
	for _, bad := range []string{"", "{}", "[1]", "{\"rows\": 3}"} {
		if _, err := Read(strings.NewReader(bad)); err == nil || !strings.HasPrefix(err.Error(), "results of the ladder: ") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// TestListed: what the command prints for documents names every check and every scheduler.
func TestListed(t *testing.T) {
	var b bytes.Buffer
	if err := WriteList(&b); err != nil {
		t.Fatal(err)
	}
	for _, e := range Entries() {
		if !strings.Contains(b.String(), strings.TrimPrefix(e.Name, "scx_")) {
			t.Errorf("%s is not in the list", e.Name)
		}
	}
	if n := strings.Count(b.String(), "\n"); n < len(Checks())+TopRung {
		t.Errorf("%d lines", n)
	}
}

// kernelFolders are where the kernel's own schedulers lie, if they do.
func kernelFolders() []string {
	dirs := filepath.SplitList(os.Getenv("SCHEDSIM_OBJECTS"))
	if home, err := os.UserHomeDir(); err == nil {
		dirs = append(dirs, filepath.Join(home, ".cache", "schedsim", "linux-7.2", "obj"))
	}
	return dirs
}

// The kernel's examples climb the ladder: each verifies, attaches, runs the three workloads and does what it says.
func TestKernelLadder(t *testing.T) {
	for _, name := range []string{"scx_simple", "scx_cpu0", "scx_central", "scx_flatcg", "scx_sdt", "scx_pair", "scx_userland"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			at := slices.IndexFunc(kernelFolders(), func(dir string) bool {
				_, err := os.Stat(filepath.Join(dir, name+".bpf.o"))
				return err == nil
			})
			if at < 0 {
				t.Skipf("%s.bpf.o is neither in SCHEDSIM_OBJECTS nor in ~/.cache/schedsim/linux-7.2: run scripts/kernel-objects", name)
			}
			obj := object(filepath.Join(kernelFolders()[at], name+".bpf.o"))
			table, err := Climb(context.Background(), []Object{obj}, Options{Length: 100 * sim.Millisecond, Seed: 42})
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range table.Problems() {
				t.Errorf("%s: %s: %s", p.Where, p.Stage, p.Reason)
			}
			if n, of := table.Rows[0].passed(StageRun); n != of || of != 9 {
				t.Errorf("%d of %d runs", n, of)
			}
		})
	}
}
