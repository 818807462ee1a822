package reports

import (
	"bytes"
	"encoding/json"
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/sim"
)

var testInfo = Info{Scheduler: "toy", Workload: "toy.json", Title: "A toy", Topology: "1n1l2c1t", CPUs: 2, Kernel: "7.2",
	Costs: "off", Seed: 7}

// TestCollector compares the fold with the accounts that the toy keeps.
func TestCollector(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		y := newToy(rapid.Uint64().Draw(rt, "seed"), rapid.IntRange(1, 4).Draw(rt, "cpus"), rapid.IntRange(1, 9).Draw(rt, "tasks"),
			rapid.IntRange(1, 300).Draw(rt, "steps"))
		c := NewCollector(y.cpus, names)
		y.play(c)
		r := c.Report(testInfo, y.end)
		var total sim.Duration
		var all []sim.Duration
		for _, k := range r.Tasks {
			if k.CPUTime != y.onCPU[k.PID] || k.RunDelay != y.queued[k.PID] || k.Switches != y.switches[k.PID] {
				rt.Fatalf("task %d: ran %v, waited %v, %d switches; want %v, %v, %d", k.PID, k.CPUTime, k.RunDelay, k.Switches,
					y.onCPU[k.PID], y.queued[k.PID], y.switches[k.PID])
			}
			l := y.latency[k.PID]
			all = append(all, l...)
			if k.WakeLatency.Count != int64(len(l)) || len(l) > 0 && k.WakeLatency.Max != int64(slices.Max(l)) {
				rt.Fatalf("task %d: wakeup latency %+v, want of %v", k.PID, k.WakeLatency, l)
			}
			total += k.CPUTime
		}
		if r.Totals.CPUTime != total || r.Info.Length != sim.Duration(y.end) {
			rt.Fatalf("total %v, want %v", r.Totals.CPUTime, total)
		}
		var busy sim.Duration
		for _, cpu := range r.CPUs {
			busy += cpu.Busy
		}
		if busy != total {
			rt.Fatalf("CPUs were busy for %v, tasks ran %v", busy, total)
		}
		if len(all) > 0 {
			slices.Sort(all)
			if got, want := r.Totals.WakeLatency.P50, int64(all[(len(all)+1)/2-1]); !near(got, want) {
				rt.Fatalf("p50 %d, want %d", got, want)
			}
		}
		var groups sim.Duration
		for _, g := range r.Groups {
			groups += g.CPUTime
		}
		if groups != total {
			rt.Fatalf("groups ran %v, tasks %v", groups, total)
		}
	})
}

// near allows for the 3 digits of the histogram.
func near(got, want int64) bool { return math.Abs(float64(got-want)) <= 0.001*float64(want)+1 }

func TestQuantiles(t *testing.T) {
	for _, n := range []int{1, 2, 3, 99, 100, 4096, 4097, 20000} {
		var s samples
		for i := n; i >= 1; i-- {
			s.add(sim.Duration(i) * 1000)
		}
		for _, q := range []float64{0, 0.5, 0.99, 1} {
			want := int64(max(1, math.Ceil(q*float64(n)))) * 1000
			if got := s.quantile(q); !near(got, want) {
				t.Errorf("%d samples, quantile %v: %d, want %d", n, q, got, want)
			}
		}
		if s.latency().Max != int64(n)*1000 || s.latency().Mean != int64(n+1)*500 {
			t.Errorf("%d samples: %+v", n, s.latency())
		}
	}
}

func TestMerge(t *testing.T) {
	for _, sizes := range [][2]int{{0, 0}, {0, 5}, {5, 0}, {100, 100}, {3000, 3000}, {5000, 3}, {3, 5000}, {5000, 5000}} {
		var a, b, all samples
		for i := range sizes[0] {
			a.add(sim.Duration(i))
			all.add(sim.Duration(i))
		}
		for i := range sizes[1] {
			b.add(sim.Duration(3 * i))
			all.add(sim.Duration(3 * i))
		}
		a.merge(&b)
		if a.latency() != all.latency() {
			t.Errorf("%v: merged %+v, together %+v", sizes, a.latency(), all.latency())
		}
	}
}

func TestJain(t *testing.T) {
	for _, tc := range []struct {
		name string
		xs   []float64
		want float64
	}{
		{"equal", []float64{3, 3, 3}, 1}, {"one has all", []float64{5, 0, 0, 0}, 0.25}, {"1 to 3", []float64{1, 3}, 0.8},
		{"nobody ran", []float64{0, 0}, 1},
	} {
		if got := jain(tc.xs); math.Abs(got-tc.want) > 1e-12 {
			t.Errorf("%s: %v, want %v", tc.name, got, tc.want)
		}
	}
}

// TestFairness: two tasks that never sleep share in the proportion of their weights; one that sleeps does not count.
func TestFairness(t *testing.T) {
	c := NewCollector(1, names)
	at := sim.Time(0)
	emit := func(r sim.Record) { r.At = at; c.Record(&r) }
	for _, pid := range []int32{2, 3, 4} {
		emit(sim.Record{Kind: sim.KindWakeup, Task: pid, A: 1})
	}
	emit(sim.Record{Kind: sim.KindSwitch, Task: 4})
	emit(sim.Record{Kind: sim.KindSwitch, Task: 2, A: 4, B: uint64(sim.StateInterruptible)})
	at = 1024
	emit(sim.Record{Kind: sim.KindSwitch, Task: 3, A: 2})
	at = 1024 + 335
	r := c.Report(testInfo, at)
	if r.Totals.Fairness == nil || math.Abs(*r.Totals.Fairness-1) > 1e-12 || r.Totals.FairnessTasks != 2 {
		t.Errorf("fairness %v over %d tasks, want 1 over 2", r.Totals.Fairness, r.Totals.FairnessTasks)
	}
	if r.Totals.Preemptions != 1 || r.Totals.Switches != 3 {
		t.Errorf("%d preemptions, %d switches", r.Totals.Preemptions, r.Totals.Switches)
	}
}

// TestWokenWhileRunning: a wakeup of a task that has not been switched away from is no latency.
func TestWokenWhileRunning(t *testing.T) {
	c := NewCollector(1, names)
	for _, r := range []sim.Record{
		{At: 0, Kind: sim.KindWakeup, Task: 2, A: 1},
		{At: 0, Kind: sim.KindSwitch, Task: 2},
		{At: 5, Kind: sim.KindWaking, Task: 2},
		{At: 5, Kind: sim.KindWakeup, Task: 2},
		{At: 9, Kind: sim.KindSwitch, Task: 0, A: 2, B: uint64(sim.StateInterruptible)},
		{At: 20, Kind: sim.KindWaking, Task: 2},
		{At: 20, Kind: sim.KindWakeup, Task: 2},
		{At: 23, Kind: sim.KindSwitch, Task: 2},
	} {
		c.Record(&r)
	}
	r := c.Report(testInfo, 30)
	if l := r.Totals.WakeLatency; l.Count != 1 || l.Max != 3 {
		t.Errorf("wakeup latency %+v, want one of 3 ns", l)
	}
	if got := r.Tasks[0].CPUTime; got != 9+7 {
		t.Errorf("CPU time %v, want 16 ns", got)
	}
}

func TestPlain(t *testing.T) {
	for in, want := range map[string]string{
		"":                      "",
		"plain":                 "plain",
		"two\n\tlines":          "two\n\tlines",
		"日本語 é":                 "日本語 é",
		"a\x1b[31mb":            `a\x1b[31mb`,
		"bell\a, back\r":        `bell\a, back\r`,
		"not \xff UTF-8 \ufffd": "not \\xff UTF-8 \ufffd",
		"right to left \u202e":  `right to left \u202e`,
		"\u009b31m":             `\u009b31m`,
	} {
		if got := Plain(in); got != want {
			t.Errorf("Plain(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestDur(t *testing.T) {
	for _, tc := range []struct {
		ns   int64
		want string
	}{
		{0, "0 ns"}, {999, "999 ns"}, {1000, "1.000 us"}, {12345, "12.35 us"}, {999_949, "999.9 us"}, {999_950, "1.000 ms"},
		{1_500_000, "1.500 ms"}, {999_960_000, "1.000 s"}, {12_345_000_000, "12.35 s"}, {5_000_000_000_000, "5000 s"}, {-1500, "-1.500 us"},
	} {
		if got := Dur(tc.ns); got != tc.want {
			t.Errorf("%d: %s, want %s", tc.ns, got, tc.want)
		}
	}
	for x, want := range map[float64]string{0: "0.0 %", 0.5: "50.0 %", 0.00123: "0.12 %", 1: "100.0 %", math.NaN(): "-"} {
		if got := Percent(x); got != want {
			t.Errorf("%v: %s, want %s", x, got, want)
		}
	}
}

func toyReport(seed uint64, tasks int) *Report {
	y := newToy(seed, 2, tasks, 500)
	c := NewCollector(2, names)
	y.play(c)
	for i := range 5 {
		c.Record(&sim.Record{At: y.end, Kind: sim.KindMark, Task: 1, A: uint64(i+1) * 1e6})
	}
	c.Record(&sim.Record{At: y.end, Kind: sim.KindMark, Task: 1, Aux: uint8(sim.MarkMiss), A: 5})
	c.Record(&sim.Record{At: y.end, Kind: sim.KindOverhead, A: 12345})
	return c.Report(testInfo, y.end)
}

func text(t *testing.T, write func(b *bytes.Buffer) error) string {
	t.Helper()
	var b bytes.Buffer
	if err := write(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestText(t *testing.T) {
	r := toyReport(1, 5)
	golden(t, "run.txt", text(t, func(b *bytes.Buffer) error { return r.WriteText(b, TextOptions{}) }))
	golden(t, "run-80.txt", text(t, func(b *bytes.Buffer) error { return r.WriteText(b, TextOptions{Width: 80}) }))
	r.Exit = &Exit{Kind: ops.ExitErrorStall, Name: "SCX_EXIT_ERROR_STALL", Reason: "runnable task stall",
		Message: "task-2[2] failed to run for 5.012s", AtNS: 5_012_000_000, Dump: "CPU states\n----------\n"}
	golden(t, "run-exit.txt", text(t, func(b *bytes.Buffer) error { return r.WriteText(b, TextOptions{Width: 60, Color: true}) }))
	golden(t, "run.json", text(t, func(b *bytes.Buffer) error { return WriteJSON(b, r) }))
	many := toyReport(2, 60)
	golden(t, "run-groups.txt", text(t, func(b *bytes.Buffer) error { return many.WriteText(b, TextOptions{Width: 100}) }))
}

func TestCompare(t *testing.T) {
	var runs []*Report
	for i, name := range []string{"eevdf", "fifo", "scx_simple.bpf.o", "vtime"} {
		r := toyReport(uint64(i), 5)
		r.Info.Scheduler = name
		runs = append(runs, r)
	}
	c := Compare(runs)
	golden(t, "compare.txt", text(t, func(b *bytes.Buffer) error { return c.WriteText(b, TextOptions{}) }))
	golden(t, "compare-80.txt", text(t, func(b *bytes.Buffer) error { return c.WriteText(b, TextOptions{Width: 80}) }))
	for _, m := range c.Metrics {
		for i, q := range m.Ratios {
			if q != nil && math.Abs(*q**m.Values[0]-*m.Values[i]) > 1e-6 {
				t.Errorf("%s: ratio %v of %v is not %v", m.Name, *q, *m.Values[0], *m.Values[i])
			}
		}
	}
	var back map[string]any
	if err := json.Unmarshal([]byte(text(t, func(b *bytes.Buffer) error { return WriteJSON(b, c) })), &back); err != nil {
		t.Error(err)
	}
}

// TestWidth: no line is longer than the width, if there is any way to do that.
func TestWidth(t *testing.T) {
	r := toyReport(3, 20)
	for _, width := range []int{60, 80, 100, 120, 200} {
		s := text(t, func(b *bytes.Buffer) error { return r.WriteText(b, TextOptions{Width: width}) })
		if n := widest(s[strings.Index(s, "\n\n"):]); n > width {
			t.Errorf("width %d: a line of %d", width, n)
		}
	}
}
