package fidelity

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func sample() *Run {
	return &Run{
		Format: Format,
		Manifest: Manifest{Workload: "hogs", Scheduler: "scx_simple", Object: "scx_simple.bpf.o", Globals: map[string]string{"fifo_sched": "1"},
			CPUs: 1, Kernel: "7.2.13", Mode: "icount", Shift: 1, Seed: 42, Tools: map[string]string{"qemu": "10.0.2"}},
		Window: Window{LengthNS: 100, TickNS: -1},
		Tasks:  []Task{{Name: "hog-0", Group: "hog", PID: 7}, {Name: "hog-1", Group: "hog", Instance: 1, PID: 8, Nice: 5}},
	}
}

func TestReadWrite(t *testing.T) {
	want := sample()
	want.Exit = &Exit{Kind: 64, Reason: "unregistered from user space"}
	want.Others = []Other{{Name: "kworker", PID: 3, Wakes: [][2]int64{{1, 2}}}}
	want.Events = []Counter{{"SCX_EV_SELECT_CPU_FALLBACK", 3}}
	cpu := 0
	want.Start = &Start{InitCPU: &cpu, Timers: [][2]int64{{1, -9}}, AtNS: -10, CPUs: []Balancing{{Ratio: 512}, {Ratio: 300, LastTick: -1}}}
	want.Tasks[1].Asleep = [5]int64{0, 0, -3, 20, 9}
	var b bytes.Buffer
	if err := want.Write(&b); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"\n    {\"name\":\"hog-1\"", "\n    {\"name\":\"kworker\"", "\n    {\"avg_idle_ns\""} {
		if !strings.Contains(b.String(), line) {
			t.Errorf("no line that begins %q", line)
		}
	}
	got, err := Read(&b)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-written +read):\n%s", d)
	}
}

func TestCheck(t *testing.T) {
	for _, tc := range []struct {
		name string
		edit func(r *Run)
		want string
	}{
		{"good", func(*Run) {}, ""},
		{"format", func(r *Run) { r.Format = 9 }, "format 9"},
		{"mode", func(r *Run) { r.Manifest.Mode = "tcg" }, `mode "tcg"`},
		{"kernel", func(r *Run) { r.Manifest.Kernel = "" }, "must name"},
		{"window", func(r *Run) { r.Window.LengthNS = 0 }, "window"},
		{"tasks", func(r *Run) { r.Tasks = nil }, "no tasks"},
		{"group", func(r *Run) { r.Tasks[1].Group = "" }, "task 1"},
		{"one has too much", func(r *Run) { r.Tasks[0].CPUNS = 101 }, "hog-0: 101 ns"},
		{"all have too much", func(r *Run) { r.Tasks[0].CPUNS, r.Tasks[1].CPUNS = 60, 60 }, "the machine 100 ns"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := sample()
			tc.edit(r)
			switch err := r.Check(); {
			case tc.want == "" && err != nil:
				t.Error(err)
			case tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)):
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}

// TestMeasure: two tasks and a kernel thread on one CPU, from before T0 to past the end.
func TestMeasure(t *testing.T) {
	r := sample()
	sw := func(at int64, next, prev int32, state uint32) Event {
		return Event{Kind: EventSwitch, At: at, Task: next, Other: prev, State: state}
	}
	r.Measure([]Event{
		{Kind: EventWaking, At: -20, Task: 8}, // before T0: not a wakeup of the window
		sw(-10, 7, 0, 0),
		sw(10, 8, 7, 0),                      // 7 preempted after 20, 10 of them in the window
		{Kind: EventWaking, At: 15, Task: 8}, // runs already
		{Kind: EventWaking, At: 25, Task: 99},
		sw(30, 99, 8, 1),
		{Kind: EventWaking, At: 32, Task: 8},
		{Kind: EventUnit, At: 33, Task: 8, Value: 18},
		sw(35, 7, 99, 1),
		sw(50, 8, 7, 0), // woken at 32
		{Kind: EventMiss, At: 60, Task: 8},
		sw(70, 0, 8, 1),
		sw(90, 7, 0, 0),
		sw(120, 8, 7, 0), // past the end
	})
	u := func(cpu, switches, preempted int64) Usage {
		return Usage{CPUNS: cpu, Switches: switches, Preemptions: preempted}
	}
	want7, want8 := u(35, 2, 2), u(40, 2, 0)
	want7.Slice = Quantiles{2, 15, 20, 20, 20}
	want8.Wake = Quantiles{1, 18, 18, 18, 18}
	want8.Units, want8.Misses, want8.Response = 1, 1, Quantiles{1, 18, 18, 18, 18}
	all := u(75, 4, 2)
	all.Slice, all.Wake, all.Response, all.Units, all.Misses = want7.Slice, want8.Wake, want8.Response, 1, 1
	if d := cmp.Diff([]Usage{want7, want8}, []Usage{r.Tasks[0].Usage, r.Tasks[1].Usage}); d != "" {
		t.Errorf("tasks (-want +got):\n%s", d)
	}
	want := Totals{Usage: all, AllSwitches: 6, IdleSwitches: 1, OtherSwitches: 1, OtherCPUNS: 5, IdleNS: 20}
	if d := cmp.Diff([]Other{{PID: 99, Switches: 1, CPUNS: 5, Wakes: [][2]int64{{25, 5}}}}, r.Others); d != "" {
		t.Errorf("others (-want +got):\n%s", d)
	}
	if d := cmp.Diff(want, r.Totals); d != "" {
		t.Errorf("totals (-want +got):\n%s", d)
	}
}

func TestSummarize(t *testing.T) {
	var s []int64
	for i := int64(100); i > 0; i-- {
		s = append(s, i)
	}
	if d := cmp.Diff(Quantiles{100, 50, 90, 99, 100}, Summarize(s)); d != "" {
		t.Error(d)
	}
}

// TestBefore: what the tasks did before T0 is kept of them, with the CPU time that the kernel tells, and so is who made them.
func TestBefore(t *testing.T) {
	r := sample()
	r.Measure([]Event{
		{Kind: EventSwitch, At: -90, Task: 50},
		{Kind: EventWakeup, At: -80, Task: 7},
		{Kind: EventWakeup, At: -70, Task: 8},
		{Kind: EventSwitch, At: -60, Task: 7, Other: 50, State: 1},
		{Kind: EventWaking, At: -55, Task: 60},
		{Kind: EventSwitch, At: -50, Task: 8, Other: 7, State: 1, Value: 11},
		{Kind: EventSwitch, At: -45, Task: 60, Other: 8, State: 1},
		{Kind: EventWaking, At: -44, Task: 7},
		{Kind: EventSwitch, At: -43, Task: 7, Other: 60, State: 1},
		{Kind: EventSwitch, At: -30, Task: 0, Other: 7, State: 1, Value: 25},
		{Kind: EventWaking, At: 5, Task: 50},
		{Kind: EventSwitch, At: 6, Task: 50},
		{Kind: EventSwitch, At: 10, Task: 0, Other: 50, State: 1},
	})
	if d := cmp.Diff([][][2]int64{{{-80, 11}, {-44, 14}}, {{-70, 5}}}, [][][2]int64{r.Tasks[0].Before, r.Tasks[1].Before}); d != "" {
		t.Errorf("tasks (-want +got):\n%s", d)
	}
	want := []Other{{PID: 50, Switches: 1, CPUNS: 4, Wakes: [][2]int64{{-80, 20}, {5, 4}}}, {PID: 60, Wakes: [][2]int64{{-55, 2}}}}
	if d := cmp.Diff(want, r.Others); d != "" {
		t.Errorf("others (-want +got):\n%s", d)
	}
	if r.Tasks[0].CPUNS != 0 || r.Totals.OtherCPUNS != 4 {
		t.Errorf("%+v: what was before T0 counts", r.Totals)
	}
}
