package vm

import (
	"fmt"
	"strings"

	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/maps"
)

// machineFunc returns the kernel function of that name if it is one of those that work on the programs' own memory
// (abi.Kfunc.Machine), else nil. A fault begins with its name.
func (s *Set) machineFunc(name string) abi.Func {
	var f abi.Func
	o := s.objects
	switch strings.TrimSuffix(name, "_impl") { // which older kernels have in the names of those with implicit arguments
	case "bpf_arena_alloc_pages":
		f = s.arenaAllocPages
	case "bpf_arena_free_pages":
		f = s.arenaFreePages
	case "bpf_arena_reserve_pages":
		f = s.arenaReservePages
	case "bpf_throw":
		f = throw
	case "bpf_wq_init":
		f = s.helpers.WQInit
	case "bpf_wq_set_callback":
		f = s.helpers.WQSetCallback
	case "bpf_wq_start":
		f = s.helpers.WQStart
	case "bpf_task_work_schedule_signal", "bpf_task_work_schedule_resume":
		f = s.helpers.TaskWork
	case "bpf_timer_cancel_async":
		f = s.helpers.TimerCancelAsync
	case "bpf_map_sum_elem_count":
		f = s.helpers.SumElemCount
	case "bpf_obj_new":
		f = o.NewObject
	case "bpf_obj_drop":
		f = o.Drop
	case "bpf_refcount_acquire":
		f = o.Acquire
	case "bpf_percpu_obj_new":
		f = o.NewPerCPU
	case "bpf_percpu_obj_drop":
		f = o.DropPerCPU
	case "bpf_rbtree_add":
		f = o.RBAdd
	case "bpf_rbtree_remove":
		f = o.RBRemove
	case "bpf_rbtree_first":
		f = o.RBFirst
	case "bpf_rbtree_root":
		f = o.RBRoot
	case "bpf_rbtree_left":
		f = o.RBLeft
	case "bpf_rbtree_right":
		f = o.RBRight
	case "bpf_list_push_front":
		f = o.PushFront
	case "bpf_list_push_back":
		f = o.PushBack
	case "bpf_list_add":
		f = o.Add
	case "bpf_list_pop_front":
		f = o.PopFront
	case "bpf_list_pop_back":
		f = o.PopBack
	case "bpf_list_del":
		f = o.Del
	case "bpf_list_front":
		f = o.Front
	case "bpf_list_back":
		f = o.Back
	case "bpf_list_is_first":
		f = o.IsFirst
	case "bpf_list_is_last":
		f = o.IsLast
	case "bpf_list_empty":
		f = o.Empty
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

// throw follows bpf_throw (kernel/bpf/helpers.c, 7.2): the engine does the rest.
func throw(c *abi.Call, a *abi.Args) uint64 {
	c.Next, c.Cookie = abi.NextThrow, a[0]
	return 0
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

// dropKptr releases the reference that a kptr of a map held: to an object of the programs, or to one of the kernel.
func (s *Set) dropKptr(f maps.Field, ptr uint64) {
	if !s.objects.DropAt(ptr) && !s.objects.DropPerCPUAt(ptr) && s.opt.DropKptr != nil {
		s.opt.DropKptr(f.Pointee, ptr)
	}
}

// perCPU is the copy of a CPU of what ptr stands for: an object of the programs, or a variable of the kernel.
func (s *Set) perCPU(ptr uint64, cpu int32) uint64 {
	if addr, ok := s.objects.PerCPU(ptr, cpu); ok {
		return addr
	}
	if s.opt.PerCPU == nil {
		return ptr
	}
	return s.opt.PerCPU(ptr, cpu)
}
