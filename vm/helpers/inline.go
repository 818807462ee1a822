package helpers

import (
	"slices"

	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/ir"
)

// Inline says in code what some helpers do, by number; see abi.Inline. The clock, the processor and its current task stay
// the same while a program runs.
func (e *Env) Inline() []*abi.Inline {
	hz := e.HZ
	if hz == 0 {
		hz = DefaultHZ
	}
	clock := &Env{Host: e.Host, HZ: hz}
	word := func(f func() uint64) *abi.Inline {
		return &abi.Inline{Word: &abi.Word{Ask: f}, Code: []ir.Insn{{Op: ir.Ld64, Dst: 0, Src: abi.WordReg}}}
	}
	code := func(insns ...ir.Insn) *abi.Inline { return &abi.Inline{Code: insns} }
	now, task := word(e.Host.NowNS), word(e.Host.CurrentTask)
	// lock changes a spin lock from one state to the other; in any other state the helper has something to say.
	lock := func(from, to int64) *abi.Inline {
		return code(
			ir.Insn{Op: ir.Ld32, Dst: 0, Src: 1},
			ir.Insn{Op: ir.JEq64K, Dst: 0, Imm: from, Target: 3},
			ir.Insn{Op: ir.Invalid},
			ir.Insn{Op: ir.St32K, Dst: 1, Imm: to},
			ir.Insn{Op: ir.Mov64K, Dst: 0})
	}
	t := make([]*abi.Inline, len(names))
	for _, r := range []struct {
		name string
		in   *abi.Inline
	}{
		{"ktime_get_ns", now},
		{"ktime_get_boot_ns", now},
		{"ktime_get_tai_ns", now},
		{"ktime_get_coarse_ns", word(func() uint64 { return clock.ktimeCoarse(nil, nil) })},
		{"jiffies64", word(func() uint64 { return clock.jiffies64(nil, nil) })},
		{"get_numa_node_id", word(func() uint64 { return clock.numaNode(nil, nil) })},
		{"get_current_task", task},
		{"get_current_task_btf", task},
		{"get_current_pid_tgid", word(func() uint64 { return clock.currentPID(nil, nil) })},
		{"spin_lock", lock(0, 1)},
		{"spin_unlock", lock(1, 0)},
		{"kptr_xchg", code(
			ir.Insn{Op: ir.Ld64, Dst: 0, Src: 1},
			ir.Insn{Op: ir.St64X, Dst: 1, Src: 2})},
	} {
		t[Number(r.name)] = r.in
	}
	if h, ok := e.Host.(abi.PaceHost); ok && h.Paces() {
		t[Number("spin_lock")] = nil
	}
	if e.PerCPU == nil { // all CPUs share one copy
		t[Number("this_cpu_ptr")] = code(ir.Insn{Op: ir.Mov64X, Dst: 0, Src: 1})
		t[Number("per_cpu_ptr")] = code(
			ir.Insn{Op: ir.Mov64K, Dst: 0},
			ir.Insn{Op: ir.JGe32K, Dst: 2, Imm: int64(e.Host.NrCPUs()), Target: 3},
			ir.Insn{Op: ir.Mov64X, Dst: 0, Src: 1})
	}
	return slices.Clip(t)
}

// InlinePerCPU says in code what bpf_this_cpu_ptr and bpf_per_cpu_ptr do with ptr, of which each processor has a copy that stays where it
// is; not ok: the copies do not begin with ptr, or do not lie at equal distances.
func (e *Env) InlinePerCPU(ptr uint64) (this, per *abi.Inline, ok bool) {
	n := e.Host.NrCPUs()
	var stride uint64
	if n > 1 {
		stride = e.perCPU(ptr, 1) - ptr
	}
	for cpu := range n {
		if e.perCPU(ptr, cpu) != ptr+uint64(cpu)*stride {
			return nil, nil, false
		}
	}
	this = &abi.Inline{Word: e.cpuWord(), Code: []ir.Insn{
		{Op: ir.Ld64, Dst: 0, Src: abi.WordReg},
		{Op: ir.Mul64K, Dst: 0, Imm: int64(stride)},
		{Op: ir.Add64X, Dst: 0, Src: 1}}}
	per = &abi.Inline{Code: []ir.Insn{
		{Op: ir.Mov64K, Dst: 0},
		{Op: ir.JGe32K, Dst: 2, Imm: int64(n), Target: 5},
		{Op: ir.Mov32X, Dst: 0, Src: 2},
		{Op: ir.Mul64K, Dst: 0, Imm: int64(stride)},
		{Op: ir.Add64X, Dst: 0, Src: 1}}}
	return this, per, true
}

// cpuWord is the current processor.
func (e *Env) cpuWord() *abi.Word {
	if e.cpu == nil {
		e.cpu = &abi.Word{Ask: func() uint64 { return uint64(uint32(e.Host.CPU())) }}
	}
	return e.cpu
}
