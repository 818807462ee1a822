package fidelity

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// Sample is what is known of a figure on one side: one value a run, or of a digest mean, least and greatest.
type Sample struct {
	Values []float64 `json:"values"`
	Median float64   `json:"median"`
	Min    float64   `json:"min"`
	Max    float64   `json:"max"`
}

func newSample(v []float64) Sample {
	v = slices.Sorted(slices.Values(v))
	n := len(v)
	m := v[n/2]
	if n%2 == 0 {
		m = (v[n/2-1] + v[n/2]) / 2
	}
	return Sample{v, m, v[0], v[n-1]}
}

// Spread is how far the values lie apart.
func (s Sample) Spread() float64 { return s.Max - s.Min }

// distance is how far v lies from the nearest value, 0 between two.
func (s Sample) distance(v float64) float64 { return max(s.Min-v, v-s.Max, 0) }

// rounding is the part by which a difference may exceed its tolerance because numbers are rounded.
const rounding = 1e-9

// allows tells whether v is within the tolerance of a value, or between two.
func (s Sample) allows(v float64, t Tolerance) bool { return s.distance(v) <= t.Allowed*(1+rounding) }

// Case is all that was recorded of one workload under one scheduler on one machine.
type Case struct {
	Workload, Scheduler string
	CPUs                int
	Manifest            Manifest // of the first run
	Runs                []*Run   // by seed
	Digest              *Digest  // where there are not several runs
	Streams             []string // files of callbacks, as Runs; "" for none
}

// Name is the case's name in tables, "hogs scx_simple 2".
func (c *Case) Name() string { return fmt.Sprintf("%s %s %d", c.Workload, c.Scheduler, c.CPUs) }

// samples are the figures of the recorded runs.
func (c *Case) samples() map[Figure]Sample {
	if c.Digest != nil {
		out := map[Figure]Sample{}
		for name, m := range c.Digest.Figures {
			f, err := ParseFigure(name)
			if err != nil {
				panic("BUG: " + err.Error()) // ReadDigest has looked
			}
			v := []float64{m.Mean}
			if c.Digest.Runs == 3 { // then the three values follow from these
				v = []float64{m.Min, 3*m.Mean - m.Min - m.Max, m.Max}
			}
			s := newSample(v)
			s.Min, s.Max = m.Min, m.Max
			out[f] = s
		}
		return out
	}
	return sampleRuns(c.Runs)
}

// sampleRuns brings together the figures of runs. A figure that a run does not have is left out of it.
func sampleRuns(runs []*Run) map[Figure]Sample {
	values := map[Figure][]float64{}
	for _, r := range runs {
		if r.Window.Overflow {
			continue
		}
		for f, v := range r.Figures() {
			values[f] = append(values[f], v)
		}
	}
	out := map[Figure]Sample{}
	for f, v := range values {
		out[f] = newSample(v)
	}
	return out
}

// Verdict says how a figure of the simulator stands to the kernel's.
type Verdict string

// The verdicts.
const (
	Hit      Verdict = "hit"      // within tolerance
	Miss     Verdict = "miss"     // beyond it
	Unjudged Verdict = "unjudged" // the lab cannot tell
)

// Row is one figure of both sides.
type Row struct {
	Figure    string    `json:"figure"`
	Kernel    Sample    `json:"kernel"`
	Simulator Sample    `json:"simulator"`
	Diff      float64   `json:"difference"` // of the medians
	Tolerance Tolerance `json:"tolerance"`
	Verdict   Verdict   `json:"verdict"`
	// Beside is the kernel judged the same way, nil where there are not several runs or nothing is judged.
	Beside *Beside `json:"beside,omitempty"`
	figure Figure
}

// Distance is how far the simulator's median lies from the nearest that the kernel did.
func (r *Row) Distance() float64 {
	return r.Kernel.distance(r.Simulator.Median)
}

// Size is how many times the tolerance the distance is.
func (r *Row) Size() float64 {
	if r.Tolerance.Allowed <= 0 {
		if r.Distance() == 0 {
			return 0
		}
		return math.Inf(1)
	}
	return r.Distance() / r.Tolerance.Allowed
}

// Comparison is one case with the simulator beside it.
type Comparison struct {
	Case *Case  `json:"-"`
	Name string `json:"case"`
	Rows []Row  `json:"rows"`
}

// Count returns how many rows have a verdict.
func (c *Comparison) Count(v Verdict) (n int) {
	for i := range c.Rows {
		if c.Rows[i].Verdict == v {
			n++
		}
	}
	return n
}

// Compare puts runs of the simulator beside a case. Figures that only one side has are left out, except for an exit.
func Compare(c *Case, simulated []*Run) *Comparison {
	if len(simulated) == 0 {
		panic("BUG: nothing was simulated")
	}
	kernel, ours := c.samples(), sampleRuns(simulated)
	exit := Figure{ExitKind, ""}
	if _, k := kernel[exit]; k != hasFigure(ours, exit) {
		zero := newSample([]float64{0})
		if k {
			ours[exit] = zero
		} else {
			kernel[exit] = zero
		}
	}
	out := &Comparison{Case: c, Name: c.Name()}
	weighted := simulated[0].weighted()
	for f, k := range kernel {
		s, ok := ours[f]
		if !ok {
			continue
		}
		row := Row{Figure: f.String(), Kernel: k, Simulator: s, Diff: s.Median - k.Median, figure: f}
		row.Tolerance = tolerance(f, c, k, weighted)
		row.Verdict, row.Beside = row.judge(), row.beside(c, weighted)
		out.Rows = append(out.Rows, row)
	}
	slices.SortFunc(out.Rows, func(a, b Row) int { return compareFigures(a.figure, b.figure) })
	return out
}

func hasFigure(m map[Figure]Sample, f Figure) bool { _, ok := m[f]; return ok }

// judge: a hit is within the tolerance of what the kernel did, in one run or between two.
func (r *Row) judge() Verdict {
	switch {
	case !r.Tolerance.Judged:
		return Unjudged
	case r.Kernel.allows(r.Simulator.Median, r.Tolerance):
		return Hit
	}
	return Miss
}

// MissedRow is a figure beyond its tolerance.
type MissedRow struct {
	Case string
	Row  *Row
}

// Missed are the figures beyond their tolerances, the greatest first.
func Missed(list []*Comparison) []MissedRow {
	var out []MissedRow
	for _, c := range list {
		for i := range c.Rows {
			if c.Rows[i].Verdict == Miss {
				out = append(out, MissedRow{c.Name, &c.Rows[i]})
			}
		}
	}
	slices.SortStableFunc(out, func(a, b MissedRow) int { return cmp.Compare(b.Row.Size(), a.Row.Size()) })
	return out
}
