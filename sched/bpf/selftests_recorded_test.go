package bpf

import (
	"bufio"
	"encoding/json"
	"os"
	"strings"
	"testing"
)

// TestSelftestsRecorded: what became of the kernel's own tests on a real kernel (scripts/sched-ext-selftests). Ours, TestSelftest...,
// expect what those expect, so a test that fails there says nothing here.
func TestSelftestsRecorded(t *testing.T) {
	f, err := os.Open("testdata/lab/selftests-7.2.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	tests, ended := 0, map[string]string{}
	in := bufio.NewScanner(f)
	in.Buffer(nil, 1<<20)
	for in.Scan() {
		var r struct {
			Test, Result string
			Log          []string
		}
		if err := json.Unmarshal(in.Bytes(), &r); err != nil {
			t.Fatal(err)
		}
		tests++
		// One wants a CPU without ticks, which the kernel's command line must ask for.
		if want := map[bool]string{true: "skip", false: "ok"}[r.Test == "nohz_tick"]; r.Result != want {
			t.Errorf("%s: %s, want %s", r.Test, r.Result, want)
		}
		for _, line := range r.Log {
			if strings.Contains(line, "WARNING") || strings.Contains(line, "BUG") {
				t.Errorf("%s: %s", r.Test, line)
			}
			if _, text, ok := strings.Cut(line, "sched_ext: "+r.Test+": "); ok {
				ended[r.Test] = text
			}
		}
	}
	if tests != 30 {
		t.Errorf("%d tests", tests)
	}
	// The words are those that the simulator's tests wait for.
	for name, want := range map[string]string{
		"enq_last_no_enq_fails":       "SCX_OPS_ENQ_LAST requires ops.enqueue() to be implemented",
		"ddsp_bogus_dsq_fail":         "non-existent DSQ 0xcafef00d",
		"select_cpu_dispatch_bad_dsq": "non-existent DSQ 0xcafef00d",
		"ddsp_vtimelocal_fail":        "cannot use vtime ordering for built-in DSQs",
	} {
		if ended[name] != want {
			t.Errorf("%s ended with %q, want %q", name, ended[name], want)
		}
	}
}
