package ladder

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/schedsim/schedsim/reports"
	"github.com/schedsim/schedsim/sim"
	"github.com/schedsim/schedsim/sim/topo"
)

// Row is what came of one object.
type Row struct {
	Object   Object    `json:"object"`
	Outcomes []Outcome `json:"outcomes"`
}

// Table is what came of all.
type Table struct {
	Options Options `json:"-"`
	Rows    []Row   `json:"rows"`
}

// OK tells whether every run of every object went to its end and every check holds.
func (t *Table) OK() bool {
	return !slices.ContainsFunc(t.Rows, func(r Row) bool { return !r.OK() })
}

// OK tells whether all of an object's runs went to their ends and its checks hold.
func (r *Row) OK() bool {
	return !slices.ContainsFunc(r.Outcomes, func(o Outcome) bool { return o.Result.Stage != StageDone })
}

// passed tells how many of the runs of the ladder proper have passed a stage.
func (r *Row) passed(s Stage) (n, of int) {
	for _, o := range r.Outcomes {
		if o.Job.Check != "" || o.Result.Stage == StageNone {
			continue
		}
		if of++; o.Result.Stage.Passed(s) {
			n++
		}
	}
	return n, of
}

// yes is "yes", "no", or how many of the runs did.
func (r *Row) yes(s Stage) string {
	switch n, of := r.passed(s); {
	case of == 0:
		return "-"
	case n == of && s == StageRun:
		return fmt.Sprintf("%d of %d", n, of)
	case n == of:
		return "yes"
	case n == 0:
		return "no"
	default:
		return fmt.Sprintf("%d of %d", n, of)
	}
}

// checks is what the checks say, in a few words.
func (r *Row) checks() string {
	var parts []string
	for _, o := range r.Outcomes {
		if o.Job.Check == "" || o.Result.Stage == StageNone {
			continue
		}
		switch f := o.Result.Finding; {
		case f == nil:
			parts = append(parts, o.Job.Check+": "+string(o.Result.Stage))
		case f.OK:
			parts = append(parts, o.Job.Check+": "+f.Figure)
		default:
			parts = append(parts, o.Job.Check+": NO, "+f.Figure)
		}
	}
	if parts == nil {
		return "-"
	}
	return strings.Join(parts, "; ")
}

func rungName(n int) string {
	if n < 0 {
		return "-"
	}
	return strconv.Itoa(n)
}

// results is the table of what is the same everywhere.
func (t *Table) results() ([]string, [][]string) {
	head := []string{"rung", "object", "verifies", "attaches", "runs", "does what it says"}
	var rows [][]string
	for _, r := range t.Rows {
		rows = append(rows, []string{rungName(r.Object.Rung), r.Object.Label, r.yes(StageVerify), r.yes(StageAttach), r.yes(StageRun), r.checks()})
	}
	return head, rows
}

// Problem is a run that did not go to its end.
type Problem struct{ Object, Where, Stage, Reason string }

// Problems lists what went wrong, runs of an object that failed in the same way in one.
func (t *Table) Problems() []Problem {
	var list []Problem
	times := map[int]int{}
	for _, r := range t.Rows {
		at := map[Problem]int{}
		for _, o := range r.Outcomes {
			if o.Result.Stage == StageDone || o.Result.Stage == StageNone {
				continue
			}
			where := o.Job.Workload + " " + o.Job.Topo
			if o.Job.Check != "" {
				where = "check " + o.Job.Check
			}
			reason := strings.TrimPrefix(o.Result.Reason, r.Object.Path+": ")
			if o.Result.Exit != "" && o.Result.Stage == StageRun {
				reason = o.Result.Exit + ": " + reason
			}
			key := Problem{r.Object.Label, "", string(o.Result.Stage), reason}
			i, ok := at[key]
			if !ok {
				i = len(list)
				at[key] = i
				list = append(list, key)
			}
			times[i]++
			if list[i].Where += ", " + where; times[i] == len(r.Outcomes) {
				list[i].Where = ", everywhere"
			}
		}
	}
	for i := range list {
		list[i].Where = strings.TrimPrefix(list[i].Where, ", ")
	}
	return list
}

// largest is the machine with the most CPUs.
func (t *Table) largest() string {
	most, name := 0, ""
	for _, s := range t.Options.topos() {
		if tp, err := topo.Parse(s); err == nil && len(tp.CPUs) > most {
			most, name = len(tp.CPUs), s
		}
	}
	return name
}

// speeds is the table of what was measured on the largest machine.
func (t *Table) speeds() ([]string, [][]string) {
	head := []string{"object", "load"}
	head = append(head, t.Options.workloads()...)
	head = append(head, "callbacks/s", "instructions/s", "memory", "at the end", "wall")
	shape := t.largest()
	var rows [][]string
	for _, r := range t.Rows {
		row := []string{r.Object.Label, "-"}
		var load, wall time.Duration
		var peak, last, calls, insns uint64
		var busy Measured
		for _, w := range t.Options.workloads() {
			cell := "-"
			for _, o := range r.Outcomes {
				if o.Job.Check == "" && o.Job.Topo == shape && o.Job.Workload == w && o.Result.Stage == StageDone {
					cell = figure(o.Measured.PerSecond(o.Result.Simulated.Seconds()))
					load, peak, last = max(load, o.Measured.Load), max(peak, o.Measured.Peak), max(last, o.Measured.End)
					wall += o.Measured.Load + o.Measured.Run
					busy.Run += o.Measured.Run
					busy.CPU += o.Measured.CPU
					calls, insns = calls+o.Result.Callbacks, insns+o.Result.Insns
				}
			}
			row = append(row, cell)
		}
		if wall > 0 {
			row[1] = seconds(load)
			row = append(row, count(busy.PerSecond(float64(calls))), count(busy.PerSecond(float64(insns))), megabytes(peak), megabytes(last), seconds(wall))
		} else {
			row = append(row, "-", "-", "-", "-", "-")
		}
		rows = append(rows, row)
	}
	return head, rows
}

// slow says which runs took longer than what they simulated.
func (t *Table) slow() string {
	var list []string
	runs := 0
	for _, r := range t.Rows {
		for _, o := range r.Outcomes {
			if o.Job.Check != "" || o.Result.Stage != StageDone {
				continue
			}
			runs++
			if x := o.Measured.PerSecond(o.Result.Simulated.Seconds()); x > 0 && x < 1 {
				list = append(list, fmt.Sprintf("%s %s on %s (%s)", r.Object.Label, o.Job.Workload, o.Job.Topo, figure(x)))
			}
		}
	}
	switch {
	case runs == 0:
		return ""
	case list == nil:
		return "No run was slower than real time."
	}
	return "Slower than real time: " + strings.Join(list, ", ") + "."
}

// figure is a number with three digits.
func figure(x float64) string {
	switch {
	case x >= 100:
		return strconv.FormatFloat(x, 'f', 0, 64)
	case x >= 10:
		return strconv.FormatFloat(x, 'f', 1, 64)
	}
	return strconv.FormatFloat(x, 'f', 2, 64)
}

func seconds(d time.Duration) string { return figure(d.Seconds()) + " s" }

func megabytes(n uint64) string {
	if n == 0 {
		return "-"
	}
	return figure(float64(n)/(1<<20)) + " MiB"
}

// count is a number in thousands or millions.
func count(x float64) string {
	switch {
	case x >= 1e6:
		return figure(x/1e6) + " M"
	case x >= 1e3:
		return figure(x/1e3) + " k"
	}
	return figure(x)
}

// WriteText writes the tables for a terminal.
func (t *Table) WriteText(w io.Writer, o reports.TextOptions) error {
	head, rows := t.results()
	if err := writeList(w, o, head, rows, "rung"); err != nil {
		return err
	}
	for _, p := range t.Problems() {
		if _, err := fmt.Fprintf(w, "\n%s: %s (%s)\n%s", p.Object, o.Red(p.Stage), p.Where, o.Wrap("  ", reports.Plain(p.Reason))); err != nil {
			return err
		}
	}
	if t.Options.OnlyChecks {
		return nil
	}
	head, rows = t.speeds()
	if _, err := fmt.Fprintf(w, "\nmeasured on %s: simulated seconds per second of CPU time for each workload, then of all\n\n", t.largest()); err != nil {
		return err
	}
	if err := writeList(w, o, head, rows, head[1:]...); err != nil {
		return err
	}
	if slow := t.slow(); slow != "" {
		_, err := fmt.Fprintf(w, "\n%s", o.Wrap("", slow))
		return err
	}
	return nil
}

func writeList(w io.Writer, o reports.TextOptions, head []string, rows [][]string, right ...string) error {
	l := reports.NewList(head...).Right(right...).Keep(head[:min(3, len(head))]...)
	for _, r := range rows {
		l.Add(r...)
	}
	return l.WriteText(w, o)
}

// WriteMarkdown writes the tables for a document: first what is the same everywhere, then what was measured.
func (t *Table) WriteMarkdown(w io.Writer) error {
	var b strings.Builder
	length := t.Options.Length
	if length == 0 {
		length = DefaultLength
	}
	fmt.Fprintf(&b, "Each object runs %s, %v simulated seconds each, on %s.\n\n", strings.Join(t.Options.workloads(), ", "),
		float64(length)/float64(sim.Second), strings.Join(t.Options.topos(), ", "))
	head, rows := t.results()
	markdown(&b, head, rows)
	if problems := t.Problems(); len(problems) > 0 {
		b.WriteString("\n### What does not\n\n")
		rows = nil
		for _, p := range problems {
			rows = append(rows, []string{p.Object, p.Where, p.Stage, p.Reason})
		}
		markdown(&b, []string{"object", "where", "how far", "why no further"}, rows)
	}
	if !t.Options.OnlyChecks {
		fmt.Fprintf(&b, "\n### Measured on %s\n\nSimulated seconds per second of CPU time (of the process, garbage collection included) for each workload; callbacks and instructions per second of all three; the most memory that a run had resident, most of it when the object was verified, and what it had at the end; load and wall are wall time, the latter of all runs.\n\n", t.largest())
		head, rows = t.speeds()
		markdown(&b, head, rows)
		if slow := t.slow(); slow != "" {
			fmt.Fprintf(&b, "\n%s\n", slow)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// markdown writes a table.
func markdown(b *strings.Builder, head []string, rows [][]string) {
	esc := strings.NewReplacer("|", "\\|", "\n", " ", "<", "&lt;")
	line := func(cells []string) {
		for _, c := range cells {
			b.WriteString("| " + esc.Replace(reports.Plain(c)) + " ")
		}
		b.WriteString("|\n")
	}
	line(head)
	for range head {
		b.WriteString("|---")
	}
	b.WriteString("|\n")
	for _, r := range rows {
		line(r)
	}
}

// Read reads what WriteJSON has written, of one or more runs: objects in several of them have a row each.
func Read(from ...io.Reader) (*Table, error) {
	t := &Table{}
	for _, r := range from {
		var one Table
		if err := json.NewDecoder(r).Decode(&one); err != nil {
			return nil, fmt.Errorf("results of the ladder: %w", err)
		}
		t.Rows = append(t.Rows, one.Rows...)
	}
	if len(t.Rows) == 0 {
		return nil, errors.New("results of the ladder: none")
	}
	t.Options = Options{Workloads: []string{}, Topos: []string{}, OnlyChecks: true}
	o := &t.Options
	for i := range t.Rows {
		for _, out := range t.Rows[i].Outcomes {
			if out.Job.Check != "" {
				continue
			}
			o.OnlyChecks, o.Length = false, max(o.Length, out.Job.Length)
			if !slices.Contains(o.Workloads, out.Job.Workload) {
				o.Workloads = append(o.Workloads, out.Job.Workload)
			}
			if !slices.Contains(o.Topos, out.Job.Topo) {
				o.Topos = append(o.Topos, out.Job.Topo)
			}
		}
	}
	sortObjects(t.Rows, func(r Row) Object { return r.Object })
	return t, nil
}

// WriteJSON writes every outcome, what is the same everywhere under "result" and the rest under "measured".
func (t *Table) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(t)
}

// WriteList writes what is known of schedulers and what the checks ask for, for a document.
func WriteList(w io.Writer) error {
	var b strings.Builder
	var rows [][]string
	for n := range TopRung + 1 {
		var names []string
		for _, e := range Entries() {
			if e.Rung == n {
				names = append(names, strings.TrimPrefix(e.Name, "scx_"))
			}
			if e.CID == n && n > 0 {
				names = append(names, strings.TrimPrefix(e.Name, "scx_")+" (cid form)")
			}
		}
		rows = append(rows, []string{strconv.Itoa(n), strings.Join(names, ", "), RungText(n)})
	}
	markdown(&b, []string{"rung", "schedulers", "asks for, beyond those below"}, rows)
	b.WriteByte('\n')
	rows = nil
	for _, c := range Checks() {
		var names []string
		for _, e := range Entries() {
			if slices.Contains(e.Checks, c.Name) {
				names = append(names, strings.TrimPrefix(e.Name, "scx_"))
			}
		}
		rows = append(rows, []string{c.Name, strings.Join(names, ", "), c.Says, c.Limit, c.Topo})
	}
	markdown(&b, []string{"check", "of", "what is said", "limit", "machine"}, rows)
	_, err := io.WriteString(w, b.String())
	return err
}
