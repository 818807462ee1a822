package kfuncs

import (
	"strings"
	"testing"

	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/ops/kernels"
	"github.com/schedsim/schedsim/sim"
	"github.com/schedsim/schedsim/vm/abi"
)

// TestRuntimeVerdicts compares what a call says by masks with what 7.2.13 said when it loaded a program, for each function that
// has a mask in each callback of both forms. Masks know nothing of two things: whether a program may sleep, so a cell of a
// program that may counts, and the form of the scheduler. They say the same otherwise; those of 6.18 but for ops.cgroup_move,
// which it calls as one without a locked runqueue, and for the set init, which it does not have.
func TestRuntimeVerdicts(t *testing.T) {
	m := readMatrix(t)
	rows := All(&Host{})
	for _, tc := range []struct {
		kernel string
		equal  int
		except func(k *abi.Kfunc, cb ops.Callback) bool
	}{
		{"7.2", 1521, func(*abi.Kfunc, ops.Callback) bool { return false }},
		{"6.18", 1418, func(k *abi.Kfunc, cb ops.Callback) bool {
			return cb == ops.CgroupMove && k.Groups&ops.GroupUnlocked != 0 || k.Groups&ops.GroupInit != 0
		}},
	} {
		t.Run(tc.kernel, func(t *testing.T) {
			kernel, err := kernels.Get(tc.kernel)
			check(t, err)
			allowed := masksOf(kernel)
			equal, forms := 0, 0
			for _, name := range m.names {
				k := lookup(rows, name)
				if k == nil {
					t.Fatalf("no row for %s", name)
				}
				mask, unlocked := asksFor(k.Groups)
				if mask == 0 {
					continue
				}
				for i, column := range m.contexts {
					form, member, _ := strings.Cut(column, ":")
					row, ok := ops.ByMember(strings.TrimSuffix(member, ".s"), form == "cid")
					if form == "other" || !ok {
						continue
					}
					have := allowed[row.ID]
					loads, runs := m.cells[name][i] != '-', have&mask != 0 || unlocked && have.unlocked()
					switch {
					case tc.except(k, row.ID):
					case form == "cid" && k.Groups&ops.GroupCPUOnly != 0:
						if loads {
							t.Errorf("%s loads in %s", name, column)
						}
						forms++
					case loads == runs:
						equal++
					default:
						t.Errorf("%s in %s: loads %t, runs %t", name, column, loads, runs)
					}
				}
			}
			if equal != tc.equal || forms == 0 {
				t.Errorf("%d verdicts compared, want %d; %d are of the form", equal, tc.equal, forms)
			}
		})
	}
}

// TestPermissions: what each way asks, by kernel.
func TestPermissions(t *testing.T) {
	for _, tc := range []struct {
		kernel, how string
		load, run   bool
	}{
		{"7.2", "kernel", true, false}, {"7.2", "", true, false}, {"7.2", "load", true, false}, {"7.2", "run", false, true}, {"7.2", "both", true, true},
		{"6.18", "kernel", false, true}, {"6.18", "load", true, false}, {"6.18", "run", false, true}, {"6.18", "both", true, true},
	} {
		t.Run(tc.kernel+" "+tc.how, func(t *testing.T) {
			p, err := ParsePermissions(tc.how)
			check(t, err)
			k, err := kernels.Get(tc.kernel)
			check(t, err)
			insert := lookup(All(&Host{}), "scx_bpf_dsq_insert")
			if refused := RulesWith(k, p).Allowed(insert, StructOps(ops.Running, false, false)) != nil; refused != tc.load {
				t.Errorf("loading refuses: %t", refused)
			}
			r := newRigWith(t, tc.kernel, "1n1l1c1t", p)
			r.enable(&ops.Table{Running: func(p *sim.Task) {
				r.funcs["scx_bpf_dsq_insert"].Call(r.c, &abi.Args{p.K.Addr, ops.DSQGlobal, 1000, 0})
			}})
			r.spawn("x", run(ms))
			r.run()
			if e := r.k.ExitInfo(); (e != nil && strings.HasPrefix(e.Msg, "kfunc with mask ")) != tc.run {
				t.Errorf("running refuses: %t, %+v", !tc.run, e)
			}
		})
	}
	if _, err := ParsePermissions("never"); err == nil {
		t.Error("never is accepted")
	}
}

// BenchmarkRuntimeCheck is what the question at each call costs: none where loading has answered it.
func BenchmarkRuntimeCheck(b *testing.B) {
	for _, p := range []Permissions{PermissionsLoad, PermissionsRun} {
		b.Run(p.String(), func(b *testing.B) {
			var t testing.T
			r := newRigWith(&t, "7.2", "1n1l1c1t", p)
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
