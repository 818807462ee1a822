package kobj

// The fields of p->scx (struct sched_ext_entity). The names are the kernel's; sched_ext says what they mean.

// Slice is p->scx.slice, the remaining time slice in ns.
func (t Task) Slice() uint64     { return t.u64(t.l.task.scxSlice) }
func (t Task) SetSlice(v uint64) { t.setU64(t.l.task.scxSlice, v) }

// DSQVtime is p->scx.dsq_vtime.
func (t Task) DSQVtime() uint64     { return t.u64(t.l.task.scxDSQVtime) }
func (t Task) SetDSQVtime(v uint64) { t.setU64(t.l.task.scxDSQVtime, v) }

// SCXFlags is p->scx.flags (SCX_TASK_*).
func (t Task) SCXFlags() uint32     { return t.u32(t.l.task.scxFlags) }
func (t Task) SetSCXFlags(v uint32) { t.setU32(t.l.task.scxFlags, v) }

// SCXWeight is p->scx.weight, 1 to 10000, 100 at nice 0.
func (t Task) SCXWeight() uint32     { return t.u32(t.l.task.scxWeight) }
func (t Task) SetSCXWeight(v uint32) { t.setU32(t.l.task.scxWeight, v) }

// SCXSched is the address in p->scx.sched.
func (t Task) SCXSched() uint64        { return t.u64(t.l.task.scxSched) }
func (t Task) SetSCXSched(addr uint64) { t.setU64(t.l.task.scxSched, addr) }

// DSQ is the address in p->scx.dsq, 0 when the task is on none.
func (t Task) DSQ() uint64        { return t.u64(t.l.task.scxDSQ) }
func (t Task) SetDSQ(addr uint64) { t.setU64(t.l.task.scxDSQ, addr) }

// DSQFlags is p->scx.dsq_flags, DSQSeq p->scx.dsq_seq.
func (t Task) DSQFlags() uint32     { return t.u32(t.l.task.scxDSQFlags) }
func (t Task) SetDSQFlags(v uint32) { t.setU32(t.l.task.scxDSQFlags, v) }
func (t Task) DSQSeq() uint32       { return t.u32(t.l.task.scxDSQSeq) }
func (t Task) SetDSQSeq(v uint32)   { t.setU32(t.l.task.scxDSQSeq, v) }

// OpsState is p->scx.ops_state.
func (t Task) OpsState() uint64     { return t.u64(t.l.task.scxOpsState) }
func (t Task) SetOpsState(v uint64) { t.setU64(t.l.task.scxOpsState, v) }

// DdspDSQID and DdspEnqFlags say where a direct dispatch will put the task.
func (t Task) DdspDSQID() uint64        { return t.u64(t.l.task.scxDdspDSQID) }
func (t Task) SetDdspDSQID(v uint64)    { t.setU64(t.l.task.scxDdspDSQID, v) }
func (t Task) DdspEnqFlags() uint64     { return t.u64(t.l.task.scxDdspEnqFlags) }
func (t Task) SetDdspEnqFlags(v uint64) { t.setU64(t.l.task.scxDdspEnqFlags, v) }

// StickyCPU, HoldingCPU and SelectedCPU are the CPUs of the same names, -1 for none.
func (t Task) StickyCPU() int32       { return t.i32(t.l.task.scxStickyCPU) }
func (t Task) SetStickyCPU(v int32)   { t.setI32(t.l.task.scxStickyCPU, v) }
func (t Task) HoldingCPU() int32      { return t.i32(t.l.task.scxHoldingCPU) }
func (t Task) SetHoldingCPU(v int32)  { t.setI32(t.l.task.scxHoldingCPU, v) }
func (t Task) SelectedCPU() int32     { return t.i32(t.l.task.scxSelectedCPU) }
func (t Task) SetSelectedCPU(v int32) { t.setI32(t.l.task.scxSelectedCPU, v) }

// RunnableAt is p->scx.runnable_at in jiffies.
func (t Task) RunnableAt() uint64     { return t.u64(t.l.task.scxRunnableAt) }
func (t Task) SetRunnableAt(v uint64) { t.setU64(t.l.task.scxRunnableAt, v) }

// TID is p->scx.tid.
func (t Task) TID() uint64     { return t.u64(t.l.task.scxTID) }
func (t Task) SetTID(v uint64) { t.setU64(t.l.task.scxTID, v) }

// Disallow is p->scx.disallow: ops.init_task refuses the task.
func (t Task) Disallow() bool     { return t.u8(t.l.task.scxDisallow) != 0 }
func (t Task) SetDisallow(v bool) { t.setU8(t.l.task.scxDisallow, bit(v)) }

// CgrpMovingFrom is p->scx.cgrp_moving_from: the cgroup that the task is about to leave, 0 unless a move is under way.
func (t Task) CgrpMovingFrom() uint64        { return t.u64(t.l.task.scxMovingFrom) }
func (t Task) SetCgrpMovingFrom(addr uint64) { t.setU64(t.l.task.scxMovingFrom, addr) }
