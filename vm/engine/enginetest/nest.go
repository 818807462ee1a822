package enginetest

import (
	"testing"

	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/engine"
	"github.com/schedsim/schedsim/vm/ir"
)

// spin is a program that calls its kfunc n times with a counter in R6 and the running sum in R7, and returns the sum.
func spin(name string, n int64) *ir.Program {
	return &ir.Program{Name: name, Kfuncs: []string{"k"}, Insns: []ir.Insn{
		{Op: ir.Mov64K, Dst: 6, Imm: n}, {Op: ir.Mov64K, Dst: 7}, {Op: ir.Mov64K, Dst: 9, Imm: 1234},
		{Op: ir.Mov64X, Dst: 1, Src: 6}, {Op: ir.CallKfunc}, {Op: ir.Add64X, Dst: 7, Src: 0},
		{Op: ir.Sub64K, Dst: 6, Imm: 1}, {Op: ir.JNe64K, Dst: 6, Target: 3},
		{Op: ir.Mov64X, Dst: 0, Src: 7}, {Op: ir.Add64X, Dst: 0, Src: 9}, {Op: ir.Exit},
	}, Subs: []ir.Sub{{End: 11}}}
}

// Nest checks that two sets in one address space can run in each other's kernel functions.
func Nest(t *testing.T, e engine.Engine) {
	var a, b *World
	depth := 0
	a = WorldWith(t, e, spin("a", 3), func(_ *abi.Call, r *abi.Args) uint64 {
		if depth++; depth > 4 {
			depth--
			return r[0]
		}
		r0, f := b.Code.Run(0, 0)
		if f != nil {
			t.Error(f)
		}
		depth--
		return r0 + r[0]
	})
	// The second set lives in the space of the first, with a stack of its own.
	stack, _, err := a.Mem.Alloc(8192, 8)
	if err != nil {
		t.Fatal(err)
	}
	b = &World{Mem: a.Mem, Env: &engine.Env{Mem: a.Mem, Call: &abi.Call{Mem: a.Mem}, StackTop: stack + 8192, StackSize: 8192, Budget: 1e6}}
	b.Env.Progs = []engine.Prog{{Code: spin("b", 2), Info: &abi.Prog{Name: "b"}, Kfuncs: []abi.Func{func(_ *abi.Call, r *abi.Args) uint64 {
		r0, f := a.Code.Run(0, 0)
		if f != nil {
			t.Error(f)
		}
		return r0 + r[0]
	}}}}
	if b.Code, err = e.Compile(b.Env); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Code.Close() })

	// The same recursion in Go.
	var want func(name string, depth int) uint64
	want = func(name string, depth int) (sum uint64) {
		n := map[string]uint64{"a": 3, "b": 2}[name]
		for i := n; i > 0; i-- {
			switch {
			case name == "b":
				sum += want("a", depth) + i
			case depth+1 > 4:
				sum += i
			default:
				sum += want("b", depth+1) + i
			}
		}
		return sum + 1234
	}
	if r0, f := a.Code.Run(0, 0); f != nil || r0 != want("a", 0) {
		t.Errorf("r0 = %d, %v; want %d", r0, f, want("a", 0))
	}
	if a.Env.State.Depth != 0 || b.Env.State.Depth != 0 {
		t.Errorf("depths %d and %d left behind", a.Env.State.Depth, b.Env.State.Depth)
	}
}

// NoAllocation checks that a run allocates nothing, with calls, callbacks and nested programs in it.
func NoAllocation(t *testing.T, e engine.Engine) {
	p := &ir.Program{Name: "p", Kfuncs: []string{"f"}, Subs: []ir.Sub{{Start: 0, End: 6}, {Start: 6, End: 8}}, Insns: []ir.Insn{
		{Op: ir.CallKfunc}, {Op: ir.CallSub, Target: 6},
		{Op: ir.Mov64K, Dst: 1, Imm: 3}, {Op: ir.LdImm64, Dst: 2, Imm: int64(engine.CodeAddr(0, 6))}, {Op: ir.CallHelper, Imm: HelperLoop}, {Op: ir.Exit},
		{Op: ir.Mov64K}, {Op: ir.Exit},
	}}
	w := New(t, e, Options{}, p)
	w.Trace = make([]TraceEntry, 10000) // full: nothing is noted
	if n := testing.AllocsPerRun(100, func() {
		if _, f := w.Code.Run(0, w.Data); f != nil {
			t.Fatal(f)
		}
	}); n != 0 {
		t.Errorf("%v allocations per run", n)
	}
}
