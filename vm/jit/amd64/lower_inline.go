package amd64

import (
	"math/bits"

	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/engine"
	"github.com/schedsim/schedsim/vm/ir"
	"github.com/schedsim/schedsim/vm/jit/flow"
	"github.com/schedsim/schedsim/vm/jit/native"
)

// inlined lowers calls of helpers that need no call (engine.Inline); false: this one does.
func (l *lowering) inlined(i int32, in *ir.Insn) bool {
	if m := l.set.ArrayOf(&l.facts, in); m != nil {
		l.lookup(i, in, m)
		return true
	}
	if t := l.set.TableOf(&l.facts, in); t != nil {
		l.find(i, in, t, false)
		return true
	}
	if t := l.set.UpdatedBy(&l.facts, in); t != nil {
		l.find(i, in, t, true)
		return true
	}
	if l.set.IsCPUID(in) {
		l.needCPU = true
		l.a.Load(4, RAX, l.field(native.OffCPU))
		l.inlineEnd(i)
		return true
	}
	if fn, ok := l.set.LoopOf(&l.facts, in); ok {
		if at, ok := l.subAt(fn); ok {
			l.loop(i, at)
			return true
		}
	}
	t := l.set.CodeOf(l.prog.Code, in)
	switch {
	case t == nil:
		return false
	case in.Op == ir.CallKfunc:
		return l.template(i, t, l.prog.Kfuncs[in.Imm])
	}
	return l.template(i, t, l.helpers[in.Imm])
}

// template lowers the call at instruction i of a function that t describes; false: the function must be called.
func (l *lowering) template(i int32, t *abi.Inline, fn abi.Func) bool {
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
	l.a.Bind(e.slow.join)
	return true
}

// expansion makes code of an abi.Inline; see flow.Expand.
type expansion struct {
	*lowering
	t    *abi.Inline
	word int
	slow *behind
}

var _ flow.Assembler[Label] = expansion{}

func (e expansion) NewLabel() Label { return e.a.NewLabel() }
func (e expansion) Bind(l Label)    { e.a.Bind(l) }
func (e expansion) Jmp(l Label)     { e.a.Jmp(l) }
func (e expansion) Call() Label     { return e.slow.call() }

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

// behind is code behind the program that calls a function which is not called on the straight way. It is made when it is first
// asked for.
type behind struct {
	l    *lowering
	i    int32
	fn   abi.Func
	owed int32 // instructions that are not counted yet
	// before and after are code around the call, nil: none.
	before, after func()
	join          Label // where it goes on
	at            Label
	made          bool
}

// behind prepares the call of fn for instruction i; the straight way goes on at its join.
func (l *lowering) behind(i int32, fn abi.Func) *behind {
	return &behind{l: l, i: i, fn: fn, owed: l.count.Owed(i + 1), join: l.a.NewLabel(), at: l.a.NewLabel()}
}

// call is where the code is.
func (b *behind) call() Label {
	if b.made {
		return b.at
	}
	b.made = true
	l := b.l
	l.later(func() {
		l.a.Bind(b.at)
		if b.before != nil {
			b.before()
		}
		l.subtract(b.owed)
		if l.leaf.is {
			l.takeStack()
		}
		l.callHost(b.i, b.fn)
		if l.leaf.is {
			l.leaveStack()
		}
		l.subtract(-b.owed)
		if b.after != nil {
			b.after()
		}
		l.a.Jmp(b.join)
	})
	return b.at
}

// lookup lowers bpf_map_lookup_elem on an array. Where the key cannot be read, the helper is called after all: it knows
// what to say.
func (l *lowering) lookup(i int32, in *ir.Insn, m *engine.Array) {
	a := l.a
	none, done := a.NewLabel(), a.NewLabel()
	slow := l.behind(i, l.helpers[in.Imm])
	slow.before = func() { a.MovRI(RDI, int64(m.Map)) }
	slow.after = func() { a.Zero(RAX) } // code behind relies on an element or null
	a.Load(4, RAX, l.checked(2, 0, 4, slow.call))
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
	a.Bind(slow.join)
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
