package amd64

import (
	"math/bits"
	"unsafe"

	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/engine"
	"github.com/schedsim/schedsim/vm/ir"
	"github.com/schedsim/schedsim/vm/jit/flow"
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
		l.a.Load(4, RAX, l.field(offCPU))
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
		return l.template(i, t, l.prog.Kfuncs[in.Imm], &l.calls.Kfuncs)
	}
	return l.template(i, t, l.helpers[in.Imm], &l.calls.Helpers)
}

// word returns the number of the word t; ok is false if there is no room for it.
func (l *lowering) word(t *abi.Word) (n int, ok bool) {
	n, ok = l.wordOf[t]
	if !ok && len(l.words) < nrWords {
		if l.wordOf == nil {
			l.wordOf = map[*abi.Word]int{}
		}
		n, ok = len(l.words), true
		l.wordOf[t] = n
		l.words = append(l.words, t.Ask)
	}
	return n, ok
}

// template lowers the call at instruction i of a function that t describes; false: the function must be called.
func (l *lowering) template(i int32, t *abi.Inline, fn abi.Func, count *uint64) bool {
	word := 0
	if t.Word != nil {
		var ok bool
		if word, ok = l.word(t.Word); !ok {
			return false
		}
		l.need.bits |= 1 << word
		l.need.volatile = l.need.volatile || t.Word.Volatile
	}
	a, n, before := l.a, l.count.Owed(i+1), l.facts
	slow, join := Label(-1), a.NewLabel()
	call := func() Label {
		if slow < 0 {
			slow = a.NewLabel()
			at := slow
			l.later(func() {
				a.Bind(at)
				l.subtract(n)
				l.callHost(i, fn, count)
				l.subtract(-n)
				a.Jmp(join)
			})
		}
		return slow
	}
	// Where jumps lead: labels, and what is known there.
	labels, known := make([]Label, len(t.Code)+1), make([]*flow.Facts, len(t.Code)+1)
	to := func(target int32) Label {
		f := known[target]
		if f == nil {
			labels[target], f = a.NewLabel(), new(flow.Facts)
			*f, known[target] = l.facts, f
		}
		f.Meet(&l.facts)
		return labels[target]
	}
	reached := true
	for k := range t.Code {
		if f := known[k]; f != nil {
			if reached {
				to(int32(k))
			}
			a.Bind(labels[k])
			l.facts, reached = *f, true
		}
		in := &t.Code[k]
		switch {
		case !reached:
			continue
		case in.Op == ir.Invalid:
			a.Jmp(call())
			reached = false
			continue
		case in.Op == ir.Ja:
			a.Jmp(to(in.Target))
			reached = false
			continue
		case in.Op.IsJump():
			a.Jcc(l.compare(in), to(in.Target))
		case in.Op == ir.Ld64 && in.Src == abi.WordReg:
			if t.Word.Volatile {
				a.AluMI(Cmp, W64, l.field(offFresh), 0)
				a.Jcc(CondE, call())
			}
			a.Load(8, hostReg[in.Dst], l.field(offWords+8*int32(word)))
			l.facts.Lose(in.Dst)
			continue
		case l.alu(in):
		default:
			l.operate(in, l.checked(baseOf(in), in.Off, in.Op.Size(), call))
		}
		l.set.Step(&l.facts, i, in)
	}
	if known[len(t.Code)] != nil {
		a.Bind(labels[len(t.Code)])
	}
	l.facts = before
	if count == &l.calls.Helpers {
		l.a.CountHelper()
	} else {
		// Safety: the counter is part of Env.Call, which the code keeps alive, and objects of the heap do not move.
		a.MovRI(regT1, int64(uintptr(unsafe.Pointer(count))))
		a.AluMI(Add, W64, At(regT1, 0), 1)
	}
	l.zeroArgs(i)
	a.Bind(join)
	return true
}

// lookup lowers bpf_map_lookup_elem on an array. Where the key cannot be read, the helper is called after all: it knows
// what to say.
func (l *lowering) lookup(i int32, in *ir.Insn, m *engine.Array) {
	a := l.a
	none, done, join := a.NewLabel(), a.NewLabel(), a.NewLabel()
	n := l.count.Owed(i + 1)
	call := func() Label {
		slow := a.NewLabel()
		l.later(func() {
			a.Bind(slow)
			l.subtract(n)
			l.callHost(i, l.helpers[in.Imm], &l.calls.Helpers)
			l.subtract(-n)
			a.Zero(RAX) // code behind relies on an element or null
			a.Jmp(join)
		})
		return slow
	}
	a.Load(4, RAX, l.checked(2, 0, 4, call))
	a.AluRI(Cmp, W32, RAX, int32(m.Entries))
	a.Jcc(CondAE, none)
	if m.CPUs != 0 {
		if l.set.PerCPU(in) {
			a.MovRR(W32, regT1, RDX)
		} else {
			l.needCPU = true
			a.Load(4, regT1, l.field(offCPU))
		}
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
		if l.known.Live(i, r) {
			l.a.Zero(hostReg[r])
		}
	}
}
