package kfuncs

import (
	"fmt"
	"slices"

	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/ops/kernels"
	"github.com/schedsim/schedsim/vm/abi"
)

// kfMask are the bits of enum scx_kf_mask (include/linux/sched/ext.h, 6.18): what a callback allows, and what a function
// asks for. A place with none of them holds no runqueue lock (SCX_KF_UNLOCKED).
type kfMask uint32

const (
	kfCPURelease kfMask = 1 << iota
	kfDispatch
	kfEnqueue
	kfSelectCPU
	kfRest
	// kfInit is for functions of the set init, which kernels with masks did not have.
	kfInit
)

// masks are what callbacks allow, by callback.
type masks [ops.NrCallbacks]kfMask

// masksOf are the masks with which a kernel calls its callbacks (SCX_CALL_OP of 6.18), or would: one without masks has callbacks
// that are called under the lock of a runqueue since.
func masksOf(k *kernels.Kernel) *masks {
	var m masks
	for cb := range m {
		m[cb] = allows(ops.Callback(cb))
	}
	if filtered(k) {
		m[ops.CgroupMove] = kfRest
		m[ops.Init] = kfInit
	}
	return &m
}

// unlocked tells whether a place with that mask holds no runqueue lock.
func (m kfMask) unlocked() bool { return m&^kfInit == 0 }

// allows is the mask that a callback is called with by 6.18.
func allows(cb ops.Callback) kfMask {
	switch cb {
	case ops.SelectCPU:
		return kfEnqueue | kfSelectCPU
	case ops.Enqueue:
		return kfEnqueue
	case ops.Dispatch:
		return kfDispatch
	case ops.CPURelease:
		return kfCPURelease
	case ops.None, ops.InitTask, ops.Init, ops.Exit, ops.Dump, ops.CPUOnline, ops.CPUOffline, ops.CgroupInit, ops.CgroupExit, ops.CgroupPrepMove,
		ops.CgroupMove, ops.CgroupCancelMove, ops.CgroupSetWeight, ops.CgroupSetBandwidth, ops.CgroupSetIdle, ops.SubAttach, ops.SubDetach:
		return 0
	}
	return kfRest
}

// asksFor is the mask that a function asks for, by its groups in 7.2; unlocked: it may be called where none is allowed, too.
// Others ask for nothing.
func asksFor(g abi.Groups) (m kfMask, unlocked bool) {
	unlocked = g&ops.GroupUnlocked != 0
	switch {
	case g&ops.GroupEnqueue != 0:
		m = kfEnqueue | kfDispatch
	case g&ops.GroupDispatch != 0:
		m = kfDispatch
	case g&ops.GroupSelectCPU != 0:
		m = kfSelectCPU | kfEnqueue
	case g&ops.GroupCPURelease != 0:
		m = kfCPURelease
	case g&ops.GroupInit != 0:
		m = kfInit
	}
	return m, unlocked
}

// asksNothing are functions of a group that asks which do not: they only note a value for the next move.
var asksNothing = []string{
	"scx_bpf_dsq_move_set_slice", "scx_bpf_dsq_move_set_vtime",
	"scx_bpf_dispatch_from_dsq_set_slice", "scx_bpf_dispatch_from_dsq_set_vtime",
}

// checkedAtRuntime has the rows ask, when they are called, whether the callback that runs allows it. It follows scx_kf_allowed
// (kernel/sched/ext.c, 6.18), but looks at the innermost callback only: of one that was called from another the kernel says
// "called from a nested operation".
func (h *Host) checkedAtRuntime(rows []abi.Kfunc) []abi.Kfunc {
	kernel, ok := h.Layout.(*kernels.Kernel)
	if !ok || !h.Permissions.atRun(kernel) {
		return rows
	}
	allowed := masksOf(kernel)
	for i := range rows {
		k := &rows[i]
		mask, unlocked := asksFor(k.Groups)
		if mask == 0 || k.Call == nil || slices.Contains(asksNothing, k.Name) {
			continue
		}
		refused := uint64(0)
		if k.Groups&ops.GroupSelectCPU != 0 {
			refused = abi.EPERM.Ret()
		}
		call := k.Call
		k.Call = func(c *abi.Call, a *abi.Args) uint64 {
			have := allowed[h.Kernel.Frame().Callback]
			if have&mask != 0 || unlocked && have.unlocked() {
				return call(c, a)
			}
			h.Kernel.Fault(fmt.Sprintf("kfunc with mask 0x%x called from an operation only allowing 0x%x", uint32(mask), uint32(have)))
			return refused
		}
	}
	return rows
}
