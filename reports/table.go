package reports

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/olekukonko/tablewriter"
	"github.com/olekukonko/tablewriter/renderer"
	"github.com/olekukonko/tablewriter/tw"
)

// TextOptions say how text is laid out. The zero value is for a file: as wide as it gets, without colour.
type TextOptions struct {
	// Width is the greatest width of a line in columns; 0 means any.
	Width int
	// Color allows ANSI colours.
	Color bool
}

const (
	ansiBold  = "\x1b[1m"
	ansiRed   = "\x1b[31m"
	ansiReset = "\x1b[0m"
)

func (o TextOptions) paint(code, s string) string {
	if !o.Color {
		return s
	}
	return code + s + ansiReset
}

// Bold and Red are s so marked, where colour is allowed.
func (o TextOptions) Bold(s string) string { return o.paint(ansiBold, s) }

// Red is s in red, where colour is allowed.
func (o TextOptions) Red(s string) string { return o.paint(ansiRed, s) }

// Wrap breaks text into lines of at most o.Width columns, 100 where any width goes, each with indent before it.
func (o TextOptions) Wrap(indent, text string) string {
	width := o.Width
	if width <= 0 || width > 100 {
		width = 100
	}
	var b strings.Builder
	n := 0
	for word := range strings.FieldsSeq(text) {
		size := utf8.RuneCountInString(word)
		switch {
		case n == 0:
			b.WriteString(indent)
			n = len(indent)
		case n+1+size > width:
			b.WriteString("\n" + indent)
			n = len(indent)
		default:
			b.WriteByte(' ')
			n++
		}
		b.WriteString(word)
		n += size
	}
	if n > 0 {
		b.WriteByte('\n')
	}
	return b.String()
}

// column is one column of a table. Columns with a higher drop go first where there is no room; 0 always stays.
type column struct {
	name string
	left bool
	drop int
}

// table is text in columns.
type table struct {
	cols []column
	rows [][]string
}

// write lays the table out. Where it is too wide, it leaves columns out, and says which if they say something.
func (t *table) write(w io.Writer, o TextOptions) error {
	keep := make([]bool, len(t.cols))
	for i := range keep {
		keep[i] = true
	}
	var hidden []string
	for {
		text, err := t.render(keep)
		if err != nil {
			return err
		}
		if o.Width > 0 && widest(text) > o.Width {
			if i := t.expendable(keep); i >= 0 {
				keep[i] = false
				if !t.blank(i) {
					hidden = append(hidden, t.cols[i].name)
				}
				continue
			}
		}
		head, body, _ := strings.Cut(text, "\n")
		if _, err := fmt.Fprintf(w, "%s\n%s", o.paint(ansiBold, head), body); err != nil {
			return err
		}
		if hidden != nil {
			_, err = io.WriteString(w, wrap("(no room for: "+strings.Join(hidden, ", ")+")", o.Width))
		}
		return err
	}
}

// expendable chooses the column to leave out next: one that says nothing, else the one with the highest drop. -1 for none.
func (t *table) expendable(keep []bool) int {
	worst := -1
	for i, c := range t.cols {
		switch {
		case !keep[i] || c.drop == 0:
		case t.blank(i):
			return i
		case worst < 0 || c.drop > t.cols[worst].drop:
			worst = i
		}
	}
	return worst
}

// blank tells whether column i has nothing but dashes.
func (t *table) blank(i int) bool {
	for _, r := range t.rows {
		if r[i] != "-" {
			return false
		}
	}
	return true
}

// wrap breaks text into lines of at most width columns, at blanks.
func wrap(text string, width int) string {
	var b strings.Builder
	col := 0
	for i, word := range strings.Fields(text) {
		n := utf8.RuneCountInString(word)
		switch {
		case i == 0:
		case width > 0 && col+1+n > width:
			b.WriteByte('\n')
			col = 0
		default:
			b.WriteByte(' ')
			col++
		}
		b.WriteString(word)
		col += n
	}
	b.WriteByte('\n')
	return b.String()
}

func widest(text string) int {
	n := 0
	for line := range strings.Lines(text) {
		n = max(n, utf8.RuneCountInString(strings.TrimRight(line, "\n")))
	}
	return n
}

// render lays out the columns that are kept, as wide as they are.
func (t *table) render(keep []bool) (string, error) {
	pick := func(cells []string) []string {
		out := make([]string, 0, len(cells))
		for i, c := range cells {
			if keep[i] {
				out = append(out, c)
			}
		}
		return out
	}
	var names []string
	var align []tw.Align
	for i, c := range t.cols {
		if !keep[i] {
			continue
		}
		names = append(names, c.name)
		if c.left {
			align = append(align, tw.AlignLeft)
		} else {
			align = append(align, tw.AlignRight)
		}
	}
	cell := tw.CellConfig{
		Formatting: tw.CellFormatting{AutoFormat: tw.Off, AutoWrap: tw.WrapNone},
		Alignment:  tw.CellAlignment{PerColumn: align},
		Padding:    tw.CellPadding{Global: tw.Padding{Left: "", Right: "  ", Overwrite: true}},
	}
	var buf bytes.Buffer
	tb := tablewriter.NewTable(&buf,
		tablewriter.WithRenderer(renderer.NewBlueprint(tw.Rendition{
			Borders: tw.BorderNone, Settings: tw.Settings{Separators: tw.SeparatorsNone, Lines: tw.LinesNone},
		})),
		tablewriter.WithConfig(tablewriter.Config{Header: cell, Row: cell, Behavior: tw.Behavior{TrimSpace: tw.Off}}))
	tb.Header(names)
	for _, r := range t.rows {
		if err := tb.Append(pick(r)); err != nil {
			return "", err
		}
	}
	if err := tb.Render(); err != nil {
		return "", err
	}
	var out strings.Builder
	for line := range strings.Lines(buf.String()) {
		out.WriteString(strings.TrimRight(line, " \n"))
		out.WriteByte('\n')
	}
	return out.String(), nil
}
