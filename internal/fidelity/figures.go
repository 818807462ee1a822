package fidelity

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Figure names one number of a run: a kind, and the group of tasks that it is of, "" for the whole run.
type Figure struct {
	Kind  Kind
	Group string
}

// Kind is what a figure measures.
type Kind string

// The kinds. Their unit is part of the name, or that of the comment.
const (
	Share        Kind = "share"        // of one CPU, the mean of a group's tasks
	Switches     Kind = "switches/s"   // all of the machine
	Migrations   Kind = "migrations/s" // of the workload's tasks
	SliceP50     Kind = "slice p50"    // of preempted tasks, ns
	SliceP90     Kind = "slice p90"
	WakeP50      Kind = "wakeup p50" // ns
	WakeP90      Kind = "wakeup p90"
	WakeP99      Kind = "wakeup p99"
	Units        Kind = "units/s" // of a group
	Misses       Kind = "misses"  // of a group
	ResponseP50  Kind = "response p50"
	ResponseP99  Kind = "response p99"
	Length       Kind = "length" // ns, of a run that ends when its tasks have ended
	Utilisation  Kind = "utilisation"
	OtherShare   Kind = "others' share" // what threads that are not the workload's used, of one CPU
	ExitKind     Kind = "exit kind"
	kindUnknown  Kind = ""
	fewestEvents      = 20 // a quantile of fewer samples is not a figure
)

// kinds lists them in the order of tables.
var kinds = []Kind{Share, Units, Misses, Length, SliceP50, SliceP90, Switches, WakeP50, WakeP90, WakeP99, ResponseP50, ResponseP99,
	Migrations, Utilisation, OtherShare, ExitKind}

// String is the figure's name in tables, "share hog".
func (f Figure) String() string {
	if f.Group == "" {
		return string(f.Kind)
	}
	return string(f.Kind) + " " + f.Group
}

// ParseFigure reads a figure's name.
func ParseFigure(s string) (Figure, error) {
	best := kindUnknown
	for _, k := range kinds {
		if (s == string(k) || strings.HasPrefix(s, string(k)+" ")) && len(k) > len(best) {
			best = k
		}
	}
	if best == kindUnknown {
		return Figure{}, fmt.Errorf("no figure %q", s)
	}
	return Figure{best, strings.TrimPrefix(s[len(best):], " ")}, nil
}

// compareFigures orders figures as tables do.
func compareFigures(a, b Figure) int {
	if d := slices.Index(kinds, a.Kind) - slices.Index(kinds, b.Kind); d != 0 {
		return d
	}
	return strings.Compare(a.Group, b.Group)
}

// Figures are the figures of a run. A quantile is one only if there are enough samples of it.
func (r *Run) Figures() map[Figure]float64 {
	f := map[Figure]float64{}
	t := &r.Totals
	f[Figure{Switches, ""}] = r.PerSecond(t.AllSwitches)
	f[Figure{Migrations, ""}] = r.PerSecond(t.Migrations)
	f[Figure{Utilisation, ""}] = r.Share(&t.Usage) / float64(r.Manifest.CPUs)
	f[Figure{OtherShare, ""}] = float64(t.OtherCPUNS) / float64(r.Window.LengthNS)
	if r.Window.AllEnded {
		f[Figure{Length, ""}] = float64(r.Window.LengthNS)
	}
	if r.Exit != nil {
		f[Figure{ExitKind, ""}] = float64(r.Exit.Kind)
	}
	quantile := func(k Kind, group string, q Quantiles, v int64) {
		if q.N >= fewestEvents {
			f[Figure{k, group}] = float64(v)
		}
	}
	quantile(SliceP50, "", t.Slice, t.Slice.P50)
	quantile(SliceP90, "", t.Slice, t.Slice.P90)
	quantile(WakeP50, "", t.Wake, t.Wake.P50)
	quantile(WakeP90, "", t.Wake, t.Wake.P90)
	quantile(WakeP99, "", t.Wake, t.Wake.P99)
	for _, g := range r.groups() {
		f[Figure{Share, g.name}] = float64(g.cpu) / float64(g.tasks) / float64(r.Window.LengthNS)
		if g.units > 0 {
			f[Figure{Units, g.name}] = r.PerSecond(g.units)
			f[Figure{Misses, g.name}] = float64(g.misses)
		}
		if g.responses >= fewestEvents {
			f[Figure{ResponseP50, g.name}] = g.p50 / float64(g.responses)
			f[Figure{ResponseP99, g.name}] = g.p99 / float64(g.responses)
		}
	}
	return f
}

// group sums up the tasks of one group. Quantiles are means over its tasks, by their samples.
type group struct {
	name          string
	tasks         int
	cpu           int64
	units, misses int64
	responses     int64
	p50, p99      float64
}

func (r *Run) groups() []*group {
	var list []*group
	for i := range r.Tasks {
		t := &r.Tasks[i]
		at := slices.IndexFunc(list, func(g *group) bool { return g.name == t.Group })
		if at < 0 {
			at = len(list)
			list = append(list, &group{name: t.Group})
		}
		g := list[at]
		g.tasks++
		g.cpu += t.CPUNS
		g.units += t.Units
		g.misses += t.Misses
		g.responses += t.Response.N
		g.p50 += float64(t.Response.P50) * float64(t.Response.N)
		g.p99 += float64(t.Response.P99) * float64(t.Response.N)
	}
	return list
}

// weighted tells whether the tasks of r have different claims: by nice values or cgroups.
func (r *Run) weighted() bool {
	for i := range r.Tasks {
		if t := &r.Tasks[i]; t.Nice != r.Tasks[0].Nice || t.Cgroup != r.Tasks[0].Cgroup {
			return true
		}
	}
	return false
}

// Digest is what is left of several runs of which only the figures were kept: their number, and the mean, the least and the
// greatest of each figure.
type Digest struct {
	Format   int             `json:"format"`
	Manifest Manifest        `json:"manifest"`
	Runs     int             `json:"runs"`
	Figures  map[string]MMMs `json:"figures"`
}

// MMMs are mean, least and greatest value of a figure.
type MMMs struct {
	Mean float64 `json:"mean"`
	Min  float64 `json:"min"`
	Max  float64 `json:"max"`
}

// ReadDigest reads a digest.
func ReadDigest(r io.Reader) (*Digest, error) {
	d := json.NewDecoder(io.LimitReader(r, maxFile))
	d.DisallowUnknownFields()
	var g Digest
	if err := d.Decode(&g); err != nil {
		return nil, err
	}
	switch {
	case g.Format != Format:
		return nil, fmt.Errorf("format %d, want %d", g.Format, Format)
	case g.Runs < 1 || len(g.Figures) == 0:
		return nil, fmt.Errorf("%d runs, %d figures", g.Runs, len(g.Figures))
	}
	for name := range g.Figures {
		if _, err := ParseFigure(name); err != nil {
			return nil, err
		}
	}
	return &g, nil
}
