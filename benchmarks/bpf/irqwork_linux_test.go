package bpf

import (
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
)

// BenchmarkIRQWork measures, on the kernel under our feet, what an interrupt costs that a CPU sends itself for work to be done soon
// (irq_work_queue), as scx_bpf_kick_cpu does: what the wakeup of a ring buffer's reader adds to giving back a record.
func BenchmarkIRQWork(b *testing.B) {
	const repeat = 100_000
	var cost [2]float64
	for i, flags := range []int32{1 /* BPF_RB_NO_WAKEUP */, 2 /* BPF_RB_FORCE_WAKEUP */} {
		ring, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.RingBuf, MaxEntries: 4 << 20})
		if err != nil {
			b.Skipf("bpf() is not allowed: %v", err)
		}
		prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.SocketFilter, License: "GPL", Instructions: asm.Instructions{
			asm.LoadMapPtr(asm.R1, ring.FD()),
			asm.Mov.Imm(asm.R2, 8),
			asm.Mov.Imm(asm.R3, 0),
			asm.FnRingbufReserve.Call(),
			asm.JEq.Imm(asm.R0, 0, "out"),
			asm.Mov.Reg(asm.R1, asm.R0),
			asm.Mov.Imm(asm.R2, flags),
			asm.FnRingbufDiscard.Call(),
			asm.Mov.Imm(asm.R0, 0).WithSymbol("out"),
			asm.Return(),
		}})
		if err != nil {
			b.Fatal(err)
		}
		_, took, err := prog.Benchmark(make([]byte, 14), repeat, nil)
		if err != nil {
			b.Fatal(err)
		}
		cost[i] = float64(took.Nanoseconds())
		prog.Close()
		ring.Close()
	}
	b.ReportMetric(cost[0], "ns/record")
	b.ReportMetric(cost[1]-cost[0], "ns/irq-work")
	b.ReportMetric(0, "ns/op")
}
