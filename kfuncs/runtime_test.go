package kfuncs

import (
	"testing"

	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/sim"
	"github.com/schedsim/schedsim/vm/abi"
)

// TestCheckedAtRuntime: before 7.1 a function that the running callback does not allow ends the policy when it is called, with
// the kernel's words; what it allows works.
func TestCheckedAtRuntime(t *testing.T) {
	for _, tc := range []struct {
		name, kernel string
		table        func(r *rig) *ops.Table
		msg          string // "" if the policy goes on
	}{
		{"insert from running", "6.18", func(r *rig) *ops.Table {
			return &ops.Table{Running: func(p *sim.Task) { r.call("scx_bpf_dsq_insert", p.K.Addr, ops.DSQGlobal, 1000, 0) }}
		}, "kfunc with mask 0x6 called from an operation only allowing 0x10"},
		{"move from enqueue", "6.16", func(r *rig) *ops.Table {
			return &ops.Table{Enqueue: func(p *sim.Task, _ uint64) { r.want(0, "scx_bpf_dsq_move_to_local", 1) }}
		}, "kfunc with mask 0x2 called from an operation only allowing 0x4"},
		{"slots from init", "6.18", func(r *rig) *ops.Table {
			return &ops.Table{Init: func() int32 { r.want(0, "scx_bpf_dispatch_nr_slots"); return 0 }}
		}, "kfunc with mask 0x2 called from an operation only allowing 0x0"},
		{"reenqueue from dispatch", "6.18", func(r *rig) *ops.Table {
			return &ops.Table{Dispatch: func(sim.CPU, *sim.Task) { r.want(0, "scx_bpf_reenqueue_local") }}
		}, "kfunc with mask 0x1 called from an operation only allowing 0x2"},
		{"choose a CPU from running", "6.18", func(r *rig) *ops.Table {
			return &ops.Table{Running: func(p *sim.Task) {
				r.want(abi.EPERM.Ret(), "scx_bpf_select_cpu_dfl", p.K.Addr, 0, 0, r.put(0, 0))
			}}
		}, "kfunc with mask 0xc called from an operation only allowing 0x10"},
		{"insert from enqueue", "6.18", func(r *rig) *ops.Table {
			return &ops.Table{Enqueue: func(p *sim.Task, f uint64) { r.call("scx_bpf_dsq_insert", p.K.Addr, ops.DSQGlobal, uint64(20*ms), f) }}
		}, ""},
		{"slots from dispatch", "6.16", func(r *rig) *ops.Table {
			return &ops.Table{Dispatch: func(sim.CPU, *sim.Task) { r.call("scx_bpf_dispatch_nr_slots") }}
		}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRigOn(t, tc.kernel, "1n1l1c1t")
			table := tc.table(r)
			table.Name = "test"
			if err := r.k.Enable(table); err != nil && tc.msg == "" {
				t.Fatal(err)
			}
			for range 3 { // so that one has to wait
				r.spawn("x", run(ms), sleep(ms), run(ms))
			}
			r.run()
			if tc.msg == "" {
				r.healthy()
			} else {
				r.ended(ops.ExitError, tc.msg)
			}
		})
	}
}
