package abi

import "github.com/schedsim/schedsim/vm/ir"

// WordReg is the register by which the code of an Inline reads its Word. Programs have no such register.
const WordReg ir.Reg = 11

// Inline says in code what a function does, so that an engine of machine code need not leave for it. The function itself
// stays the truth: code and function must do the same for all arguments, and whether an engine uses the code makes no
// difference to results, counts of instructions or counts of calls.
//
// The rules, which engine.CheckInline knows: Code computes R0 from R1-R5 and changes no other register. It has arithmetic
// without division, plain loads and stores, and jumps forwards, the last of them to its end at most; it begins
// with nothing known of R0. Where it reaches ir.Invalid or accesses what is no memory, the function is called after all,
// with the arguments of the call that Code reads somewhere: it may look at no others, and up to there Code must have changed
// nothing but R0. Its instructions do not count.
type Inline struct {
	Code []ir.Insn
	// Word, if not nil, is what Code reads by *(u64 *)(WordReg + 0).
	Word *Word
}

// Word is a number that the code of functions reads; those that read the same share it. Ask returns it: when a program starts
// that calls one of the functions. The value must be right until the program ends; if Volatile, until the program calls any
// function that is not inlined (then the code is not used until the next start).
type Word struct {
	Ask      func() uint64
	Volatile bool
}
