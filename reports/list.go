package reports

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"
)

// List is a plain table of text with named columns: what can be listed rather than measured.
type List struct {
	cols  []string
	rows  [][]string
	right map[string]bool
	keep  map[string]bool
}

// NewList makes an empty list with these columns.
func NewList(cols ...string) *List { return &List{cols: cols} }

// Right aligns columns to the right, as numbers are.
func (l *List) Right(cols ...string) *List {
	l.right = marked(l.right, cols)
	return l
}

// Keep says which columns stay where there is no room for all.
func (l *List) Keep(cols ...string) *List {
	l.keep = marked(l.keep, cols)
	return l
}

func marked(m map[string]bool, names []string) map[string]bool {
	if m == nil {
		m = map[string]bool{}
	}
	for _, n := range names {
		m[n] = true
	}
	return m
}

// Len is the number of rows.
func (l *List) Len() int { return len(l.rows) }

// Add adds a row, which must have a cell per column.
func (l *List) Add(cells ...string) {
	if len(cells) != len(l.cols) {
		panic("BUG: list row of the wrong length")
	}
	l.rows = append(l.rows, cells)
}

// WriteText writes the list as a table. Where it is too wide, later columns are left out.
func (l *List) WriteText(w io.Writer, o TextOptions) error {
	t := &table{rows: l.rows}
	for i, name := range l.cols {
		c := column{name: name, left: !l.right[name], drop: i}
		if l.keep[name] {
			c.drop = 0
		}
		t.cols = append(t.cols, c)
	}
	return t.write(w, o)
}

// MarshalJSON writes an array with an object per row, keys in the order of the columns.
func (l *List) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('[')
	for i, r := range l.rows {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteByte('{')
		for j, c := range r {
			if j > 0 {
				b.WriteByte(',')
			}
			for k, s := range [2]string{strings.ReplaceAll(l.cols[j], " ", "_"), c} {
				text, err := json.Marshal(s)
				if err != nil {
					return nil, err
				}
				if k == 1 {
					b.WriteByte(':')
				}
				b.Write(text)
			}
		}
		b.WriteByte('}')
	}
	b.WriteByte(']')
	return b.Bytes(), nil
}
