package arm64

import (
	"math/bits"

	"github.com/schedsim/schedsim/vm/engine"
	"github.com/schedsim/schedsim/vm/ir"
)

// inlined lowers calls of helpers that need no call (engine.Inline); false: this one does.
func (l *lowering) inlined(i int32, in *ir.Insn) bool {
	if m := l.set.ArrayOf(&l.facts, in); m != nil {
		l.lookup(i, in, m)
		return true
	}
	if l.set.IsCPUID(in) {
		l.needCPU = true
		l.a.Load(4, hostReg[0], At(regContext, offCPU))
		l.inlineEnd(i)
		return true
	}
	return false
}

// lookup lowers bpf_map_lookup_elem on an array. Where the key cannot be read, the helper is called after all: it knows
// what to say.
func (l *lowering) lookup(i int32, in *ir.Insn, m *engine.Array) {
	a, r0 := l.a, hostReg[0]
	none, done, join := a.NewLabel(), a.NewLabel(), a.NewLabel()
	n := i + 1 - l.start // not counted yet
	call := func() Label {
		slow := a.NewLabel()
		l.later(func() {
			a.Bind(slow)
			l.subtract(n, false)
			l.callHost(i, l.helpers[in.Imm], &l.calls.Helpers)
			a.AddImm(W64, regLeft, regLeft, int64(n), false)
			a.MovRI(r0, 0) // code behind relies on an element or null
			a.B(join)
		})
		return slow
	}
	a.Load(4, r0, l.checked(2, 0, 4, call))
	l.cmpU32(r0, m.Entries)
	a.BCond(HS, none)
	a.MovRI(regT3, m.Base)
	if m.CPUs != 0 {
		l.needCPU = true
		a.Load(4, regT1, At(regContext, offCPU))
		l.cmpU32(regT1, m.CPUs)
		a.BCond(HS, none)
		l.multiple(regT3, regT3, regT1, m.Stride)
	}
	l.multiple(r0, regT3, r0, m.Elem)
	a.Bind(done)
	l.inlineEnd(i)
	a.Bind(join)
	l.later(func() {
		a.Bind(none)
		a.MovRI(r0, 0)
		a.B(done)
	})
}

// cmpU32 sets the flags of the 32-bit comparison of r with n.
func (l *lowering) cmpU32(r Reg, n uint32) {
	if !l.a.CmpImm(W32, r, int64(n)) {
		l.a.MovRI(regT2, uint64(n))
		l.a.CmpRR(W32, r, regT2)
	}
}

// multiple is dst = base + r*n.
func (l *lowering) multiple(dst, base, r Reg, n uint64) {
	switch {
	case n == 0:
		l.a.MovRR(W64, dst, base)
	case n&(n-1) == 0:
		l.a.AddShifted(dst, base, r, uint32(bits.TrailingZeros64(n)))
	default:
		l.a.MovRI(regT2, n)
		l.a.MAdd(W64, dst, r, regT2, base)
	}
}

// inlineEnd does what every call of a helper does besides its work: it counts, and zeroes the arguments where that can be
// seen.
func (l *lowering) inlineEnd(i int32) {
	l.a.AddImm(W64, regInlined, regInlined, 1, false)
	for r := ir.Reg(1); r <= 5; r++ {
		if l.known.Live(i, r) {
			l.a.MovRI(hostReg[r], 0)
		}
	}
}
