package machines

import (
	"os"
	"strings"
	"testing"

	"github.com/schedsim/schedsim/sim"
)

// TestSources: each number that a profile sets says where it comes from, once, and docs/machines.md shows it.
func TestSources(t *testing.T) {
	doc, err := os.ReadFile("../docs/machines.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range Profiles() {
		t.Run(p.Name, func(t *testing.T) {
			known := map[string]int{}
			for _, s := range p.Sources {
				known[s.Param]++
				kind := "assumed"
				if s.Measured {
					kind = "measured"
				}
				for _, q := range Params() {
					if q.Name != s.Param {
						continue
					}
					if line := "| " + s.Param + " | " + q.Text(&p.Machine) + " | " + kind + " | " + s.From + " |"; !strings.Contains(string(doc), line) {
						t.Errorf("docs/machines.md has no line %q", line)
					}
				}
			}
			for _, q := range Params() {
				if v, n := q.Value(&p.Machine), known[q.Name]; v != 0 && n != 1 || v == 0 && n != 0 {
					t.Errorf("%s is %s and has %d sources", q.Name, q.Text(&p.Machine), n)
				}
				delete(known, q.Name)
				if !strings.Contains(string(doc), "| "+q.Name+" | "+q.Doc+" |") {
					t.Errorf("docs/machines.md does not explain %s", q.Name)
				}
			}
			if len(known) > 0 {
				t.Errorf("sources of numbers that there are not: %v", known)
			}
		})
	}
}

// TestSet: what Text writes Set reads, for each number of each machine.
func TestSet(t *testing.T) {
	for _, p := range Profiles() {
		m := Machine{}
		for _, q := range Params() {
			if q.Value(&p.Machine) == 0 {
				continue
			}
			if err := m.Set(q.Name + "=" + q.Text(&p.Machine)); err != nil {
				t.Errorf("%s: %v", p.Name, err)
			}
		}
		if m.Costs != p.Machine.Costs || m.HZ != p.Machine.HZ {
			t.Errorf("%s: %+v, want %+v", p.Name, m, p.Machine)
		}
	}
	m := Machine{Name: "x"}
	if err := m.Set("switch=2us, smt=0.5 ,insn=1.5ns,hz=1000"); err != nil {
		t.Fatal(err)
	}
	if err := m.Set("insn=90ps,idle-exit=0"); err != nil {
		t.Fatal(err)
	}
	want := Machine{Name: "x+", HZ: 1000, Costs: sim.Costs{Switch: 2000, SMT: 512, InsnPS: 90}}
	if m != want {
		t.Errorf("%+v, want %+v", m, want)
	}
	for _, tc := range []struct{ in, want string }{
		{"", "expected name=value"},
		{"switch", "expected name=value"},
		{"switch=", "expected name=value"},
		{"what=1us", `"what": expected switch`},
		{"switch=-1us", "expected a time"},
		{"switch=2s", "at most 1s"},
		{"smt=1.5", "0 to 1"},
		{"smt=NaN", "0 to 1"},
		{"hz=10001", "1 to 10000"},
		{"insn=-3ps", "such as 70ps"},
		{"deep-idle-after=1ms,deep-idle-exit=1us,idle-exit=2us", "shorter than idle-exit"},
	} {
		m := Machine{}
		if err := m.Set(tc.in); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("Set(%q): error %v does not say %q", tc.in, err, tc.want)
		}
	}
}

func TestSkew(t *testing.T) {
	m := Machine{ClockSkew: 300}
	for i, want := range []sim.Duration{0, 100, 200, 300} {
		if got := m.Skews(4)[i]; got != want {
			t.Errorf("CPU %d: %d, want %d", i, got, want)
		}
	}
	if m.Skews(1)[0] != 0 || (&Machine{}).Skews(4) != nil {
		t.Error("a machine of one CPU, or without skew, has one")
	}
}
