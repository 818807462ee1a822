package interp_test

import (
	"testing"

	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/engine"
	"github.com/schedsim/schedsim/vm/engine/enginetest"
	"github.com/schedsim/schedsim/vm/interp"
	"github.com/schedsim/schedsim/vm/ir"
)

func TestArenas(t *testing.T) { enginetest.Arenas(t, interp.Engine{}) }

func TestConformance(t *testing.T) { enginetest.Conformance(t, interp.Engine{}) }

func TestSemantics(t *testing.T) { enginetest.Semantics(t, interp.Engine{}) }

func TestProbes(t *testing.T) { enginetest.Probes(t, interp.Engine{}) }

func BenchmarkInterp(b *testing.B) { enginetest.Benchmark(b, interp.Engine{}) }

// RunSub runs a subprogram of any program as an invocation of its own.
func TestRunSub(t *testing.T) {
	p := &ir.Program{Name: "p", Insns: []ir.Insn{{Op: ir.Exit}, {Op: ir.Mov64X, Dst: 0, Src: 2}, {Op: ir.Exit}},
		Subs: []ir.Sub{{Start: 0, End: 1}, {Start: 1, End: 3}}}
	w := enginetest.New(t, interp.Engine{}, enginetest.Options{}, p, p)
	if r := w.RunSub(engine.CodeAddr(1, 1), abi.Args{1, 42}); r.R0 != 42 || r.Fault != nil {
		t.Errorf("r0 = %d, fault %v", r.R0, r.Fault)
	}
	for _, fn := range []uint64{0, engine.CodeAddr(1, 2), engine.CodeAddr(2, 0), engine.CodeAddr(0, 1) + 1, ^uint64(0)} {
		if r := w.RunSub(fn, abi.Args{}); r.Fault == nil || r.Fault.Msg != engine.TargetFault(fn) {
			t.Errorf("RunSub(%#x): fault %v", fn, r.Fault)
		}
	}
}

// A run allocates nothing, with calls, callbacks and nested programs in it.
func TestNoAllocation(t *testing.T) {
	p := &ir.Program{Name: "p", Kfuncs: []string{"f"}, Subs: []ir.Sub{{Start: 0, End: 6}, {Start: 6, End: 8}}, Insns: []ir.Insn{
		{Op: ir.CallKfunc}, {Op: ir.CallSub, Target: 6},
		{Op: ir.Mov64K, Dst: 1, Imm: 3}, {Op: ir.LdImm64, Dst: 2, Imm: int64(code(6))}, {Op: ir.CallHelper, Imm: enginetest.HelperLoop}, {Op: ir.Exit},
		{Op: ir.Mov64K}, {Op: ir.Exit},
	}}
	w := enginetest.New(t, interp.Engine{}, enginetest.Options{}, p)
	w.Trace = make([]enginetest.TraceEntry, 10000) // full: nothing is noted
	if n := testing.AllocsPerRun(100, func() {
		if _, f := w.Code.Run(0, w.Data); f != nil {
			t.Fatal(f)
		}
	}); n != 0 {
		t.Errorf("%v allocations per run", n)
	}
}

func code(insn int32) uint64 { return engine.CodeAddr(0, insn) }
