package userland

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/schedsim/schedsim/sched/bpf/agent"
	"github.com/schedsim/schedsim/sim"
	"github.com/schedsim/schedsim/vm/abi"
)

// ringWorker is what is common to the schedulers on scx_rustland_core: tasks come by the ring buffer "queued" and are given back
// by the user ring buffer "dispatched", on a CPU that the program rs_select_cpu has picked.
type ringWorker struct {
	cost            Costs
	policy          ringPolicy
	slice, sliceMin sim.Duration

	l                  *agent.Loaded
	queued, dispatched *agent.Map
	nrQueued, pending  counter

	waiting  uint64 // nr_queued when the turn began
	began    bool
	hasNext  bool
	next     message // what is to be given back, on its CPU
	sample   [dispatchedSize]byte
	selected [selectSize]byte
	count    Stats
}

// ringPolicy is the policy of one of them: it is shown the tasks that have come, one by one, and asked after each what is to be
// given back.
type ringPolicy interface {
	// took puts a task in the hands of the policy; it returns the number of tasks that it is compared with.
	took(w *ringWorker, m *message, now sim.Time) int
	// pick is the next task to give back after one was taken (drained: when there are no more), if there is one.
	pick(w *ringWorker, drained bool) (message, bool)
	// back is pick undone: there is no room for the task. An error is the end of the process.
	back(m *message) error
	// single tells that a turn gives back one task at most.
	single() bool
	// len is the number of tasks in its hands.
	len() int
}

// message is a task on its way: struct queued_task_ctx, and what of struct dispatched_task_ctx is decided about it.
type message struct {
	pid, cpu                int32
	flags, start, stop      uint64
	exec, weight, vtime     uint64
	enqCnt                  uint64
	slice, deadline, arrive uint64
}

// The layouts of struct queued_task_ctx, dispatched_task_ctx and task_cpu_arg (scx_rustland_core, intf.h); objects do not
// describe the first two.
const (
	queuedSize     = 88
	dispatchedSize = 40
	selectSize     = 16

	anyCPU = 1 << 20 // RL_CPU_ANY
)

func (m *message) read(b []byte) {
	u := binary.LittleEndian
	m.pid, m.cpu = int32(u.Uint32(b)), int32(u.Uint32(b[4:]))
	m.flags, m.start, m.stop, m.exec = u.Uint64(b[16:]), u.Uint64(b[24:]), u.Uint64(b[32:]), u.Uint64(b[40:])
	m.weight, m.vtime, m.enqCnt = max(u.Uint64(b[48:]), 1), u.Uint64(b[56:]), u.Uint64(b[64:])
}

func (m *message) write(b []byte, cpu int32) {
	u := binary.LittleEndian
	u.PutUint32(b, uint32(m.pid))
	u.PutUint32(b[4:], uint32(cpu))
	u.PutUint64(b[8:], m.flags)
	u.PutUint64(b[16:], m.slice)
	u.PutUint64(b[24:], m.deadline)
	u.PutUint64(b[32:], m.enqCnt)
}

func (w *ringWorker) start(l *agent.Loaded) error {
	w.l = l
	var err error
	if w.queued, err = l.Map("queued"); err != nil {
		return err
	}
	if w.dispatched, err = l.Map("dispatched"); err != nil {
		return err
	}
	if _, err = l.ArgType("rs_select_cpu"); err != nil {
		return err
	}
	if w.nrQueued, err = newCounter(l, "nr_queued"); err != nil {
		return err
	}
	w.pending, err = newCounter(l, "nr_scheduled")
	return err
}

func (w *ringWorker) stats() Stats {
	s := w.count
	s.Waiting = w.policy.len()
	return s
}

func (w *ringWorker) work(now sim.Time) (cost sim.Duration, over bool, err error) {
	if !w.began {
		w.began, w.waiting = true, w.nrQueued.get()
	}
	if w.hasNext {
		return w.give()
	}
	m, ok, err := w.take()
	if err != nil {
		return 0, false, err
	}
	cost = w.cost.Take
	if ok {
		cost += sim.Duration(w.policy.took(w, &m, now)) * w.cost.Pass
	}
	if m, picked := w.policy.pick(w, !ok); picked {
		w.next, w.hasNext = m, true
		if w.next.cpu, err = w.selectCPU(&w.next); err != nil {
			return 0, false, err
		}
		return cost + w.cost.Select, false, nil
	}
	if ok {
		return cost, false, nil
	}
	w.endTurn()
	return cost + w.cost.Turn, true, nil
}

// endTurn follows notify_complete.
func (w *ringWorker) endTurn() {
	w.pending.set(uint64(w.policy.len()))
	w.began = false
	w.count.Turns++
}

// take follows dequeue_task.
func (w *ringWorker) take() (m message, ok bool, err error) {
	n, err := w.queued.ConsumeN(1, func(sample []byte) {
		if len(sample) != queuedSize {
			err = fmt.Errorf("ring buffer queued: a record of %d bytes, struct queued_task_ctx has %d", len(sample), queuedSize)
			return
		}
		m.read(sample)
	})
	if err != nil {
		return m, false, err
	}
	if n == 0 {
		w.nrQueued.set(0)
		return m, false, nil
	}
	if v := w.nrQueued.get(); v > 0 {
		w.nrQueued.set(v - 1)
	}
	w.count.Taken++
	return m, true, nil
}

// selectCPU asks rs_select_cpu for an idle CPU.
func (w *ringWorker) selectCPU(m *message) (int32, error) {
	u := binary.LittleEndian
	u.PutUint32(w.selected[:], uint32(m.pid))
	u.PutUint32(w.selected[4:], uint32(m.cpu))
	u.PutUint64(w.selected[8:], m.flags)
	r0, _, err := w.l.Run("rs_select_cpu", w.selected[:])
	if err != nil {
		return 0, err
	}
	if r0 < 0 {
		return anyCPU, nil
	}
	return r0, nil
}

// give follows dispatch_task.
func (w *ringWorker) give() (cost sim.Duration, over bool, err error) {
	w.hasNext = false
	w.next.write(w.sample[:], w.next.cpu)
	switch err := w.dispatched.Produce(w.sample[:]); {
	case errors.Is(err, abi.ENOSPC), errors.Is(err, abi.E2BIG):
		w.count.Refused++
		if err := w.policy.back(&w.next); err != nil {
			return 0, false, err
		}
	case err != nil:
		return 0, false, err
	default:
		w.count.Given++
	}
	if w.policy.single() {
		w.endTurn()
		return w.cost.Give + w.cost.Turn, true, nil
	}
	return w.cost.Give, false, nil
}
