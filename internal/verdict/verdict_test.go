package verdict

import (
	"path/filepath"
	"testing"

	"github.com/schedsim/schedsim/ops/kernels"
	"github.com/schedsim/schedsim/vm/link"
)

// TestOneMember: a program cannot stand for two members, but for one in two tables.
func TestOneMember(t *testing.T) {
	table := func(typ string, members ...string) *link.StructOps {
		s := &link.StructOps{Type: typ}
		for _, m := range members {
			s.Members = append(s.Members, link.Member{Name: m, Kind: link.MemberFunc, Prog: "p"})
		}
		return s
	}
	for _, tc := range []struct {
		name   string
		tables []*link.StructOps
		ok     bool
	}{
		{"once", []*link.StructOps{table("sched_ext_ops", "exit")}, true},
		{"in two tables", []*link.StructOps{table("sched_ext_ops", "exit"), table("sched_ext_ops", "exit")}, true},
		{"two members", []*link.StructOps{table("sched_ext_ops", "exit", "dispatch")}, false},
		{"two structs", []*link.StructOps{table("sched_ext_ops", "exit"), table("sched_ext_ops_cid", "exit")}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if err := oneMember(&link.Object{StructOps: tc.tables}, &link.Program{Name: "p"}); (err == nil) != tc.ok {
				t.Errorf("got %v", err)
			}
		})
	}
}

// TestOptions: which programs are verified, and what a wrong global variable is.
func TestOptions(t *testing.T) {
	path := filepath.Join("..", "..", "examples", "bpf", "simple.bpf.o")
	if rows := check(t, "7.2", path, Options{Program: func(n string) bool { return n == "simple_init" }}); len(rows) != 1 || rows[0].Callback != "init" {
		t.Errorf("%+v", rows)
	}
	k, err := New("7.2", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.Check("x", read(t, path), Options{Globals: map[string]any{"fif": true}}); err == nil ||
		err.Error() != `simple.bpf.o: variable "fif": there is none; did you mean "fifo"?` {
		t.Errorf("got %v", err)
	}
	if _, err := New("5.4", nil); err == nil {
		t.Error("kernel 5.4 is known")
	}
	// A variable decides which half of a callback is followed.
	a := check(t, "7.2", path, Options{Program: func(n string) bool { return n == "simple_stopping" }})
	b := check(t, "7.2", path, Options{Program: func(n string) bool { return n == "simple_stopping" }, Globals: map[string]any{"fifo": false}})
	if a[0].Insns == b[0].Insns {
		t.Errorf("%d instructions either way", a[0].Insns)
	}
}

// TestMissingStruct: what a kernel does not have is refused by name.
func TestMissingStruct(t *testing.T) {
	for _, r := range check(t, "6.18", filepath.Join("..", "..", "examples", "bpf", "llc_vtime.bpf.o"), Options{}) {
		if want := map[bool]string{true: "load"}[r.Program == "llc_enqueue"]; r.Code() != want {
			t.Errorf("%s: %s [%s]", r.Program, r.Reason, r.Code())
		}
	}
}

// TestTypes: with the same types given, the verdicts are the same; with another kernel's, its fields count.
func TestTypes(t *testing.T) {
	path := filepath.Join("..", "..", "examples", "bpf", "llc_vtime.bpf.o")
	for _, tc := range []struct {
		types   string
		refused bool
	}{{"7.2", false}, {"6.18", true}} {
		other, err := kernels.Get(tc.types)
		if err != nil {
			t.Fatal(err)
		}
		k, err := New("7.2", other.BTF())
		if err != nil {
			t.Fatal(err)
		}
		rows, err := k.Check("x", read(t, path), Options{})
		if err != nil {
			t.Fatal(err)
		}
		if failed, _ := Failed(rows); failed != tc.refused || len(rows) != 7 {
			t.Errorf("types of %s: %d rows, refused: %v", tc.types, len(rows), failed)
		}
	}
}
