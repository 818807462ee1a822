package amd64

import (
	"github.com/schedsim/schedsim/vm/engine"
	"github.com/schedsim/schedsim/vm/ir"
	"github.com/schedsim/schedsim/vm/mem"
)

// analysis is what is known of a subprogram before it is lowered.
type analysis struct {
	l *lowering
	s *ir.Sub
	// in are the facts at jump targets, by instruction; nil where no path was found.
	in map[int32]*facts
	// live has a bit per register for each instruction of the subprogram: its value after the instruction may matter.
	live []uint16
	// first are the registers whose values at the beginning may matter.
	first uint16
}

// After widenPasses passes over a subprogram, facts about accessible bytes no longer survive changes at loop heads, so that
// the search ends. Code that compilers make needs fewer than maxPasses; the rest is lowered without facts.
const (
	widenPasses = 4
	maxPasses   = 50
)

// analyze finds facts that hold on every path, as the kernel's verifier does for values but with one state per place: where
// paths meet, what differs is forgotten.
func (l *lowering) analyze(s *ir.Sub) *analysis {
	an := &analysis{l: l, s: s, in: map[int32]*facts{}}
	for pass := 0; an.forward(pass >= widenPasses); pass++ {
		if pass == maxPasses {
			an.in = nil // every jump target is one of which nothing is known
			break
		}
	}
	an.backward()
	return an
}

// forward follows the code once and tells whether facts changed at a place that it had passed.
func (an *analysis) forward(widen bool) (again bool) {
	insns, targets := an.l.prog.Code.Insns, an.l.targets
	var f facts
	f.forget()
	reached := true
	for i := an.s.Start; i < an.s.End; i++ {
		if _, ok := targets[i]; ok {
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
		in := &insns[i]
		if in.Op.IsJump() {
			taken := f
			taken.branch(in, true)
			if an.merge(in.Target, &taken, widen && in.Target <= i) && in.Target <= i {
				again = true
			}
			f.branch(in, false)
		}
		an.l.step(&f, i, in)
		reached = in.Op != ir.Ja && in.Op != ir.Exit && in.Op != ir.Invalid
	}
	return again
}

// merge adds a path to the jump target at and tells whether less is known there now.
func (an *analysis) merge(at int32, f *facts, widen bool) bool {
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

// backward finds live registers.
func (an *analysis) backward() {
	insns := an.l.prog.Code.Insns[an.s.Start:an.s.End]
	an.live = make([]uint16, len(insns))
	before := make([]uint16, len(insns)) // live before the instruction
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
		for i := len(insns) - 1; i >= 0; i-- {
			in := &insns[i]
			var out uint16
			if in.Op != ir.Ja && in.Op != ir.Exit && in.Op != ir.Invalid && i+1 < len(insns) {
				out = before[i+1]
			}
			if in.Op.IsJump() {
				out |= before[in.Target-an.s.Start]
			}
			an.live[i] = out
			reads, writes := registers(in)
			if b := out&^writes | reads; b != before[i] {
				before[i], changed = b, true
			}
		}
	}
}

// registers are those that in reads and writes, as bits. What it may or may not write is not among the latter.
func registers(in *ir.Insn) (reads, writes uint16) {
	const all, args = 1<<11 - 1, 1<<1 | 1<<2 | 1<<3 | 1<<4 | 1<<5
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

// step follows instruction i, after which f holds unless it faulted or jumped.
func (l *lowering) step(f *facts, i int32, in *ir.Insn) {
	switch {
	case in.Probe, in.Arena: // its address may be anything
	case in.Op.IsLoad():
		f.checked(in.Src, in.Off, in.Op.Size())
	case in.Op.Size() > 0:
		f.checked(in.Dst, in.Off, in.Op.Size())
	}
	m, t := l.arrayOf(f, in), l.tableOf(f, in)
	f.step(in)
	switch {
	case m != nil:
		f.element(i, m.Elem)
	case t != nil:
		f.element(i, t.Size)
	}
}

// tableOf returns the table that in looks an element up in; nil: it does something else.
func (l *lowering) tableOf(f *facts, in *ir.Insn) *engine.Table {
	if in.Op != ir.CallHelper || len(l.tables) == 0 || !l.hasHelper(in.Imm) {
		return nil
	}
	if addr, known := f.constant(1); known {
		if t := l.tables[addr]; t != nil && (in.Imm == t.Storage || t.Storage == 0 && in.Imm == l.inline.Lookup) {
			return t
		}
	}
	return nil
}

// updatedBy returns the table in which in changes a value that generated code can copy; nil: it does something else.
func (l *lowering) updatedBy(f *facts, in *ir.Insn) *engine.Table {
	if in.Op != ir.CallHelper || in.Imm != l.inline.Update || !l.hasHelper(in.Imm) {
		return nil
	}
	if addr, known := f.constant(1); known {
		if t := l.tables[addr]; t != nil && t.Storage == 0 && t.Plain && (t.Size == 4 || t.Size%8 == 0 && t.Size > 0 && t.Size <= maxCopy) {
			return t
		}
	}
	return nil
}

// useTables notes the tables of env that generated code can handle.
func (l *lowering) useTables(list []engine.Table) {
	l.tables = make(map[uint64]*engine.Table, len(list))
	for i := range list {
		const most = 1 << 30
		if t := &list[i]; t.Index != nil && t.Size <= most && t.Value <= most && t.Stride <= most && (t.Storage > 0 || t.Key == 4 || t.Key == 8) {
			l.tables[t.Map] = t
		}
	}
}

// arrayOf returns the array that in looks an element up in; nil: it does something else.
func (l *lowering) arrayOf(f *facts, in *ir.Insn) *engine.Array {
	perCPU := in.Imm == l.inline.LookupPerCPU
	if in.Op != ir.CallHelper || in.Imm != l.inline.Lookup && !perCPU || !l.hasHelper(in.Imm) {
		return nil
	}
	if addr, known := f.constant(1); known {
		if m := l.arrays[addr]; m != nil && (!perCPU || m.CPUs != 0) {
			return m
		}
	}
	return nil
}

// useArrays notes the arrays of env that generated code can handle.
func (l *lowering) useArrays(list []engine.Array) {
	l.arrays = make(map[uint64]*engine.Array, len(list))
	for i := range list {
		if m := &list[i]; l.plausible(m) {
			l.arrays[m.Map] = m
		}
	}
}

// plausible tells whether all elements of m are accessible and its numbers fit an instruction.
func (l *lowering) plausible(m *engine.Array) bool {
	const most = 1 << 30
	cpus := uint64(max(m.CPUs, 1))
	if m.Elem > most || m.Stride > most || m.Elem*uint64(m.Entries) > most || m.Stride*cpus > most {
		return false
	}
	off := m.Base - mem.Base
	return off < l.limit && m.Elem*uint64(m.Entries)+m.Stride*(cpus-1) <= l.limit-off
}

// hasHelper tells whether there is a helper number n.
func (l *lowering) hasHelper(n int64) bool {
	return n > 0 && n < int64(len(l.helpers)) && l.helpers[n] != nil
}
