package link

import (
	"fmt"
	"slices"

	"github.com/schedsim/schedsim/vm/ir"
)

// Fold computes what depends on constants: Live, Calls and Helpers of all programs, the stack that subprograms use, and
// which loads are probes (ir.Insn.Probe) and which accesses may be the arena's (ir.Insn.Arena).
// Link calls it, and so do the methods that change read-only data; whoever changes Map.Data of a frozen map by hand must
// call it too.
func (o *Object) Fold() error {
	var spare []*state // of programs that are done
	for _, p := range o.Programs {
		if p.Err != nil {
			continue
		}
		f := newFolder(o, p)
		f.spare = spare
		f.run()
		err := f.finish()
		spare = f.drop()
		if err != nil {
			if err = o.refuse(p, err); err != nil {
				return err
			}
		}
	}
	return nil
}

// The analysis is conditional constant propagation: abstract states flow along the edges that the known constants leave
// open, states that meet are joined, and what no state reaches is dead. The kernel's verifier walks paths one by one and can
// know more where paths meet; what it finds dead beyond this is not seen here.
//
// Subprograms are analysed once for all of their live calls, static ones with the join of the arguments, global ones and
// callbacks with unknown arguments, as the verifier treats them.

// vkind is what is known of a value.
type vkind uint8

const (
	vNone    vkind = iota // no value yet: the state was not reached
	vConst                // the number n
	vData                 // address of byte n of the frozen data of map m
	vStack                // frame pointer plus n
	vNonNull              // an address outside of the stack, not 0
	vOther                // anything but an address in this frame's stack
	vAny                  // anything
)

// val is an abstract value. It is comparable.
type val struct {
	kind  vkind
	width uint8 // of a stack cell: bytes stored there
	flags vflags
	//lint:ignore U1000 it is zero: without a gap, values are compared as memory
	pad uint8
	m   int32
	n   uint64
}

// vflags say where a value may come from.
type vflags uint8

const (
	// flagKernel: an address within an object of the kernel, as a CO-RE relocation shows.
	flagKernel vflags = 1 << iota
	// flagWalked: loaded from an object of the kernel. The verifier does not trust such pointers; loads through them
	// yield 0 where there is no memory (PTR_TO_BTF_ID in convert_ctx_accesses, 7.2).
	flagWalked
	// flagArena: the kernel side of an arena pointer, as CastKern makes them, went into it (PTR_TO_ARENA). Unlike the others
	// the flag may be set in vain, but it must not get lost: without it an access to the arena faults.
	flagArena
)

func (v val) is(n uint64) bool { return v.kind == vConst && v.n == n }

var other = val{kind: vOther}

func konst(n uint64) val { return val{kind: vConst, n: n} }

func (v val) mayBeStack() bool { return v.kind == vStack || v.kind == vAny }

func (v val) nonNull() bool { return v.kind == vData || v.kind == vStack || v.kind == vNonNull }

// join is the least value that covers both.
func join(a, b val) val {
	flags := a.flags | b.flags
	a.flags, b.flags = 0, 0
	v := other
	switch {
	case a == b || b.kind == vNone:
		v = a
	case a.kind == vNone:
		v = b
	case a.mayBeStack() || b.mayBeStack():
		v = val{kind: vAny}
	case a.nonNull() && b.nonNull():
		v = val{kind: vNonNull}
	}
	v.flags = flags
	return v
}

// stackCells are the 4-byte cells of a frame; cell i holds the bytes at frame pointer - 512 + 4*i.
const stackCells = 128

// state is what is known before an instruction.
type state struct {
	regs  [11]val
	stack [stackCells]val
}

func (s *state) join(o *state) (changed bool) {
	for i := range s.regs {
		if v := join(s.regs[i], o.regs[i]); v != s.regs[i] {
			s.regs[i], changed = v, true
		}
	}
	if s.stack == o.stack { // mostly
		return changed
	}
	for i := range s.stack {
		if s.stack[i] == o.stack[i] {
			continue
		}
		if v := join(s.stack[i], o.stack[i]); v != s.stack[i] {
			s.stack[i], changed = v, true
		}
	}
	return changed
}

// clobber forgets n bytes of the stack at frame pointer + off; v says whether stack addresses may be stored there.
func (s *state) clobber(off int64, n int, v val) {
	lo, hi := off+512, off+512+int64(n)
	for c := max(lo/4-1, 0); c < stackCells && c*4 < hi; c++ {
		cell := &s.stack[c]
		end := c*4 + max(int64(cell.width), 4)
		if end > lo {
			*cell = forget(*cell, v)
		}
	}
}

func forget(cell, v val) val {
	flags := (cell.flags | v.flags) & flagArena
	if v.mayBeStack() || cell.mayBeStack() {
		return val{kind: vAny, flags: flags}
	}
	return val{kind: vOther, flags: flags}
}

// clobberAll forgets the stack, for a store to an unknown place.
func (s *state) clobberAll(v val) {
	for i := range s.stack {
		s.stack[i] = forget(s.stack[i], v)
	}
}

func (s *state) store(off int64, size int, v val) {
	s.clobber(off, size, v)
	if off%4 != 0 || off < -512 || off+int64(size) > 0 || size < 4 {
		return
	}
	if size == 4 {
		if v.kind != vConst {
			return
		}
		v.n = uint64(uint32(v.n))
	}
	v.width = uint8(size)
	c := (off + 512) / 4
	s.stack[c] = v
	if size == 8 {
		s.stack[c+1] = other
	}
}

func (s *state) load(off int64, size int, signed bool) val {
	if off%4 == 0 && off >= -512 && off+int64(size) <= 0 && size >= 4 {
		v := s.stack[(off+512)/4]
		if int(v.width) == size {
			v.width = 0
			if signed {
				v.n = uint64(int64(int32(v.n)))
			}
			return v
		}
	}
	v := val{kind: vOther, flags: s.arenaFlags()}
	if off%4 == 0 && off >= -512 && off < 0 && !s.stack[(off+512)/4].mayBeStack() {
		v.flags = s.stack[(off+512)/4].flags & flagArena
		return v // no whole address was stored there
	}
	if size == 8 {
		v.kind = vAny
	}
	return v
}

// arenaFlags tells whether an arena pointer may lie anywhere in the stack.
func (s *state) arenaFlags() (flags vflags) {
	for i := range s.stack {
		flags |= s.stack[i].flags & flagArena
	}
	return flags
}

// folder analyses one program.
type folder struct {
	o    *Object
	p    *Program
	code *ir.Program
	refs map[int32]*Ref
	sub  []int32 // subprogram by instruction
	// leader marks the instructions that jumps lead to; they and the starts of subprograms have a state of their own in
	// head, the others are computed on the way from the one before.
	leader []bool
	head   []*state
	spare  []*state
	todo   []int32
	in     []bool // is in todo
	// Per subprogram: the joined result, and the calls to repeat when it changes.
	ret     []val
	callers [][]int32
	depth   []int64 // lowest stack offset seen, negated
	badOff  int32   // an instruction that reaches below the stack, -1
}

func newFolder(o *Object, p *Program) *folder {
	n, subs := len(p.Code.Insns), len(p.Code.Subs)
	f := &folder{o: o, p: p, code: p.Code, refs: make(map[int32]*Ref, len(p.Refs)), sub: make([]int32, n), head: make([]*state, n),
		in: make([]bool, n), ret: make([]val, subs), callers: make([][]int32, subs), depth: make([]int64, subs), badOff: -1}
	for i := range p.Refs {
		f.refs[int32(p.Refs[i].Insn)] = &p.Refs[i]
	}
	f.leader = make([]bool, n)
	for i := range p.Code.Insns {
		in := &p.Code.Insns[i]
		in.Probe, in.Arena = false, false
		if in.Op.IsJump() {
			f.leader[in.Target] = true
		}
	}
	for s, sub := range p.Code.Subs {
		for i := sub.Start; i < sub.End; i++ {
			f.sub[i] = int32(s)
		}
	}
	p.Live = make([]bool, n)
	return f
}

// newState is a state of any content.
func (f *folder) newState() *state {
	if n := len(f.spare); n > 0 {
		s := f.spare[n-1]
		f.spare = f.spare[:n-1]
		return s
	}
	return new(state)
}

// drop returns the states, of which nothing is needed once all of them were found.
func (f *folder) drop() []*state {
	for i, s := range f.head {
		if s != nil {
			f.spare = append(f.spare, s)
			f.head[i] = nil
		}
	}
	return f.spare
}

// reach lets a state flow to an instruction.
func (f *folder) reach(at int32, s *state) {
	h := f.head[at]
	if h == nil {
		h = f.newState()
		*h = *s
		f.head[at] = h
	} else if !h.join(s) {
		return
	}
	if !f.in[at] {
		f.in[at] = true
		f.todo = append(f.todo, at)
	}
}

// enter lets a call flow into a subprogram.
func (f *folder) enter(sub int, args [5]val) {
	s := state{}
	for i := range s.regs {
		s.regs[i] = other
	}
	for i := range s.stack {
		s.stack[i] = other
	}
	if !f.p.Subs[sub].Global && !f.p.Subs[sub].Callback && sub > 0 && sub != int(f.code.Exception) {
		for i, a := range args {
			switch a.kind {
			case vConst, vData, vNonNull:
				s.regs[1+i] = a
			case vStack: // the caller's stack, which is other memory to the callee
				s.regs[1+i] = val{kind: vNonNull}
			case vOther:
				s.regs[1+i] = a
			}
			s.regs[1+i].flags |= a.flags & flagArena
		}
	} else if t := f.p.Subs[sub].Type; t != nil {
		for i, tags := range t.ParamTags {
			if i < 5 && slices.Contains(tags, "arg:arena") {
				s.regs[1+i].flags |= flagArena
			}
		}
	}
	s.regs[10] = val{kind: vStack}
	f.reach(f.code.Subs[sub].Start, &s)
}

func (f *folder) run() {
	f.enter(0, [5]val{})
	if x := int(f.code.Exception); x > 0 { // which is presumed to be called, as in the kernel
		f.enter(x, [5]val{})
	}
	for len(f.todo) > 0 {
		at := f.todo[len(f.todo)-1]
		f.todo = f.todo[:len(f.todo)-1]
		f.in[at] = false
		f.walk(at)
	}
}

// walk follows the code from an instruction whose state changed until it ends or meets a leader.
func (f *folder) walk(at int32) {
	s := *f.head[at]
	for {
		f.p.Live[at] = true
		next, ok := f.step(at, &s)
		if !ok {
			return
		}
		if next != at+1 || f.leader[next] {
			f.reach(next, &s)
			return
		}
		at = next
	}
}

// step executes one instruction and returns the one after it; not ok: it does not go on, or has let its states flow itself.
func (f *folder) step(at int32, s *state) (next int32, ok bool) {
	in := &f.code.Insns[at]
	next = at + 1
	switch op := in.Op; {
	case op == ir.Invalid:
		return 0, false
	case op == ir.Exit:
		f.leave(at, s.regs[0])
		return 0, false
	case op == ir.Ja:
		return in.Target, true
	case op == ir.MayGoto:
		f.reach(in.Target, s)
		// The next instruction is reached by two ways of one state; it needs no state of its own for that.
	case op.IsJump():
		taken, known := f.decide(in, s)
		if known {
			if taken {
				return in.Target, true
			}
			break
		}
		t := *s
		refine(in, &t, true)
		f.reach(in.Target, &t)
		refine(in, s, false)
	case op.IsCall():
		return next, f.call(at, in, s)
	case op.IsLoad():
		base := s.regs[in.Src]
		v := f.load(at, in, s)
		if base.flags&^flagArena != 0 || f.p.core[at] {
			v.flags |= flagWalked
		}
		in.Arena = in.Arena || base.flags&flagArena != 0
		if base.flags&flagWalked != 0 && op <= ir.Lds32 {
			in.Probe = true
		}
		s.regs[in.Dst] = v
	case op.IsStore():
		v := konst(uint64(in.Imm))
		if op < ir.St8K || op > ir.St64K {
			v = s.regs[in.Src]
		}
		in.Arena = in.Arena || s.regs[in.Dst].flags&flagArena != 0
		f.store(at, in, s, op.Size(), v)
	case op.IsAtomic():
		in.Arena = in.Arena || s.regs[in.Dst].flags&flagArena != 0
		f.store(at, in, s, op.Size(), other)
		if op == ir.CmpXchg32 || op == ir.CmpXchg64 {
			s.regs[0] = loaded(s.regs[in.Dst], op.Size())
		} else if op.WritesSrc() {
			s.regs[in.Src] = loaded(s.regs[in.Dst], op.Size())
		}
	case op == ir.LdImm64:
		s.regs[in.Dst] = f.address(at, in)
	case op == ir.CastKern:
		s.regs[in.Dst] = val{kind: vOther, flags: flagArena}
	case op == ir.CastUser:
		s.regs[in.Dst] = other
	default:
		flags := s.regs[in.Dst].flags
		if op == ir.Mov64K || op == ir.Mov32K {
			flags = 0
		} else if op == ir.Mov64X || op == ir.Mov32X || op >= ir.MovSX8to64 && op <= ir.MovSX16to32 {
			flags = s.regs[in.Src].flags
		} else if op < ir.Mov64X && (op-ir.Add64X)&1 == 0 {
			flags |= s.regs[in.Src].flags
		}
		v := f.alu(at, in, s)
		v.flags |= flags & flagArena
		if f.p.core[at] {
			v.flags |= flagKernel
		}
		s.regs[in.Dst] = v
	}
	return next, true
}

// loaded is the value of a load through p of which nothing is known.
func loaded(p val, size int) val {
	if size == 8 && p.mayBeStack() {
		return val{kind: vAny}
	}
	return other
}

// address is the value of a two-slot load.
func (f *folder) address(at int32, in *ir.Insn) val {
	r := f.refs[at]
	if r == nil {
		return konst(uint64(in.Imm))
	}
	switch r.Kind {
	case RefMapValue:
		if f.o.Maps[r.Map].Frozen {
			return val{kind: vData, m: int32(r.Map), n: uint64(r.Off)}
		}
	case RefFunc:
		f.enter(r.Sub, [5]val{})
		f.p.Subs[r.Sub].Live = true
	case RefKsymVar:
		return val{kind: vNonNull, flags: flagKernel}
	}
	return val{kind: vNonNull}
}

func (f *folder) load(at int32, in *ir.Insn, s *state) val {
	p, size := s.regs[in.Src], in.Op.Size()
	signed := in.Op >= ir.Lds8 && in.Op <= ir.Lds32
	switch p.kind {
	case vStack:
		off := int64(p.n) + int64(in.Off)
		f.touch(at, off)
		return s.load(off, size, signed)
	case vData:
		m := f.o.Maps[p.m]
		off := int64(p.n) + int64(in.Off)
		if off < 0 || off+int64(size) > int64(m.ValueSize) {
			return other
		}
		n := uint64(0)
		for i := range int64(size) {
			if off+i < int64(len(m.Data)) {
				n |= uint64(m.Data[off+i]) << (8 * i)
			}
		}
		if signed {
			shift := 64 - 8*uint(size)
			n = uint64(int64(n<<shift) >> shift)
		}
		return konst(n)
	}
	v := loaded(p, size)
	if v.mayBeStack() {
		v.flags |= s.arenaFlags()
	}
	return v
}

func (f *folder) store(at int32, in *ir.Insn, s *state, size int, v val) {
	switch p := s.regs[in.Dst]; p.kind {
	case vStack:
		off := int64(p.n) + int64(in.Off)
		f.touch(at, off)
		if in.Op.IsAtomic() {
			s.clobber(off, size, v)
			return
		}
		s.store(off, size, v)
	case vAny:
		s.clobberAll(v)
	}
}

// touch notes the use of stack at frame pointer + off.
func (f *folder) touch(at int32, off int64) {
	if off < -512 && f.badOff < 0 {
		f.badOff = at
	}
	sub := f.sub[at]
	f.depth[sub] = max(f.depth[sub], min(-off, 512))
}

// call does a call; ok: it can return.
func (f *folder) call(at int32, in *ir.Insn, s *state) (ok bool) {
	var args [5]val
	copy(args[:], s.regs[1:6])
	ret := other
	known := true
	if in.Op == ir.CallKfunc {
		known = f.code.Kfuncs[in.Imm] != throwName
	}
	if in.Op == ir.CallSub {
		sub := int(f.sub[in.Target])
		f.p.Subs[sub].Live = true
		if !slices.Contains(f.callers[sub], at) {
			f.callers[sub] = append(f.callers[sub], at)
		}
		f.enter(sub, args)
		if !f.p.Subs[sub].Global {
			ret = f.ret[sub]
			known = ret.kind != vNone
		}
	}
	// What the callee may write: the stack from the lowest address that it gets; everything if that is not known, if it
	// gets code of ours that may do anything, or if addresses of the stack are stored in the stack.
	low, all := int64(0), false
	for _, a := range args {
		switch a.kind {
		case vStack:
			low = min(low, int64(a.n))
			f.touch(at, int64(a.n))
			all = all || in.Op == ir.CallSub || in.Op == ir.CallReg
		case vAny:
			all = true
		}
	}
	if low < 0 {
		for _, c := range s.stack {
			all = all || c.mayBeStack()
		}
	}
	if all {
		s.clobberAll(other)
	} else if low < 0 {
		s.clobber(max(low, -512), int(-max(low, -512)), other)
	}
	for i := 1; i <= 5; i++ {
		s.regs[i] = other
	}
	s.regs[0] = ret
	return known
}

// leave joins the result of a subprogram, and repeats its calls when that changes.
func (f *folder) leave(at int32, r0 val) {
	sub := f.sub[at]
	switch r0.kind {
	case vStack, vAny: // of a frame that is gone
		r0 = val{kind: vOther, flags: r0.flags}
	}
	v := join(f.ret[sub], r0)
	if v == f.ret[sub] {
		return
	}
	f.ret[sub] = v
	for _, c := range f.callers[sub] {
		// Repeat from the leader of its block: the nearest one with a state.
		h := c
		for f.head[h] == nil {
			h--
		}
		if !f.in[h] {
			f.in[h] = true
			f.todo = append(f.todo, h)
		}
	}
}

// finish lists what is live.
func (f *folder) finish() error {
	p := f.p
	if i := f.badOff; i >= 0 {
		where := fmt.Sprintf("instruction %d", f.code.Insns[i].Orig)
		if line := f.code.Line(i); line != "" {
			where += " (" + line + ")"
		}
		return fmt.Errorf("%s: uses the stack below its 512 bytes", where)
	}
	p.Calls, p.Helpers = nil, nil
	for i := range f.code.Insns {
		if !p.Live[i] {
			continue
		}
		switch in := &f.code.Insns[i]; in.Op {
		case ir.CallKfunc:
			p.Calls = append(p.Calls, KfuncCall{i, f.code.Kfuncs[in.Imm], f.code.Line(int32(i))})
		case ir.CallHelper:
			p.Helpers = append(p.Helpers, HelperCall{i, int32(in.Imm), f.code.Line(int32(i))})
		}
	}
	for i := range p.Code.Subs {
		p.Code.Subs[i].Stack = int32(f.depth[i]+7) &^ 7
		p.Subs[i].Live = f.head[p.Code.Subs[i].Start] != nil
	}
	return nil
}
