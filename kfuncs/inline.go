package kfuncs

import (
	"github.com/schedsim/schedsim/sim"
	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/ir"
)

// inlines says in code what some kernel functions do, by name; see abi.Inline. The code does what the function of the row
// does, to the bit; TestInlines compares them. Without a machine there are only those that need none.
func (h *Host) inlines() map[string]*abi.Inline {
	code := func(insns ...ir.Insn) *abi.Inline { return &abi.Inline{Code: insns} }
	word := ir.Insn{Op: ir.Ld64, Dst: 0, Src: abi.WordReg}
	constant := func(v uint64) *abi.Inline { return code(ir.Insn{Op: ir.LdImm64, Dst: 0, Imm: int64(v)}) }
	nop := constant(0)
	self := code(ir.Insn{Op: ir.Mov64X, Dst: 0, Src: 1})
	store := func(op ir.Op, v int64) *abi.Inline {
		return code(ir.Insn{Op: op, Dst: 1, Imm: v}, ir.Insn{Op: ir.Mov64K, Dst: 0})
	}
	resLock := code(
		ir.Insn{Op: ir.Ld32, Dst: 0, Src: 1},
		ir.Insn{Op: ir.JEq64K, Dst: 0, Target: 4},
		ir.Insn{Op: ir.Mov64K, Dst: 0, Imm: -int64(abi.EDEADLK)},
		ir.Insn{Op: ir.Ja, Target: 6},
		ir.Insn{Op: ir.St32K, Dst: 1, Imm: 1}, // 4
		ir.Insn{Op: ir.Mov64K, Dst: 0})
	in := map[string]*abi.Inline{
		"bpf_rcu_read_lock":              nop,
		"bpf_rcu_read_unlock":            nop,
		"bpf_preempt_disable":            nop,
		"bpf_preempt_enable":             nop,
		"bpf_local_irq_save":             store(ir.St64K, 0),
		"bpf_local_irq_restore":          nop,
		"bpf_rdonly_cast":                self,
		"bpf_cast_to_kern_ctx":           self,
		"bpf_res_spin_lock":              resLock,
		"bpf_res_spin_lock_irqsave":      resLock,
		"bpf_res_spin_unlock":            store(ir.St32K, 0),
		"bpf_res_spin_unlock_irqrestore": store(ir.St32K, 0),
		"bpf_iter_num_new":               iterNumNewCode,
		"bpf_iter_num_next":              iterNumNextCode,
		"bpf_iter_num_destroy":           store(ir.St64K, 0),
		"bpf_iter_bits_new":              iterBitsNewCode,
		"bpf_iter_bits_next":             iterBitsNextCode(),
		"bpf_iter_bits_destroy":          iterBitsDestroyCode,
	}
	if h.Machine == nil || h.Layout == nil {
		return in
	}
	in["bpf_cpumask_test_cpu"] = h.bitCode(testBit)
	in["bpf_cpumask_set_cpu"] = h.bitCode(setBit)
	in["bpf_cpumask_clear_cpu"] = h.bitCode(clearBit)
	in["bpf_cpumask_test_and_set_cpu"] = h.bitCode(testBit | setBit)
	in["bpf_cpumask_test_and_clear_cpu"] = h.bitCode(testBit | clearBit)
	in["scx_bpf_put_cpumask"] = h.putMaskCode()
	in["scx_bpf_put_idle_cpumask"] = h.putMaskCode()
	in["scx_bpf_nr_cpu_ids"] = constant(uint64(uint32(h.Machine.NrCPUs())))
	if h.Kernel == nil {
		return in
	}
	in["scx_bpf_nr_node_ids"] = constant(uint64(h.Kernel.NrNodeIDs()))
	// The clock of a CPU advances when a callback that a kernel function caused has been charged.
	in["scx_bpf_now"] = &abi.Inline{Word: &abi.Word{Ask: h.Kernel.Now, Volatile: true}, Code: []ir.Insn{word}}
	h.taskInlines(in)
	return in
}

// taskInlines adds functions of tasks. The one that the callback is about is known to be one, and a policy to be there.
func (h *Host) taskInlines(in map[string]*abi.Inline) {
	subject := &abi.Word{Ask: h.subject}
	code := func(insns ...ir.Insn) *abi.Inline {
		return &abi.Inline{Word: subject, Code: append([]ir.Insn{
			{Op: ir.Ld64, Dst: 0, Src: abi.WordReg},
			{Op: ir.JEq64X, Dst: 0, Src: 1, Target: 3},
			{Op: ir.Invalid},
		}, insns...)}
	}
	for _, field := range []string{"slice", "dsq_vtime"} {
		if off, size, ok := h.Layout.Field("task_struct.scx." + field); ok && size == 8 {
			in["scx_bpf_task_set_"+field] = code(ir.Insn{Op: ir.St64X, Dst: 1, Src: 2, Off: int32(off)}, ir.Insn{Op: ir.Mov64K, Dst: 0, Imm: 1})
		}
	}
	cpu, size, ok := h.Layout.Field("task_struct.thread_info.cpu")
	if !ok || size != 4 {
		return
	}
	in["scx_bpf_task_cpu"] = code(ir.Insn{Op: ir.Lds32, Dst: 0, Src: 1, Off: int32(cpu)})
	curr, size, ok := h.Layout.Field("rq.curr")
	base, stride, even := h.runqueues()
	if ok && size == 8 && even {
		in["scx_bpf_task_running"] = code(
			ir.Insn{Op: ir.Ld32, Dst: 0, Src: 1, Off: int32(cpu)},
			ir.Insn{Op: ir.JLt32K, Dst: 0, Imm: int64(h.Machine.NrCPUs()), Target: 6},
			ir.Insn{Op: ir.Invalid},
			ir.Insn{Op: ir.Mov64X, Dst: 2, Src: 0}, // 6
			ir.Insn{Op: ir.Mul64K, Dst: 2, Imm: int64(stride)},
			ir.Insn{Op: ir.LdImm64, Dst: 0, Imm: int64(base)},
			ir.Insn{Op: ir.Add64X, Dst: 2, Src: 0},
			ir.Insn{Op: ir.Ld64, Dst: 2, Src: 2, Off: int32(curr)},
			ir.Insn{Op: ir.Mov64K, Dst: 0},
			ir.Insn{Op: ir.JNe64X, Dst: 1, Src: 2, Target: 14},
			ir.Insn{Op: ir.Mov64K, Dst: 0, Imm: 1})
	}
}

// runqueues tells where the runqueues of the CPUs lie, if at even distances.
func (h *Host) runqueues() (base, stride uint64, ok bool) {
	n := h.Machine.NrCPUs()
	base = h.Machine.RQ(0).Addr
	if n > 1 {
		stride = h.Machine.RQ(1).Addr - base
	}
	for cpu := range n {
		if h.Machine.RQ(sim.CPU(cpu)).Addr != base+uint64(cpu)*stride {
			return 0, 0, false
		}
	}
	return base, stride, stride < 1<<20
}

// subject is the address of the task that the running callback is about, 0 if there is none. The machine has that task: it goes
// after its last callback.
func (h *Host) subject() uint64 {
	if t := h.Kernel.Frame().Subject[0]; t != nil {
		return t.K.Addr
	}
	return 0
}

// inlined adds the code to the rows.
func (h *Host) inlined(rows []abi.Kfunc) []abi.Kfunc {
	in := h.inlines()
	for i := range rows {
		if rows[i].Call != nil {
			rows[i].Inline = in[rows[i].Name]
		}
	}
	return rows
}

var (
	iterNumNewCode = &abi.Inline{Code: []ir.Insn{
		{Op: ir.Ld64, Dst: 0, Src: 1},
		{Op: ir.JSGt32X, Dst: 2, Src: 3, Target: 11},
		{Op: ir.MovSX32to64, Dst: 0, Src: 3},
		{Op: ir.MovSX32to64, Dst: 4, Src: 2},
		{Op: ir.Sub64X, Dst: 0, Src: 4},
		{Op: ir.JSGt64K, Dst: 0, Imm: maxLoops, Target: 14},
		{Op: ir.Sub32K, Dst: 2, Imm: 1},
		{Op: ir.St32X, Dst: 1, Src: 2},
		{Op: ir.St32X, Dst: 1, Src: 3, Off: 4},
		{Op: ir.Mov64K, Dst: 0},
		{Op: ir.Ja, Target: 16},
		{Op: ir.St64K, Dst: 1}, // 11
		{Op: ir.Mov64K, Dst: 0, Imm: -int64(abi.EINVAL)},
		{Op: ir.Ja, Target: 16},
		{Op: ir.St64K, Dst: 1}, // 14
		{Op: ir.Mov64K, Dst: 0, Imm: -int64(abi.E2BIG)},
	}}
	// The halves are read as they were written: a processor waits where a load covers two stores.
	iterNumNextCode = &abi.Inline{Code: []ir.Insn{
		{Op: ir.Ld32, Dst: 0, Src: 1, Off: 4},
		{Op: ir.Ld32, Dst: 2, Src: 1},
		{Op: ir.Add32K, Dst: 2, Imm: 1},
		{Op: ir.JSGe32X, Dst: 2, Src: 0, Target: 7},
		{Op: ir.St32X, Dst: 1, Src: 2},
		{Op: ir.Mov64X, Dst: 0, Src: 1},
		{Op: ir.Ja, Target: 9},
		{Op: ir.St64K, Dst: 1}, // 7
		{Op: ir.Mov64K, Dst: 0},
	}}
)

// Iterators over one word of bits; others call the functions.
var (
	iterBitsNewCode = &abi.Inline{Code: []ir.Insn{
		{Op: ir.JEq32K, Dst: 3, Imm: 1, Target: 2},
		{Op: ir.Invalid},
		{Op: ir.Ld64, Dst: 0, Src: 1, Off: 8}, // 2: all of it is memory, and so are the bits
		{Op: ir.Ld64, Dst: 0, Src: 1},
		{Op: ir.Ld64, Dst: 0, Src: 2},
		{Op: ir.St64K, Dst: 1},
		{Op: ir.St64K, Dst: 1, Off: 8, Imm: -1 << 32},
		{Op: ir.Ld64, Dst: 0, Src: 2}, // which may have changed just now
		{Op: ir.St64X, Dst: 1, Src: 0},
		{Op: ir.St32K, Dst: 1, Off: 8, Imm: 64},
		{Op: ir.Mov64K, Dst: 0},
	}}
	iterBitsDestroyCode = &abi.Inline{Code: []ir.Insn{
		{Op: ir.Ld64, Dst: 0, Src: 1},
		{Op: ir.Ld64, Dst: 0, Src: 1, Off: 8},
		{Op: ir.JSLe32K, Dst: 0, Imm: 64, Target: 4},
		{Op: ir.Invalid},
		{Op: ir.Mov64K, Dst: 0},
	}}
)

func iterBitsNextCode() *abi.Inline {
	c := []ir.Insn{
		{Op: ir.Ld64, Dst: 0, Src: 1},
		{Op: ir.Ld32, Dst: 0, Src: 1, Off: 8},
		{Op: ir.JEq32K, Dst: 0, Imm: 64, Target: 4},
		{Op: ir.Invalid},
		{Op: ir.Ld32, Dst: 0, Src: 1, Off: 12}, // 4
		{Op: ir.Add32K, Dst: 0, Imm: 1},
		{Op: ir.JLe32K, Dst: 0, Imm: 64, Target: 8},
		{Op: ir.Invalid},
		{Op: ir.Mov64X, Dst: 2, Src: 0},  // 8
		{Op: ir.JEq64K, Dst: 2, Imm: 64}, // 9: to none
		{Op: ir.Ld64, Dst: 0, Src: 1},
		{Op: ir.Rsh64X, Dst: 0, Src: 2},
		{Op: ir.JEq64K, Dst: 0}, // 12: to none
	}
	// The number of zeros below the lowest bit, by halves.
	for n := int64(32); n > 0; n /= 2 {
		at := int32(len(c))
		c = append(c,
			ir.Insn{Op: ir.JSet64K, Dst: 0, Imm: 1<<n - 1, Target: at + 3},
			ir.Insn{Op: ir.Rsh64K, Dst: 0, Imm: n},
			ir.Insn{Op: ir.Add64K, Dst: 2, Imm: n})
	}
	c = append(c,
		ir.Insn{Op: ir.St32X, Dst: 1, Src: 2, Off: 12},
		ir.Insn{Op: ir.Mov64X, Dst: 0, Src: 1},
		ir.Insn{Op: ir.Add64K, Dst: 0, Imm: 12},
		ir.Insn{Op: ir.Ja, Target: int32(len(c)) + 6})
	none := int32(len(c))
	c[9].Target, c[12].Target = none, none
	c = append(c,
		ir.Insn{Op: ir.St32K, Dst: 1, Off: 12, Imm: 64},
		ir.Insn{Op: ir.Mov64K, Dst: 0})
	return &abi.Inline{Code: c}
}

// What a function for one bit of a cpumask does; both testBit and one of the others return the bit as it was.
const (
	testBit = 1 << iota
	setBit
	clearBit
)

// maskCode checks that the register r points to a cpumask, as Host.mask does; it changes R0 only.
func (h *Host) maskCode(r ir.Reg) []ir.Insn {
	return []ir.Insn{
		{Op: ir.Mov64X, Dst: 0, Src: r},
		{Op: ir.And64K, Dst: 0, Imm: 7},
		{Op: ir.JEq64K, Dst: 0, Target: 4},
		{Op: ir.Invalid},
		{Op: ir.Ld8, Dst: 0, Src: r, Off: int32(h.Machine.Layout().MaskBytes()) - 1}, // 4
		{Op: ir.Ld8, Dst: 0, Src: r},
	}
}

func (h *Host) putMaskCode() *abi.Inline {
	return &abi.Inline{Code: append(h.maskCode(1), ir.Insn{Op: ir.Mov64K, Dst: 0})}
}

// bitCode makes the code of a function of CPU R1 and mask R2.
func (h *Host) bitCode(what int) *abi.Inline {
	c := h.maskCode(2)
	c = append(c,
		ir.Insn{Op: ir.Mov64K, Dst: 0},
		ir.Insn{Op: ir.JGe32K, Dst: 1, Imm: int64(h.Machine.NrCPUs())}, // to the end
		ir.Insn{Op: ir.Mov32X, Dst: 0, Src: 1},
		ir.Insn{Op: ir.Rsh64K, Dst: 0, Imm: 6},
		ir.Insn{Op: ir.Lsh64K, Dst: 0, Imm: 3},
		ir.Insn{Op: ir.Add64X, Dst: 2, Src: 0},
		ir.Insn{Op: ir.Ld64, Dst: 0, Src: 2})
	if what&(setBit|clearBit) != 0 {
		c = append(c,
			ir.Insn{Op: ir.Mov64K, Dst: 3, Imm: 1},
			ir.Insn{Op: ir.Lsh64X, Dst: 3, Src: 1},
			ir.Insn{Op: ir.Mov64X, Dst: 4, Src: 0},
			ir.Insn{Op: ir.Or64X, Dst: 4, Src: 3})
		if what&clearBit != 0 {
			c = append(c, ir.Insn{Op: ir.Xor64X, Dst: 4, Src: 3})
		}
		c = append(c, ir.Insn{Op: ir.St64X, Dst: 2, Src: 4})
	}
	if what&testBit != 0 {
		c = append(c, ir.Insn{Op: ir.Rsh64X, Dst: 0, Src: 1}, ir.Insn{Op: ir.And64K, Dst: 0, Imm: 1})
	} else {
		c = append(c, ir.Insn{Op: ir.Mov64K, Dst: 0})
	}
	c[7].Target = int32(len(c))
	return &abi.Inline{Code: c}
}
