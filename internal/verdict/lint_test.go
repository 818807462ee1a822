package verdict

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/schedsim/schedsim/vm/elf"
	"github.com/schedsim/schedsim/vm/link"
)

// TestLint: what is remarked on, on which kernels.
func TestLint(t *testing.T) {
	got := map[string][]string{}
	for _, version := range []string{"6.16", "7.2", "7.3"} {
		for _, r := range check(t, version, filepath.Join("testdata", "lint.bpf.o"), Options{Lint: true}) {
			for _, l := range r.Lints {
				text := fmt.Sprintf("%s: %s", l.Rule, l.Text)
				if l.Program {
					text = r.Program + ": " + text
				}
				if l.Source.Line != 0 {
					text += " @" + l.Source.Text
				}
				got[text] = append(got[text], version)
			}
		}
	}
	want := map[string][]string{
		"lint-callbacks: mixed: has no callback exit, so nobody learns why it ended":                                                                                       {"6.16", "7.2", "7.3"},
		"lint-callbacks: mixed: makes dispatch queues, but has no callback dispatch that would take tasks from them":                                                       {"6.16", "7.2", "7.3"},
		"lint-const: const volatile and 0 unless a loader or -G sets it: nr_things":                                                                                        {"6.16", "7.2", "7.3"},
		"lint-deprecated: outdated: the callback cpu_release is deprecated: use the tracepoint sched_switch, or SCX_ENQ_IMMED":                                             {"7.2", "7.3"},
		"lint-flags: mixed: SCX_OPS_BUILTIN_IDLE_PER_NODE needs SCX_OPS_KEEP_BUILTIN_IDLE where there is a callback update_idle":                                           {"6.16", "7.2", "7.3"},
		"lint-flags: mixed: SCX_OPS_ENQ_LAST needs the callback enqueue":                                                                                                   {"6.16", "7.2", "7.3"},
		"lint-flags: mixed: flags 0x10000000000 are not known to the kernel, which refuses to attach":                                                                      {"6.16", "7.2", "7.3"},
		"lint-flags: mixed: scx_bpf_test_and_clear_cpu_idle fails, since a callback update_idle without SCX_OPS_KEEP_BUILTIN_IDLE takes idle CPUs over":                    {"6.16", "7.2", "7.3"},
		"lint-missing-kfunc: tests for kernel functions that there are not: scx_bpf_cpu_rq, scx_bpf_not_yet":                                                               {"7.3"},
		"lint-missing-kfunc: tests for kernel functions that there are not: scx_bpf_not_yet":                                                                               {"6.16", "7.2"},
		"old: lint-deprecated: scx_bpf_cpu_rq is deprecated: use scx_bpf_locked_rq or scx_bpf_cpu_curr @struct rq *rq = scx_bpf_cpu_rq(0);":                                {"7.2"},
		"old: lint-deprecated: writes p->scx.dsq_vtime itself, which is deprecated: use scx_bpf_task_set_dsq_vtime @struct task_struct *p = (void *)ctx[0];":               {"7.2"},
		"old: lint-deprecated: writes p->scx.slice itself, which is deprecated: use scx_bpf_task_set_slice @struct task_struct *p = (void *)ctx[0];":                       {"7.2"},
		"release: lint-deprecated: scx_bpf_reenqueue_local is deprecated: use scx_bpf_reenqueue_local___v2, which may be called from anywhere @scx_bpf_reenqueue_local();": {"7.2", "7.3"},
		"two: lint-signature: takes 3 arguments, but a program gets one pointer, to the arguments: use BPF_STRUCT_OPS @return nr_set;":                                     {"6.16", "7.2", "7.3"},
		"value: lint-signature: returns s32, but dispatch returns nothing @return 0;":                                                                                      {"6.16", "7.2", "7.3"},
		"wide: lint-signature: returns u64, but select_cpu returns s32 @return nr_things;":                                                                                 {"6.16", "7.2", "7.3"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	used := map[string]bool{}
	for text := range want {
		for _, r := range Rules() {
			used[r.Name] = used[r.Name] || strings.Contains(text, r.Name+": ")
		}
	}
	for _, r := range Rules() {
		if !used[r.Name] && r.Name != lintDropped {
			t.Errorf("rule %s has no remark", r.Name)
		}
	}
}

// TestLintClean: a scheduler as it should be gets no remark but that somebody has to set its variables.
func TestLintClean(t *testing.T) {
	for _, r := range check(t, "7.2", filepath.Join("..", "..", "examples", "bpf", "simple.bpf.o"), Options{Lint: true}) {
		for _, l := range r.Lints {
			if l.Rule != lintConst && l.Rule != lintCallbacks {
				t.Errorf("%s: %+v", r.Program, l)
			}
		}
	}
}

// TestLintDropped: what the linker left out is said.
func TestLintDropped(t *testing.T) {
	k, err := New("7.2", nil)
	if err != nil {
		t.Fatal(err)
	}
	rows := []Row{{Program: "p"}}
	k.lint(&elf.Object{}, &link.Object{Warnings: []string{"a member is dropped"}}, rows)
	if len(rows[0].Lints) != 1 || rows[0].Lints[0].Rule != lintDropped || rows[0].Lints[0].Text != "a member is dropped" {
		t.Errorf("%+v", rows[0].Lints)
	}
}
