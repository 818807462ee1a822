package fidelity

import (
	"os"
	"strings"
	"testing"
)

// TestBeside: the kernel's runs are judged as the simulator is, each beside the others.
func TestBeside(t *testing.T) {
	runs := func(shares ...int64) *Case {
		c := &Case{Workload: "hogs-1", Scheduler: "scx_simple", CPUs: 1}
		for i, a := range shares {
			c.Runs = append(c.Runs, made(uint64(i+1), a, 1000-a, 100))
		}
		return c
	}
	for _, tc := range []struct {
		name               string
		kernel             []int64
		ours               int64
		runs, self, beside int
		inSpread           bool
	}{
		{"steady, and hit", []int64{600, 602, 604}, 603, 3, 3, 3, false},
		{"steady, and missed", []int64{600, 602, 604}, 650, 3, 3, 0, false},
		{"a run apart, the simulator beside the others", []int64{600, 602, 650}, 603, 3, 2, 3, false},
		{"a run apart, the simulator beside it", []int64{600, 602, 650}, 650, 3, 2, 2, false},
		{"as far from all as the run apart from the others", []int64{600, 602, 650}, 690, 3, 2, 0, true},
		{"farther", []int64{600, 602, 650}, 700, 3, 2, 0, false},
		{"one run", []int64{600}, 700, 0, 0, 0, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := row(t, Compare(runs(tc.kernel...), []*Run{made(1, tc.ours, 1000-tc.ours, 100)}), "share high")
			b := Beside{}
			if r.Beside != nil {
				b = *r.Beside
			}
			if b.Runs != tc.runs || b.Kernel != tc.self || b.Simulator != tc.beside || r.InSpread() != tc.inSpread {
				t.Errorf("%+v, in the spread: %v", b, r.InSpread())
			}
		})
	}
	r := row(t, Compare(runs(600, 602), []*Run{made(1, 600, 400, 100)}), "utilisation")
	if r.Beside != nil {
		t.Errorf("of a figure that is not judged: %+v", r.Beside)
	}
}

const causesDoc = `# A document

| what | cases |
|---|---|
| not here | ` + "`a b 1`" + ` |

## Where recorded figures are missed

Words.

| cause | where | size |
|---|---|---|
| turns | ` + "`pingpong-? * 4`, `pipeline eevdf 4: units/s *`" + ` | 3 % |
| rest | ` + "`* scx_central *`" + ` | |

## More

| other | ` + "`a b 1`" + ` | |
`

func TestReadCauses(t *testing.T) {
	causes, err := ReadCauses(strings.NewReader(causesDoc))
	if err != nil || len(causes) != 2 {
		t.Fatalf("%+v, %v", causes, err)
	}
	for _, tc := range []struct{ name, figure, want string }{
		{"pingpong-4 scx_central 4", "share ping0", "turns"}, // the first counts
		{"pingpong-4 eevdf 2", "share ping0", ""},
		{"pipeline eevdf 4", "units/s sink", "turns"},
		{"pipeline eevdf 4", "share sink", ""},
		{"web scx_central 1", "misses", "rest"},
	} {
		if got := CauseOf(causes, MissedRow{tc.name, &Row{Figure: tc.figure}}); got != tc.want {
			t.Errorf("%s: %s: %q, want %q", tc.name, tc.figure, got, tc.want)
		}
	}
	for doc, want := range map[string]string{
		"":                                     "no table",
		causesDoc + strings.Repeat("x", 1<<17): "after line 18: bufio.Scanner: token too long",
		strings.Replace(causesDoc, "pingpong-? * 4", "pingpong-4", 1): `line 13: "pingpong-4" is not a pattern`,
		strings.Replace(causesDoc, "pingpong-?", "pingpong-[", 1):     "is not a pattern",
	} {
		if _, err := ReadCauses(strings.NewReader(doc)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// TestCauses: each miss of the committed page has a cause, and each cause of docs/fidelity.md explains one.
func TestCauses(t *testing.T) {
	file, err := os.Open("../../docs/fidelity.md")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	causes, err := ReadCauses(file)
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile("../../docs/fidelity-measured.md")
	if err != nil {
		t.Fatal(err)
	}
	_, misses, _ := strings.Cut(string(data), "\n## Misses")
	explained := map[string]bool{}
	n := 0
	for line := range strings.Lines(misses) {
		f := strings.Split(line, "|")
		if len(f) != 11 || !strings.ContainsAny(f[8], "0123456789∞") {
			continue
		}
		n++
		m := MissedRow{strings.TrimSpace(f[1]), &Row{Figure: strings.TrimSpace(f[2])}}
		want := strings.TrimSpace(f[9])
		if want == InSpread {
			continue // told from values that the page does not have
		}
		for i := range causes {
			for _, p := range causes[i].Cases {
				if (&Cause{Cases: []string{p}}).Explains(m) {
					explained[p] = true
				}
			}
		}
		if got := CauseOf(causes, m); got == "" || got != want {
			t.Errorf("%s: %s: its cause is %q on the page, %q by docs/fidelity.md", m.Case, m.Row.Figure, want, got)
		}
	}
	if n == 0 {
		t.Error("no misses found on the page")
	}
	for _, c := range causes {
		for _, p := range c.Cases {
			if !explained[p] {
				t.Errorf("%s: `%s` explains no miss", c.Name, p)
			}
		}
	}
}
