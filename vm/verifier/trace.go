package verifier

import (
	"fmt"
	"strings"

	"github.com/schedsim/schedsim/vm/ir"
)

// trace keeps what the kernel's log says of registers and stack along a path: after each instruction what it read or wrote
// and what changed, and everything where a path goes on after another was given up or a function is entered.
type trace struct {
	on    bool
	from  int // steps before it are not kept
	steps []traceStep

	// all: everything is to be written next. fresh: nothing was written since the last instruction.
	all, fresh bool
	frames     int
	regs       [11]reg
	stack      []slot
	leaving    string // the state of a function that is left

	// line, if not nil, takes every step as soon as it is complete. done steps of the path and noted notes were handed over;
	// head begins the line of a branch that was not yet.
	line         func(string)
	done, noted  int
	head, source string
}

// traceStep is what belongs to one step of the path: lines before the instruction, and the state behind it.
type traceStep struct {
	before []string
	after  string
}

func newTrace(from int) *trace { return &trace{on: true, from: from} }

// step is the step at path[k].
func (t *trace) step(k int) traceStep {
	if k -= t.from; k >= 0 && k < len(t.steps) {
		return t.steps[k]
	}
	return traceStep{}
}

// start begins with a function.
func (t *trace) start() {
	if t != nil {
		t.steps, t.all, t.frames, t.fresh, t.leaving = t.steps[:0], true, 0, false, ""
		t.done, t.noted, t.head, t.source = 0, 0, "", ""
	}
}

// cut goes back to a branch at that length of the path.
func (t *trace) cut(path int) {
	if t != nil {
		t.steps = t.steps[:min(len(t.steps), max(0, path-t.from))]
		if n := len(t.steps); n > 0 {
			t.steps[n-1].after = "" // that of the branch that was followed first
		}
		t.all, t.fresh, t.leaving = true, false, ""
	}
}

// arrive is called when the instruction here is about to be followed.
func (t *trace) arrive(v *verifier, here int32) {
	if t == nil {
		return
	}
	pos := len(v.path) - t.from
	f, depth := v.cur.cur(), len(v.cur.frames)
	if pos < 0 || pos >= maxLog && t.line == nil {
		t.remember(f, depth)
		t.all, t.fresh = true, false
		return
	}
	for len(t.steps) <= pos {
		t.steps = append(t.steps, traceStep{})
	}
	s := &t.steps[pos]
	s.before, s.after = nil, ""
	switch {
	case t.frames != 0 && depth > t.frames && v.insns[v.path[len(v.path)-1]].Op != ir.CallSub:
		// A callback: the log has the state alone.
		t.all, t.fresh = true, false
	case t.frames != 0 && depth > t.frames:
		s.before = append(s.before, "caller:", stateText(v.cur, depth-2, everything), "callee:", stateText(v.cur, depth-1, everything))
		t.all, t.fresh = true, false
	case depth < t.frames && t.leaving != "":
		s.before = append(s.before, "returning from callee:", t.leaving,
			fmt.Sprintf("to caller at %d:", v.insns[here].Orig), stateText(v.cur, depth-1, everything))
		t.fresh = false
	case pos > 0 && t.fresh:
		if in := &v.insns[v.path[len(v.path)-1]]; in.Op == ir.CallSub {
			if n := v.subAt(in.Target); v.subs[n].global {
				s.before = append(s.before, fmt.Sprintf("Func#%d ('%s') is global and assumed valid.", n, v.subs[n].name))
				t.fresh = false
			}
		}
	}
	show := everything
	if !t.all {
		show = t.changed(v, f)
	}
	if text := stateText(v.cur, depth-1, show); show.any && (text != "" || t.all) {
		if n := len(v.notes); t.fresh && pos > 0 && (n == 0 || v.notes[n-1].at < len(v.path)) {
			t.steps[pos-1].after = text
		} else {
			s.before = append(s.before, fmt.Sprintf("%d:%s", v.insns[here].Orig, text))
		}
	}
	t.remember(f, depth)
	t.all, t.fresh = false, true
	t.leaving = ""
	if v.insns[here].Op == ir.Exit && depth > 1 {
		t.leaving = stateText(v.cur, depth-1, everything)
	}
}

func (t *trace) remember(f *frame, depth int) {
	t.regs, t.frames = f.regs, depth
	t.stack = append(t.stack[:0], f.stack...)
}

// shown chooses registers and slots of the stack.
type shown struct {
	reg, slot func(i int) bool
	any       bool // there is something to show: what is held too
}

func yes(int) bool { return true }

var everything = shown{yes, yes, true}

// changed are those that the last instruction of the path read or wrote, or that it changed.
func (t *trace) changed(v *verifier, f *frame) shown {
	var used [11]bool
	some := false
	if n := len(v.path); n > 0 {
		in := &v.insns[v.path[n-1]]
		for _, r := range touched(in) {
			used[r], some = true, true
		}
	}
	return shown{
		func(i int) bool {
			a, b := &f.regs[i], &t.regs[i]
			return used[i] || a.regBody != b.regBody || a.id != b.id || a.parent != b.parent
		},
		func(i int) bool { return i >= len(t.stack) || f.stack[i] != t.stack[i] },
		some,
	}
}

// touched are the registers that an instruction names.
func touched(in *ir.Insn) []ir.Reg {
	op := in.Op
	switch {
	case op == ir.CallHelper, op == ir.CallKfunc, op == ir.CallSub:
		return []ir.Reg{0, 1, 2, 3, 4, 5}
	case op == ir.Exit:
		return []ir.Reg{0}
	case op == ir.Ja, op == ir.MayGoto:
		return nil
	case op == ir.LdImm64, op == ir.GotoX, op == ir.Neg64, op == ir.Neg32, op >= ir.LE16 && op <= ir.BSwap64, op >= ir.St8K && op <= ir.St64K:
		return []ir.Reg{in.Dst}
	case op >= ir.Add64X && op <= ir.Mov32K:
		if _, _, byReg := splitALU(op); !byReg {
			return []ir.Reg{in.Dst}
		}
	case op.IsJump():
		if _, _, byReg := splitJmp(op); !byReg {
			return []ir.Reg{in.Dst}
		}
	}
	return []ir.Reg{in.Dst, in.Src}
}

// slotChars are the kernel's letters for what a byte of stack holds.
var slotChars = [...]byte{slotInvalid: '?', slotSpill: 'r', slotMisc: 'm', slotZero: '0', slotDynptr: 'd', slotIter: 'i', slotIRQ: 'f', slotPoison: 'p'}

// stateText is print_verifier_state (kernel/bpf/log.c, 7.2) of a frame.
func stateText(st *state, frame int, show shown) string {
	f := st.frames[frame]
	var b strings.Builder
	for i := range f.regs {
		if r := &f.regs[i]; r.typ != notInit && show.reg(i) {
			fmt.Fprintf(&b, " R%d=%s", i, r.text(f.no))
		}
	}
	for i := 0; i < len(f.stack); i++ {
		if show.slot(i) {
			b.WriteString(slotText(f, &i))
		}
	}
	if frame == len(st.frames)-1 {
		sep := " refs="
		for _, r := range st.refs {
			if r.id != 0 {
				fmt.Fprintf(&b, "%s%d", sep, r.id)
				sep = ","
			}
		}
		if f.inCallback {
			b.WriteString(" cb")
		}
		if f.inAsync {
			b.WriteString(" async_cb")
		}
	}
	if f.no > 0 && b.Len() > 0 {
		return fmt.Sprintf(" frame%d:", f.no) + b.String()
	}
	return b.String()
}

// slotText is one slot of stack; of a dynptr, which takes two, i is moved to the second.
func slotText(f *frame, i *int) string {
	s := &f.stack[*i]
	var kinds [regSize]byte
	valid := false
	for k, b := range s.kind {
		kinds[k] = slotChars[b]
		valid = valid || b != slotInvalid && b != slotPoison
	}
	if !valid {
		return ""
	}
	at := func() string { return fmt.Sprintf(" fp%d=", -(*i+1)*regSize) }
	switch s.kind[regSize-1] {
	case slotSpill:
		k := strings.IndexByte(string(kinds[:]), 'r')
		return at() + string(kinds[:k]) + s.reg.text(f.no)
	case slotDynptr:
		if *i+1 < len(f.stack) {
			*i++
			s = &f.stack[*i]
		}
		var parts []string
		if s.reg.id != 0 {
			parts = append(parts, fmt.Sprintf("id=%d", s.reg.id))
		}
		if s.reg.parent != 0 {
			parts = append(parts, fmt.Sprintf("parent_id=%d", s.reg.parent))
		}
		return at() + "dynptr_" + dynName(s.reg.obj.dyn) + "(" + strings.Join(parts, ",") + ")"
	case slotIter:
		if s.reg.id == 0 {
			return ""
		}
		name := "?"
		if s.reg.obj.typ != nil {
			name = strings.TrimPrefix(s.reg.obj.typ.TypeName(), "bpf_iter_")
		}
		state := [...]string{"<invalid>", "active", "drained"}[min(int(s.reg.obj.iter), 2)]
		return at() + fmt.Sprintf("iter_%s(id=%d,state=%s,depth=%d)", name, s.reg.id, state, s.reg.depth)
	}
	return at() + string(kinds[:])
}
