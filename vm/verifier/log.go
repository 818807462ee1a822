package verifier

import (
	"fmt"
	"strings"
)

// note is a line that belongs to the step at path[at-1], or stands before the first one.
type note struct {
	at   int
	text string
}

func (v *verifier) notef(format string, args ...any) {
	v.notes = append(v.notes, note{len(v.path), fmt.Sprintf(format, args...)})
}

// maxLog bounds the steps of a log: the last ones are kept.
const maxLog = 4096

// located makes an Error of a refusal at the current instruction.
func (v *verifier) located(err error) *Error {
	e := &Error{Code: CodeUnsupported, Prog: v.prog.Name, Insn: -1, Msg: err.Error()}
	if r, ok := err.(*refusal); ok {
		e.Code = r.code
	}
	if i := v.insnIdx; i >= 0 && int(i) < len(v.insns) {
		e.Insn = v.insns[i].Orig
		if v.prog.Code.Line != nil {
			e.Line = v.prog.Code.Line(i)
		}
		if v.prog.Code.Source != nil {
			e.Source = v.prog.Code.Source(i)
		}
		if len(v.subs) > 0 {
			e.Func = v.subs[v.subAt(i)].name
		}
	}
	return e
}

// told completes an Error with the log and the explanation. The steps of the path come from a second run, which keeps what
// the registers hold: the first one, which most often ends well, has no time for that. A program that is too large is not
// run again.
func (v *verifier) told(e *Error) {
	t := &trace{}
	if len(v.path) > 0 && e.Code != CodeTooComplex {
		t = newTrace(max(0, len(v.path)-maxLog))
		w := newVerifier(v.obj, v.prog, v.at)
		w.trace = t
		if err := w.check(); err == nil || err.Error() != e.Msg || len(w.path) != len(v.path) {
			t = &trace{} // whoever answers for the place says something else than before
		}
	}
	e.Log = v.renderLog(t, e.Msg)
	v.explain(e)
}

// renderLog writes the path to the refusal as the kernel's log at level 1 does.
func (v *verifier) renderLog(t *trace, last string) []string {
	var out []string
	from := max(0, len(v.path)-maxLog)
	notes := v.notes
	for len(notes) > 0 && notes[0].at < from {
		notes = notes[1:]
	}
	flush := func(at int) {
		for len(notes) > 0 && notes[0].at <= at {
			out = append(out, notes[0].text)
			notes = notes[1:]
		}
	}
	flush(from)
	line := ""
	for k := from; k < len(v.path); k++ {
		i := v.path[k]
		s := t.step(k)
		out = append(out, s.before...)
		if l := v.sourceLine(i); l != line && l != "" {
			line = l
			out = append(out, "; "+l)
		}
		text := fmt.Sprintf("%d: %s", v.insns[i].Orig, v.disasm(i))
		if s.after != "" {
			text = padded(text) + ";" + s.after
		}
		out = append(out, text)
		flush(k + 1)
	}
	return append(out, last)
}

// padded pads a line to where the kernel puts the state behind it (bpf_vlog_alignment).
func padded(line string) string {
	n := len(line) + 1 // with its end of line
	to := (max(n+4, 40) + 7) &^ 7
	return line + strings.Repeat(" ", to-n-1)
}

// sourceLine is the C line of an instruction as the kernel's log writes it.
func (v *verifier) sourceLine(i int32) string {
	if v.prog.Code.Source == nil {
		return ""
	}
	s := v.prog.Code.Source(i)
	if s.Line == 0 && s.Text == "" {
		return ""
	}
	file := s.File[strings.LastIndexByte(s.File, '/')+1:]
	return fmt.Sprintf("%s @ %s:%d", s.Text, file, s.Line)
}

// snum and unum write numbers as the kernel's log does: large ones in hexadecimal.
func snum(n int64) string {
	if n >= -1<<15 && n < 1<<15 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%#x", uint64(n))
}

func unum(n uint64) string {
	if n < 1<<16 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%#x", n)
}

// String shows a register as the kernel's log does (print_reg_state, kernel/bpf/log.c, 7.2).
func (r *reg) String() string { return r.text(r.frame) }

// text is String in the frame of that number.
func (r *reg) text(frame uint8) string {
	if r.typ == scalar && r.bits.isConst() {
		s := snum(int64(r.bits.value))
		if r.precise {
			return "P" + s
		}
		return s
	}
	out := r.typ.String()
	if r.typ == scalar && r.precise {
		out = "P" + out
	}
	switch base := r.typ.base(); {
	case base == ptrToArena:
		return out
	case base == ptrToStack:
		if r.frame != frame {
			out += fmt.Sprintf("[%d]", r.frame)
		}
		if r.bits.isConst() {
			return out + snum(r.off()+int64(r.delta))
		}
	case base == ptrToBTF && r.obj.typ != nil:
		out += r.obj.typ.TypeName()
	}
	var parts []string
	add := func(format string, args ...any) { parts = append(parts, fmt.Sprintf(format, args...)) }
	if r.id != 0 {
		s := fmt.Sprintf("id=%d", r.id&^addConst)
		if r.id&addConst != 0 {
			s += fmt.Sprintf("%+d", r.delta)
		}
		parts = append(parts, s)
	}
	if r.parent != 0 {
		add("parent_id=%d", r.parent)
	}
	if r.typ.has(nonOwn) {
		add("non_own_ref")
	}
	if m := r.obj.m; m != nil {
		if m.name != "" {
			add("map=%.15s", m.name)
		}
		add("ks=%d,vs=%d", m.key, m.value)
	}
	if r.typ != scalar && r.delta != 0 {
		add("off=%s", snum(int64(r.delta)))
	}
	if r.typ.base() == ptrToMem {
		add("sz=%s", unum(uint64(r.obj.size)))
	}
	if r.typ.base() == constPtrToDynptr {
		add("type=%s", dynName(r.obj.dyn))
	}
	if r.bits.isConst() {
		if r.off() != 0 {
			add("imm=%s", snum(r.off()))
		}
	} else {
		parts = append(parts, ranges(&r.num)...)
		if !r.bits.isUnknown() {
			add("var_off=%v", r.bits)
		}
	}
	return out + "(" + strings.Join(parts, ",") + ")"
}

// ranges are the bounds of a number, equal ones together (print_scalar_ranges).
func ranges(n *num) []string {
	type bound struct {
		name string
		val  uint64
		omit bool
	}
	// A negative 32-bit bound is sign-extended where it is written in decimal.
	s32 := func(x int32) uint64 {
		if x >= -1<<15 && x < 1<<15 {
			return uint64(int64(x))
		}
		return uint64(uint32(x))
	}
	b := []bound{
		{"smin", uint64(n.smin()), n.smin() == minS64},
		{"smax", uint64(n.smax()), n.smax() == -(minS64 + 1)},
		{"umin", n.umin(), n.umin() == 0},
		{"umax", n.umax(), n.umax() == ^uint64(0)},
		{"smin32", s32(n.smin32()), n.smin32() == -1<<31},
		{"smax32", s32(n.smax32()), n.smax32() == 1<<31-1},
		{"umin32", uint64(n.umin32()), n.umin32() == 0},
		{"umax32", uint64(n.umax32()), n.umax32() == 1<<32-1},
	}
	negative := func(x bound) bool { return x.name[0] == 's' && int64(x.val) < 0 }
	var out []string
	for i := range b {
		if b[i].omit {
			continue
		}
		s := b[i].name + "="
		for k := i + 2; k < len(b); k += 2 {
			if b[k].omit || b[k].val != b[i].val || negative(b[k]) != negative(b[i]) {
				continue
			}
			b[k].omit = true
			s += b[k].name + "="
		}
		if b[i].name[0] == 's' {
			s += snum(int64(b[i].val))
		} else {
			s += unum(b[i].val)
		}
		out = append(out, s)
	}
	return out
}
