package bpf

import (
	"strings"
	"testing"

	"github.com/schedsim/schedsim/kfuncs"
	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/sched"
	"github.com/schedsim/schedsim/sim"
)

func (r *rig) permissionsPolicy(table, engine string, p kfuncs.Permissions, globals map[string]any) *Policy {
	r.t.Helper()
	o := r.options(engine)
	o.Table, o.Permissions, o.Globals = table, p, globals
	policy, err := New("testdata/perm.bpf.o", o)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { policy.Close() })
	return policy
}

// TestPermissions: a call that its callback must not make is refused when the object is loaded, or ends the scheduler when it is
// made, and not before.
func TestPermissions(t *testing.T) {
	const atLoad = "calling kernel function scx_bpf_dispatch_nr_slots is not allowed"
	const atRun = "kfunc with mask 0x2 called from an operation only allowing 0x10"
	for _, engine := range []string{"interp", "jit"} {
		for _, tc := range []struct {
			table     string
			p         kfuncs.Permissions
			load, run string
		}{
			{"wrong", kfuncs.PermissionsKernel, atLoad, ""},
			{"wrong", kfuncs.PermissionsLoad, atLoad, ""},
			{"wrong", kfuncs.PermissionsBoth, atLoad, ""},
			{"wrong", kfuncs.PermissionsRun, "", atRun},
			{"right", kfuncs.PermissionsKernel, "", ""},
			{"right", kfuncs.PermissionsLoad, "", ""},
			{"right", kfuncs.PermissionsBoth, "", ""},
			{"right", kfuncs.PermissionsRun, "", ""},
		} {
			t.Run(engine+" "+tc.table+" "+tc.p.String(), func(t *testing.T) {
				r := newRig(t, rigConfig{topo: "1n1l2c1t", quiet: true})
				p := r.permissionsPolicy(tc.table, engine, tc.p, map[string]any{"from": 20})
				if tc.load != "" {
					if _, err := p.Open(sched.Env{Machine: r.m, Kernel: r.k}); err == nil || !strings.Contains(err.Error(), tc.load) {
						t.Errorf("got %v, want %q", err, tc.load)
					}
					return
				}
				r.enable(p)
				r.spawn(mixed(6)...)
				r.run(sim.Second)
				if tc.run == "" {
					r.mustLive()
					return
				}
				if e := r.k.ExitInfo(); e == nil || e.Kind != ops.ExitError || e.Msg != tc.run {
					t.Errorf("%+v", e)
				}
				if n := counterOf(t, p, "nr_running"); n < 21 {
					t.Errorf("it ended after %d calls of running", n)
				}
			})
		}
	}
}

// BenchmarkPermissions simulates 100 ms of eight CPUs under a scheduler of which nearly each call is one that may be asked about.
func BenchmarkPermissions(b *testing.B) {
	for _, engine := range []string{"jit", "interp"} {
		for _, p := range []kfuncs.Permissions{kfuncs.PermissionsLoad, kfuncs.PermissionsRun} {
			b.Run(engine+"/"+p.String(), func(b *testing.B) {
				var t testing.T
				r := newRig(&t, rigConfig{topo: "1n1l8c1t", quiet: true})
				policy := r.permissionsPolicy("right", engine, p, nil)
				r.enable(policy)
				for range 24 {
					r.spawn(sim.TaskSpec{Comm: "t", Behavior: periodic(50*sim.Microsecond, 100*sim.Microsecond)})
				}
				r.run(10 * sim.Millisecond)
				calls, from := policy.Calls(), r.m.Now()
				for b.Loop() {
					r.run(100 * sim.Millisecond)
				}
				r.mustLive()
				seconds := float64(r.m.Now().Sub(from)) / float64(sim.Second)
				b.ReportMetric(float64(policy.Calls()-calls)/seconds, "calls/simulated-s")
				b.ReportMetric(float64(b.Elapsed().Milliseconds())/seconds, "wall-ms/simulated-s")
			})
		}
	}
}
