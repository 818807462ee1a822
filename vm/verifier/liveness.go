package verifier

import (
	"math"
	"strings"

	"github.com/schedsim/schedsim/vm/ir"
	"github.com/schedsim/schedsim/vm/link"
)

// Liveness says, before a path is followed, which registers and stack bytes may still be read from an instruction on.
// What is dead is forgotten, so that more states are equal.
//
// Registers are exact (within a function). Of the stack, each half slot of four bytes is tracked. The kernel's analysis
// (kernel/bpf/liveness.c, 7.2) has one result for each chain of calls; this one has one for each function, with a summary
// of what it reads through its arguments. Where a pointer's offset or origin is not known, all of the stack counts as
// read: that errs to the side of keeping more.

// halves is a set of half slots: 2n is the half of slot n closer to the frame pointer.
type halves [2]uint64

func (h *halves) has(i int) bool { return h[i>>6]>>(i&63)&1 != 0 }
func (h *halves) add(i int)      { h[i>>6] |= 1 << (i & 63) }
func (h *halves) or(o halves)    { h[0] |= o[0]; h[1] |= o[1] }

func allHalves() halves { return halves{math.MaxUint64, math.MaxUint64} }

// stackEffect is what an instruction does to the stack of its function.
type stackEffect struct{ reads, writes halves }

// stackLive are the half slots of the function's own stack that may be read from the instruction on.
func (v *verifier) stackLive(insn int32) halves { return v.liveStack[insn] }

// regUse are the registers that an instruction reads and writes.
func (v *verifier) regUse(i int32) (use, def uint16) {
	in := &v.insns[i]
	bit := func(r ir.Reg) uint16 { return 1 << r }
	op := in.Op
	switch {
	case op == ir.Mov64K || op == ir.Mov32K || op == ir.LdImm64:
		return 0, bit(in.Dst)
	case op == ir.Mov64X || op == ir.Mov32X || op >= ir.MovSX8to64 && op <= ir.MovSX16to32 || op == ir.CastKern || op == ir.CastUser:
		return bit(in.Src), bit(in.Dst)
	case op >= ir.Neg64 && op <= ir.BSwap64:
		return bit(in.Dst), bit(in.Dst)
	case op >= ir.Add64X && op <= ir.Arsh32K:
		use = bit(in.Dst)
		if _, _, byReg := splitALU(op); byReg {
			use |= bit(in.Src)
		}
		return use, bit(in.Dst)
	case op.IsLoad():
		return bit(in.Src), bit(in.Dst)
	case op >= ir.St8K && op <= ir.St64K:
		return bit(in.Dst), 0
	case op.IsStore():
		return bit(in.Dst) | bit(in.Src), 0
	case op.IsAtomic():
		use = bit(in.Dst) | bit(in.Src)
		switch {
		case op >= ir.CmpXchg32:
			return use | bit(0), bit(0)
		case op >= ir.FetchAdd32:
			return use, bit(in.Src)
		}
		return use, 0
	case op == ir.Exit:
		return bit(0), 0
	case op >= ir.JEq64X && op <= ir.JSet32K:
		use = bit(in.Dst)
		if _, _, byReg := splitJmp(op); byReg {
			use |= bit(in.Src)
		}
		return use, 0
	case op.IsCall():
		return v.argMask(i), 1<<callerSaved - 1
	}
	return 0, 0
}

// argMask are the argument registers that a call reads.
func (v *verifier) argMask(i int32) uint16 {
	n := 5
	in := &v.insns[i]
	switch in.Op {
	case ir.CallHelper:
		if h := v.helper(int32(in.Imm)); h != nil {
			n = h.nargs()
		}
	case ir.CallKfunc:
		if k, err := v.kfunc(i); err == nil {
			n = min(5, len(k.params))
		}
	}
	return (1<<n - 1) << 1
}

// computeLiveRegs is the usual backward dataflow. It follows bpf_compute_live_registers.
func (v *verifier) computeLiveRegs() {
	use, def := make([]uint16, len(v.insns)), make([]uint16, len(v.insns))
	for i := range v.insns {
		use[i], def[i] = v.regUse(int32(i))
	}
	for si := range v.subs {
		for changed := true; changed; {
			changed = false
			for _, i := range v.subs[si].postorder {
				out := uint16(0)
				succ, n := v.successors(i)
				for _, s := range succ[:n] {
					out |= v.aux[s].live
				}
				if in := out&^def[i] | use[i]; in != v.aux[i].live {
					v.aux[i].live, changed = in, true
				}
			}
		}
	}
}

// absKind is what the analysis of the stack knows of a register.
type absKind uint8

const (
	absUnseen absKind = iota
	absOther          // no pointer to a stack
	absConst          // the number n
	absMap            // the map number n
	absPtr            // the pointer base plus n to n+span
	absAny            // somewhere near one of the pointers in mask
)

// absVal is an abstract value. The pointers that are tracked are the function's frame pointer, number 0, and its
// arguments, which may point to the stack of a caller.
type absVal struct {
	kind absKind
	base uint8 // of absPtr
	mask uint8 // of absAny
	n    int64
	span int64 // of absPtr: as when a call is shared by several branches
}

// maxSpan bounds the spread of a pointer, so that loops end.
const maxSpan = 64

// pointers is the set of tracked pointers that the value may be derived from.
func (a absVal) pointers() uint8 {
	switch a.kind {
	case absPtr:
		return 1 << a.base
	case absAny:
		return a.mask
	}
	return 0
}

func absOf(mask uint8) absVal {
	if mask == 0 {
		return absVal{kind: absOther}
	}
	return absVal{kind: absAny, mask: mask}
}

func (a absVal) join(b absVal) absVal {
	switch {
	case a == b || b.kind == absUnseen:
		return a
	case a.kind == absUnseen:
		return b
	case a.kind == absPtr && b.kind == absPtr && a.base == b.base:
		lo, hi := min(a.n, b.n), max(a.n+a.span, b.n+b.span)
		if hi-lo <= maxSpan {
			return absVal{kind: absPtr, base: a.base, n: lo, span: hi - lo}
		}
	}
	return absOf(a.pointers() | b.pointers())
}

type absRegs [11]absVal

// argReads says which bytes a function may read through an argument: lo..hi-1 from the pointer on, or any.
type argReads struct {
	all    bool
	lo, hi int64
}

func (a *argReads) add(off, size int64) {
	if a.lo == a.hi {
		a.lo, a.hi = off, off+size
		return
	}
	a.lo, a.hi = min(a.lo, off), max(a.hi, off+size)
}

// computeStackLiveness finds for every instruction the live half slots of its function's stack.
func (v *verifier) computeStackLiveness() {
	v.liveStack = make([]halves, len(v.insns))
	v.argReads = make([][6]argReads, len(v.subs))
	for i := range v.argReads {
		for k := range v.argReads[i] {
			v.argReads[i][k].all = true // unless it is known better
		}
	}
	in := make([]absRegs, len(v.insns))
	effects := make([]stackEffect, len(v.insns))
	for _, si := range v.order {
		s := &v.subs[si]
		spilled := v.absInterpret(s, in)
		var reads [6]argReads
		for _, i := range s.postorder {
			effects[i] = v.stackEffect(i, &in[i], spilled, &reads)
		}
		v.argReads[si] = reads
		for changed := true; changed; {
			changed = false
			for _, i := range s.postorder {
				var live halves
				succ, n := v.successors(i)
				for _, t := range succ[:n] {
					live.or(v.liveStack[t])
				}
				e := &effects[i]
				live[0], live[1] = live[0]&^e.writes[0]|e.reads[0], live[1]&^e.writes[1]|e.reads[1]
				if live != v.liveStack[i] {
					v.liveStack[i], changed = live, true
				}
			}
		}
	}
}

// absInterpret computes what the registers may hold before each instruction. It returns the pointers that are kept in
// memory: what is loaded from memory may be one of them.
func (v *verifier) absInterpret(s *subInfo, in []absRegs) (spilled uint8) {
	for {
		for _, i := range s.postorder {
			in[i] = absRegs{}
		}
		var entry absRegs
		for r := range entry {
			entry[r] = absVal{kind: absOther}
		}
		for r := uint8(1); r <= 5; r++ {
			entry[r] = absVal{kind: absPtr, base: r}
		}
		entry[fp] = absVal{kind: absPtr}
		in[s.start] = entry
		more := spilled
		for changed := true; changed; {
			changed = false
			for k := len(s.postorder) - 1; k >= 0; k-- {
				i := s.postorder[k]
				out := in[i]
				if out[fp].kind == absUnseen {
					continue
				}
				more |= v.absStep(i, &out, spilled)
				succ, n := v.successors(i)
				for _, t := range succ[:n] {
					for r := range out {
						have := out[r]
						if r != fp && v.aux[t].live>>r&1 == 0 {
							have = absVal{kind: absOther} // nothing reads it
						}
						if j := in[t][r].join(have); j != in[t][r] {
							in[t][r], changed = j, true
						}
					}
				}
			}
		}
		if more == spilled {
			return spilled
		}
		spilled = more
	}
}

// absStep applies an instruction; it returns the pointers that go to memory.
func (v *verifier) absStep(i int32, r *absRegs, spilled uint8) (spills uint8) {
	in := &v.insns[i]
	op := in.Op
	switch {
	case op == ir.Mov64X:
		r[in.Dst] = r[in.Src]
	case op == ir.Mov64K:
		r[in.Dst] = absVal{kind: absConst, n: in.Imm}
	case op == ir.Mov32K:
		r[in.Dst] = absVal{kind: absConst, n: int64(uint32(in.Imm))}
	case op == ir.LdImm64:
		r[in.Dst] = absVal{kind: absOther}
		if ref := v.aux[i].ref; ref == nil {
			r[in.Dst] = absVal{kind: absConst, n: in.Imm}
		} else if ref.Kind == link.RefMap {
			r[in.Dst] = absVal{kind: absMap, n: int64(ref.Map)}
		}
	case op == ir.Add64K && r[in.Dst].kind == absPtr:
		r[in.Dst].n += in.Imm
	case op == ir.Sub64K && r[in.Dst].kind == absPtr:
		r[in.Dst].n -= in.Imm
	case op >= ir.Add64X && op <= ir.BSwap64 || op == ir.CastKern || op == ir.CastUser:
		// Only 64-bit sums and differences of pointers are pointers; the verifier refuses the rest or makes it a number.
		mask := uint8(0)
		switch op {
		case ir.Add64X, ir.Sub64X:
			mask = r[in.Dst].pointers() | r[in.Src].pointers()
		case ir.Add64K, ir.Sub64K:
			mask = r[in.Dst].pointers()
		}
		r[in.Dst] = absOf(mask)
	case op.IsLoad():
		r[in.Dst] = absVal{kind: absOther}
		if op.Size() == regSize {
			r[in.Dst] = absOf(spilled)
		}
	case op.IsStore() || op.IsAtomic():
		if op < ir.St8K || op > ir.St64K {
			spills = r[in.Src].pointers()
		}
		if op >= ir.CmpXchg32 && op <= ir.CmpXchg64 {
			r[0] = absOf(spilled)
		} else if op.WritesSrc() {
			r[in.Src] = absOf(spilled)
		}
	case op.IsCall():
		mask := spilled
		for k := 1; k <= 5 && op == ir.CallSub; k++ {
			mask |= r[k].pointers()
		}
		for k := range callerSaved {
			r[k] = absVal{kind: absOther}
		}
		if op == ir.CallSub {
			r[0] = absOf(mask)
		}
	}
	if d := &r[in.Dst]; d.kind == absPtr && (d.n > maxVarOff || d.n < -maxVarOff) {
		*d = absOf(d.pointers())
	}
	return spills
}

// cover is the set of half slots of the bytes off..off+size-1; whole: only those covered entirely.
func cover(off, size int64, whole bool) (h halves) {
	lo, hi := max(off, -maxStack), min(off+size, 0)
	if whole {
		lo, hi = (lo+3)&^3, hi&^3
	} else {
		lo &^= 3
	}
	for b := lo; b < hi; b += 4 {
		h.add(int(-b-1) / 4)
	}
	return h
}

// stackEffect is what an instruction may read of its function's stack, and what it surely overwrites. What it may read
// through the function's arguments is added to reads.
func (v *verifier) stackEffect(i int32, r *absRegs, spilled uint8, reads *[6]argReads) (e stackEffect) {
	in := &v.insns[i]
	read := func(base absVal, off, size int64) {
		if base.kind == absPtr && base.base == 0 {
			e.reads.or(cover(base.n+off, size+base.span, false))
			return
		}
		if base.kind == absPtr {
			reads[base.base].add(base.n+off, size+base.span)
			return
		}
		mask := base.pointers()
		if mask&1 != 0 {
			e.reads = allHalves()
		}
		for k := 1; k <= 5; k++ {
			reads[k].all = reads[k].all || mask>>k&1 != 0
		}
	}
	readAll := func(base absVal) { read(absOf(base.pointers()), 0, 0) }
	size := int64(in.Op.Size())
	switch op := in.Op; {
	case op.IsLoad():
		read(r[in.Src], int64(in.Off), size)
	case op.IsStore():
		if d := r[in.Dst]; d.kind == absPtr && d.base == 0 && d.span == 0 {
			e.writes = cover(d.n+int64(in.Off), size, true)
		}
	case op.IsAtomic():
		read(r[in.Dst], int64(in.Off), size)
	case op == ir.CallSub:
		callee := &v.argReads[v.subAt(in.Target)]
		for k := 1; k <= 5; k++ {
			switch c := &callee[k]; {
			case c.all || spilled != 0 || v.subs[v.subAt(in.Target)].global:
				readAll(r[k])
			case c.lo != c.hi:
				read(r[k], c.lo, c.hi-c.lo)
			}
		}
	case op == ir.CallReg:
		for k := 1; k <= 5; k++ {
			readAll(r[k])
		}
	case op == ir.CallHelper || op == ir.CallKfunc:
		for k := 1; k <= 5; k++ {
			switch {
			case v.argMask(i)>>k&1 == 0 || r[k].pointers() == 0:
			case v.aux[i].callback:
				readAll(r[k])
			case v.argWritten(i, k-1):
				// What was there before does not matter; how much is written is known where the size is.
				if size, ok := v.argBytes(i, k-1, r); ok && r[k].kind == absPtr && r[k].base == 0 && r[k].span == 0 {
					w := cover(r[k].n, size, true)
					e.writes.or(w)
				}
			default:
				size, _ := v.argBytes(i, k-1, r)
				read(r[k], 0, size)
			}
		}
	}
	return e
}

// argWritten: the call overwrites the memory behind an argument without reading it.
func (v *verifier) argWritten(i int32, arg int) bool {
	in := &v.insns[i]
	if in.Op == ir.CallKfunc {
		k, err := v.kfunc(i)
		return err == nil && (arg == 0 && k.iterNew() || arg < len(k.params) && strings.HasSuffix(k.params[arg].Name, "__uninit"))
	}
	h := v.helper(int32(in.Imm))
	return h != nil && h.args[arg].has(argUninit)
}

// argBytes is the number of bytes that a helper or kernel function may access through an argument, not ok if it is only
// known to be in the stack.
func (v *verifier) argBytes(i int32, arg int, r *absRegs) (size int64, ok bool) {
	in := &v.insns[i]
	if in.Op == ir.CallKfunc {
		k, err := v.kfunc(i)
		if err != nil {
			return maxStack, false
		}
		size = v.kfuncArgBytes(k, arg, r)
		return size, size < maxStack
	}
	h := v.helper(int32(in.Imm))
	if h == nil {
		return maxStack, false
	}
	switch a := h.args[arg]; a.base() {
	case argMapKey, argMapValue:
		if r[1].kind == absMap && r[1].n >= 0 && int(r[1].n) < len(v.maps) {
			m := v.maps[r[1].n]
			if a.base() == argMapKey {
				return int64(m.key), true
			}
			return int64(m.value), true
		}
	case argMem:
		if h.sizes[arg] != 0 {
			return int64(h.sizes[arg]), true
		}
		if arg < 4 && h.args[arg+1].isSize() && r[arg+2].kind == absConst && r[arg+2].n >= 0 && r[arg+2].n <= maxStack {
			return r[arg+2].n, true
		}
	case argDynptr:
		return dynptrSlots * regSize, true
	}
	return maxStack, false
}
