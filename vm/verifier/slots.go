package verifier

import "github.com/cilium/ebpf/btf"

// Dynptrs and iterators are objects on the stack that only calls may touch: their slots are of kinds of their own.

// objSlot is the first slot (the one with the highest index) of an object of n slots at r. It follows
// stack_slot_obj_get_spi.
func (v *verifier) objSlot(r *reg, what string, n int, code Code) (*frame, int, error) {
	if !r.bits.isConst() {
		return nil, 0, refuse(code, "%s has to be at a constant offset", what)
	}
	off := r.off()
	if off >= 0 || off < -maxStack || off%regSize != 0 || slotOf(off)+1 < n {
		return nil, 0, refuse(code, "cannot pass in %s at an offset=%d", what, off)
	}
	return v.frameOf(r), slotOf(off), nil
}

func (f *frame) slotIs(n int, k slotKind) bool {
	if n < 0 || n >= len(f.stack) {
		return false
	}
	for _, x := range f.stack[n].kind {
		if x != k {
			return false
		}
	}
	return true
}

// clearDynptr takes the dynptr whose first slot is n away.
func clearDynptr(f *frame, n int) {
	for _, k := range []int{n, n - 1} {
		if k >= 0 {
			f.stack[k].setAll(slotInvalid)
			f.stack[k].reg.markNotInit()
		}
	}
}

// destroyDynptr is called before a slot is overwritten. It follows destroy_if_dynptr_stack_slot.
func (v *verifier) destroyDynptr(f *frame, n int) error {
	if n < 0 || n >= len(f.stack) || f.stack[n].kind[0] != slotDynptr {
		return nil
	}
	if !f.stack[n].reg.obj.first {
		n++
	}
	r := &f.stack[n].reg
	if r.obj.dyn.referenced() && v.clones(r.parent) <= 1 {
		return refuse(CodeDynptr, "cannot overwrite referenced dynptr")
	}
	return v.releaseRef(r.id)
}

// clones counts the dynptrs of one reservation.
func (v *verifier) clones(parent uint32) (n int) {
	for _, f := range v.cur.frames {
		for i := range f.stack {
			if s := &f.stack[i]; s.kind[0] == slotDynptr && s.reg.obj.first && s.reg.parent == parent {
				n++
			}
		}
	}
	return n
}

// dynptrArg follows process_dynptr_func. want is the sort of dynptr that the function takes or makes, if a does not say it.
func (v *verifier) dynptrArg(r *reg, name string, a argType, want dynKind, m *callMeta) error {
	if r.typ != ptrToStack && r.typ != constPtrToDynptr {
		return refuse(CodeDynptr, "%s expected pointer to stack or const struct bpf_dynptr", name)
	}
	switch {
	case a.has(argLocal):
		want = dynLocal
	case a.has(argRingbuf):
		want = dynRingbuf
	}
	if a.has(argUninit) {
		return v.newDynptr(r, name, want, m)
	}
	if r.typ == constPtrToDynptr {
		if a.has(argRelease) {
			return refuse(CodeDynptr, "CONST_PTR_TO_DYNPTR cannot be released")
		}
		if want != dynInvalid && r.obj.dyn != want {
			return refuse(CodeDynptr, "Expected a dynptr of type %s as %s", dynName(want), name)
		}
		m.dyn, m.dynID, m.dynParent = r.obj.dyn, r.id, r.parent
		return nil
	}
	f, n, err := v.objSlot(r, "dynptr", dynptrSlots, CodeDynptr)
	if err != nil || !f.slotIs(n, slotDynptr) || !f.slotIs(n-1, slotDynptr) || !f.stack[n].reg.obj.first {
		return refuse(CodeDynptr, "Expected an initialized dynptr as %s", name)
	}
	d := &f.stack[n].reg
	if want != dynInvalid && d.obj.dyn != want {
		return refuse(CodeDynptr, "Expected a dynptr of type %s as %s", dynName(want), name)
	}
	m.dyn, m.dynID, m.dynParent = d.obj.dyn, d.id, d.parent
	return nil
}

func dynName(k dynKind) string {
	return [...]string{"invalid", "local", "ringbuf", "skb", "xdp", "skb_meta", "file"}[k]
}

func (v *verifier) newDynptr(r *reg, name string, kind dynKind, m *callMeta) error {
	f, n, err := v.objSlot(r, "dynptr", dynptrSlots, CodeDynptr)
	if err != nil || r.typ != ptrToStack {
		return refuse(CodeDynptr, "Dynptr has to be an uninitialized dynptr")
	}
	ptr := *r
	for i := range dynptrSlots {
		if err := v.checkMem(access{r: &ptr, name: name, off: int64(i * regSize), size: regSize, write: true, val: noValue}); err != nil {
			return err
		}
	}
	for _, k := range []int{n, n - 1} {
		if err := v.destroyDynptr(f, k); err != nil {
			return err
		}
	}
	if kind == dynInvalid {
		return unsupported("dynptr of unknown kind")
	}
	parent := m.dynParent
	if m.dyn == dynInvalid {
		parent = m.refID
		if kind.referenced() {
			parent = v.acquireRef(parent)
		}
	}
	id := v.newID()
	for i, k := range []int{n, n - 1} {
		s := &f.stack[k]
		s.reg.setPointer(constPtrToDynptr, object{dyn: kind, first: i == 0})
		s.reg.id, s.reg.parent = id, parent
		s.setAll(slotDynptr)
	}
	return nil
}

// unmarkDynptr releases the dynptr at r.
func (v *verifier) unmarkDynptr(r *reg) error {
	f, n, err := v.objSlot(r, "dynptr", dynptrSlots, CodeDynptr)
	if err != nil {
		return err
	}
	d := f.stack[n].reg
	if d.obj.dyn.referenced() {
		return v.releaseRef(d.parent)
	}
	return v.releaseRef(d.id)
}

// iterArg follows process_iter_arg.
func (v *verifier) iterArg(r *reg, name string, k *kfunc, arg int, m *kfuncMeta) error {
	if r.typ != ptrToStack {
		return refuse(CodeIter, "%s expected pointer to an iterator on stack", name)
	}
	p, ok := skipMods(k.params[arg].Type).(*btf.Pointer)
	if !ok {
		return refuse(CodeIter, "expected valid iter pointer as %s", name)
	}
	typ := skipMods(p.Target)
	size, ok := sizeOf(typ)
	if !ok || size == 0 || size%regSize != 0 || size > 64 {
		return refuse(CodeIter, "expected valid iter pointer as %s", name)
	}
	slots := int(size / regSize)
	short := typ.TypeName()
	if len(short) > 9 && short[:9] == "bpf_iter_" {
		short = short[9:]
	}
	f, n, err := v.objSlot(r, "iter", slots, CodeIter)
	if err != nil {
		return err
	}
	if k.iterNew() {
		for i := range slots {
			if n-i < len(f.stack) && f.stack[n-i].kind[regSize-1] == slotIter {
				return refuse(CodeIter, "expected uninitialized iter_%s as %s", short, name)
			}
		}
		ptr := *r
		for i := range slots {
			if err := v.checkMem(access{r: &ptr, name: name, off: int64(i * regSize), size: regSize, write: true, val: noValue}); err != nil {
				return err
			}
		}
		t := ptrToStack
		if k.rcuProtected() {
			t |= rcuPtr
			if !v.inRCU() {
				t = ptrToStack | untrusted
			}
		}
		id := v.acquireRef(0)
		for i := range slots {
			s := &f.stack[n-i]
			s.reg.setPointer(t, object{typ: typ, iter: iterActive})
			if i == 0 {
				s.reg.id = id
			}
			s.setAll(slotIter)
		}
		return nil
	}
	for i := range slots {
		if !f.slotIs(n-i, slotIter) {
			return refuse(CodeIter, "expected an initialized iter_%s as %s", short, name)
		}
		s := &f.stack[n-i]
		if s.reg.typ.has(untrusted) {
			return refuse(CodeRCU, "expected an RCU CS when using %s", k.name)
		}
		if (i == 0) != (s.reg.id != 0) || s.reg.obj.typ != typ {
			return refuse(CodeIter, "expected an initialized iter_%s as %s", short, name)
		}
	}
	m.iterFrame, m.iterSlot = f.no, n
	m.refID = f.stack[n].reg.id
	if k.iterDestroy() {
		if err := v.releaseRef(f.stack[n].reg.id); err != nil {
			return err
		}
		for i := range slots {
			f.stack[n-i].reg.markNotInit()
			f.stack[n-i].setAll(slotInvalid)
		}
	}
	return nil
}

// iterNext goes on as if the iterator were exhausted, and later as if it were not. It follows process_iter_next_call.
func (v *verifier) iterNext(m *kfuncMeta) error {
	cur := v.cur
	it := &cur.frames[m.iterFrame].stack[m.iterSlot].reg
	if it.obj.iter == iterActive {
		if cur.parent == nil || cur.parent.insn != v.insnIdx || !sameCallsites(cur.parent, cur) {
			return bug("an iterator without checkpoint")
		}
		prev := v.previousEntry(cur.parent, v.insnIdx)
		st, err := v.push(v.insnIdx+1, v.insnIdx)
		if err != nil {
			return err
		}
		q := &st.frames[m.iterFrame].stack[m.iterSlot].reg
		q.depth++
		if prev != nil {
			widen(prev, st)
		}
		st.cur().regs[0].markNotNull()
	}
	it.obj.iter = iterDrained
	cur.cur().regs[0].setConst(0)
	return nil
}
