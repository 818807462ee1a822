package flow

import (
	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/engine"
	"github.com/schedsim/schedsim/vm/ir"
)

// Inliner does in machine code what helpers and kernel functions do.
type Inliner interface {
	// Lookup finds an element of an array, Find one of a table, or with update changes it.
	Lookup(i int32, in *ir.Insn, m *engine.Array)
	Find(i int32, in *ir.Insn, t *engine.Table, update bool)
	// CPU is the number of the processor.
	CPU(i int32)
	// Loop is bpf_loop with the subprogram at instruction at as its callback.
	Loop(i, at int32)
	// Template does what t says, instead of calling fn; false: it cannot.
	Template(i int32, t *abi.Inline, fn abi.Func) bool
}

// InPlace does the call in, instruction i of program number n, in machine code if it can be done there; false: it must be
// called. Before it f holds.
func InPlace(s *Set, m Inliner, f *Facts, p *engine.Prog, n int, i int32, in *ir.Insn) bool {
	if a := s.ArrayOf(f, in); a != nil {
		m.Lookup(i, in, a)
		return true
	}
	if t := s.TableOf(f, in); t != nil {
		m.Find(i, in, t, false)
		return true
	}
	if t := s.UpdatedBy(f, in); t != nil {
		m.Find(i, in, t, true)
		return true
	}
	if s.IsCPUID(in) {
		m.CPU(i)
		return true
	}
	if fn, ok := s.LoopOf(f, in); ok {
		if at, ok := SubAt(p.Code, fn-engine.CodeAddr(n, 0)); ok {
			m.Loop(i, at)
			return true
		}
	}
	t := s.CodeOf(f, p.Code, in)
	switch {
	case t == nil:
		return false
	case in.Op == ir.CallKfunc:
		return m.Template(i, t, p.Kfuncs[in.Imm])
	}
	return m.Template(i, t, s.helpers[in.Imm])
}
