package vm

import (
	"fmt"

	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/maps"
)

// machineFunc returns the kernel function of that name if it is one of those that work on the programs' own memory
// (abi.Kfunc.Machine), else nil. A fault begins with its name.
func (s *Set) machineFunc(name string) abi.Func {
	var f abi.Func
	switch name {
	case "bpf_arena_alloc_pages":
		f = s.arenaAllocPages
	case "bpf_arena_free_pages":
		f = s.arenaFreePages
	case "bpf_arena_reserve_pages":
		f = s.arenaReservePages
	default:
		return nil
	}
	return func(c *abi.Call, a *abi.Args) uint64 {
		r := f(c, a)
		if c.Fault != "" {
			c.Fault = name + ": " + c.Fault
		}
		return r
	}
}

// arenaOf returns the map that the first register points to: nil and no fault if it is no arena.
func (s *Set) arenaOf(c *abi.Call, a *abi.Args) *maps.Arena {
	m := s.maps.At(a[0])
	if m == nil {
		c.Fault = fmt.Sprintf("argument 1: %#x is no map", a[0])
	}
	arena, _ := m.(*maps.Arena)
	return arena
}

// arenaAllocPages follows bpf_arena_alloc_pages.
func (s *Set) arenaAllocPages(c *abi.Call, a *abi.Args) uint64 {
	m, n, node, flags := s.arenaOf(c, a), uint32(a[2]), int32(a[3]), a[4]
	const noNode = -1
	if m == nil || flags != 0 || node != noNode && uint32(node) >= s.nodes() {
		return 0
	}
	return m.Alloc(a[1], n)
}

// nodes is the number of NUMA nodes.
func (s *Set) nodes() uint32 {
	if h, ok := s.opt.Host.(abi.NodesHost); ok {
		return uint32(h.NrNodes())
	}
	return 1
}

// arenaFreePages follows bpf_arena_free_pages.
func (s *Set) arenaFreePages(c *abi.Call, a *abi.Args) uint64 {
	if m := s.arenaOf(c, a); m != nil && a[1] != 0 {
		m.Free(a[1], uint32(a[2]), c.Prog.Sleepable)
	}
	return 0
}

// arenaReservePages follows bpf_arena_reserve_pages.
func (s *Set) arenaReservePages(c *abi.Call, a *abi.Args) uint64 {
	m := s.arenaOf(c, a)
	if m == nil {
		return abi.EINVAL.Ret()
	}
	return m.Reserve(a[1], uint32(a[2])).Ret()
}
