package verifier

import "slices"

// acquireRef notes something that has to be released and returns its id.
func (v *verifier) acquireRef(parent uint32) uint32 {
	id := v.newID()
	v.cur.refs = append(v.cur.refs, ref{kind: refPtr, id: id, parent: parent, insn: v.insnIdx})
	return id
}

func (s *state) findRef(id uint32) bool {
	return id != 0 && slices.ContainsFunc(s.refs, func(r ref) bool { return r.kind == refPtr && r.id == id })
}

func (s *state) dropRef(id uint32) {
	s.refs = slices.DeleteFunc(s.refs, func(r ref) bool { return r.kind == refPtr && r.id == id })
}

// isReferenced: the program holds what r points to.
func (v *verifier) isReferenced(r *reg) bool { return v.cur.findRef(r.id) }

// releaseRef releases an object: pointers to it and to what was derived from it become numbers. It follows
// release_reference (7.2).
func (v *verifier) releaseRef(id uint32) error {
	st := v.cur
	st.dropRef(id)
	seen := []uint32{id}
	for i := 0; i < len(seen); i++ {
		id := seen[i]
		if id == 0 {
			continue
		}
		for _, r := range st.refs {
			if r.kind == refPtr && r.parent == id {
				return refuse(CodeReference, "Leaking reference id=%d alloc_insn=%d. Release it first.", r.id, v.insns[r.insn].Orig)
			}
		}
		release := func(r *reg) bool {
			if r.id != id && r.parent != id {
				return false
			}
			if r.parent == id && r.id != 0 && !slices.Contains(seen, r.id) {
				seen = append(seen, r.id)
			}
			return true
		}
		for _, f := range st.frames {
			for k := range f.regs {
				if r := &f.regs[k]; r.typ != scalar && r.typ != notInit && release(r) {
					r.markUnknown()
				}
			}
			for n := range f.stack {
				s := &f.stack[n]
				switch {
				case s.isSpill() && s.reg.typ != scalar && release(&s.reg):
					s.reg.markUnknown()
				case s.kind[regSize-1] == slotDynptr && s.reg.obj.first && release(&s.reg):
					clearDynptr(f, n)
				}
			}
		}
	}
	return nil
}

// dropNonOwning: outside of the lock, nodes of lists and trees may be gone.
func (v *verifier) dropNonOwning() {
	v.cur.eachReg(func(r *reg) {
		if r.typ.base() == ptrToBTF && r.typ.has(nonOwn) {
			r.markUnknown()
		}
	})
}

// dropRCU: outside of the RCU section, objects may be gone. It follows invalidate_rcu_protected_refs.
func (v *verifier) dropRCU() {
	drop := func(r *reg) {
		if r.typ.has(rcuPtr) {
			r.typ = r.typ&^(rcuPtr|maybeNull) | untrusted
		}
	}
	v.cur.eachReg(drop)
	for _, f := range v.cur.frames {
		for n := range f.stack {
			if f.stack[n].kind[regSize-1] == slotIter {
				drop(&f.stack[n].reg)
			}
		}
	}
}

// checkLeaks refuses to leave with something held. It follows check_resource_leak.
func (v *verifier) checkLeaks(locks bool, what string) error {
	st := v.cur
	if locks && st.locks > 0 {
		return refuse(CodeLock, "%s cannot be used inside bpf_spin_lock-ed region", what)
	}
	if len(st.frames) == 1 {
		for _, r := range st.refs {
			if r.kind != refPtr || v.at.StructOps && v.regs()[0].id == r.id {
				continue
			}
			v.notef("Unreleased reference id=%d alloc_insn=%d", r.id, v.insns[r.insn].Orig)
			return refuse(CodeLeak, "%s would lead to reference leak", what)
		}
	}
	switch {
	case locks && st.irqID != 0:
		return refuse(CodeIRQ, "%s cannot be used inside bpf_local_irq_save-ed region", what)
	case locks && st.rcu > 0:
		return refuse(CodeRCU, "%s cannot be used inside bpf_rcu_read_lock-ed region", what)
	case locks && st.preempt > 0:
		return refuse(CodePreempt, "%s cannot be used inside bpf_preempt_disable-ed region", what)
	}
	return nil
}

// lockArg takes or releases a spin lock. It follows process_spin_lock.
func (v *verifier) lockArg(r *reg, name string, lock, resilient, irq bool) error {
	st := v.cur
	what, kind := "bpf_spin", fieldSpinLock
	if resilient {
		what, kind = "bpf_res_spin", fieldResSpinLock
	}
	if !r.bits.isConst() {
		return refuse(CodeLock, "%s doesn't have constant offset. %s_lock has to be at the constant offset", name, what)
	}
	owner, ownerName := any("local"), "kptr"
	where := "local"
	if r.typ == ptrToMapValue {
		m := r.obj.m
		if !m.hasBTF {
			return refuse(CodeLock, "map '%s' has to have BTF in order to use %s_lock", m.name, what)
		}
		owner, ownerName, where = m, m.name, "map"
	}
	rec := v.recordBehind(r)
	if !rec.has(kind) {
		return refuse(CodeLock, "%s '%s' has no valid %s_lock", where, ownerName, what)
	}
	if f := rec.only(kind); int64(f.off) != r.off() {
		return refuse(CodeLock, "off %d doesn't point to 'struct %s_lock' that is at %d", r.off(), what, f.off)
	}
	k := refLock
	switch {
	case resilient && irq:
		k = refResLockIRQ
	case resilient:
		k = refResLock
	}
	if lock {
		for _, l := range st.refs {
			switch {
			case !resilient && l.kind == refLock:
				return refuse(CodeLock, "Locking two bpf_spin_locks are not allowed")
			case resilient && l.kind&(refResLock|refResLockIRQ) != 0 && l.id == r.id && l.ptr == owner:
				return refuse(CodeLock, "Acquiring the same lock again, AA deadlock detected")
			}
		}
		st.refs = append(st.refs, ref{kind: k, id: r.id, insn: v.insnIdx, ptr: owner})
		st.locks++
		st.lockID, st.lockPtr = r.id, owner
		return nil
	}
	if st.locks == 0 {
		return refuse(CodeLock, "%s_unlock without taking a lock", what)
	}
	i := slices.IndexFunc(st.refs, func(l ref) bool { return l.kind == k && l.id == r.id && l.ptr == owner })
	if i < 0 {
		return refuse(CodeLock, "%s_unlock of different lock", what)
	}
	if r.id != st.lockID || owner != st.lockPtr {
		return refuse(CodeLock, "%s_unlock cannot be out of order", what)
	}
	was := v.inRCU()
	st.refs = slices.Delete(st.refs, i, i+1)
	st.locks--
	st.lockID, st.lockPtr = 0, nil
	for _, l := range st.refs {
		if l.kind&refLocks != 0 {
			st.lockID, st.lockPtr = l.id, l.ptr
		}
	}
	if was && !v.inRCU() {
		v.dropRCU()
	}
	v.dropNonOwning()
	return nil
}

// lockHeld tells whether the lock of the object behind r is held. It follows check_reg_allocation_locked.
func (v *verifier) lockHeld(r *reg) bool {
	owner := any("local")
	if r.typ == ptrToMapValue {
		owner = r.obj.m
	}
	return slices.ContainsFunc(v.cur.refs, func(l ref) bool { return l.kind&refLocks != 0 && l.id == r.id && l.ptr == owner })
}

// irqArg saves or restores interrupts. It follows process_irq_flag.
func (v *verifier) irqArg(r *reg, name string, save, byLock bool) error {
	if r.typ != ptrToStack {
		return refuse(CodeIRQ, "%s doesn't point to an irq flag on stack", name)
	}
	f, n, err := v.objSlot(r, "irq_flag", 1, CodeIRQ)
	if err != nil {
		return err
	}
	if save {
		if n < len(f.stack) && f.stack[n].kind[regSize-1] == slotIRQ {
			return refuse(CodeIRQ, "expected uninitialized irq flag as %s", name)
		}
		ptr := *r
		if err := v.checkMem(access{r: &ptr, name: name, size: regSize, write: true, val: noValue}); err != nil {
			return err
		}
		id := v.newID()
		v.cur.refs = append(v.cur.refs, ref{kind: refIRQ, id: id, insn: v.insnIdx})
		v.cur.irqID = id
		s := &f.stack[n]
		s.reg.setPointer(ptrToStack, object{lockIRQ: byLock})
		s.reg.id = id
		s.setAll(slotIRQ)
		return nil
	}
	if n >= len(f.stack) || f.stack[n].kind != [regSize]slotKind{slotIRQ, slotIRQ, slotIRQ, slotIRQ, slotIRQ, slotIRQ, slotIRQ, slotIRQ} {
		return refuse(CodeIRQ, "expected an initialized irq flag as %s", name)
	}
	s := &f.stack[n]
	if s.reg.obj.lockIRQ != byLock {
		class := map[bool]string{false: "native", true: "lock"}
		return refuse(CodeIRQ, "irq flag acquired by %s kfuncs cannot be restored with %s kfuncs", class[s.reg.obj.lockIRQ], class[byLock])
	}
	st := v.cur
	if s.reg.id != st.irqID {
		i := slices.IndexFunc(st.refs, func(l ref) bool { return l.kind == refIRQ && l.id == st.irqID })
		if i < 0 {
			return bug("an irq state that is not noted")
		}
		return refuse(CodeIRQ, "cannot restore irq state out of order, expected id=%d acquired at insn_idx=%d", st.irqID, v.insns[st.refs[i].insn].Orig)
	}
	st.refs = slices.DeleteFunc(st.refs, func(l ref) bool { return l.kind == refIRQ && l.id == s.reg.id })
	st.irqID = 0
	for _, l := range st.refs {
		if l.kind == refIRQ {
			st.irqID = l.id
		}
	}
	s.reg.markNotInit()
	s.setAll(slotInvalid)
	return nil
}
