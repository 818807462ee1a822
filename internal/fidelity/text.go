package fidelity

import (
	"fmt"
	"io"
	"math"
	"slices"
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
		fmt.Fprintf(&b, "%s: %d runs of %s (%s), %d figures hit, %d missed\n", c.Name, max(len(c.Case.Runs), digestRuns(c.Case)),
			c.Case.Manifest.Kernel, c.Case.Manifest.Mode, c.Count(Hit), c.Count(Miss))
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

// WriteMarkdown writes comparisons for docs: how many figures hit and missed, by kind and by case, and the misses by size.
func WriteMarkdown(w io.Writer, list []*Comparison) error {
	var b strings.Builder
	b.WriteString("# The simulator beside recorded runs\n\nMade by `scripts/fidelity`; [fidelity.md](fidelity.md) says what the misses come from, [calibration.md](calibration.md) how\n" +
		"the machine that runs were recorded on is priced.\n\n")
	writeKinds(&b, list)
	b.WriteString("\n## Cases\n\n| workload | scheduler | CPUs | runs | hit | missed | not judged |\n|---|---|---|---|---|---|---|\n")
	total := map[Verdict]int{}
	for _, c := range list {
		for i := range c.Rows {
			total[c.Rows[i].Verdict]++
		}
		fmt.Fprintf(&b, "| %s | %s | %d | %d | %d | %d | %d |\n", c.Case.Workload, c.Case.Scheduler, c.Case.CPUs,
			max(len(c.Case.Runs), digestRuns(c.Case)), c.Count(Hit), c.Count(Miss), c.Count(Unjudged))
	}
	fmt.Fprintf(&b, "| all | | | | %d | %d | %d |\n", total[Hit], total[Miss], total[Unjudged])
	b.WriteString("\n## Misses, the greatest first\n\n| case | " + strings.Join(header[:6], " | ") + " | tolerances |\n|" + strings.Repeat("---|", 8) + "\n")
	for _, m := range Missed(list) {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", m.Case, strings.Join(m.Row.columns()[:6], " | "), m.Row.size())
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// writeKinds writes how many figures of each kind hit, of those judged.
func writeKinds(b *strings.Builder, list []*Comparison) {
	type count struct{ hit, judged int }
	counts := map[Kind]*[2]count{}
	for _, c := range list {
		for i := range c.Rows {
			r := &c.Rows[i]
			if r.Verdict == Unjudged {
				continue
			}
			at := counts[r.figure.Kind]
			if at == nil {
				at = &[2]count{}
				counts[r.figure.Kind] = at
			}
			n := &at[min(c.Case.CPUs, 2)-1]
			if n.judged++; r.Verdict == Hit {
				n.hit++
			}
		}
	}
	b.WriteString("A figure is hit if it is within its tolerance of what the kernel did in one run, or between two.\n\n" +
		"| figure | 1 CPU: hit, of | | 2–4 CPUs: hit, of | |\n|---|---|---|---|---|\n")
	for _, k := range kinds {
		at := counts[k]
		if at == nil {
			continue
		}
		fmt.Fprintf(b, "| %s |", k)
		for i := range at {
			if n := &at[i]; n.judged > 0 {
				fmt.Fprintf(b, " %d, %d | %.1f %% |", n.hit, n.judged, 100*float64(n.hit)/float64(n.judged))
			} else {
				b.WriteString(" | |")
			}
		}
		b.WriteByte('\n')
	}
}

// WriteMisses writes the figures beyond their tolerances as a table, the greatest first.
func WriteMisses(w io.Writer, list []*Comparison) error {
	rows := [][]string{slices.Concat([]string{"case"}, header[:6], []string{"tolerances"})}
	for _, m := range Missed(list) {
		rows = append(rows, slices.Concat([]string{m.Case}, m.Row.columns()[:6], []string{m.Row.size()}))
	}
	var b strings.Builder
	writeTable(&b, rows)
	_, err := io.WriteString(w, b.String())
	return err
}

// size shows Size.
func (r *Row) size() string {
	if s := r.Size(); !math.IsInf(s, 0) {
		return strconv.FormatFloat(s, 'f', 1, 64)
	}
	return "∞"
}
