package verifier

import "github.com/schedsim/schedsim/vm/ir"

// jmpKind is a condition without its width and operand form.
type jmpKind uint8

const (
	jEq jmpKind = iota
	jNe
	jGt
	jGe
	jLt
	jLe
	jSGt
	jSGe
	jSLt
	jSLe
	jSet
	jClear // not jSet: no operation has it
)

// splitJmp takes a conditional jump apart.
func splitJmp(op ir.Op) (k jmpKind, wide, byReg bool) {
	n := op - ir.JEq64X
	return jmpKind(n >> 2), n&2 == 0, n&1 == 0
}

// flip is the condition with its operands exchanged.
func (k jmpKind) flip() jmpKind {
	return [...]jmpKind{jEq, jNe, jLt, jLe, jGt, jGe, jSLt, jSLe, jSGt, jSGe, jSet, jClear}[k]
}

// not is the opposite condition.
func (k jmpKind) not() jmpKind {
	return [...]jmpKind{jNe, jEq, jLe, jLt, jGe, jGt, jSLe, jSLt, jSGe, jSGt, jClear, jSet}[k]
}

// verdict is what is known of a condition.
type verdict int8

const (
	never  verdict = 0
	always verdict = 1
	either verdict = -1
)

func decide(yes, no bool) verdict {
	switch {
	case yes:
		return always
	case no:
		return never
	}
	return either
}

// constOf is the value of a constant at the width.
func (n *num) constOf(wide bool) (uint64, bool) {
	if wide {
		return n.bits.value, n.bits.isConst()
	}
	return uint64(uint32(n.bits.value)), uint32(n.bits.mask) == 0
}

// compare tells whether a k b. same: both are the same register. It follows is_scalar_branch_taken (7.2).
func compare(a, b *num, k jmpKind, wide, same bool) verdict {
	t1, t2 := a.bits, b.bits
	ulo1, uhi1, slo1, shi1 := a.umin(), a.umax(), a.smin(), a.smax()
	ulo2, uhi2, slo2, shi2 := b.umin(), b.umax(), b.smin(), b.smax()
	if !wide {
		t1, t2 = t1.lower(), t2.lower()
		ulo1, uhi1, slo1, shi1 = uint64(a.umin32()), uint64(a.umax32()), int64(a.smin32()), int64(a.smax32())
		ulo2, uhi2, slo2, shi2 = uint64(b.umin32()), uint64(b.umax32()), int64(b.smin32()), int64(b.smax32())
	}
	if same {
		switch k {
		case jEq, jGe, jLe, jSGe, jSLe:
			return always
		case jSet:
			if t1.isConst() {
				return decide(t1.value != 0, t1.value == 0)
			}
			return decide(slo1 > 0 || shi1 < 0, false)
		}
		return never
	}
	switch k {
	case jEq, jNe:
		differ := !t1.overlaps(t2) || ulo1 > uhi2 || uhi1 < ulo2 || slo1 > shi2 || shi1 < slo2
		if wide && !differ {
			differ = a.umin32() > b.umax32() || a.umax32() < b.umin32() || a.smin32() > b.smax32() || a.smax32() < b.smin32()
		}
		equal := t1.isConst() && t2.isConst() && t1.value == t2.value
		if k == jEq {
			return orSimulate(decide(equal, differ), a, b, k, wide)
		}
		return orSimulate(decide(differ, equal), a, b, k, wide)
	case jSet:
		if !t2.isConst() {
			t1, t2 = t2, t1
		}
		if !t2.isConst() {
			return either
		}
		return orSimulate(decide(t1.value&t2.value != 0, (t1.value|t1.mask)&t2.value == 0), a, b, k, wide)
	case jGt:
		return orSimulate(decide(ulo1 > uhi2, uhi1 <= ulo2), a, b, k, wide)
	case jGe:
		return orSimulate(decide(ulo1 >= uhi2, uhi1 < ulo2), a, b, k, wide)
	case jLt:
		return orSimulate(decide(uhi1 < ulo2, ulo1 >= uhi2), a, b, k, wide)
	case jLe:
		return orSimulate(decide(uhi1 <= ulo2, ulo1 > uhi2), a, b, k, wide)
	case jSGt:
		return orSimulate(decide(slo1 > shi2, shi1 <= slo2), a, b, k, wide)
	case jSGe:
		return orSimulate(decide(slo1 >= shi2, shi1 < slo2), a, b, k, wide)
	case jSLt:
		return orSimulate(decide(shi1 < slo2, slo1 >= shi2), a, b, k, wide)
	case jSLe:
		return orSimulate(decide(shi1 <= slo2, slo1 > shi2), a, b, k, wide)
	}
	return either
}

// orSimulate keeps a decision; without one it refines both sides and sees whether one of them is impossible. It follows
// simulate_both_branches_taken.
func orSimulate(v verdict, a, b *num, k jmpKind, wide bool) verdict {
	if v != either {
		return v
	}
	x, y := *a, *b
	refine(&x, &y, k.not(), wide)
	if x.impossible() || y.impossible() {
		return always
	}
	x, y = *a, *b
	refine(&x, &y, k, wide)
	if x.impossible() || y.impossible() {
		return never
	}
	return either
}

// refine adds to a and b that a k b. It follows regs_refine_cond_op and the syncs around it (7.2).
func refine(a, b *num, k jmpKind, wide bool) {
	refineOnce(a, b, k, wide)
	a.sync()
	b.sync()
}

func refineOnce(a, b *num, k jmpKind, wide bool) {
	switch k {
	case jGt, jGe, jSGt, jSGe:
		k = k.flip()
		a, b = b, a
	case jNe, jSet, jClear:
		if _, ok := b.constOf(wide); !ok {
			a, b = b, a
		}
		v, ok := b.constOf(wide)
		if !ok {
			return
		}
		refineConst(a, k, v, wide)
		return
	case jEq:
		refineEqual(a, b, wide)
		return
	}
	if wide {
		a.r64, b.r64 = ordered(a.r64, b.r64, k)
	} else {
		a.r32, b.r32 = ordered(a.r32, b.r32, k)
	}
}

func refineEqual(a, b *num, wide bool) {
	if wide {
		a.r64 = a.r64.intersect(b.r64)
		b.r64 = a.r64
		a.bits = a.bits.intersect(b.bits)
		b.bits = a.bits
		return
	}
	a.r32 = a.r32.intersect(b.r32)
	b.r32 = a.r32
	t := a.bits.lower().intersect(b.bits.lower())
	a.bits, b.bits = a.bits.withLower(t), b.bits.withLower(t)
}

func refineConst(a *num, k jmpKind, v uint64, wide bool) {
	switch {
	case k == jNe && wide:
		a.r64 = a.r64.intersect(cnum64{v + 1, ^uint64(0) - 1})
	case k == jNe:
		a.r32 = a.r32.intersect(cnum32{uint32(v) + 1, ^uint32(0) - 1})
	case k == jSet && v&(v-1) == 0 && v != 0: // of several bits it is not known which one is set
		if wide {
			a.bits = a.bits.or(tnumConst(v))
		} else {
			a.bits = a.bits.withLower(a.bits.lower().or(tnumConst(v)))
		}
	case k == jClear:
		// The ranges do not follow the bits here as elsewhere: the kernel starts them anew.
		a.unbound()
		if wide {
			a.bits = a.bits.and(tnumConst(^v))
		} else {
			a.bits = a.bits.withLower(a.bits.lower().and(tnumConst(^v)))
		}
	}
}

// ordered narrows two ranges by a < b or a <= b, signed or not. A bound that leaves nothing gives the empty range.
func ordered[T word](a, b cnum[T], k jmpKind) (cnum[T], cnum[T]) {
	least, most := sext(signBit[T]()), sext(signBit[T]()-1)
	switch k {
	case jLe:
		a = a.intersect(urange(0, b.umax()))
		b = b.intersect(urange(a.umin(), ^T(0)))
	case jLt:
		if b.umax() == 0 || a.umin() == ^T(0) {
			return cnumEmpty[T](), cnumEmpty[T]()
		}
		a = a.intersect(urange(0, b.umax()-1))
		if a.isEmpty() {
			return a, a
		}
		b = b.intersect(urange(a.umin()+1, ^T(0)))
	case jSLe:
		a = a.intersect(srange[T](least, b.smax()))
		if a.isEmpty() {
			return a, a
		}
		b = b.intersect(srange[T](a.smin(), most))
	case jSLt:
		if b.smax() == least || a.smin() == most {
			return cnumEmpty[T](), cnumEmpty[T]()
		}
		a = a.intersect(srange[T](least, b.smax()-1))
		if a.isEmpty() {
			return a, a
		}
		b = b.intersect(srange[T](a.smin()+1, most))
	}
	return a, b
}
