package amd64

import (
	"github.com/schedsim/schedsim/vm/ir"
	"github.com/schedsim/schedsim/vm/jit/native"
)

// leaf says that the straight way through a program needs no stack but what it keeps while Go runs: it calls no subprograms. Such a
// program stays on the stack of the goroutine, of which it uses nothing, also where it leaves for Go and comes back: going to the
// private stack and back takes as long as the rest of an entry. What it keeps is on the private stack all the same. Off the straight
// way it goes there after all.
type leaf struct {
	is bool
	// frame: it uses R10, so that rbp must be given back. calls: it calls Go. counts: it does the work of functions in place;
	// otherwise calls are counted in memory alone.
	frame, calls, counts bool
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
		case in.Op == ir.MayGoto || in.Op == ir.CallSub || in.Op == ir.CallReg || l.set.IsLoop(in):
			return leaf{}
		case in.Op == ir.CallHelper || in.Op == ir.CallKfunc:
			w, inPlace := l.known0[0].InPlace(i)
			if w != nil && inPlace {
				_, inPlace = l.words.Number(w)
			}
			f.counts, f.calls = f.counts || inPlace, f.calls || !inPlace
		}
		f.frame = f.frame || in.Dst == 10 || in.Src == 10
	}
	f.is = true
	return f
}

// takeStack goes to the private stack, leaving the goroutine's.
func (l *lowering) takeStack() {
	a := l.a
	a.MovToX(xSP, RSP)
	if !l.leaf.frame {
		a.MovToX(xBP, RBP)
		a.Load(8, RBP, l.field(native.OffFP))
	}
	switch {
	case !l.leaf.is || l.leaf.counts:
	case l.leaf.calls:
		a.LoadHelpers(l.field(native.OffCalls))
	default:
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
	switch {
	case l.leaf.counts:
		a.StoreHelpers(At(regT2, native.OffCalls))
		a.StoreImm(4, At(regT2, native.OffExit), native.ExitDone)
	case l.leaf.calls:
		a.StoreImm(4, At(regT2, native.OffExit), native.ExitDone)
	default: // and no calls
		a.StoreImm(8, At(regT2, native.OffExit), native.ExitDone)
	}
	if l.leaf.frame {
		a.MovFromX(RBP, xBP)
	}
	a.Ret()
}
