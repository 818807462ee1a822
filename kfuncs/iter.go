package kfuncs

import (
	"encoding/binary"
	"fmt"

	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/sched/class/ext"
	"github.com/schedsim/schedsim/vm/abi"
)

// iterSize is the size of struct bpf_iter_scx_dsq.
const iterSize = 48

// iterFuncs walk a queue. The iterator lives in the program's stack, where programs cannot read it: it holds a handle to
// the core's iterator, 0 for none.
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

// iter returns the iterator that the first register points to, nil if it holds none; a wild handle is a fault.
func (h *Host) iter(c *abi.Call, a *abi.Args) *ext.DSQIter {
	b := h.bytes(c, a, 0, iterSize)
	if b == nil {
		return nil
	}
	n := u64At(b, 0)
	if n == 0 {
		return nil
	}
	if n > uint64(len(h.iters)) || h.iters[n-1] == nil {
		c.Fault = fmt.Sprintf("argument 1: %#x is no iterator", a[0])
		return nil
	}
	return h.iters[n-1]
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
	n := 0
	for n < len(h.iters) && h.iters[n] != nil {
		n++
	}
	if n == len(h.iters) {
		h.iters = append(h.iters, nil)
	}
	h.iters[n] = it
	binary.LittleEndian.PutUint64(b, uint64(n)+1)
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
	if it := h.iter(c, a); it != nil {
		it.Close()
		b := h.bytes(c, a, 0, iterSize)
		h.iters[u64At(b, 0)-1] = nil
		clear(b)
	}
	return 0
}
