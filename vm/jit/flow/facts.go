package flow

import "github.com/schedsim/schedsim/vm/ir"

// Facts are what is known of the registers at a place in a subprogram.
type Facts [11]fact

// fact is what is known of one register.
type fact struct {
	kind origin
	// value is the constant, the distance from R10, or the instruction of the lookup.
	value uint64
	// The bytes from register+lo to register+hi are accessible, or will be once it is known not to be null; lo == hi:
	// nothing is known. That holds as long as the register does, since the address space only grows.
	lo, hi int64
}

// origin says what a fact's value is.
type origin uint8

const (
	unknown  origin = iota
	constant        // the register is value
	frame           // the register is R10 + value
	// orNull: the register is the result of the lookup at instruction value when that ran last. Registers with the same
	// value are equal, so that a comparison with null tells something about all of them.
	orNull
)

// maxSpan bounds the distances in a fact, so that no arithmetic overflows.
const maxSpan = 1 << 30

// Forget begins a subprogram: nothing is known but R10.
func (f *Facts) Forget() {
	*f = Facts{}
	f[10].kind = frame
}

// constant returns the value of r if it is known.
func (f *Facts) constant(r ir.Reg) (uint64, bool) { return f[r].value, f[r].kind == constant }

// within tells whether size bytes at r + off are known to be accessible.
func (f *Facts) within(r ir.Reg, off int32, size int) bool {
	return f[r].kind != orNull && f[r].lo <= int64(off) && int64(off)+int64(size) <= f[r].hi
}

// checked notes that size bytes at r + off are accessible. What lies between two such places is, too.
func (f *Facts) checked(r ir.Reg, off int32, size int) {
	lo, hi := int64(off), int64(off)+int64(size)
	if f[r].kind == orNull || lo < -maxSpan || hi > maxSpan {
		return
	}
	if f[r].lo != f[r].hi {
		lo, hi = min(lo, f[r].lo), max(hi, f[r].hi)
	}
	f[r].lo, f[r].hi = lo, hi
}

// element notes that instruction i has left the address of size bytes or null in R0.
func (f *Facts) element(i int32, size uint64) {
	id := uint64(i)
	for r := range f {
		if f[r].kind == orNull && f[r].value == id { // of the time before
			f[r] = fact{}
		}
	}
	f[0] = fact{kind: orNull, value: id, hi: int64(size)}
}

// Seldom tells whether the jump in is made only where a lookup has found nothing.
func (f *Facts) Seldom(in *ir.Insn) bool {
	return f[in.Dst].kind == orNull && in.Imm == 0 && in.Op == ir.JEq64K
}

// Branch follows the jump in to where it jumps or does not.
func (f *Facts) Branch(in *ir.Insn, taken bool) {
	if f[in.Dst].kind != orNull || in.Imm != 0 || in.Op != ir.JEq64K && in.Op != ir.JNe64K {
		return
	}
	null := taken == (in.Op == ir.JEq64K)
	id := f[in.Dst].value
	for r := range f {
		switch {
		case f[r].kind != orNull || f[r].value != id:
		case null:
			f[r] = fact{kind: constant}
		default:
			f[r].kind, f[r].value = unknown, 0
		}
	}
}

// Meet keeps what holds when either f or g does.
func (f *Facts) Meet(g *Facts) {
	for r := range f {
		f[r] = f[r].meet(g[r])
	}
}

// Lose forgets what is known of r.
func (f *Facts) Lose(r ir.Reg) { f[r] = fact{} }

// meet is what holds of a register when either a or b does.
func (a fact) meet(b fact) fact {
	if a == b {
		return a
	}
	if a.kind == orNull || b.kind == orNull {
		return fact{}
	}
	m := fact{lo: max(a.lo, b.lo), hi: min(a.hi, b.hi)}
	if m.lo >= m.hi {
		m.lo, m.hi = 0, 0
	}
	if a.kind == b.kind && a.value == b.value {
		m.kind, m.value = a.kind, a.value
	}
	return m
}

// step follows an instruction.
func (f *Facts) step(in *ir.Insn) {
	d := &f[in.Dst]
	switch op := in.Op; {
	case op == ir.LdImm64 || op == ir.Mov64K:
		*d = fact{kind: constant, value: uint64(in.Imm)}
	case op == ir.Mov64X:
		*d = f[in.Src]
	case op == ir.Add64K && d.kind != orNull && in.Imm >= -maxSpan && in.Imm <= maxSpan:
		d.value += uint64(in.Imm)
		if d.kind == unknown {
			d.value = 0
		}
		if d.lo, d.hi = d.lo-in.Imm, d.hi-in.Imm; d.lo == d.hi || d.lo < -maxSpan || d.hi > maxSpan {
			d.lo, d.hi = 0, 0
		}
	case op.WritesDst():
		*d = fact{}
	case op.WritesSrc():
		f[in.Src] = fact{}
	case op == ir.CmpXchg32 || op == ir.CmpXchg64:
		f[0] = fact{}
	case op == ir.CallHelper || op == ir.CallKfunc:
		f[0] = fact{}
		for r := ir.Reg(1); r <= 5; r++ {
			f[r] = fact{kind: constant}
		}
	case op == ir.CallSub || op == ir.CallReg: // R6-R10 come back
		for r := ir.Reg(0); r <= 5; r++ {
			f[r] = fact{}
		}
	}
}
