package native

import (
	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/engine"
)

// Unit is the machine code of a set of programs with the offsets of its parts.
type Unit struct {
	Code []byte
	// Entry is where the activation of any subprogram begins: the one at the address context.value, with all arguments of the
	// context. Again is where to go on after a slice of the budget.
	Entry, Again int32
	Progs        []Prog
	Sites        []Site
	// Words return what programs ask for when they start, by number.
	Words []func() uint64
}

// Prog is the machine code of one program.
type Prog struct {
	// Thunk is where an activation with one argument begins. End is the end of the program's code.
	Thunk, End int32
	// Base is the number of its first instruction in the set.
	Base int32
	// Starts is the first instruction of each subprogram, Subs where its code is.
	Starts, Subs []int32
	Marks        []engine.Mark
	// NeedCPU: it asks for the processor. Words are those that it asks for, as bits.
	NeedCPU bool
	Words   uint8
}

// Site is a place that calls a helper or kfunc.
type Site struct {
	Fn   abi.Func
	Insn int32 // number of the instruction in the set
	// Keeps is how much of the private stack is in use: -1 if machine code says by context.sp where it ends, and by
	// context.callFP which frame is the current one. Otherwise it is the first one of the activation.
	Keeps int32
}

// WordSet numbers the words of a set of programs. The zero value is empty.
type WordSet struct {
	of   map[*abi.Word]int
	asks []func() uint64
}

// Number returns the number of a word; ok is false if there is no room for it.
func (s *WordSet) Number(w *abi.Word) (n int, ok bool) {
	n, ok = s.of[w]
	if !ok && len(s.asks) < NrWords {
		if s.of == nil {
			s.of = map[*abi.Word]int{}
		}
		n, ok = len(s.asks), true
		s.of[w] = n
		s.asks = append(s.asks, w.Ask)
	}
	return n, ok
}

// Asks are the functions to ask, by number.
func (s *WordSet) Asks() []func() uint64 { return s.asks }
