package plan

import (
	"flag"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/schedsim/schedsim/sim"
	"github.com/schedsim/schedsim/workloads/gen"
)

var update = flag.Bool("update", false, "rewrite golden files")

// TestGolden compiles a file that has every event, settings of phases, cgroups and a timeline.
func TestGolden(t *testing.T) {
	data, err := os.ReadFile("testdata/all.json")
	if err != nil {
		t.Fatal(err)
	}
	p, err := Compile("all.json", data, Options{CPUs: 2, Seed: 7, Lead: 300 * sim.Millisecond, Phase: sim.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, g := range p.Cgroups {
		b.WriteString("mkdir " + g + "\n")
	}
	for _, f := range p.Files {
		b.WriteString("write " + f.Path + " " + strconv.Quote(f.Text) + "\n")
	}
	b.WriteString(p.Text)
	const golden = "testdata/all.plan"
	if *update {
		if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), b.String()); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"a", "b", "child"}, p.Tasks); d != "" {
		t.Error(d)
	}
}

// TestDraws: a task gets the numbers that it gets in the simulator, in the order in which its steps need them.
func TestDraws(t *testing.T) {
	const text = `{"global": {"duration": 1}, "tasks": {
		"x": {"run": 10, "sleep": 10, "schedsim": {"run": {"dist": "exponential", "mean": "1ms"}, "sleep": {"dist": "uniform", "min": "0us", "max": "9us"}}},
		"y": {"loop": 3, "fork": "z", "run": 1},
		"z": {"instance": 0, "loop": 2, "run": 10, "schedsim": {"run": {"dist": "exponential", "mean": "1ms"}}}
	}}`
	p, err := Compile("x.json", []byte(text), Options{CPUs: 1, Seed: 3})
	if err != nil {
		t.Fatal(err)
	}
	fields := func(prefix string) []string {
		for line := range strings.Lines(p.Text) {
			if strings.HasPrefix(line, prefix) {
				return strings.Fields(strings.TrimPrefix(line, prefix))
			}
		}
		t.Fatalf("no line %q in\n%s", prefix, p.Text)
		return nil
	}
	exp := gen.Dist{Kind: gen.Exponential, Mean: sim.Millisecond}
	uni := gen.Dist{Kind: gen.Uniform, Max: 9 * sim.Microsecond}
	src := sim.Stream(3, "x-0")
	run, sleep := gen.NewSampler(exp, src), gen.NewSampler(uni, src)
	got := fields("instance 0 -0 ")
	if got[0] != "8192" || len(got) != 8193 {
		t.Fatalf("%s draws, %d of them", got[0], len(got)-1)
	}
	for i := 1; i+1 < len(got); i += 2 {
		if a, b := strconv.FormatInt(int64(run.Sample()), 10), strconv.FormatInt(int64(sleep.Sample()), 10); got[i] != a || got[i+1] != b {
			t.Fatalf("draws %d: %s %s, want %s %s", i, got[i], got[i+1], a, b)
		}
	}
	want := []string{"3"}
	for k := range 3 {
		s := gen.NewSampler(exp, sim.Stream(3, "y-1/"+strconv.Itoa(k)+":z"))
		want = append(want, "2", strconv.FormatInt(int64(s.Sample()), 10), strconv.FormatInt(int64(s.Sample()), 10))
	}
	if d := cmp.Diff(want, fields("forks ")); d != "" {
		t.Error(d)
	}
}

func TestRefusals(t *testing.T) {
	for _, tc := range []struct {
		name, text, want string
		cpus             int
	}{
		{"no CPUs", `{"tasks": {"a": {"loop": 1, "run": 1}}}`, "x.json: 0 CPUs, the player knows 1 to 64", 0},
		{"no such CPU", `{"tasks": {"a": {"loop": 1, "cpus": [3], "run": 1}}}`,
			"x.json:1:38: cpus: found CPU 3, expected one that the machine has (0 to 1)", 2},
		{"endless", `{"tasks": {"a": {"run": 1}}}`, "x.json: tasks that never end, and no duration", 1},
		{"speed", `{"global": {"schedsim": {"duration": "1s", "timeline": [{"at": "1ms", "do": "speed", "cpus": "0", "value": 50}]}}, "tasks": {"a": {"run": 1}}}`,
			"x.json:1:57: speed: not known to the player", 1},
		{"space", `{"tasks": {"a b": {"loop": 1, "run": 1}}}`,
			`x.json: task "a b": the lab needs names of 1 to 63 characters without spaces`, 1},
		{"own cgroup", `{"tasks": {"a": {"loop": 1, "run": 1, "schedsim": {"cgroup_weight": 50}}}}`,
			`x.json: task "a": cgroup_weight: not known to the player, use cgroups and taskgroup`, 1},
		{"random spawn", `{"global": {"schedsim": {"duration": "1s", "timeline": [{"at": "1ms", "do": "spawn", "task": "a"}]}},
			"tasks": {"a": {"instance": 0, "run": 1, "schedsim": {"run": {"dist": "exponential", "mean": "1ms"}}}}}`,
			`x.json:1:57: spawn: task "a" has random durations: not known to the player`, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := Compile("x.json", []byte(tc.text), Options{CPUs: tc.cpus})
			if err == nil || err.Error() != tc.want {
				t.Errorf("%v\nwant %s", err, tc.want)
			}
		})
	}
}

// TestMatrix: every workload of the matrix and every example can be played, or is refused with a reason.
func TestMatrix(t *testing.T) {
	for _, dir := range []string{"../workloads", "../../../workloads/examples"} {
		files, err := filepath.Glob(filepath.Join(dir, "*.json"))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %d files, %v", dir, len(files), err)
		}
		for _, f := range files {
			data, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			a, err := Compile(f, data, Options{CPUs: 4, Seed: 1})
			if err != nil {
				if dir == "../workloads" {
					t.Error(err)
				} else {
					t.Log(err)
				}
				continue
			}
			b, err := Compile(f, data, Options{CPUs: 4, Seed: 1})
			if err != nil || a.Text != b.Text {
				t.Errorf("%s: compiled twice, two plans (%v)", f, err)
			}
		}
	}
}
