package amd64

import (
	"math/bits"

	"github.com/schedsim/schedsim/vm/engine"
	"github.com/schedsim/schedsim/vm/ir"
)

// inlined lowers calls of helpers that need no call (engine.Inline); false: this one does.
func (l *lowering) inlined(i int32, in *ir.Insn) bool {
	if in.Op != ir.CallHelper || in.Imm <= 0 || in.Imm >= int64(len(l.helpers)) || l.helpers[in.Imm] == nil {
		return false
	}
	switch in.Imm {
	case l.inline.CPUID:
		l.needCPU = true
		l.a.Load(4, RAX, l.field(offCPU))
		l.inlineEnd()
		return true
	case l.inline.Lookup:
		addr, known := l.facts.constant(1)
		for k := range l.inline.Arrays {
			if m := &l.inline.Arrays[k]; known && m.Map == addr {
				return l.lookup(i, in, m)
			}
		}
	}
	return false
}

// lookup lowers bpf_map_lookup_elem on an array. Where the key cannot be read, the helper is called after all: it knows
// what to say.
func (l *lowering) lookup(i int32, in *ir.Insn, m *engine.Array) bool {
	if !fits32(int64(m.Elem)) || !fits32(int64(m.Stride)) || !fits32(int64(m.Base)) {
		return false
	}
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
	a.AluRI(Add, W64, RAX, int32(m.Base))
	if m.CPUs != 0 {
		a.AluRR(Add, W64, RAX, regT1)
	}
	a.Bind(done)
	l.inlineEnd()
	a.Bind(join)
	l.later(func() {
		a.Bind(none)
		a.Zero(RAX)
		a.Jmp(done)
	})
	return true
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

// inlineEnd does what every call of a helper does besides its work.
func (l *lowering) inlineEnd() {
	l.a.AluMI(Add, W64, l.field(offInlined), 1)
	for _, r := range []Reg{RDI, RSI, RDX, RCX, R8} {
		l.a.Zero(r)
	}
}
