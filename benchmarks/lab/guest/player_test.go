//go:build linux && amd64

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/schedsim/schedsim/benchmarks/lab/plan"
	"github.com/schedsim/schedsim/internal/fidelity"
	"github.com/schedsim/schedsim/sim"
)

// playHere builds the player and has it play a workload on the host.
func playHere(t *testing.T, text string) *result {
	t.Helper()
	if testing.Short() {
		t.Skip("builds a C program")
	}
	if _, err := exec.LookPath("gcc"); err != nil {
		t.Skip(err)
	}
	p, err := plan.Compile("test.json", []byte(text), plan.Options{CPUs: 1, Seed: 1, Lead: 100 * sim.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	player, in, out := filepath.Join(dir, "player"), filepath.Join(dir, "plan"), filepath.Join(dir, "result")
	if msg, err := exec.Command("gcc", "-O2", "-o", player, "../native/player.c").CombinedOutput(); err != nil {
		t.Skipf("gcc: %v\n%s", err, msg)
	}
	if err := os.WriteFile(in, []byte(p.Text), 0o600); err != nil {
		t.Fatal(err)
	}
	if msg, err := exec.Command(player, in, out).CombinedOutput(); err != nil {
		if strings.Contains(string(msg), "Operation not permitted") || strings.Contains(string(msg), "took too long") {
			t.Skipf("%s", msg)
		}
		t.Fatalf("%v: %s", err, msg)
	}
	data, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	res, err := parseResult(data, p.Tasks)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

// TestPlayer plays tasks that end and that meet at every kind of object. How often each does its work does not depend on time.
func TestPlayer(t *testing.T) {
	res := playHere(t, `{"tasks": {
		"post": {"loop": 60, "run": 10, "sem_post": "s"},
		"take": {"loop": 60, "sem_wait": "s", "run": 10},
		"met": {"instance": 3, "loop": 20, "run": 20, "barrier": "b"},
		"locked": {"instance": 2, "loop": 50, "lock": "m", "run": 20, "unlock": "m"},
		"first": {"loop": 10, "lock": "n", "sync": {"ref": "c", "mutex": "n"}, "unlock": "n", "run": 10},
		"second": {"loop": 100, "sleep": 1000, "run": 10, "lock": "n", "broad": "c", "unlock": "n"},
		"parent": {"loop": 5, "run": 10, "fork": "child"},
		"child": {"instance": 0, "loop": 2, "run": 10, "yield": ""},
		"late": {"loop": 3, "delay": 1000, "timer": {"ref": "unique", "period": 1000, "mode": "absolute"}, "run": 3000}
	}}`)
	if !res.ended || res.problems != "" || res.lost {
		t.Errorf("ended %t, lost %t, %s", res.ended, res.lost, res.problems)
	}
	group := map[int32]string{}
	tasks := map[string]int{}
	for _, task := range res.tasks {
		group[task.PID] = task.Group
		tasks[task.Group]++
		if !strings.HasPrefix(task.Name, task.Group+"-") {
			t.Errorf("%+v", task)
		}
	}
	if d := cmp.Diff(map[string]int{"post": 1, "take": 1, "met": 3, "locked": 2, "first": 1, "second": 1, "parent": 1, "child": 5, "late": 1}, tasks); d != "" {
		t.Error(d)
	}
	units, misses := map[string]int{}, map[string]int{}
	for _, n := range res.notes {
		if n.At < 0 || n.At > res.end-res.zero || n.Value < 0 {
			t.Errorf("%s: %+v in a window of %d ns", group[n.Task], n, res.end-res.zero)
		}
		if n.Kind == fidelity.EventMiss {
			misses[group[n.Task]]++
			continue
		}
		units[group[n.Task]]++
	}
	want := map[string]int{"post": 60, "take": 60, "met": 60, "locked": 100, "first": 10, "second": 100, "parent": 5, "child": 10, "late": 3}
	if d := cmp.Diff(want, units); d != "" {
		t.Error(d)
	}
	// Three milliseconds of work in periods of one: the second and the third time the timer has expired, on a busy host the first
	// time too.
	if misses["late"] < 2 {
		t.Errorf("%d misses", misses["late"])
	}
}

// TestOperator has the timeline spawn, change and kill; the run ends when its time is over.
func TestOperator(t *testing.T) {
	res := playHere(t, `{"global": {"schedsim": {"duration": "120ms", "timeline": [
			{"at": "20ms", "do": "spawn", "task": "new", "value": 2},
			{"at": "30ms", "do": "nice", "task": "idle", "value": 7},
			{"at": "40ms", "do": "kill", "task": "idle"},
			{"at": "60ms", "do": "kill", "task": "idle"}
		]}},
		"tasks": {"idle": {"sleep": 1000}, "new": {"instance": 0, "loop": 1, "run": 100}}}`)
	if res.end-res.zero != 120_000_000 || !strings.HasPrefix(res.problems, "1 problems; the first: at 60000000 ns: kill 0 -: no such task") {
		t.Errorf("%d ns, %s", res.end-res.zero, res.problems)
	}
	if len(res.tasks) != 3 || len(res.notes) != 2 {
		t.Errorf("%d tasks, %d notes", len(res.tasks), len(res.notes))
	}
}
