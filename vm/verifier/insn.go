package verifier

import (
	"github.com/schedsim/schedsim/vm/ir"
	"github.com/schedsim/schedsim/vm/link"
)

// step checks the current instruction and applies it to the current state. It follows do_check_insn.
func (v *verifier) step() (stepResult, error) {
	in := &v.insns[v.insnIdx]
	if g := v.gotoxs[v.insnIdx]; g != nil {
		v.jumps++
		return v.stepGotox(g, in)
	}
	switch op := in.Op; {
	case v.legacyLoad(in):
		return v.stepLegacyLoad(in)
	case op == ir.Invalid:
		return 0, v.invalid(in)
	case op == ir.LdImm64:
		return stepNext, v.stepLdImm(in)
	case op >= ir.Add64X && op <= ir.BSwap64 || op == ir.CastKern || op == ir.CastUser:
		return stepNext, v.stepALU(in)
	case op >= ir.Ld8 && op <= ir.Lds32:
		return stepNext, v.stepLoad(in, false)
	case op >= ir.LdAcq8 && op <= ir.LdAcq64:
		if err := v.readReg(in.Src); err != nil {
			return 0, err
		}
		r := &v.regs()[in.Src]
		if !atomicOK(r.typ) || r.typ == ptrToBTF || r.typ.has(untrusted) {
			return 0, refuse(CodeAtomic, "BPF_ATOMIC loads from R%d %v is not allowed", in.Src, r.typ)
		}
		return stepNext, v.stepLoad(in, true)
	case op.IsStore():
		return stepNext, v.stepStore(in)
	case op.IsAtomic():
		return stepNext, v.stepAtomic(in)
	case op == ir.Ja:
		v.jumps++
		v.insnIdx = in.Target
		return stepJump, nil
	case op.IsJump():
		v.jumps++
		return v.stepJump(in)
	case op.IsCall():
		v.jumps++
		return v.stepCall(in)
	case op == ir.Exit:
		v.jumps++
		return v.stepExit()
	}
	return 0, unsupported("operation %d", in.Op)
}

// invalid is an instruction that the linker could not resolve or decode.
func (v *verifier) invalid(in *ir.Insn) error {
	why := "invalid instruction"
	if in.Imm >= 0 && in.Imm < int64(len(v.prog.Poison)) {
		why = v.prog.Poison[in.Imm]
	}
	switch why {
	case "r10 is read-only":
		return refuse(CodeFramePointer, "frame pointer is read only")
	case "division by the constant 0":
		return refuse(CodeDivZero, "div by zero")
	}
	if len(why) > 13 && why[:13] == "invalid shift" {
		return refuse(CodeShift, "%s", why)
	}
	return refuse(CodeInvalidInsn, "%s", why)
}

// samePointers: an instruction that the kernel rewrites for one sort of pointer may not meet another one. It follows
// save_aux_ptr_type.
func (v *verifier) samePointers(t regType, load bool) error {
	prev := &v.aux[v.insnIdx].ptrType
	if *prev == notInit {
		*prev = t
		return nil
	}
	picky := func(t regType) bool {
		b := t.base()
		return b == ptrToCtx || b == ptrToBTF || b == ptrToArena || t.socket()
	}
	if t == *prev || !picky(t) && !picky(*prev) {
		return nil
	}
	ok := func(t regType) bool { return t.base() == ptrToMem || t.base() == ptrToBTF }
	if load && ok(t) && ok(*prev) {
		merged := ptrToBTF
		if t.base() == ptrToMem || prev.base() == ptrToMem {
			merged = ptrToMem
		}
		*prev = merged | (t|*prev)&(untrusted|rdonly)
		return nil
	}
	return refuse(CodeBadPointer, "same insn cannot be used with different pointers")
}

func (v *verifier) stepLoad(in *ir.Insn, strict bool) error {
	if err := v.readReg(in.Src); err != nil {
		return err
	}
	regs := v.regs()
	t := regs[in.Src].typ
	src := &v.loadBuf // in.Dst may be the same register
	*src = regs[in.Src]
	err := v.checkMem(access{r: src, name: regName(int(in.Src)), off: int64(in.Off), size: in.Op.Size(), val: int(in.Dst), strict: strict,
		signed: in.Op >= ir.Lds8 && in.Op <= ir.Lds32})
	if err != nil {
		return err
	}
	v.prove(src, in)
	regs[in.Dst].repairScalar()
	return v.samePointers(t, !strict)
}

func (r *reg) repairScalar() {
	if r.typ == scalar {
		r.repair()
	}
}

func (v *verifier) stepStore(in *ir.Insn) error {
	byReg := in.Op < ir.St8K || in.Op > ir.St64K
	val := noReg
	if byReg {
		if err := v.readReg(in.Src); err != nil {
			return err
		}
		val = int(in.Src)
	}
	if err := v.readReg(in.Dst); err != nil {
		return err
	}
	release := in.Op >= ir.StRel8 && in.Op <= ir.StRel64
	r := &v.regs()[in.Dst]
	t := r.typ
	if err := v.checkMem(access{r: r, name: regName(int(in.Dst)), off: int64(in.Off), size: in.Op.Size(), write: true, val: val, strict: release}); err != nil {
		return err
	}
	v.prove(r, in)
	if release && !atomicOK(t) {
		return refuse(CodeAtomic, "BPF_ATOMIC stores into R%d %v is not allowed", in.Dst, t)
	}
	return v.samePointers(t, false)
}

// atomicOK: the kernel does not translate accesses through such pointers. It follows atomic_ptr_type_ok.
func atomicOK(t regType) bool {
	return t != ptrToCtx && !t.packet() && t != ptrToFlowKeys && !t.socket()
}

// stepAtomic follows check_atomic_rmw.
func (v *verifier) stepAtomic(in *ir.Insn) error {
	for _, r := range []ir.Reg{in.Src, in.Dst} {
		if err := v.readReg(r); err != nil {
			return err
		}
	}
	regs := v.regs()
	load := noReg
	switch {
	case in.Op >= ir.CmpXchg32:
		if err := v.readReg(0); err != nil {
			return err
		}
		load = 0
	case in.Op.WritesSrc():
		load = int(in.Src)
	}
	t := regs[in.Dst].typ
	// What machine code for x86-64 lacks in arenas: bpf_jit_supports_insn (arch/x86/net/bpf_jit_comp.c).
	if noJIT := t == ptrToArena && in.Op >= ir.FetchOr32 && in.Op <= ir.FetchXor64; noJIT || !atomicOK(t) {
		return refuse(CodeAtomic, "BPF_ATOMIC stores into R%d %v is not allowed", in.Dst, t)
	}
	ptr := regs[in.Dst]
	a := access{r: &ptr, name: regName(int(in.Dst)), off: int64(in.Off), size: in.Op.Size(), val: noValue, strict: true}
	if load >= 0 {
		regs[load].markUnknown()
	}
	if err := v.checkMem(a); err != nil {
		return err
	}
	if load >= 0 {
		a.val = load
		if err := v.checkMem(a); err != nil {
			return err
		}
	}
	v.prove(&ptr, in)
	if err := v.samePointers(t, false); err != nil {
		return err
	}
	a.val, a.write = noValue, true
	return v.checkMem(a)
}

// stepLdImm loads a constant or an address. It follows check_ld_imm.
func (v *verifier) stepLdImm(in *ir.Insn) error {
	d := &v.regs()[in.Dst]
	ref := v.aux[v.insnIdx].ref
	if ref == nil {
		d.setConst(uint64(in.Imm))
		return nil
	}
	switch ref.Kind {
	case link.RefMap:
		d.setPointer(constPtrToMap, object{m: v.maps[ref.Map]})
	case link.RefMapValue:
		m, off := v.maps[ref.Map], ref.Off
		if len(v.obj.Maps[ref.Map].Tables) > 0 {
			if m, off = v.tableAt(v.obj.Maps[ref.Map], ref.Off); m == nil {
				return refuse(CodeInvalidInsn, "no jump table at byte %d", ref.Off)
			}
		}
		d.setPointer(ptrToMapValue, object{m: m})
		d.num = knownNum(uint64(off))
	case link.RefArena:
		d.markUnknown()
	case link.RefFunc:
		switch {
		case ref.Sub == 0:
			return refuse(CodeCallback, "callback function cannot be the main program")
		case v.subs[ref.Sub].global:
			return refuse(CodeCallback, "callback function not static")
		}
		d.setPointer(ptrToFunc, object{size: uint32(ref.Sub)})
	case link.RefKsymVar:
		return v.ksymVar(d, ref)
	case link.RefKsymFunc:
		d.setPointer(ptrToMem|rdonly, object{})
	default:
		return unsupported("reference of kind %d", ref.Kind)
	}
	return nil
}
