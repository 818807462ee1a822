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

// takeStack goes to the private stack, leaving the goroutine's.
func (l *lowering) takeStack() {
	a := l.a
	a.MovToX(2, RSP)
	if !l.leaf.is || !l.leaf.frame {
		a.MovToX(3, RBP)
		a.Load(8, RBP, l.field(native.OffFP))
	}
	if l.leaf.is && !l.leaf.counts {
		a.ZeroHelpers()
	}
	a.Load(8, RSP, l.field(native.OffBase))
}

// leaveStack goes back from the private stack to the straight way of a leaf.
func (l *lowering) leaveStack() {
	l.a.MovFromX(RSP, 2)
	if !l.leaf.frame {
		l.a.MovFromX(RBP, 3)
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
	} else {
		a.StoreImm(8, At(regT2, native.OffCalls), 0)
	}
	a.StoreImm(8, At(regT2, native.OffExit), native.ExitDone)
	if l.leaf.frame {
		a.MovFromX(RBP, 3)
	}
	a.Ret()
}
