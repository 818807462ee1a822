package amd64

import (
	"github.com/schedsim/schedsim/vm/ir"
	"github.com/schedsim/schedsim/vm/jit/native"
)

// leaf says that the straight way through a program needs no stack: it calls neither Go nor subprograms. Such a program stays
// on the stack of the goroutine, of which it uses nothing; going to the private stack and back takes as long as the rest of an
// entry. Off the straight way it goes there after all.
type leaf struct {
	is bool
	// frame: it uses R10, so that rbp must be given back. counts: it calls functions, which are done in place.
	frame, counts bool
}

// leafOf tells whether the program being lowered is one. It takes numbers for the words that the program will read.
func (l *lowering) leafOf() (f leaf) {
	p, s := l.prog.Code, &l.prog.Code.Subs[0]
	if l.called {
		return leaf{}
	}
	for i := s.Start; i < s.End; i++ {
		in := &p.Insns[i]
		switch {
		case in.Op == ir.MayGoto || in.Op == ir.GotoX || in.Op == ir.CallSub || in.Op == ir.CallReg:
			return leaf{}
		case in.Op == ir.CallHelper || in.Op == ir.CallKfunc:
			w, inPlace := l.known0[0].InPlace(i)
			if w != nil && inPlace {
				_, inPlace = l.words.Number(w)
			}
			if !inPlace {
				return leaf{}
			}
			f.counts = true
		}
		f.frame = f.frame || in.Dst == 10 || in.Src == 10
	}
	f.is = true
	return f
}

// plain says what a program does without that is a single function and no leaf, so that its calls of Go cost less. It is false for
// all others.
type plain struct {
	frameless bool // it has no use for R10, so that rbp is Go's all the time
	countless bool // it does no function's work in place: none is counted, and Calls of the context stays 0
}

// plainOf tells what the program being lowered does without.
func (l *lowering) plainOf() plain {
	p := l.prog.Code
	if l.leaf.is || l.called || len(p.Subs) > 1 {
		return plain{}
	}
	f := plain{true, true}
	for i := range p.Insns {
		in := &p.Insns[i]
		if in.Dst == 10 || in.Src == 10 {
			f.frameless = false
		}
		if _, inPlace := l.known0[0].InPlace(int32(i)); inPlace || in.Op == ir.CallReg {
			f.countless = false
		}
	}
	return f
}

// leaveBy goes to one of the common ends of all programs, with what they expect.
func (l *lowering) leaveBy(end Label) {
	if l.plain.frameless {
		l.a.MovToX(xBP, RBP)
	}
	if l.plain.countless {
		l.a.ZeroHelpers()
	}
	l.a.Jmp(end)
}

// takeStack goes to the private stack, leaving the goroutine's.
func (l *lowering) takeStack() {
	a := l.a
	a.MovToX(xSP, RSP)
	if !l.leaf.frame && !l.plain.frameless {
		a.MovToX(xBP, RBP)
		a.Load(8, RBP, l.field(native.OffFP))
	}
	if l.leaf.is && !l.leaf.counts {
		a.ZeroHelpers()
	}
	a.Load(8, RSP, l.field(native.OffBase))
}

// leaveStack goes back from the private stack to the straight way of a leaf.
func (l *lowering) leaveStack() {
	l.a.MovFromX(RSP, xSP)
	if !l.leaf.frame {
		l.a.MovFromX(RBP, xBP)
	}
}

// beginLeaf begins an activation of a leaf that Go has begun on the private stack with all registers set.
func (l *lowering) beginLeaf() {
	l.leaveStack()
	l.a.Jmp(l.within)
}

// doneLeaf ends a leaf.
func (l *lowering) doneLeaf() {
	a := l.a
	a.Lea(W64, regT2, l.field(0))
	a.Store(8, At(regT2, native.OffR0), RAX)
	a.Store(8, At(regT2, native.OffLeft), regLeft)
	if l.leaf.counts {
		a.StoreHelpers(At(regT2, native.OffCalls))
		a.StoreImm(4, At(regT2, native.OffExit), native.ExitDone)
	} else { // and no calls
		a.StoreImm(8, At(regT2, native.OffExit), native.ExitDone)
	}
	if l.leaf.frame {
		a.MovFromX(RBP, xBP)
	}
	a.Ret()
}
