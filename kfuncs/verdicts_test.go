package kfuncs

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/sim"
	"github.com/schedsim/schedsim/vm/abi"
)

// TestRuntimeVerdicts compares what loading says by the sets of 7.2 (scx_kfunc_context_filter) with what a call says by the
// masks of 6.18 (scx_kf_allowed), for each function that has a mask in each callback of both kernels. They say the same, but for
// ops.cgroup_move, which 6.18 calls as one without a locked runqueue.
func TestRuntimeVerdicts(t *testing.T) {
	equal, diffs := 0, []string{}
	for _, k := range All(&Host{}) {
		mask, unlocked := asksFor(k.Groups)
		if mask == 0 {
			continue
		}
		for _, row := range ops.Rows() {
			if row.Member(false) == "" || row.ID == ops.SubAttach || row.ID == ops.SubDetach {
				continue
			}
			loads := Allowed(&k, StructOps(row.ID, false, row.Sleepable)) == nil
			have := allows(row.ID)
			runs := have&mask != 0 || have == 0 && unlocked
			switch {
			case loads == runs:
				equal++
			case row.ID == ops.CgroupMove && unlocked && runs:
			default:
				diffs = append(diffs, fmt.Sprintf("%s in %s: loads %t, runs %t", k.Name, row.Name, loads, runs))
			}
		}
	}
	slices.Sort(diffs)
	if d := cmp.Diff([]string{}, diffs); d != "" {
		t.Error(d)
	}
	if equal < 550 {
		t.Errorf("only %d verdicts compared", equal)
	}
}

// BenchmarkRuntimeCheck is what the question at each call costs: none in 7.2, where loading has answered it.
func BenchmarkRuntimeCheck(b *testing.B) {
	for _, kernel := range []string{"7.2", "6.18"} {
		b.Run(kernel, func(b *testing.B) {
			var t testing.T
			r := newRigOn(&t, kernel, "1n1l1c1t")
			done := false
			if err := r.k.Enable(&ops.Table{Name: "bench", Dispatch: func(sim.CPU, *sim.Task) {
				if done {
					return
				}
				done = true
				f, a := r.funcs["scx_bpf_dispatch_nr_slots"], abi.Args{}
				for b.Loop() {
					f.Call(r.c, &a)
				}
			}}); err != nil {
				b.Fatal(err)
			}
			for range 2 {
				r.spawn("x", run(ms), sleep(ms), run(ms))
			}
			r.run()
			if !done || r.k.ExitInfo() != nil {
				b.Fatalf("dispatch called: %t, %+v", done, r.k.ExitInfo())
			}
		})
	}
}
