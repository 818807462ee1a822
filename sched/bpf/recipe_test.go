package bpf

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/schedsim/schedsim/ops/kernels"
	"github.com/schedsim/schedsim/sched"
	"github.com/schedsim/schedsim/sched/bpf/agent/recipes"
	"github.com/schedsim/schedsim/sim"
)

// recipe makes a recipe for agent.bpf.o of its parts.
func recipe(t *testing.T, body, script string) *recipes.Recipe {
	t.Helper()
	r, err := recipes.Parse("agent.json", []byte(`{"title": "test", "ops": "agent", "script": "agent.star", `+body+`}`),
		func(string) ([]byte, error) { return []byte(script), nil })
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// open opens and enables agent.bpf.o with a recipe.
func openWith(t *testing.T, r *rig, rec *recipes.Recipe, log func(string)) (*Policy, error) {
	t.Helper()
	o := r.options("interp")
	o.Agent = recipes.New(recipes.Options{Recipe: rec, Log: log})
	p, err := New("testdata/agent.bpf.o", o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	tbl, err := p.Open(sched.Env{Machine: r.m, Kernel: r.k})
	if err != nil {
		return p, err
	}
	if err := r.k.Enable(tbl); err != nil {
		return p, err
	}
	return p, p.Attached()
}

const agentSet = `"set": {"slice_ns": "5ms", "mode": "AWAKE", "nr_domains": "=nr_llcs",
	"domains[1]": {"id": 1, "mode": "SLEEPY", "mask": [1, 2, 3, "=9 + nr_llcs"]}}`

// A recipe does with an object what its loader would, in the order of the file, and tells of it.
func TestRecipe(t *testing.T) {
	rec := recipe(t, agentSet+`,
	"members": {"flags": ["ENQ_LAST", "KEEP_BUILTIN_IDLE", "NO_SUCH_FLAG?"]},
	"resize": {"per_cpu": "=nr_cpus"},
	"maps": {"by_id": "=nr_cpus * 2"},
	"loaded": [
		{"set": {"per_cpu[0]": 1, "not_there?": 2}},
		{"update": "by_id", "for": "i, v in [(7, 3), (6, 5)]", "key": "=i", "value": {"id": "=i", "mask": [0, 0, 0, "=v"]}},
		{"update": "each_cpu", "key": 0, "value": "=[{\"id\": c.id + 4} for c in cpus]"},
		{"inner": "queues", "for": "i in range(3)", "if": "i != 1", "key": "=i", "entries": 2},
		{"run": "where", "if": "smt"},
		{"call": "pages"},
		{"run": "talk"},
	],
	"attached": [
		{"run": "where", "for": "c in cpus", "if": "c.id % 2", "on": "=c.id"},
		{"run": "pop_inner", "args": {"pages": 1}, "result": -2},
		{"every": "10ms", "call": "tick"},
	]`, `
ticks = []

def pages():
    r = run("alloc", pages = 1)
    if r.ret or arena(r.args.addr, "alloc_args").pages != 77:
        fail("alloc")
    a = arena(r.args.addr, "alloc_args")
    a.pages = 78
    if elements("domains") != 8 or sizeof("domain") != 40 or sizeof("nothing", 5) != 5:
        fail("types")
    map_set("queue", None, 9)
    d = map_get("by_id", 7)
    if (d.id, d.mask[3], len(d.mask), map_get("by_id", 99)) != (7, 3, 4, None):
        fail("by_id: %s" % d)
    d.mask = [0, 0, 0, 4]
    map_set("by_id", 7, d)
    if sorted([k for k in map_keys("by_id")]) != [6, 7] or not map_delete("by_id", 6) or map_delete("by_id", 6):
        fail("keys")
    if [d.id for d in map_get_cpus("each_cpu", 0)] != [4, 5, 6, 7]:
        fail("each_cpu")

def tick():
    ticks.append(now())
    set("sum", get("sum") + 1)
    get("domains[2]").id = len(ticks)
    if len(ticks) == 2:
        after(1 * MS, late, cpu = 2)

def late():
    get("domains")[3].mode = "AWAKE"
`)
	r := newRig(t, rigConfig{topo: "1n2l2c1t"})
	var log []string
	p, err := openWith(t, r, rec, func(line string) { log = append(log, line) })
	if err != nil {
		t.Fatal(err)
	}
	r.spawn(sim.TaskSpec{Comm: "hog", Behavior: hog()})
	r.run(25 * sim.Millisecond)
	r.mustLive()
	if err := p.AgentError(); err != nil {
		t.Fatal(err)
	}
	// As in TestAgent, and two ticks.
	for path, want := range map[string]uint64{"sum": 4 + 4_000 + 900_000 + 10_000_000 + 2, "ran_on": 1<<1 | 1<<3, "domains[2].id": 2, "domains[3].mode": 4} {
		if v, err := p.user.Uint(path); v != want || err != nil {
			t.Errorf("%s = %d, %v; want %d", path, v, err, want)
		}
	}
	if n, err := p.loaded.Section(".data.per_cpu"); err != nil || len(n) != 16 {
		t.Errorf(".data.per_cpu has %d bytes, %v", len(n), err)
	}
	if d := cmp.Diff([]string{
		"recipe agent: test", "variable per_cpu: 4 elements, its section 16 bytes", "map by_id: 8 entries", "ops.flags = ENQ_LAST|KEEP_BUILTIN_IDLE",
		"slice_ns = 5000000", "mode = AWAKE", "nr_domains = 2", "domains[1] = {id: 1, mask: [1 2 3 11], mode: SLEEPY}", "per_cpu[0] = 1",
		"map by_id[7] = {id: 7, mask: [0 0 0 3]}", "map by_id[6] = {id: 6, mask: [0 0 0 5]}",
	}, log[:min(11, len(log))]); d != "" {
		t.Error(d)
	}
}

// What a recipe says wrong about an object is refused with its place.
func TestRecipeErrors(t *testing.T) {
	for _, tc := range []struct{ name, body, script, want string }{
		{"variable", `"set": {"slice": 1}`, "", `agent.json:1: agent.bpf.o: variable "slice": there is none; did you mean "slice_ns"?`},
		{"flag", `"members": {"flags": ["ENQ_LASTT"]}`, "", `agent.json:1: agent.bpf.o: struct sched_ext_ops agent_ops, member flags: "ENQ_LASTT" is neither a number nor a name of the kernel; did you mean "ENQ_LAST"?`},
		{"member of the table", `"members": {"flagz": 1}`, "", `no member "flagz"; did you mean "flags"?`},
		{"type", `"set": {"slice_ns": {"a": 1}}`, "", `agent.json:1: agent.bpf.o: variable "slice_ns": a struct given, expected an integer`},
		{"enumerator", `"set": {"mode": "AWAKEN"}`, "", `enum mode has no enumerator "AWAKEN"; did you mean "AWAKE"?`},
		{"duration", `"set": {"slice_ns": "5 minutes"}`, "", `"5 minutes" is neither a number, a duration such as 5ms, nor an enumerator of the kernel`},
		{"member", `"set": {"domains[1]": {"idd": 1}}`, "", `struct domain has no member "idd"; did you mean "id"?`},
		{"elements", `"set": {"domains[1].mask": [1, 2, 3, 4, 5]}`, "", "5 elements given, it has 4"},
		{"map", `"maps": {"by_idd": 3}`, "", `no map "by_idd"; did you mean "by_id"?`},
		{"entries", `"maps": {"by_id": -3}`, "", "map by_id: -3 is no number of 32 bits"},
		{"resize", `"resize": {"sum": 3}`, "", "only an array that ends its section can have another size"},
		{"autoload", `"autoload": {"wherr": true}`, "", `no program "wherr"; did you mean "where"?`},
		{"program", agentSet + `, "loaded": [{"run": "wherr"}]`, "", `agent.json:2: agent.bpf.o: no SYSCALL program "wherr"; did you mean "where"?`},
		{"argument", agentSet + `, "loaded": [{"run": "alloc", "args": {"pagess": 1}}]`, "", `no member "pagess"; did you mean "pages"?`},
		{"result", agentSet + `, "loaded": [{"run": "pop_inner", "args": {"pages": 0}}]`, "", "agent.json:2: program pop_inner returned -2"},
		{"script", agentSet + `, "loaded": [{"call": "go"}]`, "def go():\n    get(\"domainss\")\n", `agent.star:2: agent.bpf.o: variable "domainss": there is none; did you mean "domains"?`},
		{"read-only", agentSet + `, "loaded": [{"set": {"mode": 3}}]`, "", `variable "mode": it is read-only once the object is loaded`},
		{"agent", `"agent": "userlnd"`, "", `agent.json:1: no agent "userlnd"; did you mean "userland"?`},
		{"another object", `"needs": ["cpdom_ctxs"]`, "", `recipe agent: it needs "cpdom_ctxs", which the object does not have`},
		{"init", `"set": {"slice_ns": 1}`, "", "ops.init() failed (-22)"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := openWith(t, newRig(t, rigConfig{topo: "1n2l2c1t"}), recipe(t, tc.body, tc.script), nil)
			if err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%v\nwant %s", err, tc.want)
			}
		})
	}
}

// Without a recipe it is said which variables look as if a loader sets them.
func TestNoRecipe(t *testing.T) {
	r := newRig(t, rigConfig{topo: "1n1l2c1t"})
	o := r.options("interp")
	var notices []string
	o.Notice = func(text string) { notices = append(notices, text) }
	o.Globals = map[string]any{"slice_ns": "5ms"}
	p, err := New("testdata/agent.bpf.o", o)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if _, err := p.Open(sched.Env{Machine: r.m, Kernel: r.k}); err != nil {
		t.Fatal(err)
	}
	want := `agent.bpf.o: no recipe for the scheduler "agent": its loader seems to set mode, which are 0 now; -G sets them, --recipe takes a file (schedsim recipe list)`
	if len(notices) == 0 || notices[0] != want {
		t.Errorf("%q", notices)
	}
}

// An object that needs what the kernel does not have is refused with the kernels that do.
func TestNewerObjects(t *testing.T) {
	for _, tc := range []struct{ kernel, file, want string }{
		{"6.18", "testdata/cid.bpf.o", `: --kernel 7.3 or 7.2 has it`},
		{"6.16", "testdata/cid.bpf.o", `: --kernel 7.3 or 7.2 has it`},
		{"7.2", "testdata/newer.bpf.o", `the kernel has no function "scx_bpf_warp"; did you mean "scx_bpf_now"?: none of the kernels that are known (7.3, 7.2, 6.18, 6.16) has it, the object may be for a newer one`},
	} {
		t.Run(tc.kernel+" "+filepath.Base(tc.file), func(t *testing.T) {
			r := newRig(t, rigConfig{topo: "1n1l1c1t"})
			o := r.options("interp")
			k, err := kernels.Get(tc.kernel)
			if err != nil {
				t.Fatal(err)
			}
			o.Kernel = k
			if o.Table = "cid_ops"; strings.Contains(tc.file, "newer") {
				o.Table = ""
			}
			p, err := New(tc.file, o)
			if err != nil {
				t.Fatal(err)
			}
			_, err = p.Open(sched.Env{Machine: r.m, Kernel: r.k})
			if err == nil || !strings.HasSuffix(err.Error(), tc.want) {
				t.Errorf("%v, want %s", err, tc.want)
			}
		})
	}
}

// Objects of $SCHEDSIM_OBJECTS whose schedulers have recipes are attached with them and run.
func TestRecipesOfObjects(t *testing.T) {
	folders := filepath.SplitList(os.Getenv("SCHEDSIM_OBJECTS"))
	if len(folders) == 0 {
		t.Skip("SCHEDSIM_OBJECTS lists no folders of schedulers' objects")
	}
	for _, dir := range folders {
		files, err := filepath.Glob(filepath.Join(dir, "scx_*.bpf.o"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			t.Run(filepath.Base(dir)+"/"+filepath.Base(file), func(t *testing.T) {
				r := newRig(t, rigConfig{topo: "2n2l2c2t", quiet: true})
				p, err := New(file, r.options("auto"))
				if errors.Is(err, fs.ErrNotExist) || err != nil && strings.Contains(err.Error(), "no struct sched_ext_ops") {
					t.Skip(err)
				}
				if err != nil {
					t.Fatal(err)
				}
				if rec, err := recipes.For(p.Name(), p.obj); err != nil || rec == nil {
					t.Skipf("%s: no recipe, %v", p.Name(), err)
				}
				tbl, err := p.Open(sched.Env{Machine: r.m, Kernel: r.k})
				if err != nil && strings.Contains(err.Error(), "invalid mem access 'scalar'") {
					t.Skipf("the kernel refuses it too: %v", err)
				}
				if err != nil {
					t.Fatal(err)
				}
				defer p.Close()
				if err := r.k.Enable(tbl); err != nil {
					t.Fatal(err)
				}
				if err := p.Attached(); err != nil {
					t.Fatal(err)
				}
				for range 24 {
					r.spawn(sim.TaskSpec{Comm: "hog", Behavior: hog()}, sim.TaskSpec{Comm: "sleeper", Behavior: periodic(sim.Millisecond, 3*sim.Millisecond)})
				}
				r.run(500 * sim.Millisecond)
				if e := r.k.ExitInfo(); e != nil && strings.Contains(e.Msg, "Failed to cancel pcpu timer") {
					t.Skipf("7.2 does not let timers be cancelled there: %s", e.Msg)
				}
				r.mustLive()
				if err := p.AgentError(); err != nil {
					t.Error(err)
				}
			})
		}
	}
}
