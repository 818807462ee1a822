package flow

import (
	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/ir"
)

// Assembler is what Expand needs of a machine. L is the machine's type of places in its code.
type Assembler[L any] interface {
	NewLabel() L
	Bind(L)
	Jmp(L)
	// Branch goes to a place if the condition of the jump in holds.
	Branch(in *ir.Insn, to L)
	// Word is in.Dst = the word of the code.
	Word(in *ir.Insn)
	// Operate does what any other instruction does; where it would access what is no memory, it goes to where Call leads.
	Operate(in *ir.Insn)
	// Call is a place behind the program that calls the function.
	Call() L
}

// Expand makes machine code of what t says of the function that instruction i calls, and leaves f as it was. Only what the code
// itself shows is known in it, and what f knows of the arguments.
func Expand[L any](s *Set, a Assembler[L], f *Facts, i int32, t *abi.Inline) {
	before := *f
	// Where jumps lead: places, and what is known there.
	labels, known := make([]L, len(t.Code)+1), make([]*Facts, len(t.Code)+1)
	to := func(target int32) L {
		if known[target] == nil {
			at := *f
			labels[target], known[target] = a.NewLabel(), &at
		}
		known[target].Meet(f)
		return labels[target]
	}
	reached := true
	for k := range t.Code {
		if at := known[k]; at != nil {
			if reached {
				to(int32(k))
			}
			a.Bind(labels[k])
			*f, reached = *at, true
		}
		in := &t.Code[k]
		switch {
		case !reached:
		case in.Op == ir.Invalid:
			a.Jmp(a.Call())
			reached = false
		case in.Op == ir.Ja:
			a.Jmp(to(in.Target))
			reached = false
		case in.Op.IsJump():
			a.Branch(in, to(in.Target))
			s.Step(f, i, in)
		case in.Op == ir.Ld64 && in.Src == abi.WordReg:
			a.Word(in)
			f.Lose(in.Dst)
		default:
			a.Operate(in)
			s.Step(f, i, in)
		}
	}
	if known[len(t.Code)] != nil {
		a.Bind(labels[len(t.Code)])
	}
	*f = before
}
