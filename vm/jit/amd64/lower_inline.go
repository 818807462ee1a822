package amd64

import (
	"math/bits"

	"github.com/schedsim/schedsim/vm/engine"
	"github.com/schedsim/schedsim/vm/ir"
)

// inlined lowers calls of helpers that need no call (engine.Inline); false: this one does.
func (l *lowering) inlined(i int32, in *ir.Insn) bool {
	if m := l.arrayOf(&l.facts, in); m != nil {
		l.lookup(i, in, m)
		return true
	}
	if in.Op == ir.CallHelper && in.Imm == l.inline.CPUID && l.hasHelper(in.Imm) {
		l.needCPU = true
		l.a.Load(4, RAX, l.field(offCPU))
		l.inlineEnd(i)
		return true
	}
	return false
}

// lookup lowers bpf_map_lookup_elem on an array. Where the key cannot be read, the helper is called after all: it knows
// what to say.
func (l *lowering) lookup(i int32, in *ir.Insn, m *engine.Array) {
	a := l.a
	none, done, join := a.NewLabel(), a.NewLabel(), a.NewLabel()
	n := i + 1 - l.start // not counted yet
	call := func() Label {
		slow := a.NewLabel()
		l.later(func() {
			a.Bind(slow)
			a.AluRI(Sub, W64, regLeft, n)
			l.callHost(i, l.helpers[in.Imm], &l.calls.Helpers)
			a.AluRI(Add, W64, regLeft, n)
			a.Zero(RAX) // code behind relies on an element or null
			a.Jmp(join)
		})
		return slow
	}
	a.Load(4, RAX, l.checked(2, 0, 4, call))
	a.AluRI(Cmp, W32, RAX, int32(m.Entries))
	a.Jcc(CondAE, none)
	if m.CPUs != 0 {
		l.needCPU = true
		a.Load(4, regT1, l.field(offCPU))
		a.AluRI(Cmp, W32, regT1, int32(m.CPUs))
		a.Jcc(CondAE, none)
		l.times(regT1, m.Stride)
	}
	l.times(RAX, m.Elem)
	a.AluRI(Add, W64, RAX, int32(m.Base)) // which sign-extends from 32 bits
	if m.CPUs != 0 {
		a.AluRR(Add, W64, RAX, regT1)
	}
	a.Bind(done)
	l.inlineEnd(i)
	a.Bind(join)
	l.later(func() {
		a.Bind(none)
		a.Zero(RAX)
		a.Jmp(done)
	})
}

// times multiplies r by n.
func (l *lowering) times(r Reg, n uint64) {
	switch {
	case n == 0:
		l.a.Zero(r)
	case n&(n-1) == 0:
		if s := bits.TrailingZeros64(n); s != 0 {
			l.a.ShiftRI(Shl, W64, r, byte(s))
		}
	default:
		l.a.IMulRI(W64, r, r, int32(n))
	}
}

// inlineEnd does what every call of a helper does besides its work: it counts, and zeroes the arguments where that can be
// seen.
func (l *lowering) inlineEnd(i int32) {
	l.a.CountHelper()
	l.zeroArgs(i)
}

// zeroArgs zeroes the arguments after the call at instruction i where that can be seen.
func (l *lowering) zeroArgs(i int32) {
	for r := ir.Reg(1); r <= 5; r++ {
		if l.known.live[i-l.known.s.Start]>>r&1 != 0 {
			l.a.Zero(hostReg[r])
		}
	}
}
