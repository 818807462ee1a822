package enginetest

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/engine"
	"github.com/schedsim/schedsim/vm/ir"
)

// LoopCall calls kfunc 0 n times from a subprogram and adds up what it returns.
func LoopCall(n int64) *ir.Program {
	return &ir.Program{
		Name: "loop", Kfuncs: []string{"k"},
		Insns: []ir.Insn{
			{Op: ir.Mov64K, Dst: 6, Imm: n}, {Op: ir.Mov64K, Dst: 7},
			{Op: ir.Mov64X, Dst: 1, Src: 6}, {Op: ir.Mov64X, Dst: 2, Src: 7},
			{Op: ir.CallSub, Target: 9}, {Op: ir.Add64X, Dst: 7, Src: 0},
			{Op: ir.Sub64K, Dst: 6, Imm: 1}, {Op: ir.JNe64K, Dst: 6, Target: 2}, {Op: ir.Exit},
			// the subprogram: some arithmetic on the stack around the call
			{Op: ir.St64X, Dst: 10, Src: 1, Off: -8}, {Op: ir.Mov64X, Dst: 8, Src: 1}, {Op: ir.CallKfunc},
			{Op: ir.Ld64, Dst: 1, Src: 10, Off: -8}, {Op: ir.Sub64X, Dst: 0, Src: 1}, {Op: ir.Exit},
		},
		Subs: []ir.Sub{{Start: 0, End: 9}, {Name: "s", Start: 9, End: 15}},
	}
}

// grow uses so much of the goroutine's stack that it has to move.
func grow(n int) byte {
	var b [512]byte
	b[n&511] = byte(n)
	if n == 0 {
		return b[7]
	}
	return grow(n-1) + b[n&511]
}

// Hammer checks that garbage collections, preemption signals and moving stacks while machine code runs leave it alone.
func Hammer(t *testing.T, e engine.Engine) {
	const n, rounds = 300, 150
	var stop atomic.Bool
	var noise, work sync.WaitGroup
	for range 2 {
		noise.Go(func() {
			var keep [][]byte
			for !stop.Load() {
				runtime.GC()
				if keep = append(keep, make([]byte, 1<<16)); len(keep) > 16 {
					keep = nil
				}
			}
		})
	}
	errs := make(chan error, 4)
	for g := range cap(errs) {
		calls := 0
		w := WorldWith(t, e, LoopCall(n), func(c *abi.Call, a *abi.Args) uint64 {
			calls++
			if calls%97 == 0 {
				grow(40 * g)
			}
			_ = make([]byte, 64)
			return a[0] * 3
		})
		work.Go(func() {
			for range rounds {
				r0, f := w.Code.Run(0, 0)
				if f != nil || calls%n != 0 || r0 != 2 {
					errs <- fmt.Errorf("r0 = %d, %v, %d calls", r0, f, calls)
					return
				}
			}
			errs <- nil
		})
	}
	work.Wait()
	stop.Store(true)
	noise.Wait()
	for range cap(errs) {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}

// Runaway checks that a long loop ends at its budget, to the instruction.
func Runaway(t *testing.T, e engine.Engine) {
	p := &ir.Program{Name: "runaway", Insns: []ir.Insn{{Op: ir.Add64K, Dst: 1, Imm: 1}, {Op: ir.Ja}}, Subs: []ir.Sub{{End: 2}}}
	w := New(t, e, Options{Budget: 50_000_000}, p)
	got := w.Run(0, 0)
	if want := engine.BudgetFault(50_000_000); got.Fault == nil || got.Fault.Msg != want || got.Insns != 50_000_000 {
		t.Errorf("%v after %d instructions, want %s", got.Fault, got.Insns, want)
	}
}

// PanicInKfunc checks that a panic of a kernel function passes through.
func PanicInKfunc(t *testing.T, e engine.Engine) {
	p := &ir.Program{Name: "panic", Kfuncs: []string{"k"}, Insns: []ir.Insn{{Op: ir.CallKfunc}, {Op: ir.Exit}}, Subs: []ir.Sub{{End: 2}}}
	w := WorldWith(t, e, p, func(*abi.Call, *abi.Args) uint64 { panic("in a kfunc") })
	defer func() {
		if v := recover(); v != "in a kfunc" {
			t.Errorf("recovered %v", v)
		}
	}()
	w.Code.Run(0, 0)
	t.Error("no panic")
}

// WorldWith builds a world whose program 0 has k as its only kfunc.
func WorldWith(tb testing.TB, e engine.Engine, p *ir.Program, k abi.Func) *World {
	w := New(tb, e, Options{}, p)
	w.Env.Progs[0].Kfuncs = []abi.Func{k}
	w.Env.Inline.Params = map[string]int{p.Kfuncs[0]: 2}
	code, err := e.Compile(w.Env)
	if err != nil {
		tb.Fatal(err)
	}
	if err := w.Code.Close(); err != nil {
		tb.Fatal(err)
	}
	w.Code = code
	return w
}

// HostileSize compares e with ref on code made to keep an analysis busy, which must compile in time.
func HostileSize(t *testing.T, ref, e engine.Engine) {
	const n = 20000
	// Jumps back in an order in which news travel one jump per pass.
	back := &ir.Program{Name: "back"}
	for i := range int32(n) {
		back.Insns = append(back.Insns, ir.Insn{Op: ir.JEq64K, Dst: 3, Imm: 1, Target: max(0, i-3)}, ir.Insn{Op: ir.Ld8, Dst: 2, Src: 1, Off: i % 4096})
	}
	back.Insns = append(back.Insns, ir.Insn{Op: ir.Mov64X, Dst: 1, Src: 4}, ir.Insn{Op: ir.JEq64K, Dst: 3, Imm: 1, Target: 2*n - 1}, ir.Insn{Op: ir.Exit})
	// Far jumps, and a fault in each instruction's way.
	far := &ir.Program{Name: "far"}
	for i := range int32(n) {
		far.Insns = append(far.Insns, ir.Insn{Op: ir.JNe64K, Dst: 1, Imm: int64(i), Target: n - i/2}, ir.Insn{Op: ir.Ld64, Dst: 1, Src: 1, Off: i})
	}
	far.Insns = append(far.Insns, ir.Insn{Op: ir.Exit})
	for i := range far.Insns[:2*n] {
		if in := &far.Insns[i]; in.Op == ir.JNe64K {
			in.Target = 2*n - in.Target
		}
	}
	for _, p := range []*ir.Program{back, far} {
		t.Run(p.Name, func(t *testing.T) {
			p.Subs = []ir.Sub{{End: int32(len(p.Insns))}}
			Compare(t, ref, e, Options{Stack: diffStack}, p)
		})
	}
}
