package helpers

import (
	"fmt"
	"slices"

	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/maps"
)

// work is a struct bpf_wq that was initialised, or a struct bpf_task_work that was used. Programs see only that its bytes are
// not zero.
type work struct {
	addr   uint64
	m      maps.Map
	value  uint64 // the map value that it lies in
	fn     uint64 // callback, 0 until one is set
	queued bool
	fire   func() // made once, so that queueing allocates nothing
}

const (
	wqSize       = 16 // sizeof(struct bpf_wq)
	taskWorkSize = 8  // sizeof(struct bpf_task_work)
)

// newWork makes the work at addr, which must be a field of a value of the map at ptr; nil: there is a fault.
func (e *Env) newWork(c *abi.Call, addr, ptr uint64, kind maps.FieldKind, name string) *work {
	m := e.Maps.At(ptr)
	if m == nil {
		c.Fault = fmt.Sprintf("%#x is not a map", ptr)
		return nil
	}
	for _, f := range m.Info().Fields {
		if f.Kind != kind {
			continue
		}
		if _, ok := m.KeyOf(addr - uint64(f.Off)); !ok {
			break
		}
		w := &work{addr: addr, m: m, value: addr - uint64(f.Off)}
		w.fire = func() { e.runWork(w) }
		e.works[addr] = w
		e.Mem.Store(addr, 8, addr) // the kernel's pointer to its own half
		return w
	}
	c.Fault = fmt.Sprintf("no %s of map %q at %#x", name, m.Info().Name, addr)
	return nil
}

// WQInit follows bpf_wq_init (kernel/bpf/helpers.c, 7.2).
func (e *Env) WQInit(c *abi.Call, a *abi.Args) uint64 {
	switch {
	case uint32(a[2]) != 0:
		return errno(abi.EINVAL)
	case e.works[a[0]] != nil:
		return errno(abi.EBUSY)
	}
	e.newWork(c, a[0], a[1], maps.Workqueue, "workqueue")
	return 0
}

// workAt finds the workqueue R1. Zeros in memory are one that is not initialised, anything else is none at all.
func (e *Env) workAt(c *abi.Call, a *abi.Args) *work {
	w := e.works[a[0]]
	if w == nil {
		if b := e.Mem.Bytes(a[0], wqSize); b == nil || slices.Max(b) != 0 {
			c.Fault = fmt.Sprintf("no workqueue at %#x", a[0])
		}
	}
	return w
}

// WQSetCallback follows bpf_wq_set_callback.
func (e *Env) WQSetCallback(c *abi.Call, a *abi.Args) uint64 {
	if uint32(a[2]) != 0 {
		return errno(abi.EINVAL)
	}
	w := e.workAt(c, a)
	if w == nil {
		return errno(abi.EINVAL)
	}
	w.fn = a[1]
	return 0
}

// WQStart follows bpf_wq_start. The kernel's worker runs soon after on the same processor; here nothing comes before but what
// happens at this moment already.
func (e *Env) WQStart(c *abi.Call, a *abi.Args) uint64 {
	if uint32(a[1]) != 0 {
		return errno(abi.EINVAL)
	}
	w := e.workAt(c, a)
	if w == nil || w.fn == 0 {
		return errno(abi.EINVAL)
	}
	e.queue(w)
	return 0
}

// queue makes a work run, unless it is going to.
func (e *Env) queue(w *work) {
	if !w.queued {
		w.queued = true
		e.Host.ArmTimer(w.addr, e.Host.CPU(), e.Host.NowNS(), w.fire)
	}
}

// TaskWork follows bpf_task_work_schedule_signal and bpf_task_work_schedule_resume: the callback R4 runs once for the task R1,
// with the field R2 of a value of the map R3. Who asks again before that gets EBUSY. The kernel lets it run when the task is on
// its way to user space; here it runs as soon as the program has ended.
func (e *Env) TaskWork(c *abi.Call, a *abi.Args) uint64 {
	w := e.works[a[1]]
	switch {
	case w == nil:
		if w = e.newWork(c, a[1], a[2], maps.TaskWork, "task work"); w == nil {
			return 0
		}
	case w.queued:
		return errno(abi.EBUSY)
	}
	w.fn = a[3]
	e.queue(w)
	return 0
}

// runWork follows bpf_wq_work and bpf_task_work_callback.
func (e *Env) runWork(w *work) {
	w.queued = false
	if w.fn == 0 || e.works[w.addr] != w {
		return
	}
	if key, ok := w.m.KeyOf(w.value); ok {
		e.RunSub(w.fn, abi.Args{w.m.Info().Addr, key, w.value})
	}
}

// forgetWork follows bpf_wq_cancel_and_free and bpf_task_work_cancel_and_free: the value that it lies in goes away.
func (e *Env) forgetWork(addr, size uint64) {
	if e.works[addr] == nil {
		return
	}
	e.Host.DisarmTimer(addr)
	delete(e.works, addr)
	clear(e.Mem.Bytes(addr, size))
}
