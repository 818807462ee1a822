package fidelity

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// made is a run with two tasks, which use a and b of 1000 ns.
func made(seed uint64, a, b int64, switches int64) *Run {
	r := sample()
	r.Manifest.Seed = seed
	r.Window.LengthNS = 1000
	r.Tasks[0].CPUNS, r.Tasks[1].CPUNS = a, b
	r.Tasks[0].Nice, r.Tasks[1].Group = 5, "low"
	r.Tasks[0].Group = "high"
	r.Totals.AllSwitches = switches
	return r
}

func row(t *testing.T, c *Comparison, figure string) Row {
	t.Helper()
	for _, r := range c.Rows {
		if r.Figure == figure {
			return r
		}
	}
	t.Fatalf("no figure %q", figure)
	return Row{}
}

func TestCompare(t *testing.T) {
	c := &Case{Workload: "hogs-1", Scheduler: "scx_simple", CPUs: 1, Runs: []*Run{made(1, 600, 400, 100), made(2, 604, 396, 100), made(3, 610, 390, 100)}}
	for _, tc := range []struct {
		name     string
		run      *Run
		figure   string
		want     Verdict
		exitKind int
	}{
		{"equal", made(1, 604, 396, 100), "share high", Hit, 0},
		{"within the tolerance", made(1, 599, 400, 100), "share high", Hit, 0},
		{"within the spread", made(1, 610, 390, 100), "share high", Hit, 0},
		{"within the tolerance of the greatest", made(1, 614, 386, 100), "share high", Hit, 0},
		{"beyond both", made(1, 616, 384, 100), "share high", Miss, 0},
		{"switches within 1 %", made(1, 604, 396, 101), "switches/s", Hit, 0},
		{"switches beyond", made(1, 604, 396, 102), "switches/s", Miss, 0},
		{"for information", made(1, 100, 100, 100), "utilisation", Unjudged, 0},
		{"an exit that the kernel had not", made(1, 604, 396, 100), "exit kind", Miss, 1025},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if tc.exitKind != 0 {
				tc.run.Exit = &Exit{Kind: tc.exitKind}
			}
			r := row(t, Compare(c, []*Run{tc.run}), tc.figure)
			if r.Verdict != tc.want {
				t.Errorf("%+v, want %s", r, tc.want)
			}
		})
	}
	t.Run("the median of the simulator's runs counts", func(t *testing.T) {
		runs := []*Run{made(1, 604, 396, 100), made(2, 900, 100, 100), made(3, 604, 396, 100)}
		if r := row(t, Compare(c, runs), "share high"); r.Verdict != Hit || r.Simulator.Max != 0.9 {
			t.Errorf("%+v", r)
		}
	})
	t.Run("runs that lost events do not count", func(t *testing.T) {
		lost := made(4, 100, 100, 5)
		lost.Window.Overflow = true
		d := *c
		d.Runs = append(d.Runs, lost)
		if r := row(t, Compare(&d, []*Run{made(1, 604, 396, 100)}), "share high"); r.Kernel.Min != 0.6 {
			t.Errorf("%+v", r)
		}
	})
}

func TestTolerance(t *testing.T) {
	for _, tc := range []struct {
		name      string
		figure    Figure
		workload  string
		scheduler string
		cpus      int
		kernel    []float64
		weighted  bool
		allowed   float64 // < 0: not judged
	}{
		{"share, 1 CPU", Figure{Share, "a"}, "w", "eevdf", 1, []float64{0.5}, true, 0.005},
		{"share, more", Figure{Share, "a"}, "w", "eevdf", 2, []float64{0.5}, false, 0.01},
		{"share, FIFO", Figure{Share, "a"}, "w", "scx_simple-fifo", 2, []float64{0.5, 0.6}, true, 0.01},
		{"share, weighted", Figure{Share, "a"}, "w", "eevdf", 2, []float64{0.4, 0.5, 0.6}, true, 0.2},
		{"slice, 1 CPU", Figure{SliceP50, ""}, "w", "eevdf", 1, []float64{700000}, false, 700},
		{"switches of EEVDF's hogs", Figure{Switches, ""}, "hogs-2", "eevdf", 2, []float64{700}, false, 70},
		{"short wakeup", Figure{WakeP50, ""}, "w", "eevdf", 1, []float64{10000}, false, -1},
		{"long wakeup", Figure{WakeP99, ""}, "w", "eevdf", 2, []float64{1e6}, false, 1e5},
		{"misses, 1 CPU", Figure{Misses, "a"}, "w", "eevdf", 1, []float64{40}, false, 0},
		{"misses, more", Figure{Misses, "a"}, "w", "eevdf", 4, []float64{100}, false, 1},
		{"throughput", Figure{Units, "a"}, "w", "eevdf", 4, []float64{100}, false, 2},
		{"response, EEVDF", Figure{ResponseP50, "a"}, "periodic-4", "eevdf", 4, []float64{1e6}, false, 2e5},
		{"response, sched_ext", Figure{ResponseP50, "a"}, "periodic-4", "scx_simple", 4, []float64{1e6}, false, 1e4},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := tolerance(tc.figure, &Case{Workload: tc.workload, Scheduler: tc.scheduler, CPUs: tc.cpus}, newSample(tc.kernel), tc.weighted)
			if !got.Judged {
				got.Allowed = -1
			}
			if d := got.Allowed - tc.allowed; d > 1e-9 || d < -1e-9 {
				t.Errorf("%+v, want %v", got, tc.allowed)
			}
		})
	}
}

func TestFigureNames(t *testing.T) {
	for _, f := range []Figure{{Share, "hog"}, {WakeP99, ""}, {Units, "a b"}, {ResponseP50, "x"}, {OtherShare, ""}} {
		got, err := ParseFigure(f.String())
		if err != nil || got != f {
			t.Errorf("%v: %v, %v", f, got, err)
		}
	}
	if _, err := ParseFigure("speed of light"); err == nil {
		t.Error("an unknown figure is accepted")
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, write func(b *bytes.Buffer)) string {
		var b bytes.Buffer
		write(&b)
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	put := func(r *Run) string {
		return write(r.Manifest.FileName(), func(b *bytes.Buffer) {
			if err := r.Write(b); err != nil {
				t.Fatal(err)
			}
		})
	}
	first := put(made(2, 600, 400, 9))
	digest := `{"format": 1, "manifest": {"workload": "hogs", "scheduler": "scx_simple", "cpus": 1, "kernel": "7.2.13", "mode": "icount", "seed": 0},
		"runs": 3, "figures": {"share high": {"mean": 0.5, "min": 0.4, "max": 0.7}}}`
	write("hogs/scx_simple-1cpu.digest.json", func(b *bytes.Buffer) { b.WriteString(digest) })
	load := func(paths ...string) []*Case {
		t.Helper()
		cases, err := Load(paths...)
		if err != nil {
			t.Fatal(err)
		}
		return cases
	}
	c := load(dir)
	if len(c) != 1 || c[0].Digest == nil || len(c[0].Runs) != 1 {
		t.Fatalf("%+v", c)
	}
	if s := c[0].samples()[Figure{Share, "high"}]; s.Median < 0.399 || s.Median > 0.401 || s.Max != 0.7 { // 0.4, 0.4, 0.7
		t.Errorf("of the digest: %+v", s)
	}
	put(made(1, 500, 500, 9))
	if c = load(dir); c[0].Digest != nil || len(c[0].Runs) != 2 || c[0].Manifest.Seed != 1 {
		t.Errorf("with two runs: %+v", c[0])
	}
	if c = load(first); len(c[0].Runs) != 1 || c[0].Name() != "hogs scx_simple 1" {
		t.Errorf("one file: %+v", c[0])
	}
	other := made(3, 500, 500, 9)
	other.Manifest.WorkloadSHA256 = "other"
	put(other)
	if _, err := Load(dir); err == nil || !strings.Contains(err.Error(), "another") {
		t.Errorf("runs of different workloads: %v", err)
	}
	if _, err := Load(t.TempDir()); err == nil || !strings.Contains(err.Error(), "no recorded runs") {
		t.Errorf("empty folder: %v", err)
	}
}

func TestTables(t *testing.T) {
	c := &Case{Workload: "hogs-1", Scheduler: "scx_simple", CPUs: 1, Runs: []*Run{made(1, 600, 400, 100), made(2, 604, 396, 100)}}
	c.Manifest = c.Runs[0].Manifest
	list := []*Comparison{Compare(c, []*Run{made(1, 700, 300, 100)})}
	causes := []Cause{{"far", []string{"hogs-1 * 1: share low"}}}
	for _, tc := range []struct {
		name  string
		write func(b *strings.Builder) error
		want  []string
	}{
		{"text", func(b *strings.Builder) error { return WriteText(b, list) },
			[]string{"hogs-1 scx_simple 1: 2 runs of 7.2.13 (icount)", "the kernel's own runs beside each other hit 100.0 %", "60.20 %", "60.00 % – 60.40 %", "70.00 %", "+9.80 %", "±0.5 % of a CPU", "miss"}},
		{"misses", func(b *strings.Builder) error { return WriteMisses(b, list, causes) }, []string{"share high", "share low", "19.2", "far"}},
		{"markdown", func(b *strings.Builder) error { return WriteMarkdown(b, list, causes) },
			[]string{"| share | 0, 2 | 0.0 % | 0.0 % | 100.0 % | | | | |", "| all | 2, 4 | 50.0 % |", "| far | 1 | 0 | hogs-1 scx_simple 1: share low |",
				"| *none given* | 1 | 0 |", "| 19.2 | far |", "| hogs-1 | scx_simple | 1 | 2 | 2 | 2 |", "## Misses"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var b strings.Builder
			if err := tc.write(&b); err != nil {
				t.Fatal(err)
			}
			for _, want := range tc.want {
				if !strings.Contains(b.String(), want) {
					t.Errorf("no %q in\n%s", want, b.String())
				}
			}
		})
	}
}
