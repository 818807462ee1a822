package verifier

import (
	"fmt"

	"github.com/schedsim/schedsim/vm/ir"
)

// note is a line that belongs to the step at path[at].
type note struct {
	at   int
	text string
}

func (v *verifier) notef(format string, args ...any) {
	v.notes = append(v.notes, note{len(v.path), fmt.Sprintf(format, args...)})
}

// maxLog bounds the lines of a log: the last ones are kept.
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
		if len(v.subs) > 0 {
			e.Func = v.subs[v.subAt(i)].name
		}
	}
	e.Log = v.renderLog(e.Msg)
	return e
}

func (v *verifier) renderLog(last string) []string {
	var out []string
	from := max(0, len(v.path)-maxLog)
	notes := v.notes
	for len(notes) > 0 && notes[0].at < from {
		notes = notes[1:]
	}
	line := ""
	for k := from; k < len(v.path); k++ {
		i := v.path[k]
		if v.prog.Code.Line != nil {
			if l := v.prog.Code.Line(i); l != line && l != "" {
				line = l
				out = append(out, "; "+l)
			}
		}
		out = append(out, fmt.Sprintf("%d: %s", v.insns[i].Orig, v.disasm(i)))
		for len(notes) > 0 && notes[0].at == k+1 {
			out = append(out, notes[0].text)
			notes = notes[1:]
		}
	}
	if v.cur != nil && len(v.path) > 0 {
		out = append(out, v.stateLine())
	}
	return append(out, last)
}

// stateLine shows the registers of the current frame.
func (v *verifier) stateLine() string {
	s := ";"
	if n := len(v.cur.frames) - 1; n > 0 {
		s = fmt.Sprintf("; frame%d:", n)
	}
	for i := range v.regs() {
		if r := &v.regs()[i]; r.typ != notInit {
			s += fmt.Sprintf(" R%d=%s", i, r)
		}
	}
	return s
}

// String shows a register much as the kernel's log does.
func (r *reg) String() string {
	if r.typ == scalar && r.bits.isConst() {
		return fmt.Sprint(int64(r.bits.value))
	}
	name := r.typ.String()
	if r.typ.base() == ptrToBTF && r.obj.typ != nil {
		name += r.obj.typ.TypeName()
	}
	out := name + "("
	sep := ""
	add := func(format string, args ...any) {
		out += sep + fmt.Sprintf(format, args...)
		sep = ","
	}
	if r.id != 0 {
		add("id=%d", r.id&^addConst)
	}
	if r.obj.m != nil {
		add("map=%s,ks=%d,vs=%d", r.obj.m.name, r.obj.m.key, r.obj.m.value)
	}
	if r.typ.base() == ptrToMem {
		add("sz=%d", r.obj.size)
	}
	if r.typ != scalar && r.bits.isConst() {
		if r.off() != 0 {
			add("imm=%d", r.off())
		}
		return out + ")"
	}
	if r.smin() != minS64 {
		add("smin=%d", r.smin())
	}
	if r.smax() != -(minS64 + 1) {
		add("smax=%d", r.smax())
	}
	if r.umin() != 0 {
		add("umin=%d", r.umin())
	}
	if r.umax() != ^uint64(0) {
		add("umax=%d", r.umax())
	}
	if !r.bits.isUnknown() {
		add("var_off=%v", r.bits)
	}
	return out + ")"
}

// disasm spells an instruction as the kernel does.
func (v *verifier) disasm(i int32) string {
	in := &v.insns[i]
	op := in.Op
	reg := func(r ir.Reg, wide bool) string {
		if wide {
			return fmt.Sprintf("r%d", r)
		}
		return fmt.Sprintf("w%d", r)
	}
	mem := func(base ir.Reg) string {
		return fmt.Sprintf("*(u%d *)(r%d %+d)", 8*op.Size(), base, in.Off)
	}
	target := func() string { return fmt.Sprintf("goto insn %d", v.insns[in.Target].Orig) }
	switch {
	case op == ir.Neg64 || op == ir.Neg32:
		return fmt.Sprintf("%s = -%s", reg(in.Dst, op == ir.Neg64), reg(in.Dst, op == ir.Neg64))
	case op >= ir.LE16 && op <= ir.BSwap64:
		return fmt.Sprintf("r%d = byte order %d", in.Dst, op-ir.LE16)
	case op >= ir.MovSX8to64 && op <= ir.MovSX16to32:
		return fmt.Sprintf("r%d = (sign-extended) r%d", in.Dst, in.Src)
	case op >= ir.Add64X && op <= ir.Mov32K:
		k, wide, byReg := splitALU(op)
		if byReg {
			return fmt.Sprintf("%s %v %s", reg(in.Dst, wide), k, reg(in.Src, wide))
		}
		return fmt.Sprintf("%s %v %d", reg(in.Dst, wide), k, in.Imm)
	case op == ir.LdImm64:
		if r := v.aux[i].ref; r != nil {
			return fmt.Sprintf("r%d = address(kind %d, map %d, off %d)", in.Dst, r.Kind, r.Map, r.Off)
		}
		return fmt.Sprintf("r%d = %#x ll", in.Dst, uint64(in.Imm))
	case op.IsLoad():
		return fmt.Sprintf("r%d = %s", in.Dst, mem(in.Src))
	case op >= ir.St8K && op <= ir.St64K:
		return fmt.Sprintf("%s = %d", mem(in.Dst), in.Imm)
	case op.IsStore():
		return fmt.Sprintf("%s = r%d", mem(in.Dst), in.Src)
	case op.IsAtomic():
		return fmt.Sprintf("lock %s with r%d", mem(in.Dst), in.Src)
	case op == ir.Ja:
		return target()
	case op == ir.MayGoto:
		return "may_" + target()
	case op.IsJump():
		k, wide, byReg := splitJmp(op)
		sign := [...]string{"==", "!=", ">", ">=", "<", "<=", "s>", "s>=", "s<", "s<=", "&", "!&"}[k]
		if byReg {
			return fmt.Sprintf("if %s %s %s %s", reg(in.Dst, wide), sign, reg(in.Src, wide), target())
		}
		return fmt.Sprintf("if %s %s %#x %s", reg(in.Dst, wide), sign, uint64(in.Imm), target())
	case op == ir.CallHelper:
		if h := v.helper(int32(in.Imm)); h != nil {
			return fmt.Sprintf("call bpf_%s#%d", h.name, in.Imm)
		}
		return fmt.Sprintf("call helper#%d", in.Imm)
	case op == ir.CallKfunc:
		return "call " + v.prog.Code.Kfuncs[in.Imm]
	case op == ir.CallSub:
		return "call " + v.subs[v.subAt(in.Target)].name
	case op == ir.CastKern || op == ir.CastUser:
		return fmt.Sprintf("r%d = addr_space_cast(r%d)", in.Dst, in.Src)
	case op == ir.Exit:
		return "exit"
	}
	return fmt.Sprintf("operation %d", op)
}
