package fidelity

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
)

// tally counts judged figures, and those of which the kernel's own runs are judged too.
type tally struct {
	hit, judged               int
	kernel, simulator, beside int
}

func (t *tally) add(r *Row) {
	if r.Verdict == Unjudged {
		return
	}
	if t.judged++; r.Verdict == Hit {
		t.hit++
	}
	if b := r.Beside; b != nil {
		t.kernel, t.simulator, t.beside = t.kernel+b.Kernel, t.simulator+b.Simulator, t.beside+b.Runs
	}
}

func percent(n, of int) float64 { return 100 * float64(n) / float64(max(of, 1)) }

// WriteMarkdown writes comparisons for docs: how many figures hit and missed, by kind and by case, and the misses by size, each
// with its cause where causes has it.
func WriteMarkdown(w io.Writer, list []*Comparison, causes []Cause) error {
	var b strings.Builder
	b.WriteString("# The simulator beside recorded runs\n\nMade by `scripts/fidelity`; [fidelity.md](fidelity.md) says what the misses come from, [calibration.md](calibration.md) how\n" +
		"the machine that runs were recorded on is priced.\n\n")
	writeKinds(&b, list)
	missed := Missed(list)
	writeCauses(&b, missed, causes)
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
	b.WriteString("\n## Misses, the greatest first\n\n| case | " + strings.Join(header[:6], " | ") + " | tolerances | cause |\n|" + strings.Repeat("---|", 9) + "\n")
	for _, m := range missed {
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", m.Case, strings.Join(m.Row.columns()[:6], " | "), m.Row.size(), CauseOf(causes, m))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// writeKinds writes how many figures of each kind hit, of those judged, and how the kernel stands to itself.
func writeKinds(b *strings.Builder, list []*Comparison) {
	counts := map[Kind]*[2]tally{}
	var all [2]tally
	for _, c := range list {
		for i := range c.Rows {
			r := &c.Rows[i]
			at := counts[r.figure.Kind]
			if at == nil {
				at = &[2]tally{}
				counts[r.figure.Kind] = at
			}
			n := min(c.Case.CPUs, 2) - 1
			at[n].add(r)
			all[n].add(r)
		}
	}
	b.WriteString("A figure is hit if it is within its tolerance of what the kernel did in one run, or between two. The yardstick is the kernel\n" +
		"itself: each recorded run beside the other runs of its case, by the same tolerances (*kernel*), and the simulator beside the same\n" +
		"other runs (*beside as many*).\n\n" +
		"| figure | 1 CPU: hit, of | | beside as many | kernel | 2–4 CPUs: hit, of | | beside as many | kernel |\n|" + strings.Repeat("---|", 9) + "\n")
	line := func(name string, at *[2]tally) {
		fmt.Fprintf(b, "| %s |", name)
		for i := range at {
			n := &at[i]
			if n.judged == 0 {
				b.WriteString(" | | | |")
				continue
			}
			fmt.Fprintf(b, " %d, %d | %.1f %% |", n.hit, n.judged, percent(n.hit, n.judged))
			if n.beside == 0 {
				b.WriteString(" | |")
				continue
			}
			fmt.Fprintf(b, " %.1f %% | %.1f %% |", percent(n.simulator, n.beside), percent(n.kernel, n.beside))
		}
		b.WriteByte('\n')
	}
	for _, k := range kinds {
		if at := counts[k]; at != nil && at[0].judged+at[1].judged > 0 {
			line(string(k), at)
		}
	}
	line("all", &all)
}

// writeCauses writes how many figures each cause explains, and how large the greatest of its misses is.
func writeCauses(b *strings.Builder, missed []MissedRow, causes []Cause) {
	if len(causes) == 0 {
		return
	}
	type count struct {
		figures [2]int
		first   MissedRow // the greatest
	}
	counts := map[string]*count{}
	for _, m := range missed {
		name := CauseOf(causes, m)
		n := counts[name]
		if n == nil {
			n = &count{first: m}
			counts[name] = n
		}
		cpus := 0
		if !strings.HasSuffix(m.Case, " 1") {
			cpus = 1
		}
		n.figures[cpus]++
	}
	b.WriteString("\n## Causes\n\nWhat each is, and what would close it: [fidelity.md](fidelity.md). *" + InSpread + "*: the kernel misses itself by as much, a run of it is " +
		"beyond the\ntolerance of the others and the simulator is no farther from them all than that run.\n\n" +
		"| cause | figures on 1 CPU | on 2–4 CPUs | the greatest | difference | tolerances |\n|---|---|---|---|---|---|\n")
	for _, name := range slices.Concat([]string{InSpread}, causeNames(causes), []string{""}) {
		n := counts[name]
		if n == nil {
			continue
		}
		if name == "" {
			name = "*none given*"
		}
		fmt.Fprintf(b, "| %s | %d | %d | %s: %s | %s | %s |\n", name, n.figures[0], n.figures[1], n.first.Case, n.first.Row.Figure,
			n.first.Row.signed(), n.first.Row.size())
	}
}

func causeNames(causes []Cause) []string {
	var names []string
	for i := range causes {
		names = append(names, causes[i].Name)
	}
	return names
}

// WriteMisses writes the figures beyond their tolerances as a table, the greatest first, with their causes if there are some.
func WriteMisses(w io.Writer, list []*Comparison, causes []Cause) error {
	rows := [][]string{slices.Concat([]string{"case"}, header[:6], []string{"cause", "tolerances"})}
	for _, m := range Missed(list) {
		rows = append(rows, slices.Concat([]string{m.Case}, m.Row.columns()[:6], []string{CauseOf(causes, m), m.Row.size()}))
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
