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

// cssNext follows bpf_iter_css_next. Removed cgroups are met too while they are held: programs look at their flags.
func (h *Host) cssNext(c *abi.Call, a *abi.Args) uint64 {
	b := h.bytes(c, a, 0, cssIterSize)
	if b == nil {
		return 0
	}
	start := h.Machine.CgroupByAddr(u64At(b, 0))
	if start == nil {
		return 0
	}
	pos := h.Machine.CgroupByAddr(u64At(b, 8))
	first := pos == nil
	switch u64At(b, 16) {
	case cgroupIterDescendantsPre:
		if first {
			pos = start
		} else {
			pos = pos.NextPre(start)
		}
	case cgroupIterDescendantsPost:
		if first {
			pos = start.FirstPost()
		} else {
			pos = pos.NextPost(start)
		}
	case cgroupIterAncestorsUp:
		if first {
			pos = start
		} else {
			pos = pos.Parent
		}
	case cgroupIterChildren:
		if first {
			pos = start.First()
		} else {
			pos = pos.Next()
		}
	}
	at := uint64(0)
	if pos != nil {
		at = pos.K.Addr
	}
	binary.LittleEndian.PutUint64(b[8:], at)
	return at
}

func (h *Host) cssDestroy(c *abi.Call, a *abi.Args) uint64 {
	h.bytes(c, a, 0, cssIterSize)
	return 0
}
