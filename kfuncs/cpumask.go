package kfuncs

import (
	"encoding/binary"

	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/sim/kobj"
	"github.com/schedsim/schedsim/vm/abi"
)

// cpumasks is where things lie in struct bpf_cpumask.
type cpumasks struct{ maskSize, maskUsage uint32 }

// cpumaskFuncs are the functions for cpumasks (kernel/bpf/cpumask.c, 7.2). A mask created by a program is a struct
// bpf_cpumask: a cpumask and a count of references.
func cpumaskFuncs(h *Host) []abi.Kfunc {
	if h.Layout != nil {
		h.maskSize, _ = h.Layout.SizeOf("bpf_cpumask")
		h.maskUsage, _, _ = h.Layout.Field("bpf_cpumask.usage")
	}
	// set makes a function of a CPU and a mask, where a CPU that does not exist is ignored.
	set := func(f func(m kobj.CPUMask, cpu int32) bool) abi.Func {
		return func(c *abi.Call, a *abi.Args) uint64 {
			m := h.mask(c, a, 1)
			if cpu := uint32(a[0]); m.Valid() && cpu < uint32(h.Machine.NrCPUs()) {
				return retBool(f(m, int32(cpu)))
			}
			return 0
		}
	}
	// one and two make functions of one and two masks, three of a result and two operands.
	one := func(f func(m kobj.CPUMask) uint64) abi.Func {
		return func(c *abi.Call, a *abi.Args) uint64 {
			if m := h.mask(c, a, 0); m.Valid() {
				return f(m)
			}
			return 0
		}
	}
	two := func(f func(m, o kobj.CPUMask) uint64) abi.Func {
		return func(c *abi.Call, a *abi.Args) uint64 {
			m, o := h.mask(c, a, 0), h.mask(c, a, 1)
			if m.Valid() && o.Valid() {
				return f(m, o)
			}
			return 0
		}
	}
	three := func(f func(dst, x, y kobj.CPUMask) uint64) abi.Func {
		return func(c *abi.Call, a *abi.Args) uint64 {
			d, x, y := h.mask(c, a, 0), h.mask(c, a, 1), h.mask(c, a, 2)
			if d.Valid() && x.Valid() && y.Valid() {
				return f(d, x, y)
			}
			return 0
		}
	}
	return []abi.Kfunc{
		row("struct bpf_cpumask *bpf_cpumask_create(void)",
			abi.Acquire|abi.RetNull, ops.GroupGeneric, h.cpumaskCreate),
		row("struct bpf_cpumask *bpf_cpumask_acquire(struct bpf_cpumask *cpumask)",
			abi.Acquire, ops.GroupGeneric, h.cpumaskAcquire),
		row("void bpf_cpumask_release(struct bpf_cpumask *cpumask)",
			abi.Release, ops.GroupGeneric, h.cpumaskRelease),
		row("int bpf_cpumask_populate(struct bpf_cpumask *cpumask, void *src, size_t src__sz)",
			abi.RCU, ops.GroupGeneric, h.cpumaskPopulate),
		row("void bpf_cpumask_set_cpu(u32 cpu, struct bpf_cpumask *cpumask)",
			abi.RCU, ops.GroupGeneric, set(setCPU)),
		row("void bpf_cpumask_clear_cpu(u32 cpu, struct bpf_cpumask *cpumask)",
			abi.RCU, ops.GroupGeneric, set(clearCPU)),
		row("bool bpf_cpumask_test_cpu(u32 cpu, const struct cpumask *cpumask)",
			abi.RCU, ops.GroupGeneric, set(kobj.CPUMask.Test)),
		row("bool bpf_cpumask_test_and_set_cpu(u32 cpu, struct bpf_cpumask *cpumask)",
			abi.RCU, ops.GroupGeneric, set(kobj.CPUMask.TestAndSet)),
		row("bool bpf_cpumask_test_and_clear_cpu(u32 cpu, struct bpf_cpumask *cpumask)",
			abi.RCU, ops.GroupGeneric, set(kobj.CPUMask.TestAndClear)),
		row("void bpf_cpumask_setall(struct bpf_cpumask *cpumask)",
			abi.RCU, ops.GroupGeneric, one(h.setAll)),
		row("void bpf_cpumask_clear(struct bpf_cpumask *cpumask)",
			abi.RCU, ops.GroupGeneric, one(zero)),
		row("u32 bpf_cpumask_first(const struct cpumask *cpumask)",
			abi.RCU, ops.GroupGeneric, one(h.first)),
		row("u32 bpf_cpumask_first_zero(const struct cpumask *cpumask)",
			abi.RCU, ops.GroupGeneric, one(h.firstZero)),
		row("bool bpf_cpumask_empty(const struct cpumask *cpumask)",
			abi.RCU, ops.GroupGeneric, one(empty)),
		row("bool bpf_cpumask_full(const struct cpumask *cpumask)",
			abi.RCU, ops.GroupGeneric, one(h.full)),
		row("u32 bpf_cpumask_weight(const struct cpumask *cpumask)",
			abi.RCU, ops.GroupGeneric, one(weight)),
		row("u32 bpf_cpumask_any_distribute(const struct cpumask *cpumask)",
			abi.RCU, ops.GroupGeneric, one(h.anyDistribute)),
		row("u32 bpf_cpumask_first_and(const struct cpumask *src1, const struct cpumask *src2)",
			abi.RCU, ops.GroupGeneric, two(h.firstAnd)),
		row("bool bpf_cpumask_equal(const struct cpumask *src1, const struct cpumask *src2)",
			abi.RCU, ops.GroupGeneric, two(equal)),
		row("bool bpf_cpumask_intersects(const struct cpumask *src1, const struct cpumask *src2)",
			abi.RCU, ops.GroupGeneric, two(intersects)),
		row("bool bpf_cpumask_subset(const struct cpumask *src1, const struct cpumask *src2)",
			abi.RCU, ops.GroupGeneric, two(subset)),
		row("void bpf_cpumask_copy(struct bpf_cpumask *dst, const struct cpumask *src)",
			abi.RCU, ops.GroupGeneric, two(copyMask)),
		row("u32 bpf_cpumask_any_and_distribute(const struct cpumask *src1, const struct cpumask *src2)",
			abi.RCU, ops.GroupGeneric, two(h.anyAndDistribute)),
		row("bool bpf_cpumask_and(struct bpf_cpumask *dst, const struct cpumask *src1, const struct cpumask *src2)",
			abi.RCU, ops.GroupGeneric, three(and)),
		row("void bpf_cpumask_or(struct bpf_cpumask *dst, const struct cpumask *src1, const struct cpumask *src2)",
			abi.RCU, ops.GroupGeneric, three(or)),
		row("void bpf_cpumask_xor(struct bpf_cpumask *dst, const struct cpumask *src1, const struct cpumask *src2)",
			abi.RCU, ops.GroupGeneric, three(xor)),
	}
}

// cpumaskCreate allocates an empty mask with one reference; without memory it returns 0.
func (h *Host) cpumaskCreate(c *abi.Call, _ *abi.Args) uint64 {
	addr, b, err := c.Mem.Alloc(uint64(h.maskSize), 8)
	if err != nil {
		return 0
	}
	binary.LittleEndian.PutUint32(b[h.maskUsage:], 1)
	return addr
}

// usage returns the reference count of the bpf_cpumask in the first register; nil after a fault. A mask without
// references was freed.
func (h *Host) usage(c *abi.Call, a *abi.Args) []byte {
	b := h.bytes(c, a, 0, uint64(h.maskSize))
	if b == nil {
		return nil
	}
	u := b[h.maskUsage : h.maskUsage+4]
	if i32At(u, 0) <= 0 {
		c.Fault = "argument 1: the cpumask has no references"
		return nil
	}
	return u
}

func (h *Host) cpumaskAcquire(c *abi.Call, a *abi.Args) uint64 {
	u := h.usage(c, a)
	if u == nil {
		return 0
	}
	binary.LittleEndian.PutUint32(u, binary.LittleEndian.Uint32(u)+1)
	return a[0]
}

func (h *Host) cpumaskRelease(c *abi.Call, a *abi.Args) uint64 {
	u := h.usage(c, a)
	if u == nil {
		return 0
	}
	n := binary.LittleEndian.Uint32(u) - 1
	binary.LittleEndian.PutUint32(u, n)
	if n == 0 {
		c.Mem.Free(a[0], uint64(h.maskSize))
	}
	return 0
}

// cpumaskPopulate copies a bitmap from the program's memory, which must hold all CPUs.
func (h *Host) cpumaskPopulate(c *abi.Call, a *abi.Args) uint64 {
	n := (uint64(h.Machine.NrCPUs()) + 63) / 64 * 8
	if a[2] < n {
		return abi.EACCES.Ret()
	}
	m, b := h.mask(c, a, 0), h.bytes(c, a, 1, n)
	if !m.Valid() || b == nil {
		return 0
	}
	for cpu := range int32(h.Machine.NrCPUs()) {
		if b[cpu/8]>>(cpu%8)&1 != 0 {
			m.Set(cpu)
		} else {
			m.Clear(cpu)
		}
	}
	return 0
}

func setCPU(m kobj.CPUMask, cpu int32) bool {
	m.Set(cpu)
	return false
}

func clearCPU(m kobj.CPUMask, cpu int32) bool {
	m.Clear(cpu)
	return false
}

// cpu returns a CPU as the kernel's find functions do: nr_cpu_ids for none.
func (h *Host) cpu(cpu int32) uint64 {
	if cpu < 0 || int(cpu) >= h.Machine.NrCPUs() {
		return uint64(h.Machine.NrCPUs())
	}
	return uint64(cpu)
}

func (h *Host) setAll(m kobj.CPUMask) uint64 {
	m.Fill(h.Machine.NrCPUs())
	return 0
}

func zero(m kobj.CPUMask) uint64 {
	m.Zero()
	return 0
}

func (h *Host) first(m kobj.CPUMask) uint64 { return h.cpu(m.First()) }

func (h *Host) firstZero(m kobj.CPUMask) uint64 {
	for cpu := range int32(h.Machine.NrCPUs()) {
		if !m.Test(cpu) {
			return uint64(cpu)
		}
	}
	return h.cpu(-1)
}

func empty(m kobj.CPUMask) uint64                 { return retBool(m.Empty()) }
func weight(m kobj.CPUMask) uint64                { return uint64(m.Weight()) }
func (h *Host) full(m kobj.CPUMask) uint64        { return retBool(m.Full(h.Machine.NrCPUs())) }
func equal(m, o kobj.CPUMask) uint64              { return retBool(m.Equal(o)) }
func intersects(m, o kobj.CPUMask) uint64         { return retBool(m.Intersects(o)) }
func subset(m, o kobj.CPUMask) uint64             { return retBool(m.Subset(o)) }
func and(d, x, y kobj.CPUMask) uint64             { return retBool(d.And(x, y)) }
func (h *Host) firstAnd(m, o kobj.CPUMask) uint64 { return h.cpu(m.FirstAnd(o)) }

func copyMask(m, o kobj.CPUMask) uint64 {
	m.Copy(o)
	return 0
}

func or(d, x, y kobj.CPUMask) uint64 {
	d.Or(x, y)
	return 0
}

func xor(d, x, y kobj.CPUMask) uint64 {
	d.Xor(x, y)
	return 0
}

func (h *Host) anyDistribute(m kobj.CPUMask) uint64 { return h.anyAndDistribute(m, m) }

func (h *Host) anyAndDistribute(m, o kobj.CPUMask) uint64 {
	return h.cpu(int32(h.Kernel.AnyDistribute(m, o)))
}
