package kfuncs

import (
	"testing"

	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/ops/kernels"
	"github.com/schedsim/schedsim/vm/abi"
)

// TestRules: where kernels decide differently. Before 7.1 only the type of the program counts; from 7.1 on the callback
// does, and select_cpu functions are no longer for tracing programs; from 7.3 on the cid set is closed to other struct_ops.
func TestRules(t *testing.T) {
	tick := StructOps(ops.Tick, false, false)
	enqueue := StructOps(ops.Enqueue, false, false)
	foreign := ForeignStructOps("tcp_congestion_ops", false)
	tracing := Context{Kind: KindTracing, Type: "fentry"}
	syscall := Context{Kind: KindSyscall, Sleepable: true, Type: "syscall"}
	other := Context{Kind: KindOther, Type: "xdp"}
	for _, tc := range []struct {
		kfunc   string
		where   Context
		allowed string // the kernels that allow it
	}{
		{"scx_bpf_dsq_insert", enqueue, "6.16 6.18 7.2 7.3"},
		{"scx_bpf_dsq_insert", tick, "6.16 6.18"},
		{"scx_bpf_dsq_insert", foreign, "6.16 6.18"},
		{"scx_bpf_dsq_insert", tracing, ""},
		{"scx_bpf_dsq_insert", syscall, ""},
		{"scx_bpf_select_cpu_dfl", tracing, "6.16 6.18"},
		{"scx_bpf_select_cpu_dfl", syscall, "6.16 6.18 7.2 7.3"},
		{"scx_bpf_create_dsq", syscall, "6.16 6.18 7.2 7.3"},
		{"scx_bpf_kick_cpu", tick, "6.16 6.18 7.2 7.3"},
		{"scx_bpf_kick_cpu", foreign, "6.16 6.18"},
		{"scx_bpf_kick_cpu", other, ""},
		{"scx_bpf_cpu_rq", tick, "6.16 6.18 7.2"},
		{"scx_bpf_cid_to_cpu", foreign, "7.2"},
		{"scx_bpf_cid_to_cpu", tick, "7.2 7.3"},
		{"bpf_task_acquire", foreign, "6.16 6.18 7.2 7.3"},
	} {
		t.Run(tc.kfunc+" "+tc.where.String(), func(t *testing.T) {
			allowed, sep := "", ""
			for _, version := range []string{"6.16", "6.18", "7.2", "7.3"} {
				k, err := kernels.Get(version)
				if err != nil {
					t.Fatal(err)
				}
				r := RulesOf(k)
				for _, f := range k.Kfuncs() {
					if f.Name != tc.kfunc {
						continue
					}
					row := &abi.Kfunc{Name: f.Name, Flags: f.Flags &^ abi.Sleepable, Groups: ops.GroupGeneric}
					if err := r.Allowed(row, tc.where); err == nil {
						allowed, sep = allowed+sep+version, " "
					}
				}
			}
			if allowed != tc.allowed {
				t.Errorf("allowed by %q, want %q", allowed, tc.allowed)
			}
		})
	}
}

// TestRulesOfRows: the groups in the rows are the sets of 7.2.
func TestRulesOfRows(t *testing.T) {
	k, err := kernels.Get("7.2")
	if err != nil {
		t.Fatal(err)
	}
	r := RulesOf(k)
	n := 0
	for _, row := range All(&Host{}) {
		g, ok := r.groups[row.Name]
		if !ok {
			continue
		}
		n++
		if g != row.Groups {
			t.Errorf("%s: row says %v, kernel %v", row.Name, ops.GroupNames(row.Groups), ops.GroupNames(g))
		}
	}
	if n < 70 {
		t.Errorf("%d rows of sched_ext compared", n)
	}
}
