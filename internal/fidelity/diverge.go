package fidelity

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// A stream of the simulator is compared with a recorded one CPU by CPU: callback, task and arguments must be equal, in the same
// order; times, slices and virtual times need not. Tasks of the workload are the same if they have the same name; all
// other threads are taken for one another. Callbacks, and columns, that only one side noted are left out.

// Divergence is what the comparison of two streams gives for one CPU.
type Divergence struct {
	CPU int32 `json:"cpu"`
	// Equal is how many callbacks are equal before the first that is not, of Recorded and Simulated in the window.
	Equal     int `json:"equal"`
	Recorded  int `json:"recorded"`
	Simulated int `json:"simulated"`
	// Kernel and Ours are the first callbacks that are not equal, as lines; "" where the stream has ended. Both are "" if all
	// are equal.
	Kernel string `json:"kernel,omitempty"`
	Ours   string `json:"ours,omitempty"`
	// Before are the last equal ones, as recorded, with all CPUs' between them; AfterKernel and AfterOurs what came next
	// on this CPU.
	Before      []string `json:"before,omitempty"`
	AfterKernel []string `json:"after_kernel,omitempty"`
	AfterOurs   []string `json:"after_ours,omitempty"`
	// Index is the number of the op in the simulated stream from which on it differs, to look at the simulator then.
	Index int `json:"-"`
	// AtNS is when the recorded streams part.
	AtNS int64 `json:"at_ns,omitempty"`
	// State is how things stood in the simulator when it went another way.
	State string `json:"state,omitempty"`
}

// Parted tells whether the streams differ.
func (d *Divergence) Parted() bool { return d.Kernel != "" || d.Ours != "" }

// contextOps is how many callbacks are shown before and after a divergence.
const contextOps = 6

// stream side while two are compared.
type side struct {
	s     *Stream
	names map[int32]string
	at    []int // indices into s.Ops of one CPU's
}

func newSide(s *Stream) *side {
	d := &side{s: s, names: map[int32]string{}}
	for _, t := range s.Tasks {
		d.names[t.PID] = t.Name
	}
	return d
}

// task is what a PID is called.
func (d *side) task(pid int32) string {
	switch name, ok := d.names[pid]; {
	case pid == 0:
		return "-"
	case ok:
		return name
	}
	return "other"
}

// pick chooses the ops of a CPU in [0, until) whose names are known to both sides.
func (d *side) pick(cpu int32, until int64, names map[string]bool) {
	d.at = d.at[:0]
	for i := range d.s.Ops {
		if o := &d.s.Ops[i]; o.CPU == cpu && o.At >= 0 && o.At < until && names[o.Name] {
			d.at = append(d.at, i)
		}
	}
}

func (d *side) op(i int) *Op {
	if i >= len(d.at) {
		return nil
	}
	return &d.s.Ops[d.at[i]]
}

// line shows an op with names for PIDs.
func (d *side) line(o *Op) string {
	if o == nil {
		return ""
	}
	an, bn, _ := OpArgs(o.Name)
	text := fmt.Sprintf("%.6f ms cpu %d %s(%s", float64(o.At)/1e6, o.CPU, o.Name, d.task(o.PID))
	for _, v := range []struct {
		name string
		v    Value
	}{{an, o.A}, {bn, o.B}} {
		if v.name != "" && v.v.OK {
			text += fmt.Sprintf(", %s %#x", v.name, v.v.N)
		}
	}
	text += ")"
	if o.Slice.OK && o.PID != 0 {
		text += fmt.Sprintf(" slice %d", o.Slice.N)
		if o.VTime.OK && o.VTime.N != 0 {
			text += fmt.Sprintf(" vtime %d", o.VTime.N)
		}
	}
	return text
}

// equal tells whether an op of a is the op p of b.
func (d *side) equal(o *Op, b *side, p *Op) bool {
	same := func(x, y Value) bool { return !x.OK || !y.OK || x.N == y.N }
	return o.Name == p.Name && d.task(o.PID) == b.task(p.PID) && same(o.A, p.A) && same(o.B, p.B)
}

func opNames(s *Stream) map[string]bool {
	names := map[string]bool{}
	for i := range s.Ops {
		names[s.Ops[i].Name] = true
	}
	return names
}

// FirstDivergence compares a simulated stream with a recorded one, for each CPU.
func FirstDivergence(recorded, simulated *Stream) []Divergence {
	a, b := newSide(recorded), newSide(simulated)
	until := min(recorded.Until, simulated.Until)
	names := opNames(recorded)
	var out []Divergence
	for cpu := range int32(recorded.CPUs) {
		a.pick(cpu, until, names)
		b.pick(cpu, until, names)
		d := Divergence{CPU: cpu, Recorded: len(a.at), Simulated: len(b.at), Index: -1}
		n := 0
		for n < len(a.at) && n < len(b.at) && a.equal(a.op(n), b, b.op(n)) {
			n++
		}
		d.Equal = n
		// Tasks that are never done get further on the faster side by the time where both are cut off: one stream may be the
		// beginning of the other. If it is much shorter, its scheduler is no longer called.
		longer := max(len(a.at), len(b.at))
		if n < min(len(a.at), len(b.at)) || longer-n > max(contextOps, longer/4) {
			d.Kernel, d.Ours = a.line(a.op(n)), b.line(b.op(n))
			if o := a.op(n); o != nil {
				d.AtNS = o.At
			} else {
				d.AtNS = b.op(n).At
			}
			if n < len(b.at) {
				d.Index = b.at[n]
			}
			if n > 0 {
				d.Before = a.around(a.at[n-1])
			}
			for i := 1; i <= contextOps; i++ {
				d.AfterKernel = appendLine(d.AfterKernel, a.line(a.op(n+i)))
				d.AfterOurs = appendLine(d.AfterOurs, b.line(b.op(n+i)))
			}
		}
		out = append(out, d)
	}
	return out
}

func appendLine(list []string, line string) []string {
	if line == "" {
		return list
	}
	return append(list, line)
}

// around are the last ops up to the one with that index.
func (d *side) around(index int) []string {
	var list []string
	for i := index; i >= 0 && len(list) < contextOps; i-- {
		list = append(list, d.line(&d.s.Ops[i]))
	}
	slices.Reverse(list)
	return list
}

// WriteDivergences writes what the comparison of a case's streams gave.
func WriteDivergences(w io.Writer, name string, list []Divergence) error {
	var b strings.Builder
	for i := range list {
		d := &list[i]
		if !d.Parted() {
			fmt.Fprintf(&b, "%s, CPU %d: all %d callbacks equal\n", name, d.CPU, d.Equal)
			continue
		}
		fmt.Fprintf(&b, "%s, CPU %d: %d of %d callbacks equal, then at %.6f ms\n", name, d.CPU, d.Equal, d.Recorded, float64(d.AtNS)/1e6)
		for _, l := range d.Before {
			fmt.Fprintf(&b, "      both: %s\n", l)
		}
		fmt.Fprintf(&b, "  - kernel: %s\n  + ours:   %s\n", orNothing(d.Kernel), orNothing(d.Ours))
		for _, l := range d.AfterKernel {
			fmt.Fprintf(&b, "  - then:   %s\n", l)
		}
		for _, l := range d.AfterOurs {
			fmt.Fprintf(&b, "  + then:   %s\n", l)
		}
		for l := range strings.Lines(d.State) {
			fmt.Fprintf(&b, "    | %s\n", strings.TrimRight(l, "\n"))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func orNothing(s string) string {
	if s == "" {
		return "nothing more"
	}
	return s
}
