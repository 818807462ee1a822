package permissions

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

const header = `# Which kernel functions programs may call where, measured by loading one program per cell on Linux %s.
# The contexts are the columns, in order: a callback of sched_ext_ops (cpu:) or sched_ext_ops_cid (cid:), .s sleepable, or a
# type of program (other:). Then a line per function: A allowed, - not allowed, s allowed if the program may sleep. A number before
# a letter repeats it.
`

// width is how long lines of contexts are.
const width = 110

// Write writes the table; release is the kernel's.
func (t *Table) Write(w io.Writer, release string) error {
	var b strings.Builder
	fmt.Fprintf(&b, header, release)
	if slices.ContainsFunc(t.Cells, func(s string) bool { return strings.Contains(s, "?") }) {
		b.WriteString("# ? could not be measured: what the kernel says of the call's arguments comes first.\n")
	}
	line := ""
	flush := func() {
		if line != "" {
			b.WriteString(line + "\n")
		}
		line = ""
	}
	for _, c := range t.Contexts {
		if len(line)+1+len(c) > width {
			flush()
		}
		if line == "" {
			line = "contexts"
		}
		line += " " + c
	}
	flush()
	for i, f := range t.Functions {
		b.WriteString(f)
		for rest := t.Cells[i]; rest != ""; {
			n := len(rest) - len(strings.TrimLeft(rest, rest[:1]))
			b.WriteByte(' ')
			if n > 1 {
				b.WriteString(strconv.Itoa(n))
			}
			b.WriteByte(rest[0])
			rest = rest[n:]
		}
		b.WriteByte('\n')
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// Read reads what Write wrote.
func Read(r io.Reader) (*Table, error) {
	t := &Table{}
	s := bufio.NewScanner(r)
	for s.Scan() {
		words := strings.Fields(s.Text())
		if len(words) == 0 || strings.HasPrefix(s.Text(), "#") {
			continue
		}
		if words[0] == "contexts" {
			t.Contexts = append(t.Contexts, words[1:]...)
			continue
		}
		var cells strings.Builder
		for _, run := range words[1:] {
			n, letter := 1, run[len(run)-1:]
			if len(run) > 1 {
				var err error
				if n, err = strconv.Atoi(run[:len(run)-1]); err != nil || n < 1 || n > len(t.Contexts) {
					return nil, fmt.Errorf("%s: %q, expected a number and a letter", words[0], run)
				}
			}
			cells.WriteString(strings.Repeat(letter, n))
		}
		if cells.Len() != len(t.Contexts) {
			return nil, fmt.Errorf("%s: %d cells for %d contexts", words[0], cells.Len(), len(t.Contexts))
		}
		t.Functions = append(t.Functions, words[0])
		t.Cells = append(t.Cells, cells.String())
	}
	return t, s.Err()
}

// Compare counts the cells that two tables share and lists those that differ, or that only one of them has.
func Compare(was, is *Table) (equal int, differences []string) {
	cells := func(t *Table) map[[2]string]byte {
		m := map[[2]string]byte{}
		for i, f := range t.Functions {
			for j, c := range t.Contexts {
				m[[2]string{f, c}] = t.Cells[i][j]
			}
		}
		return m
	}
	a, b := cells(was), cells(is)
	for key, v := range a {
		w, ok := b[key]
		switch {
		case !ok:
			differences = append(differences, fmt.Sprintf("%s in %s: %c was, is gone", key[0], key[1], v))
		case v != w:
			differences = append(differences, fmt.Sprintf("%s in %s: %c was, is %c", key[0], key[1], v, w))
		default:
			equal++
		}
	}
	for key, w := range b {
		if _, ok := a[key]; !ok {
			differences = append(differences, fmt.Sprintf("%s in %s: is new: %c", key[0], key[1], w))
		}
	}
	slices.Sort(differences)
	return equal, differences
}
