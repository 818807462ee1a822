package arm64

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

func (e expansion) Branch(in *ir.Insn, to Label) { e.branch(in, to, false) }

func (e expansion) Word(in *ir.Insn) {
	if e.t.Word.Volatile {
		e.a.Load(8, regT1, At(regContext, native.OffFresh))
		e.a.BZero(W64, regT1, false, e.Call())
	}
	e.a.Load(8, hostReg[in.Dst], At(regContext, native.OffWords+8*int32(e.word)))
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
	l.a.Load(4, hostReg[0], At(regContext, native.OffCPU))
	l.inlineEnd(i)
}

// Methods for package flow.

func (l *lowering) NewLabel() Label { return l.a.NewLabel() }
func (l *lowering) Bind(at Label)   { l.a.Bind(at) }
func (l *lowering) Jmp(to Label)    { l.a.B(to) }
func (l *lowering) Later(f func())  { l.later(f) }

func (l *lowering) CallGo(i int32, fn abi.Func, owed int32) {
	l.subtract(owed, false)
	l.callHost(i, fn)
	l.subtract(-owed, false)
}

// Lookup lowers bpf_map_lookup_elem on an array. Where the key cannot be read, the helper is called after all: it knows
// what to say.
func (l *lowering) Lookup(i int32, in *ir.Insn, m *engine.Array) {
	a, r0 := l.a, hostReg[0]
	none, done := a.NewLabel(), a.NewLabel()
	slow := l.behind(i, l.helpers[in.Imm])
	slow.Before = func() { a.MovRI(hostReg[1], m.Map) }
	slow.After = func() { a.MovRI(r0, 0) } // code behind relies on an element or null
	a.Load(4, r0, l.checked(2, 0, 4, slow.Call))
	l.cmpU32(r0, m.Entries)
	a.BCond(HS, none)
	a.MovRI(regT3, m.Base)
	if m.CPUs != 0 {
		if l.set.PerCPU(in) {
			a.MovRR(W32, regT1, hostReg[3])
		} else {
			l.needCPU = true
			a.Load(4, regT1, At(regContext, native.OffCPU))
		}
		l.cmpU32(regT1, m.CPUs)
		a.BCond(HS, none)
		l.multiple(regT3, regT3, regT1, m.Stride)
	}
	l.multiple(r0, regT3, r0, m.Elem)
	a.Bind(done)
	l.inlineEnd(i)
	a.Bind(slow.Join)
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
	l.zeroArgs(i)
}

// zeroArgs zeroes the arguments after the call at instruction i where that can be seen.
func (l *lowering) zeroArgs(i int32) {
	for r := ir.Reg(1); r <= 5; r++ {
		if l.known.Live(i, r) {
			l.a.MovRI(hostReg[r], 0)
		}
	}
}
