package permissions

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf/btf"
	"github.com/google/go-cmp/cmp"
)

// tables are the committed ones.
func tables(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("../../../kfuncs/testdata/matrix-*.txt")
	if err != nil || len(files) < 4 {
		t.Fatalf("%v: %v", files, err)
	}
	return files
}

// TestTables reads the committed tables, and writes them as they are but for the lines of contexts.
func TestTables(t *testing.T) {
	for _, file := range tables(t) {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		was, err := Read(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if err := was.Write(&b, "7.0"); err != nil {
			t.Fatal(err)
		}
		is, err := Read(&b)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(was, is); diff != "" {
			t.Errorf("%s: %s", file, diff)
		}
		if n, d := Compare(was, is); n != len(was.Functions)*len(was.Contexts) || len(d) > 0 {
			t.Errorf("%s: %d cells equal, others: %v", file, n, d)
		}
	}
}

func TestCompare(t *testing.T) {
	a := &Table{Contexts: []string{"x", "y"}, Functions: []string{"f", "g"}, Cells: []string{"A-", "ss"}}
	b := &Table{Contexts: []string{"x", "z"}, Functions: []string{"f"}, Cells: []string{"-A"}}
	n, d := Compare(a, b)
	want := []string{"f in x: A was, is -", "f in y: - was, is gone", "f in z: is new: A", "g in x: s was, is gone", "g in y: s was, is gone"}
	if diff := cmp.Diff(want, d); diff != "" || n != 0 {
		t.Errorf("%d equal, %s", n, diff)
	}
}

func TestReadErrors(t *testing.T) {
	for _, tc := range []struct{ name, in, want string }{
		{"too few", "contexts a b\nf A\n", "f: 1 cells for 2 contexts"},
		{"no number", "contexts a b\nf xA\n", `f: "xA", expected a number and a letter`},
		{"too many", "contexts a b\nf 99999999999A\n", `f: "99999999999A", expected a number and a letter`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if _, err := Read(strings.NewReader(tc.in)); err == nil || err.Error() != tc.want {
				t.Errorf("%v, want %s", err, tc.want)
			}
		})
	}
}

func TestRefusal(t *testing.T) {
	for _, tc := range []struct {
		name, last string
		want       byte
	}{
		{"denied", "calling kernel function f is not allowed", '-'},
		{"denied by its other name", "calling kernel function f_impl is not allowed", '-'},
		{"another is denied", "calling kernel function bpf_iter_scx_dsq_new is not allowed", 0},
		{"sleeps", "program must be sleepable to call sleepable kfunc f", 's'},
		{"arguments", "R1 is not an arena", 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := refusal("f", tc.last); got != tc.want {
				t.Errorf("%c, want %c", got, tc.want)
			}
		})
	}
}

// plan is one for two functions and two contexts, one of which may not take programs that sleep.
func plan() *Plan {
	k := &kernel{funcs: map[string]btf.TypeID{}, rows: []*function{{name: "f", id: 1}, {name: "g", id: 2}}}
	p := &Plan{k: k, contexts: []context{{name: "cpu:init"}, {name: "cpu:init.s", sleepable: true, optional: true}}}
	for i := range p.contexts {
		p.add(nil, &p.contexts[i], trivial())
	}
	for _, f := range k.rows {
		for i := range p.contexts {
			p.add(f, &p.contexts[i], k.program(f, dressed))
		}
	}
	return p
}

func TestPlanTable(t *testing.T) {
	const denied, sleeps = "calling kernel function f is not allowed", "program must be sleepable to call sleepable kfunc g"
	for _, tc := range []struct {
		name, answers, contexts, f, g, err string
	}{
		{name: "all", answers: "0 0 \n1 0 \n2 13 " + denied + "\n3 0 \n4 22 " + sleeps + "\n5 0 \n", contexts: "[cpu:init cpu:init.s]", f: "-A", g: "sA"},
		{name: "none that sleep", answers: "0 0 \n1 22 attach to unsupported member\n2 0 \n3 22 x\n4 0 \n5 22 x\n", contexts: "[cpu:init]", f: "A", g: "A"},
		{name: "second dress", answers: "0 0 \n1 0 \n2 22 wrong argument\n2 0 \n3 0 \n4 22 wrong argument\n5 0 \n", contexts: "[cpu:init cpu:init.s]", f: "AA", g: "?A"},
		{name: "missing", answers: "0 0 \n1 0 \n", err: "the guest says nothing of cell 2 of 6"},
		{name: "nothing loads", answers: "0 1 no\n1 1 no\n2 1 no\n3 1 no\n4 1 no\n5 1 no\n", err: "cpu:init: not even a program that does nothing loads: no"},
		{name: "nonsense", answers: "hello\n", err: `the guest says "hello", expected a cell, an error number and a line of the log`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := plan().Table([]byte(tc.answers))
			if tc.err != "" {
				if err == nil || err.Error() != tc.err {
					t.Errorf("%v, want %s", err, tc.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if s := fmt.Sprint(got.Contexts); s != tc.contexts || !slices.Equal(got.Cells, []string{tc.f, tc.g}) {
				t.Errorf("%s %v, want %s %s %s", s, got.Cells, tc.contexts, tc.f, tc.g)
			}
		})
	}
}

// TestLoads: what the loader reads.
func TestLoads(t *testing.T) {
	p := plan()
	if p.Programs != 6 || len(p.Loads) < 6*32 || p.Loads[20] != 2 {
		t.Errorf("%d programs in %d bytes, the first of %d instructions", p.Programs, len(p.Loads), p.Loads[20])
	}
}
