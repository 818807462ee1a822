package flow

import (
	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/ir"
)

// Sub is what is known of a subprogram before it is compiled.
type Sub struct {
	set   *Set
	insns []ir.Insn // those of the subprogram
	jumps []ir.Jump // where indirect jumps lead to
	start int32
	// in are the facts at jump targets, by instruction; nil where no path was found.
	in map[int32]*Facts
	// targets has the instructions that jumps go to; live the registers whose value after an instruction may matter.
	targets []bool
	called  bool
	live    []uint16
	first   uint16 // those whose value at the beginning may matter
	// reads are the registers that calls look at, by instruction.
	reads map[int32]uint16
	// inPlace are the calls that need not leave machine code, with the word that they ask for.
	inPlace map[int32]*abi.Word
	// volatile: one of these words is.
	volatile bool
}

// After widenPasses passes over a subprogram, facts about accessible bytes no longer survive changes at loop heads, so that
// the search ends. Code that compilers make needs fewer than maxPasses; the rest is compiled without facts.
const (
	widenPasses = 4
	maxPasses   = 50
)

// Analyze finds the facts that hold on every path through the subprogram s of p. Not called: no code sees what it leaves in R1 to
// R9.
func (s *Set) Analyze(p *ir.Program, sub *ir.Sub, called bool) *Sub {
	an := &Sub{set: s, called: called, insns: p.Insns[sub.Start:sub.End], jumps: sub.Jumps, start: sub.Start, in: map[int32]*Facts{}, targets: make([]bool, sub.End-sub.Start)}
	for i := range an.insns {
		if in := &an.insns[i]; in.Op.IsJump() {
			an.targets[in.Target-sub.Start] = true
		}
	}
	for _, j := range sub.Jumps {
		an.targets[j.Target-sub.Start] = true
	}
	for pass := 0; an.forward(pass >= widenPasses); pass++ {
		if pass == maxPasses {
			an.in = nil // every jump target is one of which nothing is known
			break
		}
	}
	an.calls(p)
	an.backward()
	return an
}

// At returns what holds at the jump target i, whichever way leads there.
func (an *Sub) At(i int32) (f Facts) {
	if known := an.in[i]; known != nil {
		return *known
	}
	f.Forget() // no way leads there, or it was not found
	return f
}

// Live tells whether the value of r after instruction i may matter.
func (an *Sub) Live(i int32, r ir.Reg) bool { return an.live[i-an.start]>>r&1 != 0 }

// Dead tells whether all that instruction i does is to set a register that nobody reads.
func (an *Sub) Dead(i int32) bool {
	in := &an.insns[i-an.start]
	return pure(in) && !an.Live(i, in.Dst)
}

// pure tells whether all that in does is to set a register.
func pure(in *ir.Insn) bool { return in.Op.WritesDst() && in.Op.Size() == 0 && !in.Op.IsCall() }

// InPlace tells whether the call of a helper or kfunc by instruction i is done in place, if nothing extraordinary happens, and
// which word it reads, nil if none.
func (an *Sub) InPlace(i int32) (w *abi.Word, ok bool) {
	w, ok = an.inPlace[i]
	return w, ok
}

// Volatile tells whether the subprogram may read in machine code a word that is volatile.
func (an *Sub) Volatile() bool { return an.volatile }

// Start is the first instruction of the subprogram.
func (an *Sub) Start() int32 { return an.start }

// Reads tells whether the value of r at the beginning may matter.
func (an *Sub) Reads(r ir.Reg) bool { return an.first>>r&1 != 0 }

// forward follows the code once and tells whether facts changed at a place that it had passed.
func (an *Sub) forward(widen bool) (again bool) {
	var f Facts
	f.Forget()
	reached := true
	for k := range an.insns {
		i := an.start + int32(k)
		if an.targets[k] {
			if reached {
				an.merge(i, &f, false)
			}
			if reached = an.in[i] != nil; reached {
				f = *an.in[i]
			}
		}
		if !reached {
			continue
		}
		in := &an.insns[k]
		if in.Op.IsJump() {
			taken := f
			taken.Branch(in, true)
			if an.merge(in.Target, &taken, widen && in.Target <= i) && in.Target <= i {
				again = true
			}
			f.Branch(in, false)
		}
		if in.Op == ir.GotoX {
			for _, j := range an.jumps {
				if an.merge(j.Target, &f, widen && j.Target <= i) && j.Target <= i {
					again = true
				}
			}
		}
		an.set.Step(&f, i, in)
		reached = !in.Op.Ends()
	}
	return again
}

// merge adds a path to the jump target at and tells whether less is known there now.
func (an *Sub) merge(at int32, f *Facts, widen bool) bool {
	old := an.in[at]
	if old == nil {
		c := *f
		an.in[at] = &c
		return true
	}
	changed := false
	for r := range old {
		m := old[r].meet(f[r])
		if m == old[r] {
			continue
		}
		if widen {
			m.lo, m.hi = 0, 0
			if m.kind == orNull {
				m = fact{}
			}
		}
		old[r], changed = m, true
	}
	return changed
}

// calls finds what calls read, with what is known at each of them.
func (an *Sub) calls(p *ir.Program) {
	an.reads, an.inPlace = map[int32]uint16{}, map[int32]*abi.Word{}
	var f Facts
	f.Forget()
	for k := range an.insns {
		i, in := an.start+int32(k), &an.insns[k]
		if an.targets[k] {
			f = an.At(i)
		}
		if in.Op == ir.CallHelper || in.Op == ir.CallKfunc {
			an.reads[i] = an.set.reads(&f, p, in)
			if w, ok := an.set.inPlace(&f, p, in); ok {
				an.inPlace[i] = w
				an.volatile = an.volatile || w != nil && w.Volatile
			}
		}
		if in.Op.IsJump() {
			f.Branch(in, false)
		}
		an.set.Step(&f, i, in)
	}
}

// backward finds live registers.
func (an *Sub) backward() {
	an.live = make([]uint16, len(an.insns))
	before := make([]uint16, len(an.insns)) // live before the instruction
	changed := true
	defer func() { an.first |= before[0] }()
	for pass := 0; changed; pass++ {
		if pass == maxPasses {
			for i := range an.live {
				an.live[i] = 1<<11 - 1
			}
			an.first = 1<<11 - 1
			return
		}
		changed = false
		for i := len(an.insns) - 1; i >= 0; i-- {
			in := &an.insns[i]
			var out uint16
			if !in.Op.Ends() && i+1 < len(an.insns) {
				out = before[i+1]
			}
			if in.Op == ir.GotoX {
				for _, j := range an.jumps {
					out |= before[j.Target-an.start]
				}
			}
			if in.Op.IsJump() {
				out |= before[in.Target-an.start]
			}
			an.live[i] = out
			reads, writes := registers(in)
			switch {
			case in.Op == ir.Exit && !an.called:
				reads = 1
			case in.Op == ir.CallHelper || in.Op == ir.CallKfunc:
				reads = an.reads[an.start+int32(i)]
			case pure(in) && out>>in.Dst&1 == 0: // it need not run
				reads = 0
			}
			if b := out&^writes | reads; b != before[i] {
				before[i], changed = b, true
			}
		}
	}
}

// registers are those that in reads and writes, as bits. What it may or may not write is not among the latter.
func registers(in *ir.Insn) (reads, writes uint16) {
	const all, args = 1<<11 - 1, 1<<1 | 1<<2 | 1<<3 | 1<<4 | 1<<5 // those that calls read are found otherwise
	switch op := in.Op; {
	case op == ir.CallSub || op == ir.CallReg:
		return all, 0
	case op == ir.CallHelper || op == ir.CallKfunc:
		return args, args | 1
	case op == ir.Exit: // the caller of a subprogram sees R0-R5
		return args | 1, 0
	case op == ir.LdImm64 || op == ir.Mov64K || op == ir.Mov32K:
		return 0, 1 << in.Dst
	case op == ir.Mov64X || op == ir.Mov32X || op.IsLoad():
		return 1 << in.Src, 1 << in.Dst
	}
	return 1<<in.Dst | 1<<in.Src | 1, 0
}

// SubAt finds the subprogram of p whose code address is off behind that of the program, and returns its first instruction.
func SubAt(p *ir.Program, off uint64) (at int32, ok bool) {
	if off&7 != 0 || off>>3 >= uint64(len(p.Insns)) {
		return 0, false
	}
	at = int32(off >> 3)
	for i := range p.Subs {
		if p.Subs[i].Start == at {
			return at, true
		}
	}
	return 0, false
}
