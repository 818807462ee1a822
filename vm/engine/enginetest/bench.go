package enginetest

import (
	"testing"

	"github.com/schedsim/schedsim/vm/engine"
	"github.com/schedsim/schedsim/vm/ir"
)

// loopProgram repeats body 1000 times with R6 = the context and R7 as the counter; R0-R5, R8 and R9 are the body's.
func loopProgram(name string, body ...ir.Insn) *ir.Program {
	insns := []ir.Insn{{Op: ir.Mov64X, Dst: 6, Src: 1}, {Op: ir.Mov64K, Dst: 7, Imm: 1000}}
	top := int32(len(insns))
	insns = append(insns, body...)
	insns = append(insns, ir.Insn{Op: ir.Sub64K, Dst: 7, Imm: 1}, ir.Insn{Op: ir.JNe64K, Dst: 7, Target: top},
		ir.Insn{Op: ir.Mov64K}, ir.Insn{Op: ir.Exit})
	for i := range insns {
		insns[i].Orig = int32(i)
	}
	return &ir.Program{Name: name, Insns: insns, Subs: []ir.Sub{{Name: name, End: int32(len(insns)), Stack: engine.FrameSize}},
		Kfuncs: []string{"kfunc0"}}
}

// Loops are programs for benchmarks: each repeats the instructions that its name tells 1000 times.
func Loops() []*ir.Program {
	return []*ir.Program{
		loopProgram("alu",
			ir.Insn{Op: ir.Add64X, Dst: 1, Src: 7}, ir.Insn{Op: ir.Xor64K, Dst: 2, Imm: 0x55}, ir.Insn{Op: ir.Lsh64K, Dst: 3, Imm: 3},
			ir.Insn{Op: ir.Add32K, Dst: 4, Imm: 7}, ir.Insn{Op: ir.Mul64K, Dst: 1, Imm: 33}, ir.Insn{Op: ir.Rsh64K, Dst: 2, Imm: 1},
			ir.Insn{Op: ir.Or64X, Dst: 3, Src: 1}, ir.Insn{Op: ir.Sub32X, Dst: 4, Src: 2}, ir.Insn{Op: ir.And64K, Dst: 5, Imm: 0xff},
			ir.Insn{Op: ir.Add64X, Dst: 5, Src: 4}),
		loopProgram("mem",
			ir.Insn{Op: ir.Ld64, Dst: 1, Src: 6, Off: 8}, ir.Insn{Op: ir.Add64K, Dst: 1, Imm: 1}, ir.Insn{Op: ir.St64X, Dst: 6, Src: 1, Off: 8},
			ir.Insn{Op: ir.Ld32, Dst: 2, Src: 6, Off: 16}, ir.Insn{Op: ir.St32X, Dst: 10, Src: 2, Off: -8}, ir.Insn{Op: ir.Ld8, Dst: 3, Src: 10, Off: -8}),
		loopProgram("branch",
			ir.Insn{Op: ir.JEq64K, Dst: 7, Imm: -1, Target: 2}, ir.Insn{Op: ir.JGt64X, Dst: 7, Src: 6, Target: 2}, ir.Insn{Op: ir.Ja, Target: 5},
			ir.Insn{Op: ir.JSet32K, Dst: 7, Imm: 1, Target: 7}, ir.Insn{Op: ir.Mov64K, Dst: 1, Imm: 1}),
		loopProgram("kfunc", ir.Insn{Op: ir.CallKfunc}),
		loopProgram("atomic", ir.Insn{Op: ir.Mov64K, Dst: 1, Imm: 1}, ir.Insn{Op: ir.FetchAdd64, Dst: 6, Src: 1, Off: 8}),
		loopProgram("div", ir.Insn{Op: ir.Mov64K, Dst: 1, Imm: 1 << 40}, ir.Insn{Op: ir.Div64X, Dst: 1, Src: 7}, ir.Insn{Op: ir.Mod64K, Dst: 1, Imm: 10}),
	}
}

// Benchmark measures e on Loops, in nanoseconds per executed instruction.
func Benchmark(b *testing.B, e engine.Engine) {
	for _, p := range Loops() {
		b.Run(p.Name, func(b *testing.B) {
			w := New(b, e, Options{}, p)
			w.Trace = make([]TraceEntry, 10000) // full: nothing is noted
			start := w.Env.State.Insns
			b.ReportAllocs()
			for b.Loop() {
				if _, f := w.Code.Run(0, w.Data); f != nil {
					b.Fatal(f)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(w.Env.State.Insns-start), "ns/insn")
		})
	}
	b.Run("empty", func(b *testing.B) {
		p := &ir.Program{Name: "empty", Insns: []ir.Insn{{Op: ir.Exit}}, Subs: []ir.Sub{{End: 1}}}
		w := New(b, e, Options{}, p)
		b.ReportAllocs()
		for b.Loop() {
			if _, f := w.Code.Run(0, 0); f != nil {
				b.Fatal(f)
			}
		}
	})
}
