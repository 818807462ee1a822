package rtapp

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/schedsim/schedsim/internal/editdist"
)

// Pos is a place in the text: line and column, both from 1; a column counts characters, not bytes.
type Pos struct{ Line, Col int }

// Error is one thing wrong with a file.
type Error struct {
	File string
	Pos  Pos
	Msg  string
}

// Error returns "file:line:column: message".
func (e *Error) Error() string {
	return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Pos.Line, e.Pos.Col, e.Msg)
}

// Warning is something odd that does not stop the file from being used.
type Warning Error

// String returns "file:line:column: warning: message".
func (w Warning) String() string {
	return fmt.Sprintf("%s:%d:%d: warning: %s", w.File, w.Pos.Line, w.Pos.Col, w.Msg)
}

// Errors are all the errors found in a file, in the order of their positions.
type Errors []*Error

// Error returns one line per error.
func (l Errors) Error() string {
	s := make([]string, len(l))
	for i, e := range l {
		s[i] = e.Error()
	}
	return strings.Join(s, "\n")
}

// maxErrors ends the list; more are not useful to read.
const maxErrors = 10

// lines finds positions by offset.
type lines struct {
	data   []byte
	starts []int // offsets of the first byte of each line
}

func newLines(data []byte) *lines {
	l := &lines{data: data, starts: []int{0}}
	for off := 0; ; {
		i := bytes.IndexByte(data[off:], '\n')
		if i < 0 {
			return l
		}
		off += i + 1
		l.starts = append(l.starts, off)
	}
}

func (l *lines) pos(off int) Pos {
	off = max(0, min(off, len(l.data)))
	i, found := slices.BinarySearch(l.starts, off)
	if !found {
		i--
	}
	return Pos{Line: i + 1, Col: 1 + utf8.RuneCount(l.data[l.starts[i]:off])}
}

// nearest returns the name most like s: equal but for case, or one edit per three characters away. "" if none is near.
func nearest(s string, names []string) string {
	best, bestD := "", len(s)/3+1
	low := strings.ToLower(s)
	for _, n := range names {
		if d := editdist.Distance(low, strings.ToLower(n), bestD-1); d < bestD {
			best, bestD = n, d
		}
	}
	return best
}

// didYouMean is the end of a message about an unknown name.
func didYouMean(s string, names []string) string {
	if n := nearest(s, names); n != "" {
		return fmt.Sprintf("; did you mean %q?", n)
	}
	return ""
}
