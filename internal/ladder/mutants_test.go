package ladder

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/schedsim/schedsim/internal/runner"
	"github.com/schedsim/schedsim/sched/bpf"
	"github.com/schedsim/schedsim/sched/bpf/agent/recipes"
)

// mutant is a scheduler whose loader does something else than it should, so that it does not do what its authors say.
type mutant struct {
	scheduler, check string
	what             string
	globals          map[string]any
	members          map[string]string
	recipe           [2]string // the one that it has, with the second text for the first
	script           string    // and more of its script
}

// queues leaves all to the kernel: what a task waits in is its queue of all CPUs, in order of time.
var queues = map[string]string{"enqueue": "NULL", "dispatch": "NULL", "select_cpu": "NULL", "flags": "0"}

// Each check refuses schedulers whose policy was broken from outside: by a variable, a callback that is left out, or a
// user-space half that does less.
func TestMutants(t *testing.T) {
	for _, m := range mutants {
		t.Run(m.check+"/"+m.scheduler+"/"+m.what, func(t *testing.T) {
			file := findObject(t, "scx_"+m.scheduler)
			r := Job{Object: file, Check: m.check, Seed: 42, Costs: true, Kernel: Find(file, false).Kernel}.run(func(o *runner.Options) {
				o.Globals = m.globals
				for name, v := range m.members {
					o.Members = append(o.Members, bpf.Member{Name: name, Value: v})
				}
				if m.recipe[0] != "" || m.script != "" {
					o.Recipe = without(t, m)
				}
			}).Result
			switch {
			case r.Stage == StageLoad || r.Stage == StageVerify || r.Stage == StageAttach:
				t.Skipf("%s is refused: %s", file, r.Reason)
			case r.Finding == nil:
				t.Errorf("nothing was found: %s, %s", r.Stage, r.Reason)
			case r.Finding.OK:
				t.Errorf("the check holds: %s", r.Finding.Figure)
			}
			if r.Finding != nil {
				t.Logf("%s: %s", r.Finding.Figure, r.Finding.Text)
			}
		})
	}
}

func findObject(t *testing.T, name string) string {
	t.Helper()
	for _, dir := range kernelFolders() {
		file := filepath.Join(dir, name+".bpf.o")
		if _, err := os.Stat(file); err == nil {
			return file
		}
	}
	t.Skipf("%s.bpf.o is in no folder of SCHEDSIM_OBJECTS", name)
	return ""
}

// without is the recipe of a scheduler with some of its text replaced.
func without(t *testing.T, m mutant) *recipes.Recipe {
	t.Helper()
	text, script, err := recipes.Source(m.scheduler)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(text, m.recipe[0]) {
		t.Fatalf("recipe %s has no %q", m.scheduler, m.recipe[0])
	}
	text = strings.ReplaceAll(text, m.recipe[0], m.recipe[1])
	r, err := recipes.Parse(m.scheduler+".json", []byte(text), func(string) ([]byte, error) { return []byte(script + m.script), nil })
	if err != nil {
		t.Fatal(err)
	}
	return r
}

var mutants = []mutant{
	{scheduler: "simple", check: "vtime", what: "FIFO", globals: map[string]any{"fifo_sched": true}},
	{scheduler: "simple", check: "vtime", what: "no weights", members: map[string]string{"stopping": "NULL"}},
	{scheduler: "beerland", check: "vtime", what: "no virtual time", members: map[string]string{"stopping": "NULL"}},
	{scheduler: "cosmos", check: "vtime", what: "no virtual time", members: map[string]string{"stopping": "NULL"}},
	{scheduler: "flash", check: "vtime", what: "round robin", globals: map[string]any{"rr_sched": true}},
	{scheduler: "forge", check: "vtime", what: "FIFO", globals: map[string]any{"ordering": 2}},
	{scheduler: "flatcg", check: "cgroup-weights", what: "long turns", globals: map[string]any{"cgrp_slice_ns": "10s"}},
	{scheduler: "flatcg", check: "cgroup-weights", what: "no cgroups", members: queues},
	{scheduler: "qmap", check: "five-queues", what: "the kernel queues", members: queues},
	{scheduler: "prev", check: "sticky", what: "the kernel chooses", members: map[string]string{"select_cpu": "NULL"}},
	{scheduler: "beerland", check: "locality", what: "four primary CPUs", globals: map[string]any{"primary_all": false},
		recipe: [2]string{`"loaded": [`, `"loaded": [{"run": "enable_primary_cpu", "for": "c in range(4)", "args": {"cpu_id": "=c"}},`}},
	{scheduler: "cosmos", check: "locality", what: "four primary CPUs", globals: map[string]any{"primary_all": false},
		recipe: [2]string{`"loaded": [`, `"loaded": [{"run": "enable_primary_cpu", "for": "c in range(4)", "args": {"cpu_id": "=c"}},`}},
	{scheduler: "p2dq", check: "llc", what: "LLCs that are none", recipe: [2]string{`"=[c.llc for c in cpus]"`, `"=[c.id % 2 for c in cpus]"`}},
	{scheduler: "chaos", check: "llc", what: "LLCs that are none", recipe: [2]string{`"=[c.llc for c in cpus]"`, `"=[c.id % 2 for c in cpus]"`}},
	{scheduler: "rusty", check: "domains", what: "domains across LLCs", globals: map[string]any{"cpu_dom_id_map": []any{0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1}}},
	{scheduler: "cpu0", check: "one-cpu", what: "the kernel chooses", members: map[string]string{"select_cpu": "NULL"}},
	{scheduler: "cpu0", check: "one-cpu", what: "the kernel queues", members: map[string]string{"enqueue": "NULL"}},
	{scheduler: "central", check: "central", what: "another CPU", globals: map[string]any{"central_cpu": 3}},
	{scheduler: "central", check: "central", what: "the kernel queues", members: queues},
	{scheduler: "nest", check: "nest", what: "the kernel chooses", members: map[string]string{"select_cpu": "NULL"}},
	{scheduler: "nest", check: "nest", what: "nothing is removed", globals: map[string]any{"p_remove_ns": "10s"}},
	{scheduler: "tickless", check: "tickless", what: "the kernel queues", members: queues},
	{scheduler: "pair", check: "pair", what: "other pairs", globals: map[string]any{"pair_cpu": []any{1, 0, 3, 2}, "pair_id": []any{0, 0, 1, 1}, "in_pair_idx": []any{0, 1, 0, 1}}},
	{scheduler: "pair", check: "pair", what: "no pairs", members: queues},
	{scheduler: "mitosis", check: "cells", what: "no cells", recipe: [2]string{`{"every": "10ms", "call": "cells"},`, ""}, script: "\ndef top():\n    return []\n"},
	{scheduler: "mitosis", check: "cells", what: "uneven cells", script: "\ndef split(ids, wishes):\n    return {0: ids[:1], 1: ids[1:2], 2: ids[2:]}\n"},
	{scheduler: "layered", check: "layers", what: "no loop", recipe: [2]string{`{"every": "100ms", "call": "step"},`, ""}},
	{scheduler: "layered", check: "layers", what: "all for one", script: "\ndef target(i):\n    return 8 if i == 2 else 0\n"},
	{scheduler: "flow", check: "latency", what: "the kernel queues", members: queues},
	{scheduler: "bpfland", check: "latency", what: "the kernel queues", members: queues},
	{scheduler: "pandemonium", check: "latency", what: "the kernel queues", members: queues},
	{scheduler: "timely", check: "latency", what: "the kernel queues", members: queues},
	{scheduler: "lavd", check: "latency", what: "the kernel queues", members: queues},
	{scheduler: "rustland", check: "latency", what: "first in, first out", recipe: [2]string{`"agent": "rustland"`, `"agent": "rlfifo"`}},
	{scheduler: "rustland", check: "user-space", what: "the kernel queues", members: queues},
	{scheduler: "rlfifo", check: "user-space", what: "the kernel queues", members: queues},
	{scheduler: "userland", check: "user-space", what: "the kernel queues", members: queues},
}
