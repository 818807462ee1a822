package kfuncs

import (
	"encoding/binary"
	"fmt"

	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/sim"
	"github.com/schedsim/schedsim/vm/abi"
)

// What bpf_iter_task walks over (BPF_TASK_ITER_*), and the flags of bpf_iter_css_task (CSS_TASK_ITER_*).
const (
	taskIterAllProcs    = 0
	taskIterAllThreads  = 1
	taskIterProcThreads = 2

	cssTaskProcs    = 1
	cssTaskThreaded = 2
)

// taskIterSize is the size of struct bpf_iter_task: the process at hand, the task that comes next, and the flags.
const taskIterSize = 24

// cssTaskSize is the size of struct bpf_iter_css_task: a handle.
const cssTaskSize = 8

// cssTasks is a walk over the tasks of a cgroup.
type cssTasks struct {
	tasks []*sim.Task // that were there when it began
	procs bool
}

// taskIterFuncs walk over tasks.
func taskIterFuncs(h *Host) []abi.Kfunc {
	return []abi.Kfunc{
		row("int bpf_iter_task_new(struct bpf_iter_task *it, struct task_struct *task__nullable, unsigned int flags)",
			abi.IterNew|abi.RCUProtected, ops.GroupGeneric, h.taskIterNew),
		row("struct task_struct *bpf_iter_task_next(struct bpf_iter_task *it)",
			abi.RetNull|abi.IterNext, ops.GroupGeneric, h.taskIterNext),
		row("void bpf_iter_task_destroy(struct bpf_iter_task *it)",
			abi.IterDestroy, ops.GroupGeneric, h.taskIterDestroy),
		row("int bpf_iter_css_task_new(struct bpf_iter_css_task *it, struct cgroup_subsys_state *css, unsigned int flags)",
			abi.IterNew, ops.GroupGeneric, h.cssTaskNew),
		row("struct task_struct *bpf_iter_css_task_next(struct bpf_iter_css_task *it)",
			abi.RetNull|abi.IterNext, ops.GroupGeneric, h.cssTaskNext),
		row("void bpf_iter_css_task_destroy(struct bpf_iter_css_task *it)",
			abi.IterDestroy, ops.GroupGeneric, h.cssTaskDestroy),
	}
}

// taskIterNew follows bpf_iter_task_new. The walk over all tasks begins with the idle task of CPU 0, which is init_task.
func (h *Host) taskIterNew(c *abi.Call, a *abi.Args) uint64 {
	b := h.bytes(c, a, 0, taskIterSize)
	if b == nil {
		return 0
	}
	clear(b)
	start := h.Machine.IdleTask(0)
	switch flags := uint32(a[2]); {
	case flags > taskIterProcThreads:
		return abi.EINVAL.Ret()
	case flags == taskIterProcThreads:
		if a[1] == 0 {
			return abi.EINVAL.Ret()
		}
		if start = h.task(c, a, 1); start == nil {
			return 0
		}
		fallthrough
	default:
		binary.LittleEndian.PutUint64(b, start.K.Addr)
		binary.LittleEndian.PutUint64(b[8:], start.K.Addr)
		binary.LittleEndian.PutUint32(b[16:], flags)
	}
	return 0
}

// taskIterNext follows bpf_iter_task_next.
func (h *Host) taskIterNext(c *abi.Call, a *abi.Args) uint64 {
	b := h.bytes(c, a, 0, taskIterSize)
	if b == nil {
		return 0
	}
	pos := h.Machine.TaskByAddr(u64At(b, 8))
	if pos == nil {
		return 0
	}
	flags := uint32(u64At(b, 16))
	if flags != taskIterAllProcs {
		next := h.nextThread(pos)
		if next != nil || flags == taskIterProcThreads {
			binary.LittleEndian.PutUint64(b[8:], retTask(next))
			return pos.K.Addr
		}
	}
	next := h.nextProcess(h.Machine.TaskByAddr(u64At(b, 0)))
	binary.LittleEndian.PutUint64(b, retTask(next))
	binary.LittleEndian.PutUint64(b[8:], retTask(next))
	return pos.K.Addr
}

// nextThread is the next younger thread of t's process.
func (h *Host) nextThread(t *sim.Task) *sim.Task {
	if h.Machine.TaskByPID(t.PID) != t {
		return nil // an idle task, or one that has ended
	}
	l := t.Leader()
	n := h.Machine.NextTask(t)
	for n != nil && n.Leader() != l {
		n = h.Machine.NextTask(n)
	}
	return n
}

// nextProcess is the next younger process, by its leader: the oldest thread of one whose leader has ended.
func (h *Host) nextProcess(t *sim.Task) *sim.Task {
	n := h.Machine.FirstTask()
	switch {
	case t == nil:
		return nil
	case t.PID != 0 && h.Machine.TaskByPID(t.PID) != t:
		return nil
	case t.PID != 0:
		n = h.Machine.NextTask(t)
	}
	for n != nil && !h.heads(n) {
		n = h.Machine.NextTask(n)
	}
	return n
}

// heads tells whether t stands for its process.
func (h *Host) heads(t *sim.Task) bool {
	l := t.Leader()
	if l == t {
		return true
	}
	if h.Machine.TaskByPID(l.PID) == l {
		return false
	}
	n := h.Machine.FirstTask()
	for n.Leader() != l {
		n = h.Machine.NextTask(n)
	}
	return n == t
}

func (h *Host) taskIterDestroy(c *abi.Call, a *abi.Args) uint64 {
	h.bytes(c, a, 0, taskIterSize)
	return 0
}

// cssTaskNew follows bpf_iter_css_task_new.
func (h *Host) cssTaskNew(c *abi.Call, a *abi.Args) uint64 {
	b := h.bytes(c, a, 0, cssTaskSize)
	if b == nil {
		return 0
	}
	clear(b)
	flags := uint32(a[2])
	if flags != 0 && flags != cssTaskProcs && flags != cssTaskProcs|cssTaskThreaded {
		return abi.EINVAL.Ret()
	}
	g := h.Machine.CgroupByAddr(a[1])
	if g == nil {
		c.Fault = fmt.Sprintf("argument 2: %#x is no cgroup", a[1])
		return 0
	}
	w := &cssTasks{procs: flags&cssTaskProcs != 0}
	g.Tasks(func(t *sim.Task) { w.tasks = append(w.tasks, t) })
	h.walks.open(w, b)
	return 0
}

// cssTaskNext follows css_task_iter_next: tasks in the order in which they came to the cgroup, but for those that have begun to
// exit; with CSS_TASK_ITER_PROCS only leaders.
func (h *Host) cssTaskNext(c *abi.Call, a *abi.Args) uint64 {
	w := h.walks.at(c, a, h.bytes(c, a, 0, cssTaskSize))
	if w == nil {
		return 0
	}
	for len(w.tasks) > 0 {
		t := w.tasks[0]
		w.tasks = w.tasks[1:]
		if t.Exiting || h.Machine.TaskByPID(t.PID) != t || w.procs && t.Leader() != t {
			continue
		}
		return t.K.Addr
	}
	return 0
}

func (h *Host) cssTaskDestroy(c *abi.Call, a *abi.Args) uint64 {
	b := h.bytes(c, a, 0, cssTaskSize)
	if h.walks.at(c, a, b) != nil {
		h.walks.close(b)
	}
	return 0
}
