package verifier

import (
	"github.com/schedsim/schedsim/vm/ir"
)

// pointerBranch decides comparisons of pointers that are not null with zero. It follows is_branch_taken.
func (v *verifier) pointerBranch(a, b *reg, k jmpKind, wide bool) verdict {
	if !wide {
		return either
	}
	if a.typ.packetOrEnd() && b.typ.packetOrEnd() {
		return packetBranch(a, b, k)
	}
	if !b.isConst() {
		k = k.flip()
		a, b = b, a
	}
	if !b.isNull() || !v.surelyNotNull(a) {
		return either
	}
	switch k {
	case jEq:
		return never
	case jNe:
		return always
	}
	return either
}

// surelyNotNull follows reg_not_null.
func (v *verifier) surelyNotNull(r *reg) bool {
	if r.typ.has(maybeNull) || r.smin() <= -maxVarOff || r.smax() >= maxVarOff {
		return false
	}
	switch r.typ.base() {
	case ptrToBuf, ptrToMapValue, ptrToMapKey, constPtrToMap, ptrToSocket, ptrToTCPSock, ptrToXDPSock, ptrToSockCommon:
		return true
	case ptrToBTF:
		return v.isTrusted(r)
	case ptrToMem:
		return !r.typ.has(untrusted)
	}
	return false
}

// stepJump checks a conditional jump. It follows check_cond_jmp_op.
func (v *verifier) stepJump(in *ir.Insn) (stepResult, error) {
	if in.Op == ir.MayGoto {
		return v.stepMayGoto(in)
	}
	regs := v.regs()
	k, wide, byReg := splitJmp(in.Op)
	if err := v.readReg(in.Dst); err != nil {
		return 0, err
	}
	d := &regs[in.Dst]
	var imm reg
	s := &imm
	if byReg {
		if err := v.readReg(in.Src); err != nil {
			return 0, err
		}
		s = &regs[in.Src]
	} else {
		imm.setConst(uint64(in.Imm))
	}
	var flags histFlags
	if byReg && s.typ == ptrToStack {
		flags |= histSrcStack
	}
	if d.typ == ptrToStack {
		flags |= histDstStack
	}
	if flags != 0 {
		v.pushHist(histEntry{flags: flags})
	}
	var links linkSet
	if byReg && s.typ == scalar && s.id != 0 {
		v.collectLinked(s.id, &links)
	}
	if d.typ == scalar && d.id != 0 {
		v.collectLinked(d.id, &links)
	}
	pointers := d.typ != scalar || s.typ != scalar
	pred := either
	if pointers {
		pred = v.pointerBranch(d, s, k, wide)
	} else {
		pred = compare(&d.num, &s.num, k, wide, byReg && in.Dst == in.Src)
	}
	if pred != either {
		if d.typ == scalar {
			if err := v.markPrecise(int(in.Dst)); err != nil {
				return 0, err
			}
		}
		if byReg && s.typ == scalar {
			if err := v.markPrecise(int(in.Src)); err != nil {
				return 0, err
			}
		}
		if pred == always {
			v.insnIdx = in.Target
			return stepJump, nil
		}
		return stepNext, nil
	}
	if links.n > 1 {
		v.pushHist(links.entry())
	}
	other, err := v.push(in.Target, v.insnIdx)
	if err != nil {
		return 0, err
	}
	od := &other.cur().regs[in.Dst]
	var oimm reg
	os := &oimm
	if byReg {
		os = &other.cur().regs[in.Src]
	} else {
		oimm = imm
	}
	if !pointers && !(byReg && in.Dst == in.Src) {
		v.refineBoth(d, s, k.not(), wide)
		v.refineBoth(od, os, k, wide)
	}
	if byReg && s.typ == scalar && s.id != 0 {
		v.syncLinkedRegs(v.cur, s, &links)
		v.syncLinkedRegs(other, os, &links)
	}
	if d.typ == scalar && d.id != 0 {
		v.syncLinkedRegs(v.cur, d, &links)
		v.syncLinkedRegs(other, od, &links)
	}
	if wide && byReg && d.typ != scalar && s.typ != scalar && d.typ.base() != ptrToBTF && s.typ.base() != ptrToBTF {
		v.equalPointers(k, d, s, od, os)
	}
	if wide && (k == jEq || k == jNe) && d.typ.has(maybeNull) && s.isNull() {
		if byReg {
			if err := v.markPrecise(int(in.Src)); err != nil {
				return 0, err
			}
		}
		id := d.id
		v.markNullness(v.cur, id, k == jNe)
		v.markNullness(other, id, k == jEq)
	} else if byReg && wide {
		v.comparePackets(in, k, v.cur, other)
	}
	return stepNext, nil
}

// refineBoth adds a condition to both of its sides.
func (v *verifier) refineBoth(a, b *reg, k jmpKind, wide bool) {
	refine(&a.num, &b.num, k, wide)
	a.repair()
	b.repair()
}

// equalPointers: a pointer that equals one that is not null is none either.
func (v *verifier) equalPointers(k jmpKind, d, s, od, os *reg) {
	var ed, es *reg
	switch k {
	case jEq:
		ed, es = od, os
	case jNe:
		ed, es = d, s
	default:
		return
	}
	switch {
	case v.surelyNotNull(d) && s.typ.has(maybeNull):
		es.markNotNull()
	case v.surelyNotNull(s) && d.typ.has(maybeNull):
		ed.markNotNull()
	}
}

// markNullness applies a check against null to all copies of a pointer. It follows mark_ptr_or_null_regs.
func (v *verifier) markNullness(st *state, id uint32, null bool) {
	if null {
		st.dropRef(id)
	}
	st.eachReg(func(r *reg) {
		if !r.typ.has(maybeNull) || r.id != id || id == 0 || r.typ == notInit {
			return
		}
		if null {
			r.setConst(0)
			return
		}
		r.markNotNull()
	})
}

// stepMayGoto goes on as if the loop's budget were used up, and later as if it were not. It follows the JCOND part of
// check_cond_jmp_op.
func (v *verifier) stepMayGoto(in *ir.Insn) (stepResult, error) {
	here := v.insnIdx
	var prev *state
	if v.cur.parent != nil {
		prev = v.previousEntry(v.cur.parent, here)
	}
	st, err := v.push(here+1, here)
	if err != nil {
		return 0, err
	}
	st.mayGoto++
	if prev != nil {
		widen(prev, st)
	}
	v.insnIdx = in.Target
	return stepJump, nil
}

// previousEntry is a checkpoint at the instruction on the way to cur. It follows find_prev_entry.
func (v *verifier) previousEntry(cur *state, insn int32) *state {
	list := v.explored[v.bucket(insn)]
	for i := len(list) - 1; i >= 0; i-- {
		if s := list[i]; s.insn == insn && s.branches > 0 && s.dfsDepth < cur.dfsDepth && sameCallsites(s, cur) {
			return s
		}
	}
	return nil
}

// widen forgets scalars that changed since an earlier iteration and are not known to matter, so that the loop converges.
// It follows widen_imprecise_scalars.
func widen(old, cur *state) {
	for i, fo := range old.frames {
		if i >= len(cur.frames) {
			return
		}
		fc := cur.frames[i]
		for k := range fo.regs {
			widenReg(&fo.regs[k], &fc.regs[k])
		}
		for n := range min(len(fo.stack), len(fc.stack)) {
			if fo.stack[n].isSpill() && fc.stack[n].isSpill() {
				widenReg(&fo.stack[n].reg, &fc.stack[n].reg)
			}
		}
	}
}

func widenReg(old, cur *reg) {
	if old.typ != scalar || cur.typ != scalar || old.precise || cur.precise || old.regBody == cur.regBody {
		return
	}
	cur.markUnknown()
}

// linkSet are the scalars that share an id.
type linkSet struct {
	n   int
	set [maxLinked]linked
}

func (l *linkSet) entry() histEntry { return histEntry{nlinked: uint8(l.n), linked: l.set} }

func (l *linkSet) add(r *reg, id uint32, e linked) {
	if r.typ != scalar || r.id&^addConst != id {
		return
	}
	if l.n == maxLinked {
		r.clearID()
		return
	}
	l.set[l.n] = e
	l.n++
}

// collectLinked finds the scalars linked with id; those beyond maxLinked are cut off. Where both sides of a comparison are
// linked with each other, all are found twice and fill the set the sooner. It follows collect_linked_regs.
func (v *verifier) collectLinked(id uint32, l *linkSet) {
	id &^= addConst
	st := v.cur
	for i := len(st.frames) - 1; i >= 0; i-- {
		f := st.frames[i]
		live := v.aux[st.at(i)].live
		for k := range fp {
			if live>>k&1 != 0 {
				l.add(&f.regs[k], id, linked{frame: uint8(i), n: uint8(k)})
			}
		}
		for n := range f.stack {
			if f.stack[n].isSpill() {
				l.add(&f.stack[n].reg, id, linked{frame: uint8(i), n: uint8(n), isSlot: true})
			}
		}
	}
}

// syncLinkedRegs carries what was learned of one scalar to those linked with it. It follows sync_linked_regs.
func (v *verifier) syncLinkedRegs(st *state, known *reg, l *linkSet) {
	for _, e := range l.set[:l.n] {
		f := st.frames[e.frame]
		r := &f.regs[e.n%11]
		if e.isSlot {
			r = &f.stack[e.n].reg
		}
		if r == known || r.typ != scalar || r.id&^addConst != known.id&^addConst || (r.id^known.id)&addConst == addConst {
			continue
		}
		if r.id&addConst == 0 && known.id&addConst == 0 || r.delta == known.delta {
			*r = *known
			continue
		}
		id, delta := r.id, r.delta
		*r = *known
		r.id, r.delta = id, delta
		diff := knownNum(uint64(int64(delta) - int64(known.delta)))
		r.r32, r.r64, r.bits = r.r32.add(diff.r32), r.r64.add(diff.r64), r.bits.add(diff.bits)
		if (r.id|known.id)&addConst32 != 0 {
			r.zext()
		}
		r.sync()
	}
}
