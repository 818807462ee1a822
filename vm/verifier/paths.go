package verifier

import (
	"fmt"

	"github.com/schedsim/schedsim/vm/link"
)

// Trace verifies a program and hands over the kernel's log at level 2, line by line: every path that is followed, with where it
// begins and where it is given up because an earlier one was as general. The last line of a refused program is its reason.
func Trace(o *link.Object, p *link.Program, at Attachment, line func(string)) {
	v := newVerifier(o, p, at)
	t := newTrace(0)
	t.line = line
	v.trace = t
	err := v.check()
	t.write(v, len(v.path))
	if err != nil {
		for ; t.noted < len(v.notes); t.noted++ {
			line(v.notes[t.noted].text)
		}
		line(err.Error())
	}
}

// write hands over the steps of the path before number to that were not yet.
func (t *trace) write(v *verifier, to int) {
	if t == nil || t.line == nil {
		return
	}
	flush := func(at int) {
		for ; t.noted < len(v.notes) && v.notes[t.noted].at <= at; t.noted++ {
			t.line(v.notes[t.noted].text)
		}
	}
	for ; t.done < to; t.done++ {
		i := v.path[t.done]
		s := t.step(t.done)
		for _, b := range s.before {
			if t.head != "" {
				t.line("")
				b, t.head = t.head+b, ""
			}
			t.line(b)
		}
		t.head = ""
		if l := v.sourceLine(i); l != t.source && l != "" {
			t.source = l
			t.line("; " + l)
		}
		text := fmt.Sprintf("%d: %s", v.insns[i].Orig, v.disasm(i))
		if s.after != "" {
			text = padded(text) + ";" + s.after
		}
		t.line(text)
		if t.done < len(t.steps) {
			t.steps[t.done] = traceStep{}
		}
		flush(t.done + 1)
	}
}

// safe tells that the path is given up.
func (t *trace) safe(v *verifier, here int32) {
	if t == nil || t.line == nil {
		return
	}
	t.write(v, len(v.path))
	if t.head != "" {
		t.line("")
	}
	t.line(fmt.Sprintf("%s%d: safe", t.head, v.insns[here].Orig))
	t.head = ""
}

// branch goes on at a branch, after a cut.
func (t *trace) branch(v *verifier) {
	if t == nil || t.line == nil {
		return
	}
	t.done, t.noted, t.source = min(t.done, len(v.path)), min(t.noted, len(v.notes)), ""
	t.head = ""
	if v.prevIdx >= 0 {
		t.head = fmt.Sprintf("from %d to ", v.insns[v.prevIdx].Orig)
	}
}
