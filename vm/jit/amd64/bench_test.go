//go:build linux && amd64

package amd64

import (
	"slices"
	"testing"
	"time"

	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/engine"
	"github.com/schedsim/schedsim/vm/engine/enginetest"
	"github.com/schedsim/schedsim/vm/interp"
	"github.com/schedsim/schedsim/vm/ir"
	"github.com/schedsim/schedsim/vm/jit/native"
)

//go:noinline
func fold(_ *abi.Call, a *abi.Args) uint64 { return a[0] + a[1] ^ a[0] }

// BenchmarkEntry compares ways to run nothing: a Go function value, the trampoline alone, a whole Run.
func BenchmarkEntry(b *testing.B) {
	p := &ir.Program{Name: "empty", Insns: []ir.Insn{{Op: ir.Exit}}, Subs: []ir.Sub{{End: 1}}}
	b.Run("closure", func(b *testing.B) {
		var f abi.Func = fold
		var a abi.Args
		for b.Loop() {
			a[0] = f(nil, &a)
		}
	})
	b.Run("enter", func(b *testing.B) {
		w := enginetest.New(b, engines(b)["default"], enginetest.Options{}, p)
		c := w.Code.(*native.Code)
		c.Run(0, 0) // sets the context
		for b.Loop() {
			if !c.Enter() {
				b.Fatal("the program did not end")
			}
		}
	})
	for name, e := range map[string]engine.Engine{"Run": engines(b)["default"], "Run interp": interp.Engine{}} {
		b.Run(name, func(b *testing.B) {
			w := enginetest.New(b, e, enginetest.Options{}, p)
			b.ReportAllocs()
			for b.Loop() {
				w.Code.Run(0, 0)
			}
		})
	}
}

// goCaller calls functions as programs do, from Go: what a call from machine code costs more is the way there and back.
type goCaller struct {
	call *abi.Call
	fns  []abi.Func
	args abi.Args
	r    [6]uint64 // R0-R5
}

// invoke makes one call: registers in, counted, looked at for a violation or another program to go on, R0 out, R1-R5 zero.
//
//go:noinline
func (g *goCaller) invoke(n int) bool {
	a, r := &g.args, &g.r
	a[0], a[1], a[2], a[3], a[4] = r[1], r[2], r[3], r[4], r[5]
	g.call.Calls++
	r0 := g.fns[n](g.call, a)
	if g.call.Fault != "" || g.call.Next != abi.NextCaller {
		return false
	}
	r[0], r[1], r[2], r[3], r[4], r[5] = r0, 0, 0, 0, 0, 0
	return true
}

// BenchmarkHostCall is the time of a call from a program to Go and back, per call. Direct is the call of the same function through
// a table in Go, with nothing around it; go is the same call with all that a program's call is, without machine code.
func BenchmarkHostCall(b *testing.B) {
	b.Run("direct", func(b *testing.B) {
		fns := []abi.Func{fold}
		var a abi.Args
		i := 0
		for b.Loop() {
			a[0] = fns[i](nil, &a)
		}
	})
	b.Run("go", func(b *testing.B) {
		g := &goCaller{call: new(abi.Call), fns: []abi.Func{fold}}
		for b.Loop() {
			g.r[1] = g.r[0]
			if !g.invoke(0) {
				b.Fatal("the call failed")
			}
		}
	})
	const n = 1000
	main := &ir.Program{Name: "calls", Kfuncs: []string{"k"}, Insns: []ir.Insn{{Op: ir.Mov64K, Dst: 6, Imm: n}, {Op: ir.Mov64X, Dst: 1, Src: 6}, {Op: ir.CallKfunc},
		{Op: ir.Sub64K, Dst: 6, Imm: 1}, {Op: ir.JNe64K, Dst: 6, Target: 1}, {Op: ir.Exit}}, Subs: []ir.Sub{{End: 6}}}
	for _, tc := range []struct {
		name string
		p    *ir.Program
	}{{"main", main}, {"subprogram", enginetest.LoopCall(n)}} {
		b.Run(tc.name, func(b *testing.B) {
			w := enginetest.WorldWith(b, engines(b)["default"], tc.p, fold)
			b.ReportAllocs()
			for b.Loop() {
				w.Code.Run(0, 0)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/call")
		})
	}
}

// BenchmarkCosts compares entries and calls in short turns, by their medians, so that other work on the machine disturbs the ratios
// little: an entry of machine code and a whole Run with a Go function value; a program's call of a function with the same from Go
// (see goCaller), and with the bare call through a table. A bare call from a program is counted, leaves machine code, calls the
// function and comes back: the floor.
func BenchmarkCosts(b *testing.B) {
	e := engines(b)["default"]
	empty := enginetest.New(b, e, enginetest.Options{}, &ir.Program{Name: "empty", Insns: []ir.Insn{{Op: ir.Exit}}, Subs: []ir.Sub{{End: 1}}})
	entered := empty.Code.(*native.Code)
	entered.Run(0, 0)
	const n = 1000
	calls := enginetest.WorldWith(b, e, &ir.Program{Name: "calls", Kfuncs: []string{"k"}, Insns: []ir.Insn{{Op: ir.Mov64K, Dst: 6, Imm: n}, {Op: ir.Mov64X, Dst: 1, Src: 6},
		{Op: ir.CallKfunc}, {Op: ir.Sub64K, Dst: 6, Imm: 1}, {Op: ir.JNe64K, Dst: 6, Target: 1}, {Op: ir.Exit}}, Subs: []ir.Sub{{End: 6}}}, fold)
	bare := calls.Code.(*native.Code)
	calls.Code.Run(0, 0)
	var f abi.Func = fold
	fns := []abi.Func{fold}
	var a abi.Args
	g := &goCaller{call: new(abi.Call), fns: fns}
	ways := []func(){
		func() {
			for range n {
				a[0] = f(nil, &a)
			}
		},
		func() {
			for range n {
				entered.Enter()
			}
		},
		func() {
			for range n {
				entered.Run(0, 0)
			}
		},
		func() {
			for range n {
				a[0] = fns[len(fns)-1](nil, &a)
			}
		},
		func() {
			for range n {
				g.r[1] = g.r[0]
				g.invoke(0)
			}
		},
		func() { calls.Code.Run(0, 0) },
		func() { bare.EnterBare() },
	}
	each := make([][]float64, len(ways))
	for b.Loop() {
		for i, way := range ways {
			began := time.Now()
			way()
			each[i] = append(each[i], float64(time.Since(began).Nanoseconds())/n)
		}
	}
	m := make([]float64, len(ways))
	for i := range each {
		slices.Sort(each[i])
		m[i] = each[i][len(each[i])/2]
	}
	b.ReportMetric(0, "ns/op")
	for i, name := range []string{"closure-ns", "enter-ns", "run-ns", "direct-ns", "go-call-ns", "program-call-ns", "bare-program-call-ns"} {
		b.ReportMetric(m[i], name)
	}
	b.ReportMetric(m[1]/m[0], "enter/closure")
	b.ReportMetric(m[2]/m[0], "run/closure")
	b.ReportMetric(m[5]/m[4], "program-call/go-call")
	b.ReportMetric(m[5]/m[3], "program-call/direct")
	b.ReportMetric(m[6]/m[3], "bare-program-call/direct")
}

// BenchmarkCallback is bpf_loop's pattern: a Go function that calls a callback, per callback.
func BenchmarkCallback(b *testing.B) {
	p := &ir.Program{Name: "loop", Insns: []ir.Insn{{Op: ir.Mov64K, Dst: 1, Imm: 63}, {Op: ir.LdImm64, Dst: 2, Imm: int64(engine.CodeAddr(0, 4))},
		{Op: ir.CallHelper, Imm: enginetest.HelperLoop}, {Op: ir.Exit}, {Op: ir.Mov64K}, {Op: ir.Exit}}, Subs: []ir.Sub{{End: 4}, {Start: 4, End: 6}}}
	w := enginetest.New(b, engines(b)["default"], enginetest.Options{}, p)
	for b.Loop() {
		if r0, f := w.Code.Run(0, 0); r0 != 63 || f != nil {
			b.Fatal(r0, f)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/63, "ns/callback")
}

// BenchmarkCall is a call of a subprogram that does nothing.
func BenchmarkCall(b *testing.B) {
	p := &ir.Program{Name: "call", Insns: []ir.Insn{{Op: ir.Mov64K, Dst: 6, Imm: 1000}, {Op: ir.CallSub, Target: 5},
		{Op: ir.Sub64K, Dst: 6, Imm: 1}, {Op: ir.JNe64K, Dst: 6, Target: 1}, {Op: ir.Exit}, {Op: ir.Mov64K}, {Op: ir.Exit}},
		Subs: []ir.Sub{{End: 5}, {Start: 5, End: 7}}}
	w := enginetest.New(b, engines(b)["default"], enginetest.Options{}, p)
	for b.Loop() {
		w.Code.Run(0, 0)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/call")
}

// BenchmarkCompile is the time to compile a program of some 3000 instructions.
func BenchmarkCompile(b *testing.B) {
	p := &ir.Program{Name: "big", Insns: []ir.Insn{}}
	for range 100 {
		for _, q := range enginetest.Loops() {
			if q.Name != "kfunc" {
				p.Insns = append(p.Insns, q.Insns[2:len(q.Insns)-4]...)
			}
		}
	}
	for i := range p.Insns {
		p.Insns[i].Target = int32(i) + 1
	}
	p.Insns = append(p.Insns, ir.Insn{Op: ir.Exit})
	p.Subs = []ir.Sub{{End: int32(len(p.Insns))}}
	w := enginetest.New(b, interp.Engine{}, enginetest.Options{}, p)
	e := engines(b)["default"]
	for b.Loop() {
		c, err := e.Compile(w.Env)
		if err != nil {
			b.Fatal(err)
		}
		c.Close()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(p.Insns)), "ns/insn")
}
