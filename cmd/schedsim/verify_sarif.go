package main

import (
	"io"
	"net/url"
	"path"
	"strings"

	"github.com/schedsim/schedsim/internal/verdict"
	"github.com/schedsim/schedsim/reports"
	"github.com/schedsim/schedsim/vm/ir"
	"github.com/schedsim/schedsim/vm/verifier"
)

// The part of SARIF 2.1.0 that verify writes.
type (
	sarifLog struct {
		Schema  string     `json:"$schema"`
		Version string     `json:"version"`
		Runs    []sarifRun `json:"runs"`
	}
	sarifRun struct {
		Tool       sarifTool     `json:"tool"`
		ColumnKind string        `json:"columnKind"`
		Results    []sarifResult `json:"results"`
	}
	sarifTool struct {
		Driver sarifDriver `json:"driver"`
	}
	sarifDriver struct {
		Name    string      `json:"name"`
		Version string      `json:"version"`
		Rules   []sarifRule `json:"rules"`
	}
	sarifRule struct {
		ID      string       `json:"id"`
		Short   sarifText    `json:"shortDescription"`
		Help    sarifText    `json:"help"`
		Default sarifDefault `json:"defaultConfiguration"`
	}
	sarifDefault struct {
		Level string `json:"level"`
	}
	sarifText struct {
		Text string `json:"text"`
	}
	sarifResult struct {
		RuleID     string          `json:"ruleId"`
		RuleIndex  int             `json:"ruleIndex"`
		Level      string          `json:"level"`
		Message    sarifText       `json:"message"`
		Locations  []sarifLocation `json:"locations"`
		CodeFlows  []sarifFlow     `json:"codeFlows,omitempty"`
		Properties sarifProps      `json:"properties"`
	}
	sarifProps struct {
		Object      string `json:"object"`
		Program     string `json:"program,omitempty"`
		Kernels     string `json:"kernels"`
		Instruction *int32 `json:"instruction,omitempty"`
		DurationUS  *int64 `json:"duration_us,omitempty"`
	}
	sarifLocation struct {
		Physical sarifPhysical  `json:"physicalLocation"`
		Logical  []sarifLogical `json:"logicalLocations,omitempty"`
		Message  *sarifText     `json:"message,omitempty"`
	}
	sarifPhysical struct {
		Artifact sarifArtifact `json:"artifactLocation"`
		Region   *sarifRegion  `json:"region,omitempty"`
	}
	sarifArtifact struct {
		URI string `json:"uri"`
	}
	sarifRegion struct {
		StartLine   uint32     `json:"startLine"`
		StartColumn uint32     `json:"startColumn,omitempty"`
		Snippet     *sarifText `json:"snippet,omitempty"`
	}
	sarifLogical struct {
		Name string `json:"name"`
		Kind string `json:"kind"`
	}
	sarifFlow struct {
		ThreadFlows []sarifThread `json:"threadFlows"`
	}
	sarifThread struct {
		Locations []sarifStep `json:"locations"`
	}
	sarifStep struct {
		Location sarifLocation `json:"location"`
	}
)

// writeSARIF writes a result for each refusal and remark; what several kernels say alike is one result.
func writeSARIF(w io.Writer, files []object, rows []verdict.Row, time bool) error {
	rules, index := sarifRules()
	run := sarifRun{Tool: sarifTool{sarifDriver{"schedsim", version(), rules}}, ColumnKind: "utf16CodeUnits", Results: []sarifResult{}}
	paths := map[string]string{}
	for _, f := range files {
		paths[f.name] = f.path
	}
	for _, g := range groups(rows) {
		for i := range g {
			r := &g[i]
			var same []string
			first := true
			for k := range g {
				if alike(r, &g[k]) {
					same = append(same, g[k].Kernel)
					first = first && k >= i
				}
			}
			if r.Verdict != verdict.Success && first {
				run.Results = append(run.Results, sarifRefusal(r, paths[r.File], same, index, time))
			}
		}
		for i := range g {
			for _, l := range g[i].Lints {
				var same []string
				first := true
				for k := range g {
					for _, x := range g[k].Lints {
						if x == l {
							same = append(same, g[k].Kernel)
							first = first && k >= i
						}
					}
				}
				if !first {
					continue
				}
				res := sarifResult{RuleID: l.Rule, RuleIndex: index[l.Rule], Level: "warning", Message: sarifText{reports.Plain(l.Text)},
					Properties: sarifProps{Object: g[i].File, Kernels: strings.Join(same, ", ")}}
				if l.Program {
					res.Properties.Program = g[i].Program
				}
				res.Locations = []sarifLocation{sarifAt(l.Source, paths[g[i].File], res.Properties.Program, "")}
				run.Results = append(run.Results, res)
			}
		}
	}
	return reports.WriteJSON(w, sarifLog{"https://json.schemastore.org/sarif-2.1.0.json", "2.1.0", []sarifRun{run}})
}

func sarifRefusal(r *verdict.Row, object string, kernels []string, index map[string]int, time bool) sarifResult {
	res := sarifResult{RuleID: r.Code(), RuleIndex: index[r.Code()], Level: "error", Message: sarifText{reports.Plain(r.Reason)},
		Properties: sarifProps{Object: r.File, Program: r.Program, Kernels: strings.Join(kernels, ", ")}}
	if r.Verdict == verdict.Unsupported {
		res.Level = "note"
	}
	if time {
		us := r.Duration.Microseconds()
		res.Properties.DurationUS = &us
	}
	e := r.Err
	if e == nil {
		res.Locations = []sarifLocation{sarifAt(ir.Source{}, object, r.Program, "")}
		return res
	}
	if e.Insn >= 0 {
		res.Properties.Instruction = &e.Insn
	}
	for _, v := range e.Values {
		res.Message.Text += "; " + reports.Plain(v.Reg+" is "+v.Text)
	}
	res.Locations = []sarifLocation{sarifAt(e.Source, object, r.Program, "")}
	var steps []sarifStep
	for _, b := range e.Branches {
		if b.Source.Line == 0 {
			continue
		}
		answer := ": no"
		if b.Taken {
			answer = ": yes"
		}
		steps = append(steps, sarifStep{sarifAt(b.Source, object, "", b.Text+answer)})
	}
	if len(steps) > 0 {
		steps = append(steps, sarifStep{sarifAt(e.Source, object, "", e.Msg)})
		res.CodeFlows = []sarifFlow{{[]sarifThread{{steps}}}}
	}
	return res
}

// sarifAt is a place: the line of C, or the object file where there is none.
func sarifAt(s ir.Source, object, program, message string) sarifLocation {
	var l sarifLocation
	if s.Line > 0 {
		l.Physical = sarifPhysical{sarifArtifact{uri(s.File)}, &sarifRegion{StartLine: s.Line, StartColumn: s.Col}}
		if s.Text != "" {
			l.Physical.Region.Snippet = &sarifText{reports.Plain(s.Text)}
		}
	} else {
		l.Physical = sarifPhysical{Artifact: sarifArtifact{uri(object)}}
	}
	if program != "" {
		l.Logical = []sarifLogical{{program, "function"}}
	}
	if message != "" {
		l.Message = &sarifText{reports.Plain(message)}
	}
	return l
}

// uri is a path as a URI: a relative one stays relative, for the reader to resolve against the sources.
func uri(p string) string {
	p = path.Clean(strings.ReplaceAll(p, "\\", "/"))
	if path.IsAbs(p) {
		return (&url.URL{Scheme: "file", Path: p}).String()
	}
	return (&url.URL{Path: p}).String()
}

// sarifRules are all codes of refusals and rules of remarks.
func sarifRules() ([]sarifRule, map[string]int) {
	var rules []sarifRule
	index := map[string]int{}
	add := func(id, rule, fix, level string) {
		index[id] = len(rules)
		rules = append(rules, sarifRule{id, sarifText{rule}, sarifText{fix}, sarifDefault{level}})
	}
	load := loadCode()
	add(string(load.Code), load.Rule, load.Fix, "error")
	for _, c := range verifier.Codes() {
		level := "error"
		if c.Code == verifier.CodeUnsupported {
			level = "note"
		}
		add(string(c.Code), c.Rule, c.Fix, level)
	}
	for _, r := range verdict.Rules() {
		add(r.Name, r.Rule, r.Fix, "warning")
	}
	return rules, index
}
