package kfuncs

import (
	"encoding/binary"

	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/vm/abi"
)

// The orders of a walk over cgroups, enum bpf_cgroup_iter_order.
const (
	cgroupIterDescendantsPre  = 2
	cgroupIterDescendantsPost = 3
	cgroupIterAncestorsUp     = 4
	cgroupIterChildren        = 5
)

// cssIterSize is the size of struct bpf_iter_css: where the walk starts, where it is, and its order.
const cssIterSize = 24

// cssFuncs walk over cgroups, by their cgroup_subsys_state (which a cgroup begins with).
func cssFuncs(h *Host) []abi.Kfunc {
	return []abi.Kfunc{
		row("int bpf_iter_css_new(struct bpf_iter_css *it, struct cgroup_subsys_state *start, unsigned int flags)",
			abi.IterNew|abi.RCUProtected, ops.GroupGeneric, h.cssNew),
		row("struct cgroup_subsys_state *bpf_iter_css_next(struct bpf_iter_css *it)",
			abi.RetNull|abi.IterNext, ops.GroupGeneric, h.cssNext),
		row("void bpf_iter_css_destroy(struct bpf_iter_css *it)",
			abi.IterDestroy, ops.GroupGeneric, h.cssDestroy),
	}
}

// cssNew follows bpf_iter_css_new.
func (h *Host) cssNew(c *abi.Call, a *abi.Args) uint64 {
	b := h.bytes(c, a, 0, cssIterSize)
	if b == nil {
		return 0
	}
	clear(b)
	order := uint32(a[2])
	if order < cgroupIterDescendantsPre || order > cgroupIterChildren {
		return abi.EINVAL.Ret()
	}
	binary.LittleEndian.PutUint64(b, a[1])
	binary.LittleEndian.PutUint32(b[16:], order)
	return 0
}

// cssNext follows bpf_iter_css_next in a machine whose only cgroup is the root: a walk from it meets it alone, or
// nothing when it is over children.
func (h *Host) cssNext(c *abi.Call, a *abi.Args) uint64 {
	b := h.bytes(c, a, 0, cssIterSize)
	if b == nil {
		return 0
	}
	start, pos := u64At(b, 0), u64At(b, 8)
	switch {
	case pos != 0 || u64At(b, 16) == cgroupIterChildren:
		pos = 0
	default:
		pos = start
	}
	binary.LittleEndian.PutUint64(b[8:], pos)
	return pos
}

func (h *Host) cssDestroy(c *abi.Call, a *abi.Args) uint64 {
	h.bytes(c, a, 0, cssIterSize)
	return 0
}
