package permissions

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// Plan is what to load, and what it takes to make a table of the answers.
type Plan struct {
	k        *kernel
	contexts []context
	cells    []cell
	// Loads is for native/loads.c: of each program the number of its cell, type, place of attachment, target, flags and number of
	// instructions, 4 bytes each, and the instructions. Once a program of a cell has been loaded the others of it are skipped.
	Loads []byte
	// Programs is their number.
	Programs int
}

// cell is a field of the table; f is nil for the question whether a context takes programs at all.
type cell struct {
	f *function
	c *context
}

// New makes a plan for the kernel with these types.
func New(vmlinux io.ReaderAt) (*Plan, error) {
	k, err := readKernel(vmlinux)
	if err != nil {
		return nil, err
	}
	p := &Plan{k: k}
	if p.contexts, err = k.contexts(); err != nil {
		return nil, err
	}
	for i := range p.contexts {
		p.add(nil, &p.contexts[i], trivial())
	}
	for _, f := range k.rows {
		for i := range p.contexts {
			c := &p.contexts[i]
			programs := [][]byte{k.program(f, dressed), k.program(f, bare)}
			if c.sleepable {
				programs = append([][]byte{k.program(f, inRCU)}, programs...)
			}
			p.add(f, c, programs...)
		}
	}
	return p, nil
}

func (p *Plan) add(f *function, c *context, programs ...[]byte) {
	n := len(p.cells)
	p.cells = append(p.cells, cell{f, c})
	flags := 0
	if c.sleepable {
		flags = flagSleepable
	}
	for _, text := range programs {
		for _, v := range []uint32{uint32(n), c.typ, c.attach, uint32(c.target), uint32(flags), uint32(len(text) / 8)} {
			p.Loads = binary.LittleEndian.AppendUint32(p.Loads, v)
		}
		p.Loads = append(p.Loads, text...)
		p.Programs++
	}
}

// Table is the permissions of a kernel.
type Table struct {
	Contexts, Functions []string
	// Cells are those of each function, a byte each: 'A' allowed, '-' not allowed, 's' allowed if the program may sleep, '?' could
	// not be measured. Why are the kernel's words for the latter, by function.
	Cells []string
	Why   map[string]string
}

// Table makes a table of what native/loads.c wrote: a line for each program, "CELL ERRNO LAST LINE OF THE LOG".
func (p *Plan) Table(answers []byte) (*Table, error) {
	loaded := make([]bool, len(p.cells))
	verdict := make([]byte, len(p.cells))
	why := make([]string, len(p.cells))
	seen := make([]bool, len(p.cells))
	for line := range bytes.Lines(answers) {
		text := strings.TrimRight(string(line), "\n")
		number, rest, _ := strings.Cut(text, " ")
		errno, last, ok := strings.Cut(rest, " ")
		n, err := strconv.Atoi(number)
		if err != nil || !ok || n < 0 || n >= len(p.cells) {
			return nil, fmt.Errorf("the guest says %q, expected a cell, an error number and a line of the log", text)
		}
		seen[n] = true
		if errno == "0" {
			loaded[n], verdict[n] = true, 'A'
		} else if verdict[n] == 0 {
			if f := p.cells[n].f; f != nil {
				verdict[n] = refusal(f.name, last)
			}
			why[n] = last
		}
	}
	if n := slices.Index(seen, false); n >= 0 {
		return nil, fmt.Errorf("the guest says nothing of cell %d of %d", n, len(p.cells))
	}
	t := &Table{Why: map[string]string{}}
	var columns []int
	for i := range p.contexts {
		switch c := &p.contexts[i]; {
		case loaded[i]:
			t.Contexts = append(t.Contexts, c.name)
			columns = append(columns, i)
		case !c.optional:
			return nil, fmt.Errorf("%s: not even a program that does nothing loads: %s", c.name, why[i])
		}
	}
	for row, f := range p.k.rows {
		line := make([]byte, len(columns))
		for i, col := range columns {
			n := (row+1)*len(p.contexts) + col
			if line[i] = verdict[n]; line[i] == 0 {
				line[i] = '?'
				t.Why[f.name] = why[n]
			}
		}
		t.Functions = append(t.Functions, f.name)
		t.Cells = append(t.Cells, string(line))
	}
	return t, nil
}

// refusal is what the last line of a log says of a function, 0 if it speaks of something else.
func refusal(name, last string) byte {
	if at := strings.Index(last, "calling kernel function "); at >= 0 {
		who, _, _ := strings.Cut(last[at+len("calling kernel function "):], " ")
		if strings.Contains(last, "is not allowed") && (who == name || who == name+"_impl") {
			return '-'
		}
	}
	if strings.Contains(last, "program must be sleepable to call sleepable kfunc "+name) {
		return 's'
	}
	return 0
}
