package amd64

import "github.com/schedsim/schedsim/vm/ir"

// facts are what is known of registers at a place in straight code. They are forgotten where jumps arrive.
type facts [11]fact

// fact is what is known of one register.
type fact struct {
	kind origin
	// value is the constant, or the distance from R10.
	value uint64
	// The bytes from register+lo to register+hi are accessible; lo == hi: nothing is known. That holds as long as the
	// register does, since the address space only grows.
	lo, hi int64
}

// origin says what a fact's value is.
type origin uint8

const (
	unknown  origin = iota
	constant        // the register is value
	frame           // the register is R10 + value
)

// maxSpan bounds the distances in a fact, so that no arithmetic overflows.
const maxSpan = 1 << 30

// forget begins a new piece of straight code.
func (f *facts) forget() {
	*f = facts{}
	f[10].kind = frame
}

// constant returns the value of r if it is known.
func (f *facts) constant(r ir.Reg) (uint64, bool) { return f[r].value, f[r].kind == constant }

// within tells whether size bytes at r + off are known to be accessible.
func (f *facts) within(r ir.Reg, off int32, size int) bool {
	return f[r].lo <= int64(off) && int64(off)+int64(size) <= f[r].hi
}

// checked notes that size bytes at r + off are accessible. What lies between two such places is, too.
func (f *facts) checked(r ir.Reg, off int32, size int) {
	lo, hi := int64(off), int64(off)+int64(size)
	if lo < -maxSpan || hi > maxSpan {
		return
	}
	if f[r].lo != f[r].hi {
		lo, hi = min(lo, f[r].lo), max(hi, f[r].hi)
	}
	f[r].lo, f[r].hi = lo, hi
}

// step follows an instruction that has just been lowered.
func (f *facts) step(in *ir.Insn) {
	d := &f[in.Dst]
	switch op := in.Op; {
	case op == ir.LdImm64 || op == ir.Mov64K:
		*d = fact{kind: constant, value: uint64(in.Imm)}
	case op == ir.Mov64X:
		*d = f[in.Src]
	case op == ir.Add64K:
		d.value += uint64(in.Imm)
		d.lo -= in.Imm
		d.hi -= in.Imm
		if in.Imm < -maxSpan || in.Imm > maxSpan || d.lo < -maxSpan || d.hi > maxSpan {
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
