package recipes

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.starlark.net/starlark"

	"github.com/schedsim/schedsim/ops/kernels"
	"github.com/schedsim/schedsim/sched/bpf/agent"
	"github.com/schedsim/schedsim/sched/class"
	"github.com/schedsim/schedsim/sim"
	"github.com/schedsim/schedsim/sim/topo"
)

// noScript is for recipes without a script.
func noScript(name string) ([]byte, error) {
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
}

// Every recipe that comes with schedsim is well-formed, says what it is and what it matches.
func TestNames(t *testing.T) {
	seen := map[string]string{}
	for _, name := range Names() {
		r, err := Open(name)
		if err != nil {
			t.Error(err)
			continue
		}
		if r.Name != name || r.Title == "" {
			t.Errorf("%s: name %q, title %q", name, r.Name, r.Title)
		}
		key := fmt.Sprint(r.Ops, r.Needs, r.Lacks, r.File)
		if other := seen[key]; other != "" {
			t.Errorf("%s and %s match the same objects", name, other)
		}
		seen[key] = name
		if _, script, err := Source(name); err != nil || script != r.Script {
			t.Errorf("%s: source: %v", name, err)
		}
	}
	if len(seen) < 25 {
		t.Errorf("%d recipes", len(seen))
	}
	if _, err := Open("lavdd"); err == nil || err.Error() != `no recipe "lavdd"; did you mean "lavd"?` {
		t.Error(err)
	}
}

// scx_pandemonium sets ten of its enumerators, by hand and not all to what the kernel has: no others may be filled in.
func TestPandemonium(t *testing.T) {
	r, err := Open("pandemonium")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, s := range r.set {
		if strings.HasPrefix(s.key, "__SCX_") {
			n++
		}
	}
	if !r.enums || len(r.Enums) != 0 || n != 10 {
		t.Errorf("enums %t %v, %d set", r.enums, r.Enums, n)
	}
}

// The distances that scx_pandemonium's recipe finds in closed form are those that solving the graph's equations gives.
func TestPandemoniumDistances(t *testing.T) {
	r, err := Open("pandemonium")
	if err != nil {
		t.Fatal(err)
	}
	x := rig(t, "2n2l2c2t", r.Script)
	for _, tc := range []struct {
		to   int
		want string // in millionths, by elimination from the Laplacian
	}{{8, "994"}, {1, "54845"}, {9, "54845"}, {2, "75748"}, {4, "103793"}, {15, "103793"}} {
		x.gives(t, fmt.Sprintf("int(resistance(0, %d) * 1000000 + 0.5)", tc.to), tc.want)
	}
}

// What is wrong with a recipe is said with its file and line.
func TestErrors(t *testing.T) {
	for _, tc := range []struct{ name, text, want string }{
		{"not JSON", "{\n\t\"ops\": x\n}", "x.json:2: "},
		{"no object", "[]", "x.json:1: recipe: expected an object"},
		{"unknown key", "{\"ops\": \"x\",\n\"sets\": {}}", `x.json:2: recipe: unknown key "sets"; did you mean "set"?`},
		{"key like none", `{"globals": {}}`, `x.json:1: recipe: unknown key "globals"; there is title, ops, `},
		{"twice", "{\"ops\": \"x\",\n\"ops\": \"y\"}", `x.json:2: key "ops" is there twice`},
		{"no ops", "{}", `x.json:1: recipe: "ops", the name in the ops table, is missing`},
		{"ops", `{"ops": 1}`, "x.json:1: ops: expected a text"},
		{"list", `{"ops": "x", "needs": "a"}`, "x.json:1: needs: expected a list of texts"},
		{"list of numbers", `{"ops": "x", "needs": [1]}`, "x.json:1: needs: expected a text"},
		{"settings", `{"ops": "x", "set": []}`, "x.json:1: set: expected an object"},
		{"expression", "{\"ops\": \"x\",\n\"set\": {\"a\": [1, \"=1 +\"]}}", "x.json:2: "},
		{"steps", `{"ops": "x", "loaded": {}}`, "x.json:1: loaded: expected a list of steps"},
		{"step", `{"ops": "x", "loaded": [{"do": "it"}]}`, "x.json:1: step: one of run, set, update, inner, arena_lib, every, call is missing"},
		{"key of step", `{"ops": "x", "loaded": [{"run": "p", "arg": {}}]}`, `x.json:1: step run: unknown key "arg"; did you mean "args"?`},
		{"name of step", `{"ops": "x", "loaded": [{"run": 1}]}`, "x.json:1: step run: expected a name"},
		{"loop", `{"ops": "x", "loaded": [{"run": "p", "for": "cpus"}]}`, `x.json:1: for: "cpus": expected "NAME in EXPRESSION"`},
		{"loop over nothing", `{"ops": "x", "loaded": [{"run": "p", "for": "c in ("}]}`, "x.json:1: "},
		{"update", `{"ops": "x", "loaded": [{"update": "m", "value": 1}]}`, `x.json:1: step update: "key" is missing`},
		{"every", `{"ops": "x", "attached": [{"every": "1s"}]}`, `x.json:1: step every: "call", a function of the script, is missing`},
		{"agent", `{"ops": "x", "agent": {"slice": 1}}`, `x.json:1: agent: "name" is missing`},
		{"no script", `{"ops": "x", "script": "y.star"}`, "x.json:1: script: open y.star: file does not exist"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := Parse("x.json", []byte(tc.text), noScript)
			var e *Error
			if err == nil || !strings.HasPrefix(err.Error(), tc.want) || !errors.As(err, &e) {
				t.Errorf("%v, want %s", err, tc.want)
			}
		})
	}
}

// A name that a script does not know is refused with the nearest, and its place.
func TestScriptNames(t *testing.T) {
	_, err := Parse("x.json", []byte(`{"ops": "x", "script": "x.star"}`), func(string) ([]byte, error) { return []byte("\ndef f():\n    return map_gett(1)\n"), nil })
	if err == nil || err.Error() != `x.star:3: undefined: map_gett; did you mean "map_get"?` {
		t.Error(err)
	}
}

// rig makes a runner for a recipe on a machine, without an object.
func rig(t *testing.T, machine, script string) *runner {
	t.Helper()
	tp, err := topo.Parse(machine)
	if err != nil {
		t.Fatal(err)
	}
	m, err := sim.New(sim.Config{Topo: tp, Classes: func(m *sim.Machine) []sim.Class { return class.New(m).List() }})
	if err != nil {
		t.Fatal(err)
	}
	k, err := kernels.Get("7.2")
	if err != nil {
		t.Fatal(err)
	}
	r := &Recipe{Name: "test", Ops: "test", Script: script, scriptFile: "test.star"}
	x, err := newRunner(r, agent.Env{Machine: m, Kernel: k, Notice: func(string) {}}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// gives fails unless an expression has the value want.
func (x *runner) gives(t *testing.T, expr, want string) {
	t.Helper()
	v, err := x.evalExpr(&node{file: "x.json", line: 1}, expr, x.base)
	if err != nil {
		t.Fatal(err)
	}
	if v.String() != want {
		t.Errorf("%s is %s, want %s", expr, v, want)
	}
}

// What expressions see of a machine.
func TestMachine(t *testing.T) {
	for _, tc := range []struct{ machine, expr, want string }{
		{"1n2l2c2t", "(nr_cpus, nr_cpu_ids, nr_cores, nr_llcs, nr_nodes, smt)", "(8, 8, 4, 2, 1, True)"},
		{"1n2l2c2t", "[c.llc for c in cpus]", "[0, 0, 1, 1, 0, 0, 1, 1]"},
		{"1n2l2c2t", "[c.thread for c in cpus]", "[0, 0, 0, 0, 1, 1, 1, 1]"},
		{"1n2l2c2t", "[list(l.cpus) for l in llcs]", "[[0, 1, 4, 5], [2, 3, 6, 7]]"},
		{"1n2l2c2t", "list(cores[3].cpus)", "[3, 7]"},
		{"1n2l2c2t", "list(sibling_cpus)", "[4, 5, 6, 7, 0, 1, 2, 3]"},
		{"1n1l2c1t", "(smt, list(sibling_cpus), same_capacity)", "(False, [-1, -1], True)"},
		{"2n1l2c1t", "[[distance(a.id, b.id) for b in nodes] for a in nodes]", "[[10, 20], [20, 10]]"},
		{"2n2l1c2t", "[level(0, c) for c in [0, 4, 1, 2]]", "[0, 1, 3, 4]"},
		{"2n1l2c1t", "[list(n.llcs) for n in nodes]", "[[0], [1]]"},
		{"1n1l4c1t", "mask([0, 3])", "[9]"},
		{"1n1l4c1t", "mask([0, 64, 127])", "[1, 9223372036854775809]"},
		{"1n1l4c1t", "mask([1], 3)", "[2, 0, 0]"},
		{"1n1l4c1t", "fill(7, 3)", "[7, 7, 7]"},
		{"1n1l4c1t", "(MS, 2 * S, U32_MAX, U64_MAX)", "(1000000, 2000000000, 4294967295, 18446744073709551615)"},
		{"1n1l4c1t", `enum("SCX_SLICE_DFL")`, "20000000"},
		{"1n1l4c1t", `(kfunc("scx_bpf_kick_cpu"), kfunc("scx_bpf_nothing"), kernel_func("futex_wake"))`, "(True, False, True)"},
		{"1n1l4c1t", "(now(), busy(0), tasks(), [g.path for g in cgroups()])", `(0, 0, [], ["/"])`},
		{"1n1l2c1t+2c1t@512", "[(c.capacity, c.big) for c in cpus]", "[(1024, True), (1024, True), (512, False), (512, False)]"},
		{"1n1l2c1t+2c1t@512", "list(by_capacity)", "[0, 1, 2, 3]"},
	} {
		t.Run(tc.expr, func(t *testing.T) {
			x := rig(t, tc.machine, "")
			x.gives(t, tc.expr, tc.want)
		})
	}
}

// Expressions and scripts that go wrong say where.
func TestScriptErrors(t *testing.T) {
	for _, tc := range []struct{ expr, want string }{
		{"nr_cpuss", `x.json:7: undefined: nr_cpuss; did you mean "nr_cpus"?`},
		{"nr_cpus // 0", "x.json:7: floored division by zero"},
		{"mask([-1])", "x.json:7: mask: bit -1"},
		{"mask([70], 1)", "x.json:7: mask: bit 70 does not fit 1 words"},
		{"distance(0, 5)", "x.json:7: distance(0, 5): there are 1 nodes"},
		{`enum("SCX_NOTHING")`, `x.json:7: enum: the kernel has no enumerator "SCX_NOTHING"`},
		{`get("x")`, "x.json:7: the object is not loaded yet"},
		{"half(3)", "test.star:3: fail: 3 is odd"},
		{"forever()", "test.star:5: Starlark computation cancelled: too many steps"},
		{"recurse()", "test.star:9: function recurse called recursively"},
	} {
		t.Run(tc.expr, func(t *testing.T) {
			x := rig(t, "1n1l4c1t", "def half(n):\n    if n % 2:\n        fail(\"%d is odd\" % n)\n    return n // 2\n"+
				"def forever():\n    while True:\n        pass\ndef recurse():\n    return recurse()\n")
			_, err := x.evalExpr(&node{file: "x.json", line: 7}, tc.expr, x.base)
			if err == nil || err.Error() != tc.want {
				t.Errorf("%v, want %s", err, tc.want)
			}
		})
	}
}

// A script keeps its variables from one call to the next, and has neither clock nor chance.
func TestScriptState(t *testing.T) {
	x := rig(t, "1n1l4c1t", "calls = []\ndef step():\n    calls.append(now())\n    return len(calls)\n")
	for want := range 3 {
		v, err := x.callFunc("step")
		if err != nil || v.String() != fmt.Sprint(want+1) {
			t.Errorf("call %d: %v, %v", want, v, err)
		}
	}
	for _, name := range []string{"time", "random", "open", "load", "json"} {
		if x.base[name] != nil {
			t.Errorf("scripts have %s", name)
		}
	}
	if _, err := x.callFunc("stepp"); err == nil || !strings.Contains(err.Error(), `"stepp" is no function of the script; did you mean "step"?`) {
		t.Error(err)
	}
}

// Values go from files and scripts to Go and back.
func TestValues(t *testing.T) {
	x := rig(t, "1n1l4c1t", "")
	n, err := parse("x.json", []byte(`{
		// comments, and commas at the end
		"a": [1, -2, 18446744073709551615, 1.5, true, null, "text", "=nr_cpus * 2",],
		"b": {"c": "=[c.id for c in cpus]"},
	}`))
	if err != nil {
		t.Fatal(err)
	}
	got, err := x.eval(&n, x.base)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"a": []any{int64(1), int64(-2), uint64(1<<64 - 1), 1.5, true, nil, "text", int64(8)},
		"b": map[string]any{"c": []any{int64(0), int64(1), int64(2), int64(3)}},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	back, err := toGo(fromGo(got))
	if d := cmp.Diff(want, back); d != "" || err != nil {
		t.Error(d, err)
	}
	if _, err := toGo(starlark.NewBuiltin("f", nil)); err == nil {
		t.Error("a function is a value")
	}
	if s := short(got); s != "{a: [1 -2 18446744073709551615 1.5 true  text 8], b: {c: [0 1 2 3]}}" {
		t.Error(s)
	}
}
