package kfuncs

import (
	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/sched/class/ext"
	"github.com/schedsim/schedsim/vm/abi"
)

// iterSize is the size of struct bpf_iter_scx_dsq.
const iterSize = 48

// iterFuncs walk a queue, by the core's iterators.
func iterFuncs(h *Host) []abi.Kfunc {
	return []abi.Kfunc{
		row("int bpf_iter_scx_dsq_new(struct bpf_iter_scx_dsq *it, u64 dsq_id, u64 flags)",
			abi.IterNew|abi.RCUProtected|abi.ImplicitArgs, ops.GroupAny, h.iterNew),
		row("struct task_struct *bpf_iter_scx_dsq_next(struct bpf_iter_scx_dsq *it)",
			abi.RetNull|abi.IterNext, ops.GroupAny, h.iterNext),
		row("void bpf_iter_scx_dsq_destroy(struct bpf_iter_scx_dsq *it)",
			abi.IterDestroy, ops.GroupAny, h.iterDestroy),
	}
}

// iter returns the iterator that the first register points to, nil if it holds none.
func (h *Host) iter(c *abi.Call, a *abi.Args) *ext.DSQIter {
	return h.iters.at(c, a, h.bytes(c, a, 0, iterSize))
}

func (h *Host) iterNew(c *abi.Call, a *abi.Args) uint64 {
	b := h.bytes(c, a, 0, iterSize)
	if b == nil {
		return 0
	}
	clear(b)
	it, ret := h.Kernel.NewDSQIter(a[1], a[2])
	if ret != 0 {
		return retInt(ret)
	}
	h.iters.open(it, b)
	return 0
}

func (h *Host) iterNext(c *abi.Call, a *abi.Args) uint64 {
	it := h.iter(c, a)
	if it == nil {
		return 0
	}
	return retTask(it.Next())
}

func (h *Host) iterDestroy(c *abi.Call, a *abi.Args) uint64 {
	b := h.bytes(c, a, 0, iterSize)
	if it := h.iters.at(c, a, b); it != nil {
		it.Close()
		h.iters.close(b)
	}
	return 0
}
