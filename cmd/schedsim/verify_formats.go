package main

import (
	"encoding/csv"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"

	"github.com/schedsim/schedsim/internal/verdict"
	"github.com/schedsim/schedsim/reports"
	"github.com/schedsim/schedsim/vm/ir"
)

// verifyColumns are the columns of --csv; those that veristat has too are called as there.
func verifyColumns(time bool) []string {
	cols := []string{"file_name", "prog_name", "callback", "kernel", "verdict"}
	if time {
		cols = append(cols, "duration")
	}
	return append(cols, "total_insns", "total_states", "peak_states", "stack_depth", "code", "source", "message")
}

func writeVerifyCSV(w io.Writer, rows []verdict.Row, time bool) error {
	c := csv.NewWriter(w)
	if err := c.Write(verifyColumns(time)); err != nil {
		return err
	}
	for i := range rows {
		r := &rows[i]
		cells := []string{r.File, r.Program, r.Callback, r.Kernel, string(r.Verdict)}
		if time {
			cells = append(cells, strconv.FormatInt(r.Duration.Microseconds(), 10))
		}
		line := ""
		if r.Err != nil {
			line = r.Err.Line
		}
		cells = append(cells, strconv.Itoa(r.Insns), strconv.Itoa(r.States), strconv.Itoa(r.Peak), strconv.Itoa(r.Stack), r.Code(), line, r.Reason)
		if err := c.Write(cells); err != nil {
			return err
		}
	}
	c.Flush()
	return c.Error()
}

// The JSON of verify. Names are stable.
type (
	jsonVerify struct {
		Kernels  []string      `json:"kernels"`
		Programs []jsonProgram `json:"programs"`
	}
	jsonProgram struct {
		File       string       `json:"file"`
		Program    string       `json:"program"`
		Section    string       `json:"section"`
		Callback   string       `json:"callback"`
		Kernel     string       `json:"kernel"`
		Verdict    string       `json:"verdict"`
		DurationUS *int64       `json:"duration_us,omitempty"`
		Insns      int          `json:"insns"`
		States     int          `json:"states"`
		PeakStates int          `json:"peak_states"`
		StackDepth int          `json:"stack_depth"`
		Refusal    *jsonRefusal `json:"refusal,omitempty"`
		Remarks    []jsonRemark `json:"remarks,omitempty"`
	}
	jsonRefusal struct {
		Code        string       `json:"code"`
		Message     string       `json:"message"`
		Function    string       `json:"function,omitempty"`
		Instruction *int32       `json:"instruction,omitempty"`
		Source      *jsonSource  `json:"source,omitempty"`
		Values      []jsonValue  `json:"values,omitempty"`
		Branches    []jsonBranch `json:"branches,omitempty"`
		Earlier     int          `json:"earlier_branches,omitempty"`
		Fix         string       `json:"fix,omitempty"`
		Log         []string     `json:"log,omitempty"`
	}
	jsonSource struct {
		File   string `json:"file"`
		Line   uint32 `json:"line"`
		Column uint32 `json:"column"`
		Text   string `json:"text"`
	}
	jsonValue struct {
		Register string      `json:"register"`
		State    string      `json:"state"`
		Text     string      `json:"text"`
		From     *int32      `json:"from_instruction,omitempty"`
		Source   *jsonSource `json:"from_source,omitempty"`
	}
	jsonBranch struct {
		Instruction int32       `json:"instruction"`
		Condition   string      `json:"condition"`
		Taken       bool        `json:"taken"`
		Source      *jsonSource `json:"source,omitempty"`
	}
	jsonRemark struct {
		Rule    string      `json:"rule"`
		Text    string      `json:"text"`
		Program bool        `json:"about_program"`
		Kernel  bool        `json:"about_kernel"`
		Source  *jsonSource `json:"source,omitempty"`
	}
)

func sourceJSON(s ir.Source) *jsonSource {
	if s.Line == 0 {
		return nil
	}
	return &jsonSource{s.File, s.Line, s.Col, s.Text}
}

func writeVerifyJSON(w io.Writer, versions []string, rows []verdict.Row, time bool) error {
	out := jsonVerify{Kernels: versions, Programs: []jsonProgram{}}
	for i := range rows {
		r := &rows[i]
		p := jsonProgram{File: r.File, Program: r.Program, Section: r.Section, Callback: r.Callback, Kernel: r.Kernel, Verdict: string(r.Verdict),
			Insns: r.Insns, States: r.States, PeakStates: r.Peak, StackDepth: r.Stack}
		if time {
			us := r.Duration.Microseconds()
			p.DurationUS = &us
		}
		if r.Verdict != verdict.Success {
			p.Refusal = refusalJSON(r)
		}
		for _, l := range r.Lints {
			p.Remarks = append(p.Remarks, jsonRemark{l.Rule, l.Text, l.Program, l.Kernel, sourceJSON(l.Source)})
		}
		out.Programs = append(out.Programs, p)
	}
	return reports.WriteJSON(w, out)
}

func refusalJSON(r *verdict.Row) *jsonRefusal {
	out := &jsonRefusal{Code: r.Code(), Message: r.Reason}
	e := r.Err
	if e == nil {
		return out
	}
	out.Function, out.Log, out.Earlier, out.Source = e.Func, e.Log, e.Earlier, sourceJSON(e.Source)
	if e.Insn >= 0 {
		out.Instruction = &e.Insn
	}
	for _, v := range e.Values {
		j := jsonValue{Register: v.Reg, State: v.State, Text: v.Text}
		if v.Origin.Insn >= 0 {
			j.From, j.Source = &v.Origin.Insn, sourceJSON(v.Origin.Source)
		}
		out.Values = append(out.Values, j)
	}
	for _, b := range e.Branches {
		out.Branches = append(out.Branches, jsonBranch{b.Insn, b.Text, b.Taken, sourceJSON(b.Source)})
	}
	if info, ok := codeInfo(r.Code()); ok {
		out.Fix = info.Fix
	}
	return out
}

// baseline is what an earlier run found.
type baseline struct {
	path   string
	kernel bool // it says for which kernel
	rows   map[baseKey]baseRow
	keys   []baseKey
}

type baseKey struct{ file, program, kernel string }

type baseRow struct {
	verdict       string
	insns, states int
}

// maxBaseline bounds the file of --compare.
const maxBaseline = 64 << 20

// readBaseline reads the CSV of verify or of veristat.
func readBaseline(path string) (*baseline, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	c := csv.NewReader(io.LimitReader(f, maxBaseline))
	head, err := c.Read()
	if err != nil {
		return nil, usage("%s: no CSV: %v", path, err)
	}
	at := func(name string) int { return slices.Index(head, name) }
	for _, name := range []string{"file_name", "prog_name", "verdict", "total_insns", "total_states"} {
		if at(name) < 0 {
			return nil, usage("%s: no column %s: not the --csv output of verify or of veristat", path, name)
		}
	}
	b := &baseline{path: path, kernel: at("kernel") >= 0, rows: map[baseKey]baseRow{}}
	for {
		rec, err := c.Read()
		if err == io.EOF {
			return b, nil
		}
		if err != nil {
			return nil, usage("%s: %v", path, err)
		}
		key := baseKey{file: rec[at("file_name")], program: rec[at("prog_name")]}
		if b.kernel {
			key.kernel = rec[at("kernel")]
		}
		row := baseRow{verdict: rec[at("verdict")]}
		if row.insns, err = strconv.Atoi(rec[at("total_insns")]); err == nil {
			row.states, err = strconv.Atoi(rec[at("total_states")])
		}
		if err != nil {
			line, _ := c.FieldPos(0)
			return nil, usage("%s:%d: a figure is no number: %v", path, line, err)
		}
		if _, dup := b.rows[key]; dup {
			line, _ := c.FieldPos(0)
			return nil, usage("%s:%d: program %s of %s is there twice", path, line, key.program, key.file)
		}
		b.rows[key] = row
		b.keys = append(b.keys, key)
	}
}

// writeComparison prints what differs between the baseline and rows.
func (a *app) writeComparison(f *verifyFlags, o reports.TextOptions, b *baseline, versions []string, rows []verdict.Row) (differs bool, err error) {
	if !b.kernel && len(versions) > 1 {
		return false, usage("--compare: %s does not say for which kernel it is: compare one kernel", b.path)
	}
	l := reports.NewList("file", "program", "kernel", "verdict (A)", "verdict (B)", "insns (A)", "insns (B)", "insns (diff)", "states (A)",
		"states (B)", "states (diff)").Right("insns (A)", "insns (B)", "insns (diff)", "states (A)", "states (B)", "states (diff)").
		Keep("file", "program", "verdict (A)", "verdict (B)", "insns (diff)")
	seen := map[baseKey]bool{}
	same := 0
	for i := range rows {
		r := &rows[i]
		key := baseKey{file: r.File, program: r.Program}
		if b.kernel {
			key.kernel = r.Kernel
		}
		seen[key] = true
		old, ok := b.rows[key]
		switch {
		case !ok:
			l.Add(r.File, r.Program, r.Kernel, "-", string(r.Verdict), "-", strconv.Itoa(r.Insns), "-", "-", strconv.Itoa(r.States), "-")
		case old == (baseRow{string(r.Verdict), r.Insns, r.States}):
			same++
		default:
			l.Add(r.File, r.Program, r.Kernel, old.verdict, string(r.Verdict), strconv.Itoa(old.insns), strconv.Itoa(r.Insns), change(old.insns, r.Insns),
				strconv.Itoa(old.states), strconv.Itoa(r.States), change(old.states, r.States))
		}
	}
	for _, key := range b.keys {
		if old := b.rows[key]; !seen[key] && (key.kernel == "" || slices.Contains(versions, key.kernel)) {
			l.Add(key.file, key.program, orDash(key.kernel), old.verdict, "-", strconv.Itoa(old.insns), "-", "-", strconv.Itoa(old.states), "-", "-")
		}
	}
	differs = l.Len() > 0
	if f.json {
		return differs, reports.WriteJSON(a.out, l)
	}
	if differs {
		if err := l.WriteText(a.out, o); err != nil {
			return differs, err
		}
	}
	_, err = fmt.Fprintf(a.out, "A: %s, B: now. %d differ, %d are the same.\n", reports.Plain(b.path), l.Len(), same)
	return differs, err
}

// change is a difference and how much of the old figure it is.
func change(old, now int) string {
	s := fmt.Sprintf("%+d", now-old)
	if old != 0 {
		s += fmt.Sprintf(" (%+.2f %%)", 100*float64(now-old)/float64(old))
	}
	return s
}
