package fidelity

import (
	"bufio"
	"fmt"
	"io"
	"path"
	"strings"
)

// Cause is why figures are missed: a row of the table that docs/fidelity.md has of them.
type Cause struct {
	Name string
	// Cases are patterns of "workload scheduler cpus", each alone or with one of figures, "pipeline * 4: slice p50".
	Cases []string
}

// InSpread is the cause of misses that need no other: see Row.InSpread.
const InSpread = "spread"

// causesHeading is where the table stands. Its first column is the cause's name, its second has the patterns as code.
const causesHeading = "## Where recorded figures are missed"

// ReadCauses reads the causes of misses from a document: the table below the heading "Where recorded figures are missed".
func ReadCauses(r io.Reader) ([]Cause, error) {
	var causes []Cause
	in, line := false, 0
	s := bufio.NewScanner(r)
	for s.Scan() {
		line++
		text := s.Text()
		if strings.HasPrefix(text, "## ") {
			in = text == causesHeading
		}
		cells := strings.Split(text, "|")
		if !in || len(cells) < 4 || strings.HasPrefix(cells[1], "---") {
			continue
		}
		c := Cause{Name: strings.TrimSpace(cells[1])}
		for i, p := range strings.Split(cells[2], "`") {
			if i%2 == 0 {
				continue
			}
			if _, err := path.Match(flat(p), ""); err != nil || len(strings.Fields(p)) < 3 {
				return nil, fmt.Errorf("line %d: %q is not a pattern of \"workload scheduler cpus\" or \"workload scheduler cpus: figure\"", line, p)
			}
			c.Cases = append(c.Cases, p)
		}
		if len(c.Cases) > 0 {
			causes = append(causes, c)
		}
	}
	if err := s.Err(); err != nil {
		return nil, fmt.Errorf("after line %d: %w", line, err)
	}
	if len(causes) == 0 {
		return nil, fmt.Errorf("no table of causes below %q", causesHeading)
	}
	return causes, nil
}

// flat is a text in which a * matches all: of a path it would not match what has a slash, as "units/s".
func flat(s string) string { return strings.ReplaceAll(s, "/", "\x00") }

// Explains tells whether a miss is one of this cause.
func (c *Cause) Explains(m MissedRow) bool {
	for _, p := range c.Cases {
		name := m.Case
		if strings.Contains(p, ": ") {
			name += ": " + m.Row.Figure
		}
		if ok, _ := path.Match(flat(p), flat(name)); ok {
			return true
		}
	}
	return false
}

// CauseOf is the name of a miss's cause: InSpread, the first that explains it, or "".
func CauseOf(causes []Cause, m MissedRow) string {
	if m.Row.InSpread() {
		return InSpread
	}
	for i := range causes {
		if causes[i].Explains(m) {
			return causes[i].Name
		}
	}
	return ""
}
