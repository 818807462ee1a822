package exits

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/schedsim/schedsim/internal/runner"
	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/sched/bpf"
	"github.com/schedsim/schedsim/sim"
	"github.com/schedsim/schedsim/sim/topo"
	"github.com/schedsim/schedsim/workloads"
)

// outcome is how a case ended: a line of kernel-VERSION.jsonl.
type outcome struct {
	Case string `json:"case"`
	// Load and Attach are the errors of loading and attaching, 0 for none.
	Load   int    `json:"load"`
	Attach int    `json:"attach,omitempty"`
	Exits  int    `json:"exits"`
	Kind   int    `json:"kind"`
	Code   int64  `json:"code"`
	Reason string `json:"reason"`
	Msg    string `json:"msg"`
	Dump   string `json:"dump,omitempty"`
	// Log is what the kernel wrote to its log about it.
	Log []string `json:"log"`
}

func readOutcomes(t *testing.T, version string) []outcome {
	t.Helper()
	f, err := os.Open("testdata/kernel-" + version + ".jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var list []outcome
	sc := bufio.NewScanner(f)
	sc.Buffer(nil, 1<<20)
	for sc.Scan() {
		var o outcome
		if err := json.Unmarshal(sc.Bytes(), &o); err != nil {
			t.Fatal(err)
		}
		list = append(list, o)
	}
	if err := sc.Err(); err != nil {
		t.Fatal(err)
	}
	return list
}

// endCase is a line of cases.txt.
type endCase struct {
	name, table string
	mode        uint32
	action      string
	flags       string // of the table; "": those that it has
}

func readCases(t *testing.T) map[string]endCase {
	t.Helper()
	data, err := os.ReadFile("testdata/cases.txt")
	if err != nil {
		t.Fatal(err)
	}
	cases := map[string]endCase{}
	for line := range strings.Lines(string(data)) {
		var c endCase
		if line[0] == '#' {
			continue
		}
		if n, err := fmt.Sscan(line, &c.name, &c.table, &c.mode, &c.action, &c.flags); n < 4 {
			t.Fatalf("%q: %v", line, err)
		}
		cases[c.name] = c
	}
	return cases
}

const tasks = `{"global": {"schedsim": {"duration": "4s"%s}}, "tasks": {
	"exits": {"instance": 4, "run": 10000}, "sleeper": {"instance": 2, "run": 300, "timer": {"ref": "unique", "period": 3000}}}}`

// simulate has the simulator come to the end of a case.
func simulate(t *testing.T, version string, c endCase) (o outcome) {
	t.Helper()
	timeline := ""
	if c.action == "offline" {
		timeline = `, "timeline": [{"at": "300ms", "do": "offline", "cpus": "1"}]`
	}
	w, err := workloads.Parse("w.json", fmt.Appendf(nil, tasks, timeline), workloads.Options{})
	if err != nil {
		t.Fatal(err)
	}
	tp, err := topo.Flat(2)
	if err != nil {
		t.Fatal(err)
	}
	var members []bpf.Member
	if c.flags != "" {
		if members, err = bpf.ParseMembers("flags=" + c.flags); err != nil {
			t.Fatal(err)
		}
	}
	res, err := runner.Run(runner.Options{
		Members:   members,
		Scheduler: "testdata/exits.bpf.o:" + c.table, Workload: w, Topo: tp, Kernel: version,
		Globals: map[string]any{"mode": int64(c.mode)},
		// A task that is there before the scheduler, as many are on a real machine.
		Setup: func(m *sim.Machine) error {
			_, err := m.Spawn(sim.TaskSpec{Comm: "init", Behavior: asleep{}})
			return err
		},
	})
	o = outcome{Case: c.name}
	defer func() {
		if o.Kind != 0 {
			o.Exits = 1
		}
	}()
	var load *runner.LoadError
	switch {
	case errors.As(err, &load):
		// The kernel attaches what it refuses for what its callbacks did, and ends it at once; what it does not load has no reason.
		text, _ := strings.CutPrefix(load.Err.Error(), fmt.Sprintf("policy %q: ", c.table))
		var ok bool
		if o.Reason, o.Msg, ok = strings.Cut(text, ": "); !ok || text == load.Err.Error() {
			return outcome{Case: c.name, Load: -1}
		}
		o.Kind = int(ops.ExitError)
		if o.Reason == "scx_bpf_error" {
			o.Kind = int(ops.ExitErrorBPF)
		}
		return o
	case err != nil:
		t.Fatal(err)
	}
	o.Log = res.Log
	if r := res.Report.Restarts; len(r) > 0 { // its user-space half would have started it over
		o.Kind, o.Code, o.Reason, o.Msg = int(ops.ExitUnregKern), r[0].Code, r[0].Reason, r[0].Message
	} else if e := res.Report.Exit; e != nil {
		o.Kind, o.Code, o.Reason, o.Msg, o.Dump = int(e.Kind), e.Code, e.Reason, e.Message, e.Dump
	} else if c.action == "detach" { // at the end of the run
		o.Kind, o.Reason = int(ops.ExitUnreg), "unregistered from user space"
	}
	return o
}

// asleep never wakes.
type asleep struct{}

func (asleep) Next(*sim.Task, sim.Time) sim.Step {
	return sim.Step{Kind: sim.StepSleepUntil, At: sim.Never}
}

// varies are parts of messages that differ from run to run: pointers, which task it was, how long and how many.
var varies = []struct{ re, with string }{
	{`data=[0-9a-f]+`, "data=POINTER"},
	{`[a-z-]+[-0-9]*\[\d+\]`, "TASK"},
	{`for \d+\.\d+s`, "for TIME"},
	{`nr=\d+`, "nr=N"},
}

func plain(msg string) string {
	for _, v := range varies {
		msg = regexp.MustCompile(v.re).ReplaceAllString(msg, v.with)
	}
	return msg
}

// differ says why a case is not compared on a kernel other than 7.2.
var differ = map[string]map[string]string{
	"6.18": {
		"vtime-builtin":   "6.18 refused the object, with scx_bpf_dsq_insert_vtime in it",
		"fifo-after-priq": "6.18 refused the object, with scx_bpf_dsq_insert_vtime in it",
		"priq-after-fifo": "6.18 refused the object, with scx_bpf_dsq_insert_vtime in it",
	},
}

// TestExits: kind, code, reason and message of each end are the kernel's, character by character.
func TestExits(t *testing.T) {
	cases := readCases(t)
	for _, version := range []string{"6.18", "7.2", "7.3"} {
		for _, want := range readOutcomes(t, version) {
			t.Run(version+" "+want.Case, func(t *testing.T) {
				c, ok := cases[want.Case]
				if !ok {
					t.Fatal("not in cases.txt")
				}
				if why := differ[version][want.Case]; why != "" {
					t.Skip(why)
				}
				if c.action == "sysrq" {
					t.Skip("the end comes from outside: TestOutside")
				}
				got := simulate(t, version, c)
				refused := want.Load != 0 || want.Attach != 0
				if (got.Load != 0) != refused {
					t.Fatalf("refused: %v, by the kernel: load %d, attach %d", got.Load != 0, want.Load, want.Attach)
				}
				g := outcome{Exits: got.Exits, Kind: got.Kind, Code: got.Code, Reason: got.Reason, Msg: plain(got.Msg)}
				w := outcome{Exits: want.Exits, Kind: want.Kind, Code: want.Code, Reason: want.Reason, Msg: plain(want.Msg)}
				if refused {
					g.Exits = 0
				}
				if d := cmp.Diff(w, g); d != "" {
					t.Errorf("(-kernel +simulator):\n%s", d)
				}
			})
		}
	}
}

// TestOutside: the ends that somebody else brings about have the kernel's words.
func TestOutside(t *testing.T) {
	for _, want := range readOutcomes(t, "7.2") {
		kind, ok := map[string]ops.ExitKind{"detached": ops.ExitUnreg, "sysrq": ops.ExitSysRq}[want.Case]
		if !ok {
			continue
		}
		if int(kind) != want.Kind || want.Code != 0 || want.Msg != "" {
			t.Errorf("%+v", want)
		}
	}
}

// shape is what is left of a line of a dump without names and numbers.
func shape(line string) string {
	for _, v := range []struct{ re, with string }{
		{`[^ =]+\[\d+\]`, "TASK"},
		{`0x[0-9a-f]+`, "HEX"},
		{`[-+]?\d+`, "N"},
		{`cpus=[0-9a-fN,]+`, "cpus=MASK"},
		{`dsq_id=\(n/a\)`, "dsq_id=HEX"},
		{`class=\w+`, "class=CLASS"},
		{`^ [ *][RSDX] `, "  STATE "},
		{`dsp_flags=N`, "dsp_flags=HEX"},
		{`N +$`, "N"},
		{`: +N$`, ": N"},
		{`CPU N +:`, "CPU N:"},
		{`\(.*\)$`, "(MESSAGE)"},
	} {
		line = regexp.MustCompile(v.re).ReplaceAllString(line, v.with)
	}
	return line
}

// TestDump: the lines of a debug dump have the kernel's form, and come in its order.
func TestDump(t *testing.T) {
	cases := readCases(t)
	for _, version := range []string{"6.18", "7.2"} { // those of 7.3 are not recorded
		t.Run(version, func(t *testing.T) { testDump(t, version, cases) })
	}
}

func testDump(t *testing.T, version string, cases map[string]endCase) {
	checked := 0
	for _, want := range readOutcomes(t, version) {
		if cases[want.Case].action != "run+dump" {
			continue
		}
		got := simulate(t, version, cases[want.Case])
		if got.Dump == "" {
			continue // it was refused when it was attached
		}
		checked++
		lines := func(dump string) (order []string) {
			for line := range strings.Lines(dump) {
				if s := shape(strings.TrimRight(line, "\n")); !slices.Contains(order, s) {
					order = append(order, s)
				}
			}
			return order
		}
		if d := cmp.Diff(lines(want.Dump), lines(got.Dump)); d != "" {
			t.Errorf("%s: lines by their form, in the order of their first appearance (-kernel +simulator):\n%s", want.Case, d)
		}
	}
	if checked < 2 {
		t.Errorf("%d dumps compared", checked)
	}
}
