package verifier

import (
	"math/bits"

	"github.com/schedsim/schedsim/vm/ir"
)

// histFlags tell what an instruction did that its encoding does not.
type histFlags uint8

const (
	histStack    histFlags = 1 << iota // it accessed the stack slot of its entry
	histDstStack                       // its first operand was a stack pointer
	histSrcStack
)

// linked is a register or slot that got a range together with another one.
type linked struct {
	frame, n uint8
	isSlot   bool
}

// maxLinked is the number of linked scalars that are kept up to date (LINKED_REGS_MAX).
const maxLinked = 5

// histEntry is one recorded step of a path.
type histEntry struct {
	insn, prev  int32
	flags       histFlags
	slot, frame uint8
	nlinked     uint8
	linked      [maxLinked]linked
}

// pushHist records the current instruction, or adds to its record. It follows bpf_push_jmp_history.
func (v *verifier) pushHist(e histEntry) {
	st := v.cur
	if v.histOpen {
		h := &st.hist[len(st.hist)-1]
		h.flags |= e.flags
		h.slot, h.frame = e.slot, e.frame
		h.linked, h.nlinked = e.linked, e.nlinked
		return
	}
	e.insn, e.prev = v.insnIdx, v.prevIdx
	st.hist = append(st.hist, e)
	v.histOpen = true
}

// backtracker is the set of registers and stack slots, by frame, whose origin is being looked for.
type backtracker struct {
	frame int
	regs  [maxFrames]uint16
	slots [maxFrames]uint64
}

const argRegs = 0b111110

func (b *backtracker) reset(frame int) { *b = backtracker{frame: frame} }

func (b *backtracker) empty() bool {
	for i := range b.frame + 1 {
		if b.regs[i] != 0 || b.slots[i] != 0 {
			return false
		}
	}
	return true
}

func (b *backtracker) has(r ir.Reg) bool { return b.regs[b.frame]>>r&1 != 0 }
func (b *backtracker) set(r ir.Reg)      { b.regs[b.frame] |= 1 << r }
func (b *backtracker) clear(r ir.Reg)    { b.regs[b.frame] &^= 1 << r }

// markPrecise says that a decision depends on the value of a register: states that differ in it are different. It
// follows mark_chain_precision.
func (v *verifier) markPrecise(r int) error {
	v.bt.reset(len(v.cur.frames) - 1)
	if v.cur.cur().regs[r].typ != scalar {
		return bug("precision of r%d, which is no scalar", r)
	}
	v.bt.set(ir.Reg(r))
	_, err := v.backtrack(v.cur)
	return err
}

// markSlotPrecise is markPrecise for a spilled scalar.
func (v *verifier) markSlotPrecise(frame uint8, n int) error {
	v.bt.reset(len(v.cur.frames) - 1)
	v.bt.slots[frame] |= 1 << n
	_, err := v.backtrack(v.cur)
	return err
}

// allPrecise gives up: every scalar on the path is precise.
func allPrecise(st *state) (changed bool) {
	for st = st.parent; st != nil; st = st.parent {
		st.eachScalar(func(r *reg) {
			changed = changed || !r.precise
			r.precise = true
		})
	}
	return changed
}

// outcome of a step backwards.
type btResult uint8

const (
	btGoOn btResult = iota
	btGiveUp
	btBug
)

// backtrack walks the recorded path backwards from st and marks the scalars from which those in v.bt were computed, in
// the checkpoints that it passes. It follows bpf_mark_chain_precision (kernel/bpf/backtrack.c, 7.2).
func (v *verifier) backtrack(st *state) (changed bool, err error) {
	bt := &v.bt
	if bt.empty() {
		return false, nil
	}
	start := st
	last, subsequent := st.insn, int32(-1)
	skip := true
	for {
		h := len(st.hist)
		for i := last; ; {
			if skip {
				skip = false
			} else {
				var e *histEntry
				if h > 0 && st.hist[h-1].insn == i {
					e = &st.hist[h-1]
				}
				switch v.backtrackInsn(i, subsequent, e) {
				case btGiveUp:
					bt.reset(0)
					return allPrecise(start) || changed, nil
				case btBug:
					return changed, bug("backtracking past instruction %d", i)
				}
			}
			if bt.empty() {
				return changed, nil
			}
			subsequent = i
			if i == st.first && (h == 0 || h == 1 && st.hist[0].insn == i) {
				break
			}
			if h > 0 && st.hist[h-1].insn == i {
				i = st.hist[h-1].prev
				h--
			} else {
				i--
			}
			if i < 0 {
				return changed, v.backtrackEntry(st, &changed)
			}
			if int(i) >= len(v.insns) {
				return changed, bug("backtracking to %d", i)
			}
		}
		first := st.first
		st = st.parent
		if st == nil {
			break
		}
		if bt.frame >= len(st.frames) {
			return changed, bug("backtracking into a frame that is gone")
		}
		changed = markState(bt, st) || changed
		if bt.empty() {
			return changed, nil
		}
		if subsequent, last = first, st.last; last < 0 {
			return changed, v.backtrackEntry(st, &changed)
		}
	}
	// What is left came in a way that is not recorded.
	bt.reset(0)
	return allPrecise(start) || changed, nil
}

// markState marks the looked-for scalars in a checkpoint and stops looking for those that are precise already, or that
// are no scalars.
func markState(bt *backtracker, st *state) (changed bool) {
	for fr := bt.frame; fr >= 0; fr-- {
		f := st.frames[fr]
		for m := bt.regs[fr]; m != 0; m &= m - 1 {
			k := bits.TrailingZeros16(m)
			r := &f.regs[k]
			if r.typ != scalar || r.precise {
				bt.regs[fr] &^= 1 << k
				continue
			}
			r.precise, changed = true, true
		}
		for m := bt.slots[fr]; m != 0; m &= m - 1 {
			n := bits.TrailingZeros64(m)
			if n >= len(f.stack) || !f.stack[n].isScalarSpill() || f.stack[n].reg.precise {
				bt.slots[fr] &^= 1 << n
				continue
			}
			f.stack[n].reg.precise, changed = true, true
		}
	}
	return changed
}

// backtrackEntry is the end of the path: only arguments of a function that is verified on its own may be left.
func (v *verifier) backtrackEntry(st *state, changed *bool) error {
	bt := &v.bt
	if bt.frame != 0 || bt.slots[0] != 0 || bt.regs[0]&^argRegs != 0 {
		return bug("backtracking to the entry with r%#x, slots %#x", bt.regs[bt.frame], bt.slots[bt.frame])
	}
	for k := 1; k <= 5; k++ {
		if r := &st.frames[0].regs[k]; bt.regs[0]>>k&1 != 0 && r.typ == scalar && !r.precise {
			r.precise, *changed = true, true
		}
	}
	bt.reset(0)
	return nil
}

func (v *verifier) syncLinked(e *histEntry) {
	if e == nil || e.nlinked == 0 {
		return
	}
	bt := &v.bt
	some := false
	for _, l := range e.linked[:e.nlinked] {
		some = some || !l.isSlot && bt.regs[l.frame]>>l.n&1 != 0 || l.isSlot && bt.slots[l.frame]>>l.n&1 != 0
	}
	if !some {
		return
	}
	for _, l := range e.linked[:e.nlinked] {
		if l.isSlot {
			bt.slots[l.frame] |= 1 << l.n
		} else {
			bt.regs[l.frame] |= 1 << l.n
		}
	}
}

// backtrackInsn undoes one instruction. It follows backtrack_insn.
func (v *verifier) backtrackInsn(i, subsequent int32, e *histEntry) btResult {
	bt := &v.bt
	in := &v.insns[i]
	v.syncLinked(e)
	op := in.Op
	switch {
	case op >= ir.Add64X && op <= ir.BSwap64 || op == ir.CastKern || op == ir.CastUser:
		if !bt.has(in.Dst) {
			return btGoOn
		}
		backtrackALU(bt, in)
	case op == ir.LdImm64:
		bt.clear(in.Dst)
		return btGoOn
	case op.IsLoad() || op >= ir.FetchAdd32 && op <= ir.CmpXchg64:
		r := in.Dst
		if op >= ir.CmpXchg32 && op <= ir.CmpXchg64 {
			r = 0
		} else if !op.IsLoad() {
			r = in.Src
		}
		if !bt.has(r) {
			return btGoOn
		}
		bt.clear(r)
		if e != nil && e.flags&histStack != 0 {
			bt.slots[e.frame] |= 1 << e.slot
		}
		return btGoOn
	case op.IsStore() || op.IsAtomic():
		if bt.has(in.Dst) {
			return btGiveUp // a scalar made of pointers
		}
		if e == nil || e.flags&histStack == 0 || bt.slots[e.frame]>>e.slot&1 == 0 {
			return btGoOn
		}
		bt.slots[e.frame] &^= 1 << e.slot
		if op < ir.St8K || op > ir.St64K {
			bt.set(in.Src)
		}
		return btGoOn
	case op == ir.CallSub:
		return v.backtrackCall(i, subsequent)
	case op == ir.CallHelper || op == ir.CallKfunc:
		if v.aux[i].callback && subsequent != i+1 {
			// From the callback back to the call: its arguments come from elsewhere.
			if bt.regs[bt.frame]&^argRegs != 0 || bt.slots[bt.frame] != 0 || bt.frame == 0 {
				return btBug
			}
			bt.regs[bt.frame] = 0
			bt.frame--
			return btGoOn
		}
		bt.clear(0)
		if bt.regs[bt.frame]&argRegs != 0 {
			return btBug
		}
		if op == ir.CallHelper && in.Imm == fnTailCall && subsequent != i+1 {
			return bt.enter() // the program went on in another one, which returned for this function
		}
		return btGoOn
	case v.legacyLoad(in):
		if bt.has(0) {
			return btGiveUp
		}
		if subsequent != i+1 {
			return bt.enter()
		}
		return btGoOn
	case op == ir.Exit:
		fromCall := subsequent > 0 && v.insns[subsequent-1].Op == ir.CallSub
		r0 := fromCall && bt.has(0)
		if fromCall && bt.regs[bt.frame]&argRegs != 0 || bt.frame == maxFrames-1 {
			return btBug
		}
		bt.clear(0)
		bt.frame++
		if r0 {
			bt.set(0)
		}
		return btGoOn
	case op >= ir.JEq64X && op <= ir.JSet32K:
		if _, _, byReg := splitJmp(op); byReg {
			if !bt.has(in.Dst) && !bt.has(in.Src) {
				return btGoOn
			}
			if e == nil || e.flags&histSrcStack == 0 {
				bt.set(in.Src)
			}
			if e == nil || e.flags&histDstStack == 0 {
				bt.set(in.Dst)
			}
		}
	}
	v.syncLinked(e)
	return btGoOn
}

// enter goes back into the function that the one at hand has called.
func (bt *backtracker) enter() btResult {
	if bt.frame == maxFrames-1 {
		return btBug
	}
	bt.frame++
	return btGoOn
}

func backtrackALU(bt *backtracker, in *ir.Insn) {
	switch op := in.Op; {
	case op == ir.Mov64K || op == ir.Mov32K:
		bt.clear(in.Dst)
	case op == ir.Mov64X || op == ir.Mov32X || op >= ir.MovSX8to64 && op <= ir.MovSX16to32 || op == ir.CastKern || op == ir.CastUser:
		bt.clear(in.Dst)
		if in.Src != fp {
			bt.set(in.Src)
		}
	case op >= ir.Neg64 && op <= ir.BSwap64: // the operand is the result
	default:
		if _, _, byReg := splitALU(op); byReg && in.Src != fp {
			bt.set(in.Src)
		}
	}
}

func (v *verifier) backtrackCall(i, subsequent int32) btResult {
	bt := &v.bt
	callee := v.subAt(v.insns[i].Target)
	if v.subs[callee].global {
		if subsequent != i+1 || bt.regs[bt.frame]&argRegs != 0 {
			return btBug
		}
		bt.clear(0)
		return btGoOn
	}
	if bt.regs[bt.frame]&^argRegs != 0 || bt.slots[bt.frame] != 0 || bt.frame == 0 {
		return btBug
	}
	bt.regs[bt.frame-1] |= bt.regs[bt.frame]
	bt.regs[bt.frame] = 0
	bt.frame--
	return btGoOn
}
