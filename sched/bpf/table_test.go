package bpf

import (
	"encoding/binary"
	"strings"
	"testing"

	"github.com/cilium/ebpf/btf"

	"github.com/schedsim/schedsim/examples"
	"github.com/schedsim/schedsim/ops/kernels"
	"github.com/schedsim/schedsim/vm/elf"
)

// Members of the table are set before it is loaded.
func TestMembers(t *testing.T) {
	k, err := kernels.Get("7.2")
	if err != nil {
		t.Fatal(err)
	}
	obj, err := examples.Object("simple")
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		edit string
		err  string            // a part of it
		want map[string]uint64 // numbers of members
		prog map[string]string // programs of members
	}{
		{"flags=SWITCH_PARTIAL|SCX_OPS_ENQ_LAST,timeout_ms=5000", "", map[string]uint64{"flags": 8 | 2, "timeout_ms": 5000}, nil},
		{"flags=0x10|1", "", map[string]uint64{"flags": 17}, nil},
		{"select_cpu=NULL, enqueue = simple_stopping", "", nil, map[string]string{"select_cpu": "", "enqueue": "simple_stopping", "dispatch": "simple_dispatch"}},
		{"name=other", "", nil, nil},
		{"timeout=1", `no member "timeout"; did you mean "timeout_ms"?`, nil, nil},
		{"flags=SWITCH_PARTIALLY", `"SWITCH_PARTIALLY" is neither a number nor a name of the kernel; did you mean "SWITCH_PARTIAL"?`, nil, nil},
		{"flags=SCX_OPS_ENQ_LATS", `did you mean "SCX_OPS_ENQ_LAST"?`, nil, nil},
		{"timeout_ms=4294967296", "does not fit 4 bytes", nil, nil},
		{"enqueue=simple_enqeue", `did you mean "simple_enqueue"?`, nil, nil},
		{"name=" + strings.Repeat("x", 128), "at most 127 characters fit", nil, nil},
		{"flags", `"flags": expected member=value`, nil, nil},
		{"flags=", "expected member=value", nil, nil},
		{"", "expected member=value", nil, nil},
	} {
		t.Run(tc.edit[:min(len(tc.edit), 40)], func(t *testing.T) {
			edits, err := ParseMembers(tc.edit)
			var p *Policy
			if err == nil {
				p, err = Read("simple.bpf.o", obj, Options{Kernel: k, Members: edits})
			}
			if tc.err != "" {
				if err == nil || !strings.Contains(err.Error(), tc.err) {
					t.Fatalf("got %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range p.tbl.Members {
				if n, ok := tc.want[m.Name]; ok {
					var w [8]byte
					copy(w[:], m.Bytes)
					if got := binary.LittleEndian.Uint64(w[:]); got != n {
						t.Errorf("%s is %d", m.Name, got)
					}
				}
				if prog, ok := tc.prog[m.Name]; ok && m.Prog != prog {
					t.Errorf("%s is %q", m.Name, m.Prog)
				}
			}
			if tc.edit == "name=other" && p.Name() != "other" {
				t.Errorf("called %q", p.Name())
			}
		})
	}
}

// A callback that was taken away is absent, as if the source did not have it.
func TestMembersTaken(t *testing.T) {
	r := newRig(t, rigConfig{topo: "1n1l2c1t"})
	o := r.options("interp")
	o.Members = []Member{{"running", "NULL"}, {"stopping", "NULL"}, {"timeout_ms", "7000"}}
	p := example(t, "simple", o)
	r.enable(p)
	if p.bound.table.TimeoutMS != 7000 || len(p.bound.progs) != 5 {
		t.Errorf("timeout %d, %d callbacks", p.bound.table.TimeoutMS, len(p.bound.progs))
	}
}

// An object with more than one scheduler needs a choice, and the others are not created.
func TestTables(t *testing.T) {
	table := func(name, typ string, auto bool) *elf.StructOps {
		return &elf.StructOps{Name: name, Type: &btf.Struct{Name: typ}, AutoCreate: auto}
	}
	for _, tc := range []struct {
		name   string
		tables []*elf.StructOps
		choose string
		want   string
		err    string
	}{
		{"one", []*elf.StructOps{table("a", "sched_ext_ops", true)}, "", "a", ""},
		{"flavor", []*elf.StructOps{table("a", "sched_ext_ops___x", true)}, "", "a", ""},
		{"another sort beside it", []*elf.StructOps{table("t", "tcp_congestion_ops", true), table("a", "sched_ext_ops", true)}, "", "a", ""},
		{"optional beside it", []*elf.StructOps{table("a", "sched_ext_ops", true), table("b", "sched_ext_ops", false)}, "", "a", ""},
		{"the optional one", []*elf.StructOps{table("a", "sched_ext_ops", true), table("b", "sched_ext_ops", false)}, "b", "b", ""},
		{"two", []*elf.StructOps{table("a", "sched_ext_ops", true), table("b", "sched_ext_ops_cid", true)}, "", "", "x.bpf.o: 2 schedulers (a, b); x.bpf.o:a chooses the first"},
		{"the second", []*elf.StructOps{table("a", "sched_ext_ops", true), table("b", "sched_ext_ops_cid", true)}, "b", "b", ""},
		{"unknown", []*elf.StructOps{table("simple", "sched_ext_ops", true)}, "simpel", "", `no scheduler "simpel"; there is simple; did you mean "simple"?`},
		{"only an optional one", []*elf.StructOps{table("a", "sched_ext_ops", false)}, "", "", "optional"},
		{"none", nil, "", "", "the object is no scheduler"},
		{"only another sort", []*elf.StructOps{table("t", "tcp_congestion_ops", true)}, "", "", "found struct tcp_congestion_ops"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := scheduler(&elf.Object{Name: "x.bpf.o", StructOps: tc.tables}, tc.choose)
			if tc.err != "" {
				if err == nil || !strings.Contains(err.Error(), tc.err) {
					t.Fatalf("got %v", err)
				}
				return
			}
			if err != nil || got.Name != tc.want {
				t.Fatalf("got %v, %v", got, err)
			}
			for _, s := range tc.tables {
				if isScheduler(s) && s.AutoCreate != (s == got) {
					t.Errorf("%s is created: %v", s.Name, s.AutoCreate)
				}
			}
		})
	}
	for _, tc := range [][3]string{{"a/b.bpf.o", "a/b.bpf.o", ""}, {"a/b.bpf.o:t", "a/b.bpf.o", "t"}, {"fifo", "fifo", ""}, {"x.o:", "x.o", ""}} {
		if f, n := SplitTable(tc[0]); f != tc[1] || n != tc[2] {
			t.Errorf("%s: %q, %q", tc[0], f, n)
		}
	}
}
