package verifier

import (
	"math"

	"github.com/schedsim/schedsim/vm/ir"
)

// Which bytes of stack an instruction accesses is found before any path is followed, by carrying frame pointers and what is
// derived from them through registers and stack slots. A function is looked at anew for each call that passes it pointers
// to stack, with the pointers of that call. It follows the first half of kernel/bpf/liveness.c (7.2).

// Where a track leads, beside the number of a frame.
const (
	trackNone   int8 = -1 // to no stack
	trackVague  int8 = -3 // to one of the frames in mask
	maxTrackOff      = 4
)

// track is what is known of a value as a pointer to stack: the frame that it points into and up to four possible offsets
// from that frame's pointer; none if the offset is not known. Offsets that are not used are zero, so that == compares.
type track struct {
	frame int8
	n     int8
	mask  uint16
	off   [maxTrackOff]int16
}

func trackAt(frame int8, off int16) track {
	return track{frame: frame, n: 1, off: [maxTrackOff]int16{off}}
}

func (t track) isPointer() bool { return t.frame >= 0 || t.frame == trackVague }

// frames is the set of frames that the value may point into.
func (t track) frames() uint16 {
	switch {
	case t.frame >= 0:
		return 1 << t.frame
	case t.frame == trackVague:
		return t.mask
	}
	return 0
}

// forget drops the offsets.
func (t *track) forget() { *t = track{frame: t.frame, mask: t.mask} }

// mergeOffsets joins the offsets of two tracks of one frame.
func mergeOffsets(a, b track) track {
	out := track{frame: a.frame}
	i, j := 0, 0
	for i < int(a.n) || j < int(b.n) {
		var off int16
		if j == int(b.n) || i < int(a.n) && a.off[i] <= b.off[j] {
			off = a.off[i]
			i++
			if j < int(b.n) && b.off[j] == off {
				j++
			}
		} else {
			off = b.off[j]
			j++
		}
		if out.n > 0 && out.off[out.n-1] == off {
			continue
		}
		if out.n == maxTrackOff {
			return track{frame: a.frame}
		}
		out.off[out.n] = off
		out.n++
	}
	return out
}

func joinVague(a, b track) track { return track{frame: trackVague, mask: a.frames() | b.frames()} }

// join is what is known where two ways meet. A pointer that meets no pointer gets the offset 0 beside its own: it may be
// read, but what it writes is not surely written.
func (t track) join(o track) track {
	switch {
	case t.frame == o.frame && t.frame >= 0:
		if t.n == 0 || o.n == 0 {
			return track{frame: t.frame}
		}
		return mergeOffsets(t, o)
	case t.frame == trackNone && o.frame == trackNone:
		return t
	case o.frame == trackNone && t.frame >= 0, t.frame == trackNone && o.frame >= 0:
		if t.frame < 0 {
			t = o
		}
		if t.n == 1 {
			return mergeOffsets(t, trackAt(t.frame, 0))
		}
		return t
	}
	return joinVague(t, o)
}

// add moves all offsets.
func (t *track) add(delta int64) {
	if t.frame < 0 || t.n == 0 {
		return
	}
	for i := range t.n {
		off := int64(t.off[i]) + delta
		if delta != int64(int16(delta)) || off != int64(int16(off)) {
			t.forget()
			return
		}
		t.off[i] = int16(off)
	}
}

// combine is the effect of arithmetic with another register.
func (t *track) combine(o track) {
	switch {
	case t.frame >= 0 && (o.frame == trackNone || o.frame == t.frame):
		t.forget()
	case o.frame >= 0 && t.frame == trackNone:
		*t = track{frame: o.frame}
	case t.frame == trackNone && o.frame == trackNone:
	default:
		*t = joinVague(*t, o)
	}
}

const stackSlots = maxStack / regSize

// tracks is what is known at one point of a function: of registers and of eight-byte slots of its stack.
type tracks struct {
	regs [11]track
	slot [stackSlots]track
}

// trackSlot is the number of the slot at off, -1 where there is none.
func trackSlot(off int64) int {
	if off >= 0 || off < -maxStack || off%regSize != 0 {
		return -1
	}
	return int(-off/regSize) - 1
}

// flow analyses one function as called on one chain of calls.
type flow struct {
	v     *verifier
	inst  *instance
	sub   *subInfo
	depth int8
	sites *[maxFrames]int32 // the calls that lead here

	leaders []int32           // index in blocks of the block that starts at an instruction, -1 for none
	blocks  []tracks          // what is known where a block starts
	seen    []bool            // by block
	todo    []bool            // by block: more is known than when it was looked at
	calls   map[int32]*tracks // what is known at calls of functions and callbacks
}

// local: the pointer may lead into the function's own frame.
func (f *flow) local(r ir.Reg, t track) bool { return r == fp || t.frames()>>f.depth&1 != 0 }

// step applies an instruction. It follows arg_track_xfer.
func (f *flow) step(i int32, ts *tracks) {
	in := &f.v.insns[i]
	none := track{frame: trackNone}
	d, s := &ts.regs[in.Dst], ts.regs[in.Src]
	switch op := in.Op; {
	case op == ir.Mov64X:
		*d = s
	case op == ir.Add64K:
		d.add(in.Imm)
	case op == ir.Sub64K:
		d.add(-in.Imm)
	case op == ir.LdImm64 || op == ir.Mov64K || op >= ir.MovSX8to64 && op <= ir.MovSX16to32 || op == ir.CastKern || op == ir.CastUser ||
		op >= ir.LE16 && op <= ir.BE64 || op == ir.Neg32:
		*d = none
	case op == ir.Neg64 || op >= ir.BSwap16 && op <= ir.BSwap64:
		if d.frame >= 0 {
			d.forget()
		}
	case op >= ir.Add64X && op <= ir.Mov32K:
		switch k := (op - ir.Add64X) & 3; {
		case k >= 2: // 32 bits are no pointer
			*d = none
		case k == 1:
			if d.frame >= 0 {
				d.forget()
			}
		default:
			d.combine(s)
		}
	case f.v.callLike(in):
		for k := range callerSaved {
			ts.regs[k] = none
		}
	case op >= ir.LdAcq8 && op <= ir.LdAcq64:
		*d = none
	case op.IsLoad():
		*d = f.fill(in, ts, s)
	case op >= ir.St8K && op <= ir.St64K:
		if f.local(in.Dst, *d) {
			f.clobber(in, ts, *d)
		}
	case op >= ir.St8X && op <= ir.St64X:
		if f.local(in.Dst, *d) {
			if op != ir.St64X {
				s = none
			}
			f.spill(in, ts, *d, s)
		}
	case op.IsStore() || op.IsAtomic():
		if f.local(in.Dst, *d) {
			f.clobber(in, ts, *d)
		}
		switch {
		case op >= ir.CmpXchg32 && op <= ir.CmpXchg64:
			ts.regs[0] = none
		case op.IsAtomic() && op.WritesSrc():
			ts.regs[in.Src] = none
		}
	}
}

// fill is what a load yields: what was spilled where it loads from.
func (f *flow) fill(in *ir.Insn, ts *tracks, s track) track {
	none := track{frame: trackNone}
	switch {
	case in.Op != ir.Ld64:
		return none
	case f.local(in.Src, s):
		return fillFrom(in, s, &ts.slot, f.depth)
	case s.frame >= 0 && s.frame < f.depth:
		if slots := f.v.flowSlots[f.sites[s.frame]]; slots != nil {
			return fillFrom(in, s, slots, s.frame)
		}
		return track{frame: trackVague, mask: 1<<(s.frame+1) - 1}
	case s.frame == trackVague && s.mask != 0:
		return s
	}
	return none
}

// fillFrom follows fill_from_stack.
func fillFrom(in *ir.Insn, s track, slots *[stackSlots]track, depth int8) track {
	vague := track{frame: trackVague, mask: 1<<(depth+1) - 1}
	if in.Src == fp {
		if n := trackSlot(int64(in.Off)); n >= 0 {
			return slots[n]
		}
		return vague
	}
	if s.n == 0 {
		return vague
	}
	out := track{frame: trackNone}
	for _, off := range s.off[:s.n] {
		n := trackSlot(int64(off) + int64(in.Off))
		if n < 0 {
			return vague
		}
		out = out.join(slots[n])
	}
	return out
}

// spill follows spill_to_stack.
func (f *flow) spill(in *ir.Insn, ts *tracks, d, val track) {
	if in.Dst == fp {
		if n := trackSlot(int64(in.Off)); n >= 0 {
			ts.slot[n] = val
		}
		return
	}
	if d.n == 0 {
		for n := range ts.slot {
			ts.slot[n] = ts.slot[n].join(val)
		}
		return
	}
	for _, off := range d.off[:d.n] {
		n := trackSlot(int64(off) + int64(in.Off))
		switch {
		case n < 0:
		case d.n == 1:
			ts.slot[n] = val
		default:
			ts.slot[n] = ts.slot[n].join(val)
		}
	}
}

// clobber follows clear_stack_for_all_offs.
func (f *flow) clobber(in *ir.Insn, ts *tracks, d track) {
	none := track{frame: trackNone}
	if in.Dst == fp {
		d = trackAt(f.depth, 0)
	}
	for _, off := range d.off[:d.n] {
		at := int64(off) + int64(in.Off)
		if at != int64(int16(at)) {
			d.n = 0
			break
		}
		for n := range ts.slot {
			lo := -int64(n+1) * regSize
			switch {
			case lo >= at+int64(in.Op.Size()) || lo+regSize <= at:
			case d.n == 1:
				ts.slot[n] = none
			default:
				ts.slot[n] = ts.slot[n].join(none)
			}
		}
	}
	if d.n == 0 {
		for n := range ts.slot {
			ts.slot[n] = ts.slot[n].join(none)
		}
	}
}

// run finds what is known everywhere and records what is accessed. It follows compute_subprog_args.
func (f *flow) run(args *[6]track) error {
	v, po := f.v, f.sub.postorder
	f.leaders = make([]int32, f.sub.end-f.sub.start)
	for i := range f.leaders {
		f.leaders[i] = -1
	}
	n := int32(0)
	lead := func(i int32) {
		if l := &f.leaders[i-f.sub.start]; *l < 0 {
			*l = n
			n++
		}
	}
	lead(f.sub.start)
	for _, i := range po {
		succ, ns := v.successors(i)
		if ns == 2 || ns == 1 && succ[0] != i+1 {
			for _, s := range succ[:ns] {
				lead(s)
			}
		}
	}
	// A jump to the next instruction ends a block where another way leads there.
	const size = int(stackSlots+11) * 12
	if err := v.charge(int64(n) * int64(size)); err != nil {
		return err
	}
	defer v.discharge(int64(n) * int64(size))
	f.blocks, f.seen, f.todo = make([]tracks, n), make([]bool, n), make([]bool, n)
	f.calls = map[int32]*tracks{}
	none := track{frame: trackNone}
	entry := &f.blocks[0]
	for k := range entry.regs {
		entry.regs[k] = none
	}
	for k := range entry.slot {
		entry.slot[k] = none
	}
	if args != nil {
		copy(entry.regs[1:6], args[1:])
	}
	entry.regs[fp] = trackAt(f.depth, 0)
	f.seen[0], f.todo[0] = true, true
	var cur tracks
	for changed := true; changed; {
		if err := v.spend(len(po)); err != nil {
			return err
		}
		changed = false
		for k := len(po) - 1; k >= 0; k-- {
			i := po[k]
			if l := f.leaders[i-f.sub.start]; l >= 0 && f.todo[l] {
				f.todo[l] = false
				cur = f.blocks[l]
				changed = f.block(i, &cur) || changed
			}
		}
	}
	for k := len(po) - 1; k >= 0; k-- {
		i := po[k]
		if l := f.leaders[i-f.sub.start]; l >= 0 && f.seen[l] {
			cur = f.blocks[l]
			if err := f.recordBlock(i, &cur); err != nil {
				return err
			}
		}
	}
	f.blocks = nil
	return nil
}

// next is the instruction after i in the same block.
func (f *flow) next(i int32) (int32, bool) {
	succ, n := f.v.successors(i)
	if n != 1 || succ[0] != i+1 || f.leaders[i+1-f.sub.start] >= 0 {
		return 0, false
	}
	return i + 1, true
}

// block carries ts from the start of a block to the blocks that follow.
func (f *flow) block(i int32, ts *tracks) (changed bool) {
	for {
		f.step(i, ts)
		j, ok := f.next(i)
		if !ok {
			break
		}
		i = j
	}
	succ, n := f.v.successors(i)
	for _, s := range succ[:n] {
		l := f.leaders[s-f.sub.start]
		to := &f.blocks[l]
		more := !f.seen[l]
		if more {
			*to = *ts
			f.seen[l] = true
		} else {
			more = to.join(ts)
		}
		if more {
			f.todo[l], changed = true, true
		}
	}
	return changed
}

// join adds what is known on another way.
func (t *tracks) join(o *tracks) (changed bool) {
	for k := range t.regs {
		if t.regs[k] == o.regs[k] {
			continue
		}
		if j := t.regs[k].join(o.regs[k]); j != t.regs[k] {
			t.regs[k], changed = j, true
		}
	}
	for k := range t.slot {
		if t.slot[k] == o.slot[k] {
			continue
		}
		if j := t.slot[k].join(o.slot[k]); j != t.slot[k] {
			t.slot[k], changed = j, true
		}
	}
	return changed
}

func (f *flow) recordBlock(i int32, ts *tracks) error {
	for {
		if err := f.record(i, ts); err != nil {
			return err
		}
		f.step(i, ts)
		j, ok := f.next(i)
		if !ok {
			return nil
		}
		i = j
	}
}

// unknownBytes stands for an access of any size.
const unknownBytes = math.MinInt64

// record notes what an instruction accesses. It follows record_load_store_access and record_call_access.
func (f *flow) record(i int32, ts *tracks) error {
	in := &f.v.insns[i]
	op := in.Op
	size := int64(op.Size())
	p := ts.regs[in.Dst]
	switch {
	case op.IsLoad():
		p = ts.regs[in.Src]
	case op.IsStore():
		size = -size
	case op.IsAtomic():
	case f.v.callLike(in):
		if op == ir.CallSub || f.v.aux[i].callback {
			at := *ts
			f.calls[i] = &at
			f.v.flowSlots[i] = &at.slot
		}
		if op == ir.CallSub {
			return nil
		}
		for k := 1; k <= f.v.numArgs(i); k++ {
			if err := f.recordArg(i, k, ts.regs[k]); err != nil {
				return err
			}
		}
		return nil
	default:
		return nil
	}
	if p.frame >= 0 {
		p.add(int64(in.Off))
	}
	return f.recordAccess(i, p, size)
}

// recordArg notes what a call accesses through an argument.
func (f *flow) recordArg(i int32, k int, p track) error {
	if !p.isPointer() {
		return nil
	}
	n := int64(0)
	switch f.v.insns[i].Op {
	case ir.CallHelper:
		n = f.v.helperArgBytes(i, k-1)
	case ir.CallKfunc:
		n = f.v.kfuncArgBytes(i, k-1)
	case ir.Invalid:
		n = unknownBytes
	default:
		return f.inst.readAll(i, 1<<(f.depth+1)-1)
	}
	if n == 0 {
		return nil
	}
	return f.recordAccess(i, p, n)
}

// recordAccess notes that size bytes from p on are read, or -size surely written. It follows record_stack_access.
func (f *flow) recordAccess(i int32, p track, size int64) error {
	switch {
	case p.frame == trackVague:
		return f.inst.readAll(i, p.mask)
	case p.frame < 0 || p.frame > f.depth:
		return nil
	case p.n == 0:
		if size > 0 || size == unknownBytes {
			return f.inst.read(i, p.frame, allHalves())
		}
		return nil
	case p.n != 1 && size < 0 && size != unknownBytes:
		return nil
	}
	for _, off := range p.off[:p.n] {
		at := -int64(off)
		if at <= 0 {
			continue
		}
		var err error
		switch {
		case size == unknownBytes:
			err = f.inst.read(i, p.frame, halfRange(0, (at-1)/4))
		case size > 0:
			err = f.inst.read(i, p.frame, halfRange(max((at-size)/4, 0), (at-1)/4))
		default:
			err = f.inst.write(i, p.frame, halfRange(max((at+size+3)/4, 0), at/4-1))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// halfRange is the set of half slots lo..hi.
func halfRange(lo, hi int64) (h halves) {
	for i := lo; i <= hi && i < 2*stackSlots; i++ {
		h.add(int(i))
	}
	return h
}
