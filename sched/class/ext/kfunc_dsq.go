package ext

import (
	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/sim"
)

// called ends the policy when a kernel function is used in a callback that may not use it. The verifier rules that out
// for BPF programs; policies written in Go are held to the same rule.
func (k *Kernel) called(kfunc string, in ...ops.Callback) bool {
	if k.prog() == nil {
		return false
	}
	for _, c := range in {
		if k.frame.Callback == c {
			return true
		}
	}
	k.scxError("%s() must not be called here", kfunc)
	return false
}

// vetEnqFlags follows scx_vet_enq_flags.
func (s *sched) vetEnqFlags(dsqID uint64, enqFlags *uint64) bool {
	if s.k.old.Early {
		*enqFlags &^= ops.EnqImmed
		return true
	}
	local := dsqID == ops.DSQLocal || localOn(dsqID)
	if *enqFlags&ops.EnqImmed != 0 {
		if !local {
			s.error("SCX_ENQ_IMMED on a non-local DSQ 0x%x", dsqID)
			return false
		}
	} else if s.ops.Flags&ops.FlagAlwaysEnqImmed != 0 && local {
		*enqFlags |= ops.EnqImmed
	}
	return true
}

// insertPreamble follows scx_dsq_insert_preamble and sets the slice.
func (k *Kernel) insertPreamble(t *sim.Task, dsqID, slice uint64, enqFlags *uint64) bool {
	if t == nil {
		k.scxError("called with NULL task")
		return false
	}
	if *enqFlags&ops.EnqInternalMask != 0 {
		k.scxError("invalid enq_flags 0x%x", *enqFlags)
		return false
	}
	if !k.onSched(k.prog(), t) {
		k.prog().events.InsertNotOwned++
		return false
	}
	if !k.prog().vetEnqFlags(dsqID, enqFlags) {
		return false
	}
	if slice == 0 {
		slice = max(t.K.Slice(), 1)
	}
	t.K.SetSlice(slice)
	return true
}

// insertCommit follows scx_dsq_insert_commit.
func (k *Kernel) insertCommit(t *sim.Task, dsqID, enqFlags uint64) {
	if k.ddsp.active {
		k.markDirectDispatch(t, dsqID, enqFlags)
		return
	}
	c := k.prog().dsp(k.m.ThisCPU())
	if uint32(len(c.buf)) >= k.prog().dspMaxBatch {
		k.scxError("dispatch buffer overflow")
		return
	}
	c.buf = append(c.buf, dspEnt{t: t, qseq: k.ent(t).qseqQueued, dsqID: dsqID, enqFlags: enqFlags})
}

// DSQInsert follows scx_bpf_dsq_insert: it puts t into the FIFO of a DSQ with a slice in ns (0: keep what is left). From
// ops.select_cpu and ops.enqueue, t must be the task of the callback and goes there when the callback returns; from
// ops.dispatch any task may go anywhere, once the callback returns or moves a task to the local DSQ.
func (k *Kernel) DSQInsert(t *sim.Task, dsqID, slice, enqFlags uint64) bool {
	if !k.called("scx_bpf_dsq_insert", ops.SelectCPU, ops.Enqueue, ops.Dispatch) ||
		!k.insertPreamble(t, dsqID, slice, &enqFlags) {
		return false
	}
	k.insertCommit(t, dsqID, enqFlags)
	return true
}

// DSQInsertVtime follows scx_bpf_dsq_insert_vtime: DSQInsert into the order of vtime, for DSQs of the policy's own.
func (k *Kernel) DSQInsertVtime(t *sim.Task, dsqID, slice, vtime, enqFlags uint64) bool {
	if !k.called("scx_bpf_dsq_insert_vtime", ops.SelectCPU, ops.Enqueue, ops.Dispatch) ||
		!k.insertPreamble(t, dsqID, slice, &enqFlags) {
		return false
	}
	t.K.SetDSQVtime(vtime)
	k.insertCommit(t, dsqID, enqFlags|ops.EnqDSQPriq)
	return true
}

// DSQInsertVtimeOld follows scx_bpf_dsq_insert_vtime as programs before 6.19 know it: it cannot tell who calls, so it is of no
// use once there are sub-schedulers.
func (k *Kernel) DSQInsertVtimeOld(t *sim.Task, dsqID, slice, vtime, enqFlags uint64) {
	if k.sch == nil {
		return
	}
	if len(k.sch.children) > 0 {
		k.schedOf(t).error("__scx_bpf_dsq_insert_vtime() must be used")
		return
	}
	k.DSQInsertVtime(t, dsqID, slice, vtime, enqFlags)
}

// DispatchNrSlots follows scx_bpf_dispatch_nr_slots: how many more tasks this call of ops.dispatch may insert.
func (k *Kernel) DispatchNrSlots() uint32 {
	if !k.called("scx_bpf_dispatch_nr_slots", ops.Dispatch) {
		return 0
	}
	return k.prog().dspMaxBatch - uint32(len(k.prog().dsp(k.m.ThisCPU()).buf))
}

// DispatchCancel follows scx_bpf_dispatch_cancel: it takes back the last insertion of this call of ops.dispatch.
func (k *Kernel) DispatchCancel() {
	if !k.called("scx_bpf_dispatch_cancel", ops.Dispatch) {
		return
	}
	c := k.prog().dsp(k.m.ThisCPU())
	if len(c.buf) == 0 {
		k.scxError("dispatch buffer underflow")
		return
	}
	c.buf = c.buf[:len(c.buf)-1]
}

// DSQMoveToLocal follows scx_bpf_dsq_move_to_local: it moves the first task of a DSQ of the policy's own that may run
// on the dispatching CPU to that CPU's local DSQ, and tells whether there was one.
func (k *Kernel) DSQMoveToLocal(dsqID, enqFlags uint64) bool {
	if !k.called("scx_bpf_dsq_move_to_local", ops.Dispatch) || !k.prog().vetEnqFlags(ops.DSQLocal, &enqFlags) {
		return false
	}
	k.Pace()
	c := k.prog().dsp(k.m.ThisCPU())
	k.flushDispatchBuf(k.prog(), c, c.rq)
	d := k.prog().findUserDSQ(dsqID)
	if d == nil {
		k.scxError("invalid DSQ ID 0x%016x", dsqID)
		return false
	}
	if !k.consumeDispatchQ(k.prog(), c.rq, d, enqFlags) {
		return false
	}
	c.nrTasks++
	return true
}

// CreateDSQ follows scx_bpf_create_dsq: 0 or a negative errno. node is a NUMA node, -1 for any.
func (k *Kernel) CreateDSQ(dsqID uint64, node int32) int32 {
	switch {
	case int(node) >= k.topo.nrNodes || node < noNode || builtin(dsqID):
		return -EINVAL
	case k.prog() == nil:
		return -ENODEV
	case k.prog().dsqs[dsqID] != nil:
		return -EEXIST
	}
	d := new(dsq)
	d.init(dsqID, nil, k.prog())
	k.prog().setUserDSQ(dsqID, d)
	k.prog().dsqList = append(k.prog().dsqList, d)
	return 0
}

// DestroyDSQ follows scx_bpf_destroy_dsq: the DSQ must be empty; one that does not exist is ignored.
func (k *Kernel) DestroyDSQ(dsqID uint64) {
	if k.prog() != nil {
		k.prog().destroyDSQ(dsqID)
	}
}

// lockedOrThis is the locked runqueue, else that of the running CPU.
func (k *Kernel) lockedOrThis() *rq {
	if k.frame.Locked != sim.NoCPU {
		return &k.rqs[k.frame.Locked]
	}
	return &k.rqs[k.m.ThisCPU()]
}

// DSQNrQueued follows scx_bpf_dsq_nr_queued: the number of tasks, or a negative errno.
func (k *Kernel) DSQNrQueued(dsqID uint64) int32 {
	switch {
	case k.prog() == nil:
		return -ENODEV
	case dsqID == ops.DSQLocal:
		return int32(k.lockedOrThis().local.nr)
	case localOn(dsqID):
		if cpu := k.prog().cpuRet(sim.CPU(int32(dsqID & ops.DSQLocalCPUMask))); k.prog().cpuValid(cpu, "") {
			return int32(k.rqs[cpu].local.nr)
		}
	default:
		if d := k.prog().findUserDSQ(dsqID); d != nil {
			return int32(d.nr)
		}
	}
	return -ENOENT
}

// DSQPeek follows scx_bpf_dsq_peek: the first task of a DSQ of the policy's own, nil if there is none.
func (k *Kernel) DSQPeek(dsqID uint64) *sim.Task {
	if k.prog() == nil {
		return nil
	}
	if builtin(dsqID) {
		k.scxError("peek disallowed on builtin DSQ 0x%x", dsqID)
		return nil
	}
	d := k.prog().findUserDSQ(dsqID)
	if d == nil {
		k.scxError("peek on non-existent DSQ 0x%x", dsqID)
		return nil
	}
	return d.firstTask
}

// DSQReenq follows scx_bpf_dsq_reenq: the tasks of a local or of a user DSQ go back to ops.enqueue, after the running
// event.
func (k *Kernel) DSQReenq(dsqID, flags uint64) {
	if k.prog() == nil {
		return
	}
	if flags&^reenqUserMask != 0 {
		k.scxError("invalid SCX_REENQ flags 0x%x", flags)
		return
	}
	if flags&reenqFilterMask == 0 {
		flags |= ReenqAny
	}
	var locked *rq
	if k.frame.Locked != sim.NoCPU {
		locked = &k.rqs[k.frame.Locked]
	}
	k.scheduleDSQReenq(k.prog(), k.prog().findDSQForDispatch(k.lockedOrThis(), dsqID, nil, k.m.ThisCPU()), flags, locked)
}

// ReenqueueLocal follows scx_bpf_reenqueue_local: in ops.cpu_release, the tasks of the local DSQ go back to
// ops.enqueue at once; it returns their number.
func (k *Kernel) ReenqueueLocal() uint32 {
	if !k.called("scx_bpf_reenqueue_local", ops.CPURelease) {
		return 0
	}
	return k.reenqLocal(k.prog(), &k.rqs[k.m.ThisCPU()], ReenqAny)
}

// ReenqueueLocalV2 follows scx_bpf_reenqueue_local___v2: DSQReenq of the local DSQ, from anywhere.
func (k *Kernel) ReenqueueLocalV2() { k.DSQReenq(ops.DSQLocal, 0) }
