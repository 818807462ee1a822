package reports

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"unicode/utf8"
)

// Comparison sets runs of the same workload side by side; the first is what the others are measured by.
type Comparison struct {
	Baseline string       `json:"baseline"`
	Metrics  []Comparable `json:"metrics"`
	Runs     []*Report    `json:"runs"`
}

// Comparable is one metric over all runs. Values and ratios are null where they mean nothing.
type Comparable struct {
	Name   string     `json:"name"`
	Unit   string     `json:"unit"`
	Values []*float64 `json:"values"`
	// Ratios are the values over the first one.
	Ratios []*float64 `json:"ratios"`
	m      metric
}

// Compare sets the runs side by side, which must be at least one.
func Compare(runs []*Report) *Comparison {
	c := &Comparison{Baseline: runs[0].Info.Scheduler, Runs: runs, Metrics: []Comparable{}}
	for _, m := range metrics() {
		row := Comparable{Name: m.key, Unit: m.unit, m: m}
		any := false
		for _, r := range runs {
			var value, ratio *float64
			if v, ok := m.value(r); ok {
				value, any = &v, true
				if base := row.first(value); base != nil && *base != 0 {
					q := v / *base
					ratio = &q
				}
			}
			row.Values = append(row.Values, value)
			row.Ratios = append(row.Ratios, ratio)
		}
		if any {
			c.Metrics = append(c.Metrics, row)
		}
	}
	return c
}

// first is the baseline's value; v is it while the row is empty.
func (c *Comparable) first(v *float64) *float64 {
	if len(c.Values) == 0 {
		return v
	}
	return c.Values[0]
}

// WriteText writes the comparison as a table. Where the runs do not fit side by side, it is broken into several.
func (c *Comparison) WriteText(w io.Writer, o TextOptions) error {
	i := c.Runs[0].Info
	head := fmt.Sprintf("%s on %s (%s)", i.Workload, i.Topology, count(uint64(i.CPUs), "CPU"))
	if i.Title != "" {
		head += ": " + i.Title
	}
	if _, err := fmt.Fprintf(w, "%s\nseed %s, kernel %s, costs %s; in brackets: ratio to %s\n", o.paint(ansiBold, Plain(head)),
		strconv.FormatUint(i.Seed, 10), i.Kernel, i.Costs, c.Baseline); err != nil {
		return err
	}
	for from := 1; ; {
		to := c.fit(from, o.Width)
		if _, err := fmt.Fprintln(w); err != nil {
			return err
		}
		if err := c.block(from, to).write(w, o); err != nil {
			return err
		}
		if from = to; from >= len(c.Runs) {
			break
		}
	}
	for _, r := range c.Runs {
		if r.Exit == nil {
			continue
		}
		if _, err := fmt.Fprintf(w, "\n%s:", r.Info.Scheduler); err != nil {
			return err
		}
		if err := r.writeExit(w, o); err != nil {
			return err
		}
	}
	return nil
}

// fit returns the end of the longest range of runs from from on that fits beside the baseline, at least one.
func (c *Comparison) fit(from, width int) int {
	if width <= 0 {
		return len(c.Runs)
	}
	for to := len(c.Runs); to > from+1; to-- {
		t := c.block(from, to)
		all := make([]bool, len(t.cols))
		for i := range all {
			all[i] = true
		}
		if text, err := t.render(all); err == nil && widest(text) <= width {
			return to
		}
	}
	return min(from+1, len(c.Runs))
}

// block is the table of the baseline and the runs from from to to.
func (c *Comparison) block(from, to int) *table {
	t := &table{cols: []column{{name: "metric", left: true}, {name: c.Runs[0].Info.Scheduler}}}
	for i := from; i < to; i++ {
		t.cols = append(t.cols, column{name: c.Runs[i].Info.Scheduler})
	}
	for _, m := range c.Metrics {
		cells := []string{m.m.name, m.cell(0)}
		for i := from; i < to; i++ {
			cells = append(cells, m.cell(i))
		}
		t.rows = append(t.rows, cells)
	}
	return t
}

func (c *Comparable) cell(i int) string {
	if c.Values[i] == nil {
		return "-"
	}
	s := c.m.format(*c.Values[i])
	if i == 0 {
		return s
	}
	ratio := "(-)"
	if q := c.Ratios[i]; q != nil {
		ratio = "(" + formatRatio(*q) + "x)"
	}
	return s + fmt.Sprintf("%*s", max(9, utf8.RuneCountInString(ratio)+1), ratio)
}

// formatRatio writes a ratio so that the digits that carry nothing do not push the columns apart.
func formatRatio(q float64) string {
	prec := 2
	switch {
	case q >= 99.95:
		prec = 0
	case q >= 9.995:
		prec = 1
	}
	return strconv.FormatFloat(q, 'f', prec, 64)
}

// WriteJSON writes v, a Report or Comparison, as indented JSON with a line end.
func WriteJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
