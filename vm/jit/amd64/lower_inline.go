package amd64

import (
	"math/bits"

	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/engine"
	"github.com/schedsim/schedsim/vm/ir"
	"github.com/schedsim/schedsim/vm/jit/flow"
	"github.com/schedsim/schedsim/vm/jit/native"
)

// Template lowers the call at instruction i of a function that t describes; false: the function must be called.
func (l *lowering) Template(i int32, t *abi.Inline, fn abi.Func) bool {
	e := expansion{l, t, 0, l.behind(i, fn)}
	if t.Word != nil {
		var ok bool
		if e.word, ok = l.words.Number(t.Word); !ok {
			return false
		}
		l.need |= 1 << e.word
	}
	flow.Expand(l.set, e, &l.facts, i, t)
	l.inlineEnd(i)
	l.a.Bind(e.slow.Join)
	return true
}

// expansion makes code of an abi.Inline; see flow.Expand.
type expansion struct {
	*lowering
	t    *abi.Inline
	word int
	slow *flow.Behind[Label]
}

var _ flow.Assembler[Label] = expansion{}

func (e expansion) Call() Label { return e.slow.Call() }

func (e expansion) Branch(in *ir.Insn, to Label) { e.a.Jcc(e.compare(in), to) }

func (e expansion) Word(in *ir.Insn) {
	if e.t.Word.Volatile {
		e.a.AluMI(Cmp, W64, e.field(native.OffFresh), 0)
		e.a.Jcc(CondE, e.Call())
	}
	e.a.Load(8, hostReg[in.Dst], e.field(native.OffWords+8*int32(e.word)))
}

func (e expansion) Operate(in *ir.Insn) {
	if !e.alu(in) {
		e.operate(in, e.checked(baseOf(in), in.Off, in.Op.Size(), e.Call))
	}
}

// behind prepares a call of fn for instruction i off the straight way, which goes on at its Join.
func (l *lowering) behind(i int32, fn abi.Func) *flow.Behind[Label] {
	return flow.NewBehind[Label](l, i, fn, l.count.Owed(i+1))
}

// CPU lowers bpf_get_smp_processor_id.
func (l *lowering) CPU(i int32) {
	l.needCPU = true
	l.a.Load(4, RAX, l.field(native.OffCPU))
	l.inlineEnd(i)
}

// Methods for package flow.

func (l *lowering) NewLabel() Label { return l.a.NewLabel() }
func (l *lowering) Bind(at Label)   { l.a.Bind(at) }
func (l *lowering) Jmp(to Label)    { l.a.Jmp(to) }
func (l *lowering) Later(f func())  { l.later(f) }

func (l *lowering) CallGo(i int32, fn abi.Func, owed int32) {
	l.subtract(owed)
	l.callHost(i, fn)
	l.subtract(-owed)
}

// Lookup lowers bpf_map_lookup_elem on an array. Where the key cannot be read, the helper is called after all: it knows
// what to say.
func (l *lowering) Lookup(i int32, in *ir.Insn, m *engine.Array) {
	a := l.a
	none, done := a.NewLabel(), a.NewLabel()
	slow := l.behind(i, l.helpers[in.Imm])
	slow.Before = func() { a.MovRI(RDI, int64(m.Map)) }
	slow.After = func() { a.Zero(RAX) } // code behind relies on an element or null
	a.Load(4, RAX, l.checked(2, 0, 4, slow.Call))
	a.AluRI(Cmp, W32, RAX, int32(m.Entries))
	a.Jcc(CondAE, none)
	if m.CPUs != 0 {
		if l.set.PerCPU(in) {
			a.MovRR(W32, regT1, RDX)
		} else {
			l.needCPU = true
			a.Load(4, regT1, l.field(native.OffCPU))
		}
		a.AluRI(Cmp, W32, regT1, int32(m.CPUs))
		a.Jcc(CondAE, none)
		l.times(regT1, m.Stride)
	}
	l.times(RAX, m.Elem)
	if base := int32(m.Base); m.CPUs != 0 { // which sign-extends from 32 bits
		a.Lea(W64, RAX, AtIndex(RAX, regT1, base))
	} else {
		a.AluRI(Add, W64, RAX, base)
	}
	a.Bind(done)
	l.inlineEnd(i)
	a.Bind(slow.Join)
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
		if l.known.Live(i, r) {
			l.a.Zero(hostReg[r])
		}
	}
}
