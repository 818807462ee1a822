package kfuncs

import (
	"encoding/binary"

	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/vm/abi"
)

// maxLoops is BPF_MAX_LOOPS, the longest range of a number iterator.
const maxLoops = 8 << 20

// commonFuncs are of programs of all types: RCU, preemption, interrupts, resilient locks, number iterators. The simulated machine runs one
// program at a time and frees nothing behind a program's back, so most locking does nothing.
func commonFuncs(h *Host) []abi.Kfunc {
	nop := func(*abi.Call, *abi.Args) uint64 { return 0 }
	self := func(_ *abi.Call, a *abi.Args) uint64 { return a[0] }
	return []abi.Kfunc{
		row("void bpf_rcu_read_lock(void)",
			0, ops.GroupCommon, nop),
		row("void bpf_rcu_read_unlock(void)",
			0, ops.GroupCommon, nop),
		row("void bpf_preempt_disable(void)",
			0, ops.GroupCommon, nop),
		row("void bpf_preempt_enable(void)",
			0, ops.GroupCommon, nop),
		row("void bpf_local_irq_save(long unsigned int *flags__irq_flag)",
			0, ops.GroupCommon, h.irqSave),
		row("void bpf_local_irq_restore(long unsigned int *flags__irq_flag)",
			0, ops.GroupCommon, nop),
		row("int bpf_iter_num_new(struct bpf_iter_num *it, int start, int end)",
			abi.IterNew, ops.GroupCommon, h.iterNumNew),
		row("int *bpf_iter_num_next(struct bpf_iter_num *it)",
			abi.RetNull|abi.IterNext, ops.GroupCommon, h.iterNumNext),
		row("void bpf_iter_num_destroy(struct bpf_iter_num *it)",
			abi.IterDestroy, ops.GroupCommon, h.iterNumDestroy),
		row("int bpf_iter_bits_new(struct bpf_iter_bits *it, const u64 *unsafe_ptr__ign, u32 nr_words)",
			abi.IterNew, ops.GroupCommon, h.iterBitsNew),
		row("int *bpf_iter_bits_next(struct bpf_iter_bits *it)",
			abi.RetNull|abi.IterNext, ops.GroupCommon, h.iterBitsNext),
		row("void bpf_iter_bits_destroy(struct bpf_iter_bits *it)",
			abi.IterDestroy, ops.GroupCommon, h.iterBitsDestroy),
		row("void *bpf_rdonly_cast(const void *obj__ign, u32 btf_id__k)",
			abi.FastCall, ops.GroupCommon, self),
		row("void *bpf_cast_to_kern_ctx(void *obj)",
			abi.FastCall, ops.GroupCommon, self),
		row("int bpf_res_spin_lock(struct bpf_res_spin_lock *lock)",
			abi.RetNull, ops.GroupCommon, h.resLock),
		row("void bpf_res_spin_unlock(struct bpf_res_spin_lock *lock)",
			0, ops.GroupCommon, h.resUnlock),
		row("int bpf_res_spin_lock_irqsave(struct bpf_res_spin_lock *lock, long unsigned int *flags__irq_flag)",
			abi.RetNull, ops.GroupCommon, h.resLock),
		row("void bpf_res_spin_unlock_irqrestore(struct bpf_res_spin_lock *lock, long unsigned int *flags__irq_flag)",
			0, ops.GroupCommon, h.resUnlock),
	}
}

// irqSave stores the interrupt flags, which say nothing here.
func (h *Host) irqSave(c *abi.Call, a *abi.Args) uint64 {
	if b := h.bytes(c, a, 0, 8); b != nil {
		clear(b)
	}
	return 0
}

// resLock takes a resilient lock (bpf_res_spin_lock). Nobody else can hold it but a program that was interrupted by this
// one: a deadlock, which the kernel detects.
func (h *Host) resLock(c *abi.Call, a *abi.Args) uint64 {
	b := h.bytes(c, a, 0, 4)
	if b == nil {
		return 0
	}
	if i32At(b, 0) != 0 {
		return abi.EDEADLK.Ret()
	}
	binary.LittleEndian.PutUint32(b, 1)
	return 0
}

func (h *Host) resUnlock(c *abi.Call, a *abi.Args) uint64 {
	if b := h.bytes(c, a, 0, 4); b != nil {
		clear(b)
	}
	return 0
}

// A number iterator is two ints in the program's stack: the current number and the end. The functions follow
// bpf_iter_num_new, _next and _destroy (kernel/bpf/bpf_iter.c, 7.2).

func (h *Host) iterNumNew(c *abi.Call, a *abi.Args) uint64 {
	b := h.bytes(c, a, 0, 8)
	if b == nil {
		return 0
	}
	start, end := int32(a[1]), int32(a[2])
	switch {
	case start > end:
		clear(b)
		return abi.EINVAL.Ret()
	case int64(end)-int64(start) > maxLoops:
		clear(b)
		return abi.E2BIG.Ret()
	}
	binary.LittleEndian.PutUint32(b, uint32(start-1))
	binary.LittleEndian.PutUint32(b[4:], uint32(end))
	return 0
}

func (h *Host) iterNumNext(c *abi.Call, a *abi.Args) uint64 {
	b := h.bytes(c, a, 0, 8)
	if b == nil {
		return 0
	}
	next, end := i32At(b, 0)+1, i32At(b, 4)
	if next >= end {
		clear(b)
		return 0
	}
	binary.LittleEndian.PutUint32(b, uint32(next))
	return a[0]
}

func (h *Host) iterNumDestroy(c *abi.Call, a *abi.Args) uint64 {
	if b := h.bytes(c, a, 0, 8); b != nil {
		clear(b)
	}
	return 0
}
