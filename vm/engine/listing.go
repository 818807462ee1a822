package engine

import (
	"bytes"
	"slices"
)

// Lister is a Code that can show what it runs: machine code.
type Lister interface {
	// Listing is the machine code of program number prog.
	Listing(prog int) Listing
}

// Listing is the machine code of one program.
type Listing struct {
	// Arch is the architecture, as GOARCH calls it.
	Arch string
	// Code lies at Off of the code of the set, which begins with what all programs share.
	Code []byte
	Off  int32
	// Marks say to which instruction the code belongs, in the order of addresses; the first is at Off.
	Marks []Mark
}

// Mark says that the set's code from byte Off on, to the next Mark, belongs to instruction Insn of the program; -1: it is no code but
// data.
type Mark struct{ Off, Insn int32 }

// AddMark appends a Mark that comes after those in m, unless it says nothing new.
func AddMark(m []Mark, off, insn int32) []Mark {
	switch n := len(m); {
	case n > 0 && m[n-1].Insn == insn:
		return m
	case n > 0 && m[n-1].Off == off:
		m[n-1].Insn = insn
		return m
	}
	return append(m, Mark{off, insn})
}

// NewListing is the Listing of a program whose code lies within text, from the first of the marks to end.
func NewListing(arch string, text []byte, marks []Mark, end int32) Listing {
	if len(marks) == 0 {
		return Listing{Arch: arch}
	}
	off := marks[0].Off
	return Listing{Arch: arch, Code: bytes.Clone(text[off:end]), Off: off, Marks: slices.Clone(marks)}
}
