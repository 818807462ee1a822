package bpf

import (
	"strings"
	"testing"

	"github.com/schedsim/schedsim/examples"
	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/sched"
	"github.com/schedsim/schedsim/sim"
)

func TestShadow(t *testing.T) {
	for _, tc := range []struct {
		name    string
		members []Member
		err     string
		check   func(t *testing.T, tbl *ops.Table)
	}{
		{"nothing", nil, "", func(t *testing.T, tbl *ops.Table) {
			if tbl.Dispatch == nil {
				t.Error("no dispatch")
			}
		}},
		{"numbers, flags, text and NULL", []Member{{"timeout_ms", "0x10"}, {"flags", "SCX_OPS_ENQ_LAST | 4"}, {"name", "other"}, {"dispatch", "NULL"}}, "",
			func(t *testing.T, tbl *ops.Table) {
				if tbl.TimeoutMS != 16 || tbl.Flags != 6 || tbl.Name != "other" || tbl.Dispatch != nil {
					t.Errorf("timeout %d, flags %#x, name %q, dispatch %v", tbl.TimeoutMS, tbl.Flags, tbl.Name, tbl.Dispatch != nil)
				}
			}},
		{"a program for two members", []Member{{"tick", "simple_running"}},
			`member "running": program "simple_running" is for struct sched_ext_ops, member tick already, and can be for one only`, nil},
		{"a program for another member", []Member{{"tick", "simple_running"}, {"running", "NULL"}}, "", func(t *testing.T, tbl *ops.Table) {
			if tbl.Tick == nil || tbl.Running != nil {
				t.Error("running is there, or tick is not")
			}
		}},
		{"unknown member", []Member{{"timeout", "5"}}, `no member "timeout"; did you mean "timeout_ms"?`, nil},
		{"unknown flag", []Member{{"flags", "SCX_OPS_NONE"}}, `"SCX_OPS_NONE" is neither a number nor a name of the kernel`, nil},
		{"too large", []Member{{"timeout_ms", "0x100000000"}}, "does not fit 4 bytes", nil},
		{"a value that the kernel refuses", []Member{{"timeout_ms", "30001"}}, "at most 30000 ms", nil},
		{"no program", []Member{{"enqueue", "nobody"}}, `"nobody" is neither NULL nor a struct_ops program`, nil},
		{"long name", []Member{{"name", strings.Repeat("x", 128)}}, "at most 127 characters fit", nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t, rigConfig{topo: "1n1l1c1t"})
			data, err := examples.Object("simple")
			if err != nil {
				t.Fatal(err)
			}
			o := r.options("")
			o.Members = tc.members
			var tbl *ops.Table
			p, err := Read("simple.bpf.o", data, o)
			if err == nil {
				tbl, err = p.Open(sched.Env{Machine: r.m, Kernel: r.k})
				defer p.Close()
			}
			switch {
			case err == nil && tc.err != "":
				t.Fatal("accepted")
			case err != nil && (tc.err == "" || !strings.Contains(err.Error(), tc.err)):
				t.Fatalf("refused: %v, want %q", err, tc.err)
			case tc.check != nil:
				tc.check(t, tbl)
				if err := r.k.Enable(tbl); err != nil {
					t.Fatal(err)
				}
				r.run(sim.Millisecond)
			}
		})
	}
}
