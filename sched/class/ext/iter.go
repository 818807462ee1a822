package ext

import (
	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/sim"
)

// DSQIter walks the tasks of a DSQ that were queued when it was made (struct bpf_iter_scx_dsq). It survives whatever
// happens to the queue meanwhile.
type DSQIter struct {
	k      *Kernel
	d      *dsq
	cursor node // parked behind the task that Next returned last
	seq    uint32
	rev    bool

	hasSlice, hasVtime bool
	slice, vtime       uint64
}

// NewDSQIter follows bpf_iter_scx_dsq_new. The second result is 0 or a negative errno; the iterator is usable (and
// empty) in both cases.
func (k *Kernel) NewDSQIter(dsqID, flags uint64) (*DSQIter, int32) {
	it := new(DSQIter)
	return it, k.InitDSQIter(it, dsqID, flags)
}

// InitDSQIter is NewDSQIter for an iterator that the caller keeps; it must be closed, or new.
func (k *Kernel) InitDSQIter(it *DSQIter, dsqID, flags uint64) int32 {
	*it = DSQIter{k: k}
	sch := k.prog()
	switch {
	case sch == nil:
		return -ENODEV
	case flags&^ops.DSQIterRev != 0:
		return -EINVAL
	}
	d := sch.findUserDSQ(dsqID)
	if d == nil {
		return -ENOENT
	}
	it.d, it.seq, it.rev = d, d.seq, flags&ops.DSQIterRev != 0
	return 0
}

// Next follows bpf_iter_scx_dsq_next: the next task, nil at the end.
func (it *DSQIter) Next() *sim.Task {
	if it.d == nil {
		return nil
	}
	return it.next(it.k)
}

// next follows nldsq_cursor_next_task.
func (it *DSQIter) next(k *Kernel) *sim.Task {
	var at *node
	if it.cursor.on() {
		at = &it.cursor
	}
	for {
		t := it.d.nextTask(at, it.rev)
		if t == nil {
			it.cursor.del()
			return nil
		}
		e := k.ent(t)
		at = &e.list
		if int32(it.seq-e.dsqSeq) < 0 {
			continue // queued since
		}
		it.cursor.del()
		if it.rev {
			it.cursor.insertBefore(at)
		} else {
			it.cursor.insertAfter(at)
		}
		return t
	}
}

// Close follows bpf_iter_scx_dsq_destroy.
func (it *DSQIter) Close() {
	it.cursor.del()
	it.d = nil
}

// SetSlice follows scx_bpf_dsq_move_set_slice: the next DSQMove gives the task this slice, in ns.
func (it *DSQIter) SetSlice(slice uint64) { it.slice, it.hasSlice = slice, true }

// SetVtime follows scx_bpf_dsq_move_set_vtime: the next DSQMove gives the task this vtime.
func (it *DSQIter) SetVtime(vtime uint64) { it.vtime, it.hasVtime = vtime, true }

// DSQMove follows scx_bpf_dsq_move and, with vtime, scx_bpf_dsq_move_vtime: it moves t, which must be on the DSQ of it
// since before it was made, to another DSQ, and tells whether it did.
func (k *Kernel) DSQMove(it *DSQIter, t *sim.Task, dsqID, enqFlags uint64, vtime bool) bool {
	if it.d == nil || it.d.sch == nil {
		return false
	}
	sch := it.d.sch
	if !sch.vetEnqFlags(dsqID, &enqFlags) || sch.aborting {
		return false
	}
	if vtime {
		enqFlags |= ops.EnqDSQPriq
	}
	moved := false
	e := k.ent(t)
	if e.dsq == it.d && int32(it.seq-e.dsqSeq) >= 0 && t.K.HoldingCPU() < 0 {
		if e.sch != sch {
			sch.error("scx_bpf_dsq_move[_vtime]() on %s[%d] but the task belongs to a different scheduler", t.Comm, t.PID)
			it.hasSlice, it.hasVtime = false, false
			return false
		}
		dst := sch.findDSQForDispatch(k.lockedOrThis(), dsqID, t, t.CPU())
		if it.hasVtime {
			t.K.SetDSQVtime(it.vtime)
		}
		if it.hasSlice {
			t.K.SetSlice(it.slice)
		}
		k.moveTaskBetweenDSQs(sch, e, enqFlags, it.d, dst)
		moved = true
	}
	it.hasSlice, it.hasVtime = false, false
	return moved
}
