package main

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/schedsim/schedsim/internal/verdict"
	"github.com/schedsim/schedsim/kfuncs"
	"github.com/schedsim/schedsim/reports"
	"github.com/schedsim/schedsim/vm/elf"
	"github.com/schedsim/schedsim/vm/ir"
	"github.com/schedsim/schedsim/vm/verifier"
)

// group are the rows of one program, one for each kernel that has it.
type group []verdict.Row

// groups puts together the rows that differ in the kernel only.
func groups(rows []verdict.Row) []group {
	var out []group
	for _, r := range rows {
		if n := len(out); n > 0 && out[n-1][0].File == r.File && out[n-1][0].Program == r.Program {
			out[n-1] = append(out[n-1], r)
		} else {
			out = append(out, group{r})
		}
	}
	return out
}

func (g group) on(kernel string) *verdict.Row {
	for i := range g {
		if g[i].Kernel == kernel {
			return &g[i]
		}
	}
	return nil
}

// micros is a duration as people read it.
func micros(r *verdict.Row) string { return reports.Dur(r.Duration.Nanoseconds()) }

// writeVerifyText writes the table, then each refusal and remark, then how many there were.
func writeVerifyText(w io.Writer, o reports.TextOptions, versions []string, rows []verdict.Row, verbose bool) error {
	if err := verifyTable(versions, rows).WriteText(w, o); err != nil {
		return err
	}
	for _, g := range groups(rows) {
		for i := range g {
			r := &g[i]
			if r.Verdict == verdict.Success || slices.ContainsFunc(g[:i], func(x verdict.Row) bool { return alike(&x, r) }) {
				continue
			}
			var same []string
			for k := i; k < len(g); k++ {
				if alike(r, &g[k]) {
					same = append(same, g[k].Kernel)
				}
			}
			if err := writeRefusal(w, o, r, same, verbose); err != nil {
				return err
			}
		}
	}
	if err := writeLints(w, o, rows); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "\n%s\n", verifySummary(versions, rows))
	return err
}

// alike: one kernel says what another one says.
func alike(a, b *verdict.Row) bool {
	return a.Verdict == b.Verdict && a.Reason == b.Reason && (a.Err == nil) == (b.Err == nil) && (a.Err == nil || a.Err.Insn == b.Err.Insn)
}

func verifyTable(versions []string, rows []verdict.Row) *reports.List {
	if len(versions) == 1 {
		l := reports.NewList("file", "program", "callback", "verdict", "time", "insns", "states", "peak", "stack").
			Right("time", "insns", "states", "peak", "stack").Keep("file", "program", "verdict")
		for i := range rows {
			r := &rows[i]
			l.Add(r.File, r.Program, r.Callback, string(r.Verdict), micros(r), strconv.Itoa(r.Insns), strconv.Itoa(r.States),
				strconv.Itoa(r.Peak), strconv.Itoa(r.Stack))
		}
		return l
	}
	cols, keep := []string{"file", "program", "callback"}, []string{"file", "program"}
	for _, v := range versions {
		cols, keep = append(cols, v), append(keep, v)
	}
	var right []string
	for _, what := range []string{"insns", "states"} {
		for _, v := range versions {
			cols, right = append(cols, what+" "+v), append(right, what+" "+v)
		}
	}
	l := reports.NewList(cols...).Right(right...).Keep(keep...)
	for _, g := range groups(rows) {
		callback := g[len(g)-1].Callback
		for _, r := range g {
			if r.Code() != "load" {
				callback = r.Callback
			}
		}
		cells := []string{g[0].File, g[0].Program, callback}
		for _, f := range []func(r *verdict.Row) string{
			func(r *verdict.Row) string { return string(r.Verdict) },
			func(r *verdict.Row) string { return strconv.Itoa(r.Insns) },
			func(r *verdict.Row) string { return strconv.Itoa(r.States) },
		} {
			for _, v := range versions {
				cell := "-"
				if r := g.on(v); r != nil {
					cell = f(r)
				}
				cells = append(cells, cell)
			}
		}
		l.Add(cells...)
	}
	return l
}

func verifySummary(versions []string, rows []verdict.Row) string {
	var parts []string
	for _, v := range versions {
		n := map[verdict.Verdict]int{}
		for _, r := range rows {
			if r.Kernel == v {
				n[r.Verdict]++
			}
		}
		s := fmt.Sprintf("kernel %s: %d accepted, %d refused", v, n[verdict.Success], n[verdict.Failure])
		if u := n[verdict.Unsupported]; u > 0 {
			s += fmt.Sprintf(", %d of which nothing can be said", u)
		}
		parts = append(parts, s)
	}
	return strings.Join(parts, "\n")
}

// writeRefusal says why a program is refused, on which kernels.
func writeRefusal(w io.Writer, o reports.TextOptions, r *verdict.Row, kernels []string, verbose bool) error {
	var b strings.Builder
	word := "refused"
	if r.Verdict == verdict.Unsupported {
		word = "unsupported"
	}
	on := "kernel "
	if len(kernels) > 1 {
		on = "kernels "
	}
	name := r.Program
	if name == "" {
		name = "the object"
	}
	fmt.Fprintf(&b, "\n%s %s, %s on %s%s", o.Red(word+":"), o.Bold(reports.Plain(r.File+": "+name)), reports.Plain(orDash(r.Callback)), on, strings.Join(kernels, ", "))
	fmt.Fprintf(&b, " [%s]\n", r.Code())
	e := r.Err
	if e == nil || len(e.Log) < 2 || !verbose {
		fmt.Fprintf(&b, "  %s\n", reports.Plain(r.Reason))
	}
	if e == nil {
		_, err := io.WriteString(w, b.String())
		return err
	}
	if verbose && len(e.Log) > 1 {
		for _, l := range e.Log {
			fmt.Fprintf(&b, "  | %s\n", reports.Plain(l))
		}
	}
	if e.Insn >= 0 {
		fmt.Fprintf(&b, "  at instruction %d%s\n", e.Insn, sourceAt(e.Source))
	}
	if e.Func != "" && e.Func != r.Program {
		fmt.Fprintf(&b, "  in function %s\n", reports.Plain(e.Func))
	}
	for _, v := range e.Values {
		fmt.Fprintf(&b, "  %s is %s\n", v.Reg, reports.Plain(v.Text))
		if v.Origin.Insn >= 0 {
			fmt.Fprintf(&b, "    from instruction %d: %s%s\n", v.Origin.Insn, reports.Plain(v.Origin.Text), sourceAt(v.Origin.Source))
		}
	}
	if from := calledFrom(e); from != "" {
		b.WriteString(o.Wrap("  ", from))
	}
	if len(e.Branches) > 0 {
		b.WriteString("  the way there:\n")
		writeBranches(&b, e, verbose)
	}
	if info, ok := codeInfo(r.Code()); ok {
		b.WriteString(o.Wrap("  ", "what helps: "+info.Fix))
		if info.C != "" {
			fmt.Fprintf(&b, "  an example: schedsim verify --explain %s\n", info.Code)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// calledFrom says from where a kernel function may be called that may not be called here; "" if nothing is known.
func calledFrom(e *verifier.Error) string {
	name, ok := strings.CutPrefix(e.Msg, "calling kernel function ")
	if !ok {
		return ""
	}
	name, _, _ = strings.Cut(name, " ")
	_, from, _ := strings.Cut((&kfuncs.Denied{Kfunc: name}).Error(), "; ")
	return from
}

// fewBranches are shown without -v.
const fewBranches = 6

func writeBranches(b *strings.Builder, e *verifier.Error, verbose bool) {
	list, earlier := e.Branches, e.Earlier
	if !verbose && len(list) > fewBranches {
		earlier += len(list) - fewBranches
		list = list[len(list)-fewBranches:]
	}
	if earlier > 0 {
		fmt.Fprintf(b, "    (%d choices before)\n", earlier)
	}
	for _, c := range list {
		answer := "no"
		if c.Taken {
			answer = "yes"
		}
		fmt.Fprintf(b, "    %d: %s: %s%s\n", c.Insn, reports.Plain(c.Text), answer, sourceAt(c.Source))
	}
}

// sourceAt is a line of C behind something.
func sourceAt(s ir.Source) string {
	if s.Line == 0 {
		return ""
	}
	out := fmt.Sprintf(" (%s:%d)", fileName(s.File), s.Line)
	if s.Text != "" {
		out += " " + s.Text
	}
	return reports.Plain(out)
}

func fileName(path string) string { return path[strings.LastIndexByte(path, '/')+1:] }

// writeLints writes the remarks, each once with the kernels that it is for.
func writeLints(w io.Writer, o reports.TextOptions, rows []verdict.Row) error {
	type remark struct {
		row  *verdict.Row
		lint verdict.Lint
		on   []string
	}
	var all []*remark
	for i := range rows {
		for _, l := range rows[i].Lints {
			at := slices.IndexFunc(all, func(x *remark) bool {
				return x.lint == l && x.row.File == rows[i].File && x.row.Program == rows[i].Program
			})
			if at < 0 {
				at = len(all)
				all = append(all, &remark{row: &rows[i], lint: l})
			}
			all[at].on = append(all[at].on, rows[i].Kernel)
		}
	}
	for i, x := range all {
		if i == 0 {
			if _, err := io.WriteString(w, "\n"); err != nil {
				return err
			}
		}
		name := x.row.File
		if x.row.Program != "" && x.lint.Program {
			name += ": " + x.row.Program
		}
		on := ""
		if len(x.on) > 0 && x.lint.Kernel {
			on = " (" + strings.Join(x.on, ", ") + ")"
		}
		if _, err := fmt.Fprintf(w, "%s %s: %s%s [%s]%s\n", o.Bold("remark:"), reports.Plain(name), reports.Plain(x.lint.Text), on, x.lint.Rule,
			sourceAt(x.lint.Source)); err != nil {
			return err
		}
	}
	return nil
}

// loadCode is the code of programs that do not come as far as the verifier.
func loadCode() verifier.CodeInfo {
	return verifier.CodeInfo{Code: "load", Rule: "The object and the program fit the kernel: it has the types, functions and callbacks that they need.",
		Fix: "What is missing is named. Declare kernel functions __weak and test them with bpf_ksym_exists, fields with bpf_core_field_exists, where some kernels lack them."}
}

// codeInfo finds a code.
func codeInfo(code string) (verifier.CodeInfo, bool) {
	for _, c := range append(verifier.Codes(), loadCode()) {
		if string(c.Code) == code {
			return c, true
		}
	}
	return verifier.CodeInfo{}, false
}

// explainCode prints what a code of refusals, or a rule of remarks, is about.
func (a *app) explainCode(f *verifyFlags, args []string) error {
	text, err := a.textOptions()
	if err != nil {
		return err
	}
	if len(args) > 0 {
		return usage("--explain verifies nothing: unexpected argument %q", args[0])
	}
	var b strings.Builder
	if c, ok := codeInfo(f.explain); ok {
		if f.json {
			return reports.WriteJSON(a.out, explained{string(c.Code), c.Rule, c.Fix, c.C})
		}
		fmt.Fprintf(&b, "%s\n\n%s\n", text.Bold(string(c.Code)), text.Wrap("", c.Rule))
		if c.C != "" {
			fmt.Fprintf(&b, "Refused, for example:\n\n%s\n", indent(c.C))
		}
		b.WriteString(text.Wrap("", "What helps: "+c.Fix))
	} else if r, ok := lintRule(f.explain); ok {
		if f.json {
			return reports.WriteJSON(a.out, explained{r.Name, r.Rule, r.Fix, ""})
		}
		fmt.Fprintf(&b, "%s (a remark of --lint)\n\n%s\n%s", text.Bold(r.Name), text.Wrap("", r.Rule), text.Wrap("", "What helps: "+r.Fix))
	} else {
		hint := elf.DidYouMean(f.explain, allCodes())
		if hint == "" {
			hint = "; 'schedsim list codes' has all"
		}
		return usage("no code %q%s", f.explain, hint)
	}
	_, err = io.WriteString(a.out, b.String())
	return err
}

// explained is the JSON of --explain.
type explained struct {
	Code    string `json:"code"`
	Rule    string `json:"rule"`
	Fix     string `json:"fix"`
	Example string `json:"example,omitempty"`
}

func lintRule(name string) (verdict.Rule, bool) {
	for _, r := range verdict.Rules() {
		if r.Name == name {
			return r, true
		}
	}
	return verdict.Rule{}, false
}

// allCodes are the codes of refusals and remarks.
func allCodes() []string {
	out := []string{"load"}
	for _, c := range verifier.Codes() {
		out = append(out, string(c.Code))
	}
	for _, r := range verdict.Rules() {
		out = append(out, r.Name)
	}
	return out
}

func indent(s string) string {
	var b strings.Builder
	for l := range strings.Lines(s) {
		if strings.TrimSpace(l) != "" {
			b.WriteString("    ")
		}
		b.WriteString(strings.ReplaceAll(l, "\t", "    "))
	}
	return b.String()
}
