package kobj

// taskOffsets are the offsets of the fields of a task_struct.
type taskOffsets struct {
	cpu, state, flags, onCPU, onRQ, recentCPU, wakeCPU              uint32
	prio, staticPrio, normalPrio, rtPriority, policy                uint32
	nrCPUs, migrationDisabled, pid, tgid, comm                      uint32
	cpusPtr, cpusMask, realParent, parent, groupLeader, mm, cgroups uint32
	taskGroup, scxMovingFrom                                        uint32
	nvcsw, nivcsw, startTime, startBoottime, utime                  uint32
	sumExec, execStart, loadWeight                                  uint32
	scxSched, scxDSQ, scxOpsState, scxDdspDSQID, scxDdspEnqFlags    uint32
	scxDSQSeq, scxDSQFlags, scxFlags, scxWeight                     uint32
	scxStickyCPU, scxHoldingCPU, scxSelectedCPU                     uint32
	scxRunnableAt, scxTID, scxSlice, scxDSQVtime, scxDisallow       uint32
}

// Flags of task_struct.flags, with the kernel's values (PF_*).
const (
	FlagIdle    uint32 = 0x0000_0002
	FlagExiting uint32 = 0x0000_0004
	FlagKThread uint32 = 0x0020_0000
)

// Task is a view of a task_struct. A field has a getter with the field's name, which says what it is, and below it a
// setter; the setters would only repeat that, so they have no comments of their own. The same goes for RQ.
type Task struct{ object }

// NewTask allocates a task_struct. Its cpus_ptr points at its cpus_mask, which is empty; all else is 0.
func NewTask(m Memory, l *Layout) (Task, error) {
	o, err := newObject(m, l, l.sizes[taskStruct])
	if err != nil {
		return Task{}, err
	}
	t := Task{o}
	t.SetCPUsPtr(t.CPUsMask().Addr)
	return t, nil
}

// Free gives the task_struct back to m. The view, and copies of it, must not be used afterwards.
func (t Task) Free(m Memory) { m.Free(t.Addr, uint64(t.l.sizes[taskStruct])) }

// CPU is p->thread_info.cpu (task_cpu).
func (t Task) CPU() int32 { return t.i32(t.l.task.cpu) }

// SetCPU sets the task's CPU; wake_cpu follows it (__set_task_cpu).
func (t Task) SetCPU(cpu int32) {
	t.setI32(t.l.task.cpu, cpu)
	t.setI32(t.l.task.wakeCPU, cpu)
}

// WakeCPU is p->wake_cpu, the CPU at which a wakeup starts to look.
func (t Task) WakeCPU() int32       { return t.i32(t.l.task.wakeCPU) }
func (t Task) SetWakeCPU(cpu int32) { t.setI32(t.l.task.wakeCPU, cpu) }

// RecentUsedCPU is p->recent_used_cpu.
func (t Task) RecentUsedCPU() int32       { return t.i32(t.l.task.recentCPU) }
func (t Task) SetRecentUsedCPU(cpu int32) { t.setI32(t.l.task.recentCPU, cpu) }

// State is p->__state.
func (t Task) State() uint32     { return t.u32(t.l.task.state) }
func (t Task) SetState(v uint32) { t.setU32(t.l.task.state, v) }

// Flags is p->flags (PF_*).
func (t Task) Flags() uint32     { return t.u32(t.l.task.flags) }
func (t Task) SetFlags(v uint32) { t.setU32(t.l.task.flags, v) }

// OnCPU is p->on_cpu.
func (t Task) OnCPU() bool     { return t.u8(t.l.task.onCPU) != 0 }
func (t Task) SetOnCPU(v bool) { t.setU8(t.l.task.onCPU, bit(v)) }

// OnRQ is p->on_rq: 0, TASK_ON_RQ_QUEUED (1) or TASK_ON_RQ_MIGRATING (2).
func (t Task) OnRQ() uint8     { return t.u8(t.l.task.onRQ) }
func (t Task) SetOnRQ(v uint8) { t.setU8(t.l.task.onRQ, v) }

// Prio, StaticPrio, NormalPrio and RTPriority are the priorities of the same names.
func (t Task) Prio() int32            { return t.i32(t.l.task.prio) }
func (t Task) SetPrio(v int32)        { t.setI32(t.l.task.prio, v) }
func (t Task) StaticPrio() int32      { return t.i32(t.l.task.staticPrio) }
func (t Task) SetStaticPrio(v int32)  { t.setI32(t.l.task.staticPrio, v) }
func (t Task) NormalPrio() int32      { return t.i32(t.l.task.normalPrio) }
func (t Task) SetNormalPrio(v int32)  { t.setI32(t.l.task.normalPrio, v) }
func (t Task) RTPriority() uint32     { return t.u32(t.l.task.rtPriority) }
func (t Task) SetRTPriority(v uint32) { t.setU32(t.l.task.rtPriority, v) }

// Policy is p->policy (SCHED_*).
func (t Task) Policy() uint32     { return t.u32(t.l.task.policy) }
func (t Task) SetPolicy(v uint32) { t.setU32(t.l.task.policy, v) }

// NrCPUsAllowed is p->nr_cpus_allowed.
func (t Task) NrCPUsAllowed() int32     { return t.i32(t.l.task.nrCPUs) }
func (t Task) SetNrCPUsAllowed(v int32) { t.setI32(t.l.task.nrCPUs, v) }

// MigrationDisabled is p->migration_disabled, the depth of migrate_disable.
func (t Task) MigrationDisabled() uint16     { return t.u16(t.l.task.migrationDisabled) }
func (t Task) SetMigrationDisabled(v uint16) { t.setU16(t.l.task.migrationDisabled, v) }

// PID and TGID are the ids of the thread and of its process.
func (t Task) PID() int32      { return t.i32(t.l.task.pid) }
func (t Task) SetPID(v int32)  { t.setI32(t.l.task.pid, v) }
func (t Task) TGID() int32     { return t.i32(t.l.task.tgid) }
func (t Task) SetTGID(v int32) { t.setI32(t.l.task.tgid, v) }

// Comm is p->comm, at most 15 bytes.
func (t Task) Comm() string {
	b := t.bytes(t.l.task.comm, 16)
	n := 0
	for n < len(b) && b[n] != 0 {
		n++
	}
	return string(b[:n])
}

// SetComm sets p->comm, cut to 15 bytes.
func (t Task) SetComm(s string) {
	b := t.bytes(t.l.task.comm, 16)
	clear(b)
	copy(b[:15], s)
}

// CPUsPtr is the address in p->cpus_ptr: that of p->cpus_mask unless migration is disabled.
func (t Task) CPUsPtr() uint64        { return t.u64(t.l.task.cpusPtr) }
func (t Task) SetCPUsPtr(addr uint64) { t.setU64(t.l.task.cpusPtr, addr) }

// CPUs is a live view of p->cpus_mask: the CPUs that the task may run on.
func (t Task) CPUs() CPUMask { return t.CPUsMask() }

// CPUsMask is a live view of p->cpus_mask.
func (t Task) CPUsMask() CPUMask {
	off := t.l.task.cpusMask
	return CPUMask{Addr: t.Addr + uint64(off), words: t.words(off, t.l.maskWords)}
}

// Allows tells whether cpu is in p->cpus_mask.
func (t Task) Allows(cpu int32) bool {
	return cpu >= 0 && int(cpu>>6) < t.l.maskWords && t.u64(t.l.task.cpusMask+uint32(cpu>>6)*8)>>(cpu&63)&1 != 0
}

// RealParent, Parent, GroupLeader, MM, Cgroups and SchedTaskGroup are the addresses in the pointers of the same names.
func (t Task) RealParent() uint64         { return t.u64(t.l.task.realParent) }
func (t Task) SetRealParent(addr uint64)  { t.setU64(t.l.task.realParent, addr) }
func (t Task) Parent() uint64             { return t.u64(t.l.task.parent) }
func (t Task) SetParent(addr uint64)      { t.setU64(t.l.task.parent, addr) }
func (t Task) GroupLeader() uint64        { return t.u64(t.l.task.groupLeader) }
func (t Task) SetGroupLeader(addr uint64) { t.setU64(t.l.task.groupLeader, addr) }
func (t Task) MM() uint64                 { return t.u64(t.l.task.mm) }
func (t Task) SetMM(addr uint64)          { t.setU64(t.l.task.mm, addr) }
func (t Task) Cgroups() uint64            { return t.u64(t.l.task.cgroups) }
func (t Task) SetCgroups(addr uint64)     { t.setU64(t.l.task.cgroups, addr) }
func (t Task) SchedTaskGroup() uint64     { return t.u64(t.l.task.taskGroup) }
func (t Task) SetSchedTaskGroup(a uint64) { t.setU64(t.l.task.taskGroup, a) }

// NVCSW and NIVCSW count voluntary and involuntary context switches.
func (t Task) NVCSW() uint64      { return t.u64(t.l.task.nvcsw) }
func (t Task) SetNVCSW(v uint64)  { t.setU64(t.l.task.nvcsw, v) }
func (t Task) NIVCSW() uint64     { return t.u64(t.l.task.nivcsw) }
func (t Task) SetNIVCSW(v uint64) { t.setU64(t.l.task.nivcsw, v) }

// StartTime is p->start_time in ns since boot; the setter sets start_boottime too.
func (t Task) StartTime() uint64 { return t.u64(t.l.task.startTime) }
func (t Task) SetStartTime(ns uint64) {
	t.setU64(t.l.task.startTime, ns)
	t.setU64(t.l.task.startBoottime, ns)
}

// SumExec is p->se.sum_exec_runtime in ns; the setter sets utime, which the machine does not tell apart from it.
func (t Task) SumExec() uint64 { return t.u64(t.l.task.sumExec) }
func (t Task) SetSumExec(ns uint64) {
	t.setU64(t.l.task.sumExec, ns)
	t.setU64(t.l.task.utime, ns)
}

// ExecStart is p->se.exec_start in ns, LoadWeight p->se.load.weight in the kernel's fixed point (weight << 10).
func (t Task) ExecStart() uint64      { return t.u64(t.l.task.execStart) }
func (t Task) SetExecStart(ns uint64) { t.setU64(t.l.task.execStart, ns) }
func (t Task) LoadWeight() uint64     { return t.u64(t.l.task.loadWeight) }
func (t Task) SetLoadWeight(v uint64) { t.setU64(t.l.task.loadWeight, v) }
