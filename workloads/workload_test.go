package workloads

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestRefused are files that rt-app takes and we cannot run (yet).
func TestRefused(t *testing.T) {
	for _, tc := range []struct{ name, in, want string }{
		{"memory", `{"tasks":{"a":{"run":1,"memory":64}}}`, `w.json:1:24: event "memory" (mem) is not supported yet`},
		{"memrun", `{"tasks":{"a":{"memrun":{"type":"read","size":1,"count":1}}}}`,
			`w.json:1:16: event "memrun" (memrun) is not supported yet`},
		{"iorun", `{"tasks":{"a":{"iorun":1}}}`, `w.json:1:16: event "iorun" (iorun) is not supported yet`},
		{"deadline without parameters", `{"tasks":{"a":{"policy":"SCHED_DEADLINE","run":1}}}`,
			`w.json:1:25: deadline: none given`},
		{"deadline before runtime", `{"tasks":{"a":{"policy":"SCHED_DEADLINE","dl-runtime":500,"dl-deadline":400,"run":1}}}`,
			`w.json:1:42: deadline: runtime 500µs is longer than the deadline 400µs`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := Parse("w.json", []byte(tc.in), Options{})
			if err == nil {
				t.Fatal("accepted")
			}
			if diff := cmp.Diff(tc.want, err.Error()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestBind(t *testing.T) {
	w, err := Parse("w.json", []byte("{\"tasks\":{\"a\":{\"cpus\":[0,4],\n\"run\":1},\"b\":{\"phases\":{\"p\":{\"run\":1,\"cpus\":[9]}}}}}"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Bind(10); err != nil {
		t.Errorf("10 CPUs: %v", err)
	}
	_, err = w.Bind(4)
	want := "w.json:1:26: cpus: found CPU 4, expected one that the machine has (0 to 3)\n" +
		"w.json:2:46: cpus: found CPU 9, expected one that the machine has (0 to 3)"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %v", err, want)
	}
}

func TestExamples(t *testing.T) {
	names := Examples()
	if len(names) != 9 {
		t.Fatalf("%d examples: %v", len(names), names)
	}
	for _, name := range names {
		data, err := Example(name)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(string(data), "/*") {
			t.Errorf("%s: no comment at the head", name)
		}
		w, err := Parse(name, data, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if w.Title == "" || w.Duration == 0 || len(w.Warnings) != 0 {
			t.Errorf("%s: title %q, duration %v, warnings %v", name, w.Title, w.Duration, w.Warnings)
		}
		cpus := 1
		if name == "hotplug" {
			cpus = 2
		}
		if _, err := w.Bind(cpus); err != nil {
			t.Errorf("%s does not run on %d CPUs: %v", name, cpus, err)
		}
	}
	if _, err := Example("nope"); err == nil || !strings.Contains(err.Error(), "hogs") {
		t.Errorf("unknown example: %v", err)
	}
}

func TestEndless(t *testing.T) {
	for _, tc := range []struct {
		in   string
		want bool
	}{
		{`{"tasks":{"a":{"run":1}}}`, true},
		{`{"tasks":{"a":{"loop":3,"run":1}}}`, false},
		{`{"tasks":{"a":{"loop":0,"run":1}}}`, true},
		{`{"tasks":{"a":{"loop":1,"phases":{"p":{"loop":-1,"run":1}}}}}`, true},
		{`{"tasks":{"a":{"loop":0,"phases":{"p":{"loop":-1,"run":1}}}}}`, false},
		{`{"tasks":{"a":{"instance":0,"run":1}}}`, false},
	} {
		w, err := Parse("w", []byte(tc.in), Options{})
		if err != nil {
			t.Fatal(err)
		}
		if w.Endless() != tc.want {
			t.Errorf("%s: endless %v", tc.in, w.Endless())
		}
	}
}

// FuzzParse: an error or a workload, and what was parsed can be started.
func FuzzParse(f *testing.F) {
	for _, name := range Examples() {
		data, _ := Example(name)
		f.Add(data)
	}
	f.Add([]byte(`{"tasks":{"a":{"lock":"m","wait":{"ref":"c","mutex":"m"},"sync":1,"barrier":"b","fork":"a"}}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		w, err := Parse("f", data, Options{})
		if (w == nil) == (err == nil) {
			t.Fatalf("workload %v, error %v", w, err)
		}
		if err != nil {
			return
		}
		b, err := w.Bind(4)
		if err != nil {
			return
		}
		total := 0
		for _, task := range w.Tasks() {
			total += task.Instances
		}
		if total > 100 {
			return
		}
		for _, s := range b.New(RunOptions{Rand: stream}).Specs {
			alone(s, 50, 0)
		}
	})
}

func ExampleParse() {
	const text = `{
		"global": { "schedsim": { "title": "One task", "duration": "1s" } },
		"tasks": { "worker": { "instance": 2, "run": 2000, "sleep": 8000 } }
	}`
	w, err := Parse("one.json", []byte(text), Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(w.Title, w.Duration)
	for _, t := range w.Tasks() {
		fmt.Println(t.Name, t.Instances, t.Endless)
	}
	// Output:
	// One task 1s
	// worker 2 true
}

func ExampleParse_error() {
	_, err := Parse("typo.json", []byte(`{"tasks": {"a": {"slep": 100}}}`), Options{})
	fmt.Println(err)
	// Output:
	// typo.json:1:18: unknown event "slep" in a task; did you mean "sleep"?
}
