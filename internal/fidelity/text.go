package fidelity

import (
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
)

// format shows a value of a figure.
func (f Figure) format(v float64) string {
	switch f.Kind {
	case Share, Utilisation, OtherShare:
		return strconv.FormatFloat(v*100, 'f', 2, 64) + " %"
	case SliceP50, SliceP90, WakeP50, WakeP90, WakeP99, ResponseP50, ResponseP99, Length:
		switch a := math.Abs(v); {
		case a >= 1e9:
			return strconv.FormatFloat(v/1e9, 'f', 4, 64) + " s"
		case a >= 1e6:
			return strconv.FormatFloat(v/1e6, 'f', 3, 64) + " ms"
		}
		return strconv.FormatFloat(v/1e3, 'f', 1, 64) + " us"
	case Misses, ExitKind:
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	if math.Abs(v) >= 1000 {
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	return strconv.FormatFloat(v, 'f', 1, 64)
}

// signed shows a difference, with what part of the kernel's value it is where that says more.
func (r *Row) signed() string {
	s := r.figure.format(r.Diff)
	if r.Diff > 0 {
		s = "+" + s
	}
	switch r.figure.Kind {
	case Share, Utilisation, OtherShare, ExitKind:
		return s
	}
	if r.Kernel.Median != 0 {
		return fmt.Sprintf("%+.2f %%", 100*r.Diff/r.Kernel.Median)
	}
	return s
}

// columns are the cells of a row.
func (r *Row) columns() []string {
	f := r.figure
	spread := ""
	if r.Kernel.Spread() > 0 {
		spread = f.format(r.Kernel.Min) + " – " + f.format(r.Kernel.Max)
	}
	verdict := string(r.Verdict)
	if r.Verdict == Unjudged {
		verdict = "-"
	}
	return []string{r.Figure, f.format(r.Kernel.Median), spread, f.format(r.Simulator.Median), r.signed(), r.Tolerance.Rule, verdict}
}

var header = []string{"figure", "kernel", "its spread", "simulator", "difference", "tolerance", "verdict"}

// WriteText writes comparisons as tables.
func WriteText(w io.Writer, list []*Comparison) error {
	var b strings.Builder
	for i, c := range list {
		if i > 0 {
			b.WriteByte('\n')
		}
		rows := [][]string{header}
		for j := range c.Rows {
			rows = append(rows, c.Rows[j].columns())
		}
		fmt.Fprintf(&b, "%s: %d runs of %s (%s), %d figures hit, %d missed", c.Name, max(len(c.Case.Runs), digestRuns(c.Case)),
			c.Case.Manifest.Kernel, c.Case.Manifest.Mode, c.Count(Hit), c.Count(Miss))
		var n tally
		for j := range c.Rows {
			n.add(&c.Rows[j])
		}
		if n.beside > 0 {
			fmt.Fprintf(&b, "; the kernel's own runs beside each other hit %.1f %%", percent(n.kernel, n.beside))
		}
		b.WriteByte('\n')
		writeTable(&b, rows)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func digestRuns(c *Case) int {
	if c.Digest == nil {
		return 0
	}
	return c.Digest.Runs
}

func writeTable(b *strings.Builder, rows [][]string) {
	width := make([]int, len(rows[0]))
	for _, r := range rows {
		for i, cell := range r {
			width[i] = max(width[i], len([]rune(cell)))
		}
	}
	for _, r := range rows {
		line := "  "
		for i, cell := range r {
			pad := strings.Repeat(" ", width[i]-len([]rune(cell)))
			if i == 0 || i >= len(r)-2 {
				line += cell + pad + "  "
			} else {
				line += pad + cell + "  "
			}
		}
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
}
