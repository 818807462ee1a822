package verifier

import (
	"math"

	"github.com/schedsim/schedsim/vm/ir"
)

// readReg refuses a register that holds nothing.
func (v *verifier) readReg(n ir.Reg) error {
	if v.regs()[n].typ == notInit {
		return refuse(CodeUninitReg, "R%d !read_ok", n)
	}
	return nil
}

// stepALU checks an arithmetic instruction. It follows check_alu_op.
func (v *verifier) stepALU(in *ir.Insn) error {
	regs := v.regs()
	op := in.Op
	switch {
	case op >= ir.LE16 && op <= ir.BSwap64, op == ir.Neg64, op == ir.Neg32:
		if err := v.readReg(in.Dst); err != nil {
			return err
		}
		d := &regs[in.Dst]
		switch {
		case d.typ != scalar:
			d.markUnknown()
		case op == ir.Neg64 || op == ir.Neg32:
			d.negate(op == ir.Neg64)
		default:
			if d.swapBytes(op) {
				d.clearID()
			}
		}
	case op == ir.Mov64K:
		regs[in.Dst].setConst(uint64(in.Imm))
	case op == ir.Mov32K:
		regs[in.Dst].setConst(uint64(uint32(in.Imm)))
	case op >= ir.Mov64X && op <= ir.MovSX16to32:
		if err := v.readReg(in.Src); err != nil {
			return err
		}
		v.move(in)
	case op == ir.CastKern || op == ir.CastUser:
		if !v.hasArena {
			return refuse(CodeArena, "addr_space_cast insn can only be used in a program that has an associated arena")
		}
		if err := v.readReg(in.Src); err != nil {
			return err
		}
		regs[in.Dst].markUnknown()
		if op == ir.CastKern {
			regs[in.Dst].typ = ptrToArena
		}
		return nil
	default:
		if err := v.binary(in); err != nil {
			return err
		}
	}
	if d := &regs[in.Dst]; d.typ == scalar {
		d.repair()
	}
	return nil
}

// move is a register move of any width.
func (v *verifier) move(in *ir.Insn) {
	regs := v.regs()
	s, d := &regs[in.Src], &regs[in.Dst]
	if in.Op == ir.Mov64X {
		v.assignID(s)
		*d = *s
		return
	}
	if s.typ != scalar {
		d.markUnknown()
		if in.Op == ir.Mov32X || in.Op >= ir.MovSX8to32 {
			d.zext()
			d.sync()
		}
		return
	}
	size, narrow := 0, false
	switch in.Op {
	case ir.Mov32X:
		keep := s.width() <= 32
		if keep {
			v.assignID(s)
		}
		*d = *s
		if !keep {
			d.clearID()
		}
		d.zext()
		d.sync()
		return
	case ir.MovSX8to64:
		size = 1
	case ir.MovSX16to64:
		size = 2
	case ir.MovSX32to64:
		size = 4
	case ir.MovSX8to32:
		size, narrow = 1, true
	case ir.MovSX16to32:
		size, narrow = 2, true
	}
	same := s.umax() < 1<<(8*size-1)
	if same {
		v.assignID(s)
	}
	*d = *s
	if !same {
		d.clearID()
	}
	if narrow {
		d.signExtend32(size)
		d.zext()
		d.sync()
		return
	}
	d.signExtend(size)
}

// binary checks an operation on two operands. It follows adjust_reg_min_max_vals.
func (v *verifier) binary(in *ir.Insn) error {
	regs := v.regs()
	k, wide, byReg := splitALU(in.Op)
	if byReg {
		if err := v.readReg(in.Src); err != nil {
			return err
		}
	}
	if err := v.readReg(in.Dst); err != nil {
		return err
	}
	if !byReg {
		switch width := int64(64); k {
		case aluDiv, aluSDiv, aluMod, aluSMod:
			if in.Imm == 0 {
				return refuse(CodeDivZero, "div by zero")
			}
		case aluLsh, aluRsh, aluArsh:
			if !wide {
				width = 32
			}
			if in.Imm < 0 || in.Imm >= width {
				return refuse(CodeShift, "invalid shift %d", in.Imm)
			}
		}
	}
	d := &regs[in.Dst]
	var imm reg
	s := &imm
	if byReg {
		s = &regs[in.Src]
	} else {
		imm.setConst(uint64(in.Imm))
	}
	if d.typ == ptrToArena || s.typ == ptrToArena {
		if d.typ != ptrToArena {
			*d = *s
		}
		return nil
	}
	switch {
	case s.typ != scalar && d.typ != scalar:
		if k == aluSub {
			d.markUnknown()
			return nil
		}
		return refuse(CodePointerMath, "R%d pointer %v pointer prohibited", in.Dst, k)
	case s.typ != scalar:
		if err := v.markPrecise(int(in.Dst)); err != nil {
			return err
		}
		off := *d
		return v.pointerMath(in, k, wide, s, &off)
	case d.typ != scalar:
		if byReg {
			if err := v.markPrecise(int(in.Src)); err != nil {
				return err
			}
		}
		return v.pointerMath(in, k, wide, d, s)
	case byReg && d.precise:
		if err := v.markPrecise(int(in.Src)); err != nil {
			return err
		}
	}
	top := d.umax()
	if (k == aluAnd || k == aluOr) && s.bits.isConst() && computable(k, wide, &s.num) {
		if err := v.forkMask(in, d); err != nil {
			return err
		}
	}
	d.alu(k, wide, s.num)
	v.linkSum(in, d, s, k, wide, byReg, top)
	return nil
}

// linkSum keeps the relation of a scalar to its group when a constant is added.
func (v *verifier) linkSum(in *ir.Insn, d, s *reg, k aluKind, wide, byReg bool, top uint64) {
	val, known := s.constOf(wide)
	if k != aluAdd && k != aluSub || d.id == 0 || !known || s.typ != scalar || byReg && in.Src == in.Dst {
		d.clearID()
		return
	}
	off := int64(val)
	if !wide {
		off = int64(int32(val))
	}
	if wide && (off < math.MinInt32 || off > math.MaxInt32) || !wide && top > math.MaxUint32 ||
		k == aluSub && off == math.MinInt32 || d.id&addConst != 0 {
		d.clearID()
		return
	}
	if k == aluSub {
		off = -off
	}
	if wide {
		d.id |= addConst64
	} else {
		d.id |= addConst32
	}
	d.delta = int32(off)
}

// forkMask goes on separately with 0 and -1 where a value is known to be one of them: masks that stand for a condition.
// It follows maybe_fork_scalars.
func (v *verifier) forkMask(in *ir.Insn, d *reg) error {
	wide := d.smin() == -1 && d.smax() == 0
	if !wide && (d.smin32() != -1 || d.smax32() != 0) {
		return nil
	}
	branch, err := v.push(v.insnIdx, v.insnIdx)
	if err != nil {
		return err
	}
	b := &branch.cur().regs[in.Dst]
	if wide {
		b.markKnown(0)
		d.markKnown(math.MaxUint64)
		return nil
	}
	b.setKnown32(0)
	b.r64 = cnumAll[uint64]()
	d.setKnown32(math.MaxUint32)
	d.r64 = cnumAll[uint64]()
	return nil
}

// saneScalar and sanePointer bound what is added to pointers. They follow check_reg_sane_offset_scalar and _ptr.
func saneScalar(r *reg, t regType) error {
	lo := r.smin()
	switch val := r.off(); {
	case r.bits.isConst() && (val >= maxVarOff || val <= -maxVarOff):
		return refuse(CodePointerMath, "math between %v pointer and %d is not allowed", t, val)
	case lo == minS64:
		return refuse(CodePointerMath, "math between %v pointer and register with unbounded min value is not allowed", t)
	case lo >= maxVarOff || lo <= -maxVarOff:
		return refuse(CodePointerMath, "value %d makes %v pointer be out of bounds", lo, t)
	}
	return nil
}

func sanePointer(r *reg, t regType) error {
	lo := r.smin()
	switch val := r.off(); {
	case r.bits.isConst() && (val >= maxVarOff || val <= -maxVarOff):
		return refuse(CodePointerMath, "%v pointer offset %d is not allowed", t, val)
	case lo >= maxVarOff || lo <= -maxVarOff:
		return refuse(CodePointerMath, "%v pointer offset %d is not allowed", t, lo)
	}
	return nil
}

// pointerMath adds a number to a pointer. It follows adjust_ptr_min_max_vals.
func (v *verifier) pointerMath(in *ir.Insn, k aluKind, wide bool, ptr, off *reg) error {
	d := &v.regs()[in.Dst]
	p := *ptr
	known := off.bits.isConst()
	if known && (off.smin() != off.smax() || off.umin() != off.umax()) || off.smin() > off.smax() || off.umin() > off.umax() {
		d.markUnknown() // cannot happen at run time
		return nil
	}
	if !wide {
		if k == aluSub {
			d.markUnknown()
			return nil
		}
		return refuse(CodePointerMath, "R%d 32-bit pointer arithmetic prohibited", in.Dst)
	}
	if p.typ.has(maybeNull) {
		return refuse(CodeNull, "R%d pointer arithmetic on %v prohibited, null-check it first", in.Dst, p.typ)
	}
	switch p.typ.base() {
	case ptrToCtx, ptrToMapValue, ptrToMapKey, ptrToStack, ptrToBTF, ptrToMem, ptrToBuf, ptrToFunc, constPtrToDynptr, ptrToPacket, ptrToPacketMeta,
		ptrToTPBuffer:
	default:
		if p.typ == ptrToFlowKeys && known {
			break
		}
		if (p.typ.base() == constPtrToMap || p.typ == ptrToFlowKeys) && known && off.off() == 0 && k == aluAdd {
			break
		}
		return refuse(CodePointerMath, "R%d pointer arithmetic on %v prohibited", in.Dst, p.typ)
	}
	fromPtr := ptr == d
	*d = p
	if p.typ.base() == ptrToMem && p.typ.has(untrusted) {
		return nil
	}
	if err := saneScalar(off, p.typ); err != nil {
		return err
	}
	if err := sanePointer(&p, p.typ); err != nil {
		return err
	}
	d.r32 = cnumAll[uint32]()
	switch k {
	case aluAdd:
		d.r64, d.bits = p.r64.add(off.r64), p.bits.add(off.bits)
		if p.typ.packet() {
			v.movePacket(d, &p, known, false, 0)
		}
	case aluSub:
		if !fromPtr {
			return refuse(CodePointerMath, "R%d tried to subtract pointer from scalar", in.Dst)
		}
		if p.typ == ptrToStack {
			return refuse(CodePointerMath, "R%d subtraction from stack pointer prohibited", in.Dst)
		}
		lo := off.smin()
		d.r64, d.bits = p.r64.add(off.r64.neg()), p.bits.sub(off.bits)
		if p.typ.packet() {
			v.movePacket(d, &p, known, true, lo)
		}
	case aluAnd, aluOr, aluXor:
		return refuse(CodePointerMath, "R%d bitwise operator %v on pointer prohibited", in.Dst, k)
	default:
		return refuse(CodePointerMath, "R%d pointer arithmetic with %v operator prohibited", in.Dst, k)
	}
	if err := sanePointer(d, p.typ); err != nil {
		return err
	}
	d.sync()
	return nil
}
