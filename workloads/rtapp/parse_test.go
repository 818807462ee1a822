package rtapp

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/schedsim/schedsim/sim"
	"github.com/schedsim/schedsim/workloads/gen"
)

const plainGlobal = `"global":{"duration":-1,"calibration":100,"log_size":"disable","default_policy":"SCHED_OTHER"},`

type probe struct {
	name, exit, executed, input string
}

func probes(t *testing.T) []probe {
	t.Helper()
	data, err := os.ReadFile("testdata/probes.txt")
	if err != nil {
		t.Fatal(err)
	}
	var list []probe
	for line := range strings.Lines(string(data)) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(f) != 4 {
			continue
		}
		in := strings.NewReplacer("$G", plainGlobal, `\n`, "\n", `\uFEFF`, "\ufeff").Replace(f[3])
		list = append(list, probe{f[0], f[1], f[2], in})
	}
	if len(list) < 60 {
		t.Fatalf("read %d probes", len(list))
	}
	return list
}

// TestProbes: we take what rt-app takes and refuse what it refuses, and order the events as it does. Files with which
// rt-app fails while running (exit code 1) or never ends are refused as well.
func TestProbes(t *testing.T) {
	for _, p := range probes(t) {
		t.Run(p.name, func(t *testing.T) {
			f, err := Parse("w.json", []byte(p.input), Options{Duplicates: DupLast})
			if accepted := p.exit == "0"; accepted != (err == nil) {
				t.Fatalf("rt-app's exit code is %s, we say: %v", p.exit, err)
			}
			if err != nil {
				for _, e := range err.(Errors) {
					if e.Pos.Line < 1 || e.Pos.Col < 1 || e.Msg == "" {
						t.Errorf("bad position or message: %v", e)
					}
				}
				return
			}
			if p.name == "json-control-char" {
				if got := f.Tasks[0].Name; got != "a\tb" {
					t.Errorf("task name %q", got)
				}
				return
			}
			if diff := cmp.Diff(p.executed, executed(f)); diff != "" {
				t.Errorf("order of events (-rt-app +ours):\n%s", diff)
			}
		})
	}
}

// executed unrolls the loops of f as rt-app's thread_body does and writes the events of each thread.
func executed(f *File) string {
	var threads []string
	index := 0
	for _, t := range f.Tasks {
		var evs []string
		for range max(t.Loop, 0) {
			for _, ph := range t.Phases {
				for range ph.Loop {
					for _, e := range ph.Events {
						evs = append(evs, executedName(e))
					}
				}
			}
		}
		for range t.Instances {
			if evs != nil {
				threads = append(threads, t.Name+"-"+strconv.Itoa(index)+":"+strings.Join(evs, ","))
			}
			index++
		}
	}
	if threads == nil {
		return "-"
	}
	sortStrings(threads)
	return strings.Join(threads, " ")
}

// executedName is the name of an event in rt-app's traces.
func executedName(e *Event) string {
	switch {
	case e.Kind == Timer && e.Unique:
		return "timer_unique"
	case e.Kind == Broad:
		return "broadcast"
	case e.Kind == MemRun:
		return map[string]string{"memrun": "mem_read", "memrun1": "mem_chase", "memrun2": "mem_write"}[e.Key]
	}
	return e.Kind.String()
}

func sortStrings(s []string) {
	for i := range s {
		for j := i; j > 0 && s[j] < s[j-1]; j-- {
			s[j], s[j-1] = s[j-1], s[j]
		}
	}
}

// TestDialect are properties of json-c that no probe covers.
func TestDialect(t *testing.T) {
	for _, tc := range []struct {
		name, in string
		us       int // of the first event; -1: refused
	}{
		{"single quotes", `{'tasks':{'a':{'run':7}}}`, 7},
		{"leading zeros", `{"tasks":{"a":{"run":0100}}}`, 100},
		{"zero", `{"tasks":{"a":{"run":00}}}`, 0},
		{"literals in any case", `{"global":{"gnuplot":False,"pi_enabled":TRUE},"tasks":{"a":{"run":7,"x":NULL}}}`, 7},
		{"text after the root", `{"tasks":{"a":{"run":7}}} and more`, 7},
		{"comment after the root", `{"tasks":{"a":{"run":7}}} // more`, 7},
		{"beyond 32 bits", `{"tasks":{"a":{"run":99999999999999999999}}}`, 1<<31 - 1},
		{"null is a missing key", `{"tasks":{"a":{"loop":null,"run":7}}}`, 7},
		{"null event", `{"tasks":{"a":{"run":null}}}`, -1},
		{"hash comment", "{\n# x\n\"tasks\":{}}", -1},
		{"empty", ``, -1},
		{"blank", " \n", -1},
		{"only a comment", `/* x */`, -1},
		{"open comment", `/* x `, -1},
		{"open string", `{"tasks`, -1},
		{"array", `[1]`, -1},
		{"number", `1`, -1},
		{"deep", strings.Repeat("[", 100000), -1},
		{"fraction", `{"tasks":{"a":{"run":1.5}}}`, -1},
		{"negative with zeros", `{"tasks":{"a":{"run":-007}}}`, -1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f, err := Parse("w.json", []byte(tc.in), Options{})
			if (err != nil) != (tc.us < 0) {
				t.Fatalf("error %v", err)
			}
			if err == nil && f.Tasks[0].Phases[0].Events[0].US != tc.us {
				t.Errorf("read %d, want %d", f.Tasks[0].Phases[0].Events[0].US, tc.us)
			}
		})
	}
}

func TestRelaxNumbers(t *testing.T) {
	for _, tc := range []struct{ in, want string }{
		{"[0100]", "[ 100]"}, {"[-007]", "[  -7]"}, {"[000]", "[  0]"}, {"[0]", "[0]"}, {"[-0]", "[-0]"},
		{"[10, 1e05, 0.05]", "[10, 1e05, 0.05]"}, {"[0x10]", "[0x10]"}, {`["007"]`, `["007"]`},
		{"[1e-07]", "[1e-07]"},
	} {
		got, _, err := relax([]byte(tc.in))
		if err != nil || string(got) != tc.want+"\n" {
			t.Errorf("%s: got %s, %v, want %s", tc.in, got, err, tc.want)
		}
	}
}

// TestErrors: position, what was found, what was expected, the nearest name.
func TestErrors(t *testing.T) {
	for _, tc := range []struct {
		name, in string
		want     string // all errors, without the file name
	}{
		{"unknown event", "{\"tasks\": {\"a\": {\n\t\"loop\": 1,\n\t\"slep\": 100,\n\t\"run\": 1}}}",
			`3:2: unknown event "slep" in a task; did you mean "sleep"?`},
		{"wrong case", `{"tasks":{"a":{"Run":100,"run":1}}}`, `1:16: unknown event "Run" in a task; did you mean "run"?`},
		{"looks like an event", `{"tasks":{"a":{"compute":100,"run":1}}}`, `1:16: unknown event "compute" in a task`},
		{"unknown key", `{"tasks":{"a":{"instances":3,"run":1}}}`,
			`1:16: unknown key "instances" in a task; did you mean "instance"?`},
		{"in a phase", `{"tasks":{"a":{"phases":{"p":{"run":1,"lop":2}}}}}`,
			`1:39: unknown key "lop" in a phase; did you mean "loop"?`},
		{"type of an event", `{"tasks":{"a":{"run":"1ms"}}}`, `1:22: run: found the string "1ms", expected an integer (us)`},
		{"type of a lock", `{"tasks":{"a":{"lock":[1]}}}`, `1:23: lock: found an array, expected a string, the name of a mutex`},
		{"columns count characters", `{"tasks":{"größe":{"run":"x"}}}`, `1:26: run: found the string "x", expected an integer (us)`},
		{"policy", `{"tasks":{"a":{"run":1,"policy":"SCHED_BATHC"}}}`,
			`1:33: policy: found "SCHED_BATHC", expected one of SCHED_OTHER, SCHED_BATCH, SCHED_IDLE, SCHED_RR, SCHED_FIFO, ` +
				`SCHED_DEADLINE; did you mean "SCHED_BATCH"?`},
		{"nice", `{"tasks":{"a":{"run":1,"priority":20}}}`,
			`1:35: priority: found 20, expected a nice value from -20 to 19 for SCHED_OTHER`},
		{"cpus", `{"tasks":{"a":{"run":1,"cpus":[0,-1]}}}`, `1:34: cpus: found -1, expected a CPU number, 0 or more`},
		{"no tasks", `{"task":{"a":{"run":1}}}`, `1:1: found no object "tasks", which is required; did you mean the key "task"?`},
		{"fork", `{"tasks":{"child":{"run":1},"a":{"fork":"chld"}}}`,
			`1:41: fork: found no task "chld"; did you mean "child"?`},
		{"two at once", `{"tasks":{"a":{"run":"x"},"b":{"sleep":-1}}}`,
			"1:22: run: found the string \"x\", expected an integer (us)\n1:40: sleep: found -1, expected 0 or more (us)"},
		{"syntax", "{\n  \"tasks\" 1}", `2:11: syntax: invalid character '1' after object name`},
		{"end", `{"tasks":`, `1:10: found the end of the text, expected the rest of a value`},
		{"extension key", `{"global":{"schedsim":{"titel":"x"}},"tasks":{}}`,
			`1:24: unknown key "titel" in "schedsim", expected title, duration, cgroups, timeline; did you mean "title"?`},
		{"no such event", `{"tasks":{"a":{"run":1,"schedsim":{"sleep":{"dist":"constant","value":"1ms"}}}}}`,
			`1:36: unknown key "sleep" in "schedsim", expected title, cgroup_weight, per_cpu, run`},
		{"no unit", `{"tasks":{"a":{"run":1,"schedsim":{"run":{"dist":"exponential","mean":5}}}}}`,
			`1:71: mean: found the number 5, expected a duration with a unit such as "250us" or "1.5ms"; a plain number has no unit`},
		{"family", `{"tasks":{"a":{"run":1,"schedsim":{"run":{"dist":"exponental"}}}}}`,
			`1:50: dist: found "exponental", expected one of constant, uniform, exponential, normal, lognormal, pareto, bimodal; ` +
				`did you mean "exponential"?`},
		{"parameter", `{"tasks":{"a":{"run":1,"schedsim":{"run":{"dist":"pareto","min":"1ms"}}}}}`,
			`1:42: distribution of "run": found no key "alpha", which pareto needs`},
		{"range", `{"tasks":{"a":{"run":1,"schedsim":{"run":{"dist":"uniform","min":"3ms","max":"1ms"}}}}}`,
			`1:42: distribution of "run": uniform: min 3ms is greater than max 1ms`},
		{"weight", `{"tasks":{"a":{"run":1,"schedsim":{"cgroup_weight":0}}}}`, `1:52: cgroup_weight: found 0, expected 1 to 10000`},
		{"per CPU", `{"tasks":{"a":{"run":1,"schedsim":{"per_cpu":0}}}}`, `1:46: per_cpu: found 0, expected more than 0, at most 1000`},
		{"per CPU as text", `{"tasks":{"a":{"run":1,"schedsim":{"per_cpu":"2"}}}}`, `1:46: per_cpu: found the string "2", expected a number`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := Parse("f.json", []byte(tc.in), Options{})
			var list Errors
			if !errors.As(err, &list) {
				t.Fatalf("got %v, want a list of errors", err)
			}
			got := strings.ReplaceAll(err.Error(), "f.json:", "")
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestWarnings(t *testing.T) {
	for _, tc := range []struct {
		name, in string
		o        Options
		want     string
	}{
		{"unknown string key", `{"tasks":{"a":{"run":1,"color":"red"}}}`, Options{},
			`1:24: warning: unknown key "color" in a task is ignored`},
		{"typo, raw", `{"tasks":{"a":{"run":1,"slep":5}}}`, Options{Unknown: UnknownWarn},
			`1:24: warning: unknown key "slep" in a task is ignored; did you mean "sleep"?`},
		{"comment key", `{"_comment":"x","tasks":{"a":{"run":1,"_c":"x"}}}`, Options{}, ``},
		{"prefix", `{"tasks":{"a":{"running":1,"run_2":1,"run3":1}}}`, Options{},
			`1:16: warning: key "running" is read as the event "run": every key that starts with an event's name is that event`},
		{"global", `{"global":{"duratoin":5},"tasks":{}}`, Options{},
			`1:12: warning: unknown key "duratoin" in global is ignored; did you mean "duration"?`},
		{"tail", `{"tasks":{}} {"tasks":{}}`, Options{}, `1:14: warning: text after the first object is ignored`},
		{"duplicate, expanded", `{"tasks":{"a":{"run":1,"run":2}}}`, Options{},
			`1:24: warning: duplicate key "run": read as "run1", as workgen does; rt-app itself takes the last value only (--rtapp-dup=last)`},
		{"duplicate, last", `{"tasks":{"a":{"run":1,"run":2}}}`, Options{Duplicates: DupLast},
			`1:24: warning: duplicate key "run": this value replaces the one at line 1`},
		{"resume nobody", `{"tasks":{"a":{"resume":"b"}}}`, Options{},
			`1:25: warning: resume: found no task "b", so nobody is ever resumed`},
		{"resume a condition", `{"tasks":{"a":{"resume":"c"},"b":{"wait":{"ref":"c","mutex":"m"}}}}`, Options{}, ``},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f, err := Parse("f.json", []byte(tc.in), tc.o)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, w := range f.Warnings {
				got = append(got, strings.TrimPrefix(w.String(), "f.json:"))
			}
			if diff := cmp.Diff(tc.want, strings.Join(got, "\n")); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestDuplicates: workgen's numbering, and the last value at the first place.
func TestDuplicates(t *testing.T) {
	const in = `{"tasks":{"a":{"loop":1,"run":1,"lock":"m","run":2,"unlock":"m","lock":"m","run":3}}}`
	for _, tc := range []struct {
		name string
		o    Options
		want string
	}{
		{"expand", Options{}, "run=1 lock run1=2 unlock lock1 run2=3 "},
		{"last", Options{Duplicates: DupLast}, "run=3 lock unlock "},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f, err := Parse("f.json", []byte(in), tc.o)
			if err != nil {
				t.Fatal(err)
			}
			var got strings.Builder
			for _, e := range f.Tasks[0].Phases[0].Events {
				got.WriteString(e.Key)
				if e.US != 0 {
					fmt.Fprintf(&got, "=%d", e.US)
				}
				got.WriteByte(' ')
			}
			if got.String() != tc.want {
				t.Errorf("got %s, want %s", got.String(), tc.want)
			}
		})
	}
}

func TestExtensions(t *testing.T) {
	const in = `{
	"global": {"duration": 5, "schedsim": {"title": "A title", "duration": "250ms"}},
	"tasks": {
		"srv": {"loop": -1, "sem_wait": "q", "run": 1000,
			"schedsim": {"title": "server", "cgroup_weight": 50, "run": {"dist": "lognormal", "mean": "1ms", "sd": "2ms", "at_most": "20ms"}}},
		"cli": {"phases": {"p": {"loop": -1, "timer": {"ref": "unique", "period": 2000, "mode": "absolute"}, "sem_post": "q",
			"schedsim": {"timer": {"dist": "exponential", "mean": "2ms"}}}}}
	}}`
	f, err := Parse("f.json", []byte(in), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if f.Global.Title != "A title" || f.Global.Duration != 250*sim.Millisecond {
		t.Errorf("global: %+v", f.Global)
	}
	srv, cli := f.Task("srv"), f.Task("cli")
	if srv.CgroupWeight != 50 || srv.Title != "server" {
		t.Errorf("srv: %+v", srv)
	}
	want := gen.Dist{Kind: gen.LogNormal, Mean: sim.Millisecond, SD: 2 * sim.Millisecond, Hi: 20 * sim.Millisecond}
	if diff := cmp.Diff(&want, srv.Phases[0].Events[1].Dist); diff != "" {
		t.Errorf("distribution (-want +got):\n%s", diff)
	}
	timer := cli.Phases[0].Events[0]
	if timer.Dist == nil || timer.Dist.Mean != 2*sim.Millisecond || !timer.Unique || !timer.Absolute {
		t.Errorf("timer: %+v", timer)
	}
}

// FuzzParse: an error or a file, never both or none, and never a panic; positions lie in the text.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		`{"tasks":{"a":{"loop":1,"run":100}}}`,
		`{'tasks':{'a':{'phases':{'p':{'timer':{'ref':'unique','period':100},"cpus":["1",2]}}}}} tail`,
		`{"tasks":{"a":{"run":1,"run":2,"schedsim":{"run":{"dist":"bimodal","low":"1ms","high":"2ms","p":0.5}}}}}`,
		"{\"global\":{\"duration\":007,\"gnuplot\":TRUE}, // c\n\"tasks\":{}}", `/*`, `"`, `'a"`, `{"tasks":[`, "{\"\xff\":1}",
	} {
		f.Add([]byte(s), false)
	}
	f.Fuzz(func(t *testing.T, data []byte, last bool) {
		o := Options{Unknown: UnknownWarn}
		if last {
			o.Duplicates = DupLast
		}
		file, err := Parse("f", data, o)
		if (file == nil) == (err == nil) {
			t.Fatalf("file %v, error %v", file, err)
		}
		lines := strings.Count(string(data), "\n") + 1
		if err != nil {
			list := err.(Errors)
			if len(list) == 0 || len(list) > 2*maxErrors {
				t.Fatalf("%d errors", len(list))
			}
			for _, e := range list {
				if e.Pos.Line < 1 || e.Pos.Line > lines || e.Pos.Col < 1 {
					t.Fatalf("position of %v", e)
				}
			}
			return
		}
		for _, task := range file.Tasks {
			for _, ph := range task.Phases {
				if len(ph.Events) == 0 {
					t.Fatalf("phase %q of %q has no events", ph.Name, task.Name)
				}
			}
		}
	})
}

func TestPerCPU(t *testing.T) {
	const in = `{"tasks": {
		"two": {"instance": 3, "run": 1, "schedsim": {"per_cpu": 2}},
		"half": {"run": 1, "schedsim": {"per_cpu": 0.5}},
		"tenth": {"phases": {"p": {"run": 1}}, "schedsim": {"per_cpu": 0.1}},
		"plain": {"instance": 5, "run": 1}
	}}`
	for _, tc := range []struct {
		name string
		cpus int
		want []int
	}{
		{"machine unknown", 0, []int{3, 1, 1, 5}},
		{"one CPU", 1, []int{2, 1, 1, 5}},
		{"five", 5, []int{10, 3, 1, 5}},
		{"thirty", 30, []int{60, 15, 3, 5}},
		{"many", 128, []int{256, 64, 13, 5}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f, err := Parse("f.json", []byte(in), Options{CPUs: tc.cpus})
			if err != nil {
				t.Fatal(err)
			}
			var got []int
			for _, task := range f.Tasks {
				got = append(got, task.Instances)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
