package verifier

import (
	"github.com/schedsim/schedsim/vm/ir"
)

// frameOf is the frame that a stack pointer points into.
func (v *verifier) frameOf(r *reg) *frame { return v.cur.frames[r.frame] }

// growStack tracks more of a function's stack and counts what it uses.
func (v *verifier) growStack(f *frame, size int64) {
	size = (size + regSize - 1) &^ (regSize - 1)
	f.grow(int(size))
	s := &v.subs[f.sub]
	s.stack = max(s.stack, int(size))
}

// stackBounds checks that an access lies in the stack. It follows check_stack_access_within_bounds.
func (v *verifier) stackBounds(r *reg, name string, off, size int64, write bool) error {
	extra := " read from"
	if write {
		extra = " write to"
	}
	var lo, hi int64
	if r.bits.isConst() {
		lo = r.off() + off
		hi = lo + size
	} else {
		if r.smax() >= maxVarOff || r.smin() <= -maxVarOff {
			return refuse(CodeStackAccess, "invalid unbounded variable-offset%s stack %s", extra, name)
		}
		lo, hi = r.smin()+off, r.smax()+off+size
	}
	if lo < -maxStack || lo > -1 || hi > 0 || size < 0 {
		if r.bits.isConst() {
			return refuse(CodeStackAccess, "invalid%s stack %s off=%d size=%d", extra, name, lo, size)
		}
		return refuse(CodeStackAccess, "invalid variable-offset%s stack %s var_off=%v off=%d size=%d", extra, name, r.bits, off, size)
	}
	v.growStack(v.frameOf(r), -lo)
	return nil
}

// save puts a register into a slot. It follows save_register_state.
func (s *slot) save(r *reg, size int) {
	s.reg = *r
	for i := regSize - 1; i >= 0; i-- {
		switch {
		case i >= regSize-size:
			s.kind[i] = slotSpill
		case s.kind[i] != slotInvalid && s.kind[i] != slotZero && s.kind[i] != slotPoison:
			s.kind[i] = slotMisc
		}
	}
}

// scrub takes what the slot held away before part of it is overwritten.
func (s *slot) scrub() {
	special := s.special() || s.isSpill()
	s.reg.typ = notInit
	for i, k := range s.kind {
		if special && k != slotInvalid && k != slotPoison {
			s.kind[i] = slotMisc
		}
	}
}

// writeStack stores val (nil: a value that is not in a register; imm for an immediate) at a stack pointer plus off.
func (v *verifier) writeStack(r *reg, off int64, size, val int) error {
	f := v.frameOf(r)
	if r.bits.isConst() {
		return v.writeStackFixed(f, r.off()+off, size, val)
	}
	return v.writeStackVar(f, r.smin()+off, r.smax()+off+int64(size), val)
}

// storedImm is the immediate of a store of one.
func (v *verifier) storedImm() (int64, bool) {
	in := &v.insns[v.insnIdx]
	return in.Imm, in.Op >= ir.St8K && in.Op <= ir.St64K
}

// spillable follows is_spillable_regtype: other pointers become numbers on the stack.
func (t regType) spillable() bool {
	switch t.base() {
	case scalar, notInit, constPtrToDynptr, ptrToInsn, ptrToTPBuffer:
		return false
	}
	return true
}

// writeStackFixed follows check_stack_write_fixed_off.
func (v *verifier) writeStackFixed(f *frame, off int64, size, val int) error {
	n := slotOf(off)
	s := &f.stack[n]
	cur := v.cur.cur()
	var r *reg
	if val >= 0 {
		r = &cur.regs[val]
	}
	if err := v.destroyDynptr(f, n); err != nil {
		return err
	}
	v.touchStack(f, off)
	imm, isImm := v.storedImm()
	aligned := off%regSize == 0
	switch {
	case r != nil && aligned && r.typ == scalar:
		fits := r.width() <= 8*size
		if fits {
			v.assignID(r)
		}
		s.save(r, size)
		if !fits {
			s.reg.id = 0
		}
	case r == nil && aligned && isImm && val == noReg:
		var k reg
		k.setConst(uint64(imm))
		s.save(&k, size)
	case r != nil && r.typ.spillable():
		if size != regSize {
			return refuse(CodeSpill, "invalid size of register spill")
		}
		if f != cur && r.typ == ptrToStack {
			return refuse(CodeSpill, "cannot spill pointers to stack into stack frame of the caller")
		}
		s.save(r, size)
	default:
		return v.writeStackBytes(f, off, size, val, r)
	}
	v.pushHist(histEntry{flags: histStack, slot: uint8(n), frame: f.no})
	return nil
}

// noReg is the register of a store of an immediate, noValue that of a write by a helper.
const (
	noReg   = -1
	noValue = -2
)

func (v *verifier) writeStackBytes(f *frame, off int64, size, val int, r *reg) error {
	kind := slotMisc
	imm, isImm := v.storedImm()
	if r != nil && r.isNull() {
		if err := v.markPrecise(val); err != nil {
			return err
		}
		kind = slotZero
	} else if r == nil && val == noReg && isImm && imm == 0 {
		kind = slotZero
	}
	for i := range int64(size) {
		s := &f.stack[slotOf(off+i)]
		s.scrub()
		s.kind[byteOf(off+i)] = kind
	}
	return nil
}

// byteOf is the index in slot.kind of the byte at off.
func byteOf(off int64) int { return int(-off-1) % regSize }

// writeStackVar follows check_stack_write_var_off: any of the bytes lo..hi-1 may be written.
func (v *verifier) writeStackVar(f *frame, lo, hi int64, val int) error {
	v.touchStack(f, lo)
	imm, isImm := v.storedImm()
	zero := val >= 0 && v.regs()[val].isNull() || val == noReg && isImm && imm == 0
	used := false
	for o := lo; o < hi; o++ {
		if err := v.destroyDynptr(f, slotOf(o)); err != nil {
			return err
		}
	}
	for o := lo; o < hi; o++ {
		s := &f.stack[slotOf(o)]
		b := byteOf(o)
		if zero && s.kind[b] == slotSpill && s.isScalarSpill() && s.reg.isNull() {
			used = true
			continue
		}
		was := s.kind[b]
		s.scrub()
		s.kind[b] = slotMisc
		if zero && was == slotZero {
			s.kind[b] = slotZero
			used = true
		}
	}
	if used && val >= 0 {
		return v.markPrecise(val)
	}
	return nil
}

// assignID gives a scalar an id before it is copied, so that what is learned of one holds for the other. It follows
// assign_scalar_id_before_mov.
func (v *verifier) assignID(r *reg) {
	if r.typ != scalar {
		return
	}
	if r.id&addConst != 0 {
		r.clearID()
	}
	if r.id == 0 && !r.bits.isConst() {
		r.id = v.newID()
	}
}

// readStack loads into register dst (negative: only checks).
func (v *verifier) readStack(r *reg, name string, off int64, size, dst int) error {
	f := v.frameOf(r)
	if r.bits.isConst() {
		return v.readStackFixed(f, r.off()+off, size, dst)
	}
	if dst < 0 {
		return refuse(CodeStackAccess, "variable offset stack pointer cannot be passed into helper function; var_off=%v off=%d size=%d", r.bits, off, size)
	}
	if err := v.stackInitialized(r, name, off, int64(size), false, false, nil); err != nil {
		return err
	}
	v.stackReadValue(f, r.smin()+off, r.smax()+off+int64(size), dst)
	v.touchStack(f, r.smin()+off)
	return nil
}

// stackReadValue sets dst to what bytes without a spilled register hold: zero if all are.
func (v *verifier) stackReadValue(f *frame, lo, hi int64, dst int) {
	d := &v.regs()[dst]
	for o := lo; o < hi; o++ {
		if f.stack[slotOf(o)].kind[byteOf(o)] != slotZero {
			d.markUnknown()
			return
		}
	}
	d.setConst(0)
}

func badStackByte(k slotKind, off int64, i, size int) error {
	if k == slotPoison {
		return bug("reading from stack off %d+%d size %d, slot poisoned by dead code elimination", off, i, size)
	}
	return refuse(CodeUninitStack, "invalid read from stack off %d+%d size %d", off, i, size)
}

// readable: a byte of this kind may be read as a number.
func readable(k slotKind) bool { return k == slotMisc || k == slotZero || k == slotInvalid }

// readStackFixed follows check_stack_read_fixed_off.
func (v *verifier) readStackFixed(f *frame, off int64, size, dst int) error {
	v.touchStack(f, off)
	n := slotOf(off)
	s := &f.stack[n]
	regs := v.regs()
	hist := histEntry{flags: histStack, slot: uint8(n), frame: f.no}
	if !s.isSpill() {
		for i := range size {
			k := f.stack[slotOf(off+int64(i))].kind[byteOf(off+int64(i))]
			if !readable(k) {
				return badStackByte(k, off, i, size)
			}
		}
		if dst >= 0 {
			v.stackReadValue(f, off, off+int64(size), dst)
		}
		return nil
	}
	spill := 1
	for i := regSize - 1; i > 0 && s.kind[i-1] == slotSpill; i-- {
		spill++
	}
	if size == regSize && spill == regSize {
		if dst >= 0 {
			v.assignID(&s.reg)
			regs[dst] = s.reg
		}
		v.pushHist(hist)
		return nil
	}
	if s.reg.typ != scalar {
		return refuse(CodeSpill, "invalid size of register fill")
	}
	if dst < 0 {
		return nil
	}
	// The low bytes of a spilled scalar, on this little-endian machine.
	if size <= spill && off%regSize == 0 {
		if size == 4 && spill == 4 && s.reg.width() <= 32 {
			v.assignID(&s.reg)
		}
		regs[dst] = s.reg
		if s.reg.width() > 8*size {
			regs[dst].clearID()
		}
		v.pushHist(hist)
		return nil
	}
	spilled, zeros := 0, 0
	for i := range size {
		switch k := s.kind[byteOf(off+int64(i))]; {
		case k == slotSpill:
			spilled++
		case k == slotZero:
			zeros++
		case !readable(k):
			return badStackByte(k, off, i, size)
		}
	}
	switch {
	case spilled == size && s.reg.isNull():
		regs[dst].setConst(0)
		v.pushHist(hist)
	case zeros == size:
		regs[dst].setConst(0)
	default:
		regs[dst].markUnknown()
	}
	return nil
}

// stackInitialized checks memory on the stack that is passed to a call; a call that writes to it leaves numbers there. A
// negative size is that of the type of an argument: a function may read less of it, so that part of it may be dead. It
// follows check_stack_range_initialized.
func (v *verifier) stackInitialized(r *reg, name string, off, size int64, zeroOK, write bool, m *callMeta) error {
	deadOK := write || size < 0
	size = max(size, -size)
	if size == 0 && !zeroOK {
		return refuse(CodeArgValue, "invalid zero-sized read")
	}
	if err := v.stackBounds(r, name, off, size, write); err != nil {
		return err
	}
	f := v.frameOf(r)
	lo, hi := r.off()+off, r.off()+off
	if !r.bits.isConst() {
		lo, hi = r.smin()+off, r.smax()+off
		if m != nil && m.raw {
			m = nil // it is not known which bytes are written
		}
	}
	if m != nil && m.raw {
		for o := lo; o < hi+size; o++ {
			if f.stack[slotOf(o)].kind[byteOf(o)] == slotDynptr {
				return refuse(CodeDynptr, "potential write to dynptr at off=%d disallowed", o)
			}
		}
		m.access, m.accessReg = int(size), r
		return nil
	}
	for o := lo; o < hi+size; o++ {
		s := &f.stack[slotOf(o)]
		k := &s.kind[byteOf(o)]
		switch {
		case *k == slotMisc:
		case *k == slotZero || *k == slotInvalid:
			if write {
				*k = slotMisc
			}
		case s.isSpill():
			if write {
				s.reg.markUnknown()
				for b := range s.kind {
					if s.kind[b] != slotInvalid && s.kind[b] != slotPoison {
						s.kind[b] = slotMisc
					}
				}
			}
		case *k == slotPoison && deadOK:
		case *k == slotPoison:
			return bug("reading from stack %s off %d+%d size %d, slot poisoned by dead code elimination", name, lo, o-lo, size)
		case r.bits.isConst():
			return refuse(CodeUninitStack, "invalid read from stack %s off %d+%d size %d", name, lo, o-lo, size)
		default:
			return refuse(CodeUninitStack, "invalid read from stack %s var_off %v+%d size %d", name, r.bits, o-lo, size)
		}
	}
	return nil
}
