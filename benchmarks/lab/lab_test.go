package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/schedsim/schedsim/benchmarks/lab/job"
	"github.com/schedsim/schedsim/internal/fidelity"
)

func TestSchedulers(t *testing.T) {
	s, err := findScheduler("scx_central")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"open /o/x", "resize cpu_gimme_task 4", "resize cpu_started_at 4", "global central_cpu 0", "global nr_cpu_ids 4",
		"global slice_ns 20000000", "load", "attach"}
	if d := cmp.Diff(want, s.agent("/o/x", 4)); d != "" {
		t.Error(d)
	}
	if s, err = findScheduler("/some/where/mine.bpf.o"); err != nil || s.Name != "mine" || s.Object != "/some/where/mine.bpf.o" {
		t.Errorf("%+v, %v", s, err)
	}
	if _, err = findScheduler("scx_simpel"); err == nil || !strings.Contains(err.Error(), "scx_simple, ") {
		t.Error(err)
	}
}

func TestMachines(t *testing.T) {
	all := []int{1, 2, 4}
	for _, tc := range []struct {
		file string
		want []int
	}{{"hogs-2.json", []int{2}}, {"hogs-4.json", []int{4}}, {"equal.json", all}, {"affinity.json", all}} {
		got, err := machines(filepath.Join("workloads", tc.file), all)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(tc.want, got); d != "" {
			t.Error(tc.file, d)
		}
	}
	dir := t.TempDir()
	bound := filepath.Join(dir, "bound.json")
	if err := os.WriteFile(bound, []byte(`{"tasks": {"a": {"loop": 1, "cpus": [1], "run": 1}}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := machines(bound, all); err != nil || cmp.Diff([]int{2, 4}, got) != "" {
		t.Error(got, err)
	}
}

// TestRecorded: every workload of the matrix is recorded under every scheduler on all machines that it is for, by the file that it
// is today.
func TestRecorded(t *testing.T) {
	files, err := workloadFiles(filepath.Join("..", ".."), nil)
	if err != nil {
		t.Fatal(err)
	}
	list, err := schedulers()
	if err != nil {
		t.Fatal(err)
	}
	runs := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		on, err := machines(file, []int{1, 2, 4})
		if err != nil {
			t.Fatal(err)
		}
		for _, cpus := range on {
			for _, s := range list {
				name := strings.TrimSuffix(filepath.Base(file), ".json")
				data, err := os.ReadFile(fmt.Sprintf("recorded/%s/%s-%dcpu-s1.json", name, s.Name, cpus))
				if err != nil {
					t.Error(err)
					continue
				}
				r, err := fidelity.Read(bytes.NewReader(data))
				if err != nil {
					t.Errorf("%s under %s: %v", name, s.Name, err)
					continue
				}
				if r.Manifest.WorkloadSHA256 != sum(text) {
					t.Errorf("%s under %s on %d CPUs is of another file", name, s.Name, cpus)
				}
				runs++
			}
		}
	}
	t.Logf("%d runs", runs)
}

// TestPack: what goes into the guest follows from the job alone.
func TestPack(t *testing.T) {
	root, err := moduleRoot()
	if err != nil {
		t.Fatal(err)
	}
	add := filepath.Join(t.TempDir(), "x")
	if err := os.WriteFile(add, []byte("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	j := &job.Job{CPUs: 2, Seed: 2, Steps: []job.Step{
		{Do: "play", Workloads: []string{"workloads/weights.json"}, Schedulers: []string{"eevdf", "simple"}, Stream: true},
		{Do: "verify", Objects: []string{"central.bpf.o"}},
		{Do: "exec", Argv: []string{"/tool", "-v"}, Add: map[string]string{"/tool": add}},
		{Do: "dmesg"},
	}}
	if err := j.Check(); err != nil {
		t.Fatal(err)
	}
	l := &lab{dir: t.TempDir(), root: root}
	g := &guestFiles{files: map[string][]byte{"/init": []byte("init")}, hash: "123"}
	p, err := pack(l, j, g, nil)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(p.guest.Steps); n != 5 {
		t.Fatalf("%d steps", n)
	}
	play := p.guest.Steps[1].Play
	m := play.Manifest
	if m.Workload != "weights" || m.Scheduler != "simple-tap" || m.Object != "simple.bpf.o" || m.CPUs != 2 || m.Seed != 2 || m.Mode != "icount" ||
		m.QuantumUS != 20 || m.ObjectSHA256 != sum(p.files[strings.TrimPrefix(play.Agent[0], "open ")]) || m.Tools["guest"] != "123" {
		t.Errorf("%+v", m)
	}
	if d := cmp.Diff([]string{"/sys/fs/cgroup/heavy", "/sys/fs/cgroup/light"}, play.Cgroups); d != "" {
		t.Error(d)
	}
	if eevdf := p.guest.Steps[0].Play; len(eevdf.Agent) != 0 || eevdf.Manifest.Object != "" {
		t.Errorf("%+v", eevdf)
	}
	if string(p.files["/tool"]) != "hello" || p.guest.Steps[3].Exec[0] != "/tool" || !p.guest.Steps[4].Dmesg {
		t.Errorf("%+v", p.guest.Steps)
	}
	q, err := pack(l, j, g, nil)
	if err != nil || !bytes.Equal(p.archive(), q.archive()) {
		t.Errorf("packed twice, two archives (%v)", err)
	}
	j.Steps[0].Schedulers = []string{"scx_flatcg"}
	if _, err := pack(l, j, g, nil); err == nil || !strings.Contains(err.Error(), "object scx_flatcg.bpf.o: in none of") {
		t.Error(err)
	}
}

func TestPhases(t *testing.T) {
	seen := map[int64]bool{}
	for seed := uint64(1); seed <= 8; seed++ {
		ph := int64(phase(seed))
		if seen[ph] || ph <= 0 || ph >= 4_000_000 || ph%2_000_000 == 0 {
			t.Errorf("seed %d: T0 %d ns after a tick", seed, ph)
		}
		seen[ph] = true
	}
}

func TestCompress(t *testing.T) {
	for _, text := range []string{"", "a", strings.Repeat("0 1 enqueue 5\n", 10000)} {
		data, err := compress([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		z, err := gzip.NewReader(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		back, err := io.ReadAll(z)
		if err != nil || string(back) != text {
			t.Errorf("%d bytes became %d, %v", len(text), len(back), err)
		}
	}
}

func TestSplit(t *testing.T) {
	port := `{"file":"progress","data":"x"}
{"file":"a/b.json","raw":"aGFs"}
{"file":"a/b.json","raw":"bG8="}
{"file":"v.jsonl","data":{"x":1}}
{"file":"v.jsonl","data":{"x":2}}
{"file":"problems.jsonl","data":{"step":"s","error":"e"}}
`
	o, err := split([]byte(port))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for k, v := range o.files {
		got[k] = string(v)
	}
	want := map[string]string{"a/b.json": "hallo", "v.jsonl": "{\"x\":1}\n{\"x\":2}\n", "problems.jsonl": "{\"step\":\"s\",\"error\":\"e\"}\n"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if len(o.problems) != 1 || o.problems[0].Step != "s" {
		t.Errorf("%+v", o.problems)
	}
	if _, err := split([]byte("{\"file\":\n")); err == nil {
		t.Error("half a line is no error")
	}
}

// needLab skips a test where the lab is not there, or where nobody wants to wait for it.
func needLab(t *testing.T) *lab {
	t.Helper()
	if testing.Short() {
		t.Skip("boots a kernel, which takes 20 s")
	}
	l, err := here()
	if err == nil {
		_, err = l.kernel("7.2")
	}
	if errors.Is(err, ErrAbsent) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// TestBoot goes the whole way: a workload under two schedulers and a verdict, from a real kernel.
func TestBoot(t *testing.T) {
	l := needLab(t)
	j := &job.Job{CPUs: 2, SettleMS: 1, Steps: []job.Step{ // by instructions: the host's load counts for nothing
		{Do: "play", Workloads: []string{"workloads/changes.json"}, Schedulers: []string{"eevdf", "simple"}, Stream: true},
		{Do: "verify", Objects: []string{"simple.bpf.o"}},
		{Do: "dmesg"},
	}}
	if err := j.Check(); err != nil {
		t.Fatal(err)
	}
	o, err := boot(context.Background(), l, j, nil, nil, nil)
	if err != nil || len(o.problems) > 0 {
		t.Fatal(err, o)
	}
	for _, sched := range []string{"eevdf", "simple-tap"} {
		r, err := fidelity.Read(bytes.NewReader(o.files["changes/"+sched+"-2cpu-s1.json"]))
		if err != nil {
			t.Fatal(sched, err)
		}
		groups := map[string]int{}
		for _, task := range r.Tasks {
			groups[task.Group]++
			if task.CPUNS == 0 {
				t.Errorf("%s: %s did not run", sched, task.Name)
			}
		}
		if d := cmp.Diff(map[string]int{"a": 2, "b": 2, "timer": 1, "late": 2}, groups); d != "" {
			t.Error(sched, d)
		}
		if strings.Contains(r.Manifest.Note, "problem") || r.Exit != nil || r.Totals.Units == 0 || r.Window.LengthNS != 1_200_000_000 {
			t.Errorf("%s: %+v", sched, r)
		}
	}
	s, err := fidelity.ReadStream(bytes.NewReader(o.files["changes/simple-tap-2cpu-s1.ops"]))
	if err != nil {
		t.Fatal(err)
	}
	calls := map[string]int{}
	for _, op := range s.Ops {
		calls[op.Name]++
	}
	if calls["enqueue"] == 0 || calls["dispatch"] == 0 {
		t.Errorf("%v", calls)
	}
	accepted := 0
	for line := range bytes.Lines(o.files["verdicts.jsonl"]) {
		var v job.Verdict
		if err := json.Unmarshal(line, &v); err != nil {
			t.Fatal(err)
		}
		if v.Errno == 0 && v.Insns > 0 {
			accepted++
		} else {
			t.Errorf("%+v", v)
		}
	}
	if accepted == 0 {
		t.Error("no verdicts")
	}
	if !bytes.Contains(o.files["dmesg.txt"], []byte(`BPF scheduler "simple" enabled`)) {
		t.Error("the kernel's log does not name the scheduler")
	}
}

// TestOperations plays a file with every action of the timeline that the player knows, CPUs that go and come among them: the kernel
// refuses none.
func TestOperations(t *testing.T) {
	l := needLab(t)
	j := &job.Job{CPUs: 2, SettleMS: 1, Steps: []job.Step{
		{Do: "play", Workloads: []string{"testdata/operations.json"}, Schedulers: []string{"eevdf"}},
	}}
	if err := j.Check(); err != nil {
		t.Fatal(err)
	}
	o, err := boot(context.Background(), l, j, nil, nil, nil)
	if err != nil || len(o.problems) > 0 {
		t.Fatal(err, o)
	}
	r, err := fidelity.Read(bytes.NewReader(o.files["operations/eevdf-2cpu-s1.json"]))
	if err != nil {
		t.Fatal(err)
	}
	if r.Manifest.Note != "" {
		t.Errorf("%s", r.Manifest.Note)
	}
	groups := map[string]int{}
	for _, task := range r.Tasks {
		groups[task.Group]++
	}
	if groups["late"] != 3 || groups["child"] != 5 || len(groups) != 12 {
		t.Errorf("%v", groups)
	}
}

// TestRepeats: with counted instructions a boot repeats bit by bit.
func TestRepeats(t *testing.T) {
	l := needLab(t)
	var first map[string][]byte
	for range 2 {
		j := &job.Job{CPUs: 2, SettleMS: 500, Steps: []job.Step{
			{Do: "play", Workloads: []string{"workloads/pingpong-2.json"}, Schedulers: []string{"eevdf", "simple"}, Stream: true, Events: true}, {Do: "dmesg"},
		}}
		if err := j.Check(); err != nil {
			t.Fatal(err)
		}
		o, err := boot(context.Background(), l, j, nil, nil, nil)
		if err != nil || len(o.problems) > 0 {
			t.Fatal(err, o)
		}
		if first == nil {
			first = o.files
			continue
		}
		if len(first) < 6 || len(first) != len(o.files) {
			t.Errorf("%d files, then %d", len(first), len(o.files))
		}
		for name, data := range first {
			if !bytes.Equal(data, o.files[name]) {
				t.Errorf("%s: %d bytes, then %d others", name, len(data), len(o.files[name]))
			}
		}
	}
}
