package sim

// TracePoint is something that happens in the machine at which a tracer may run code, as programs attached to tracepoints
// and functions of a kernel do.
type TracePoint uint8

// The trace points, by the kernel's tracepoint or function.
const (
	// TraceSwitch is sched_switch: Other gives way to Task; N is 1 if it was preempted. Both are still as before the
	// switch.
	TraceSwitch TracePoint = iota
	// TraceWaking is sched_waking, TraceWakeup sched_wakeup, TraceWakeupNew sched_wakeup_new, all of Task.
	TraceWaking
	TraceWakeup
	TraceWakeupNew
	// TraceMigrate is sched_migrate_task: Task moves to the CPU N.
	TraceMigrate
	// TraceFork is sched_process_fork: Other created Task. TraceExit is sched_process_exit of Task.
	TraceFork
	TraceExit
	// TraceRename is task_rename of Task, whose name is still the old one; the new one is Text.
	TraceRename
	// TraceCgroupMkdir, TraceCgroupRmdir and TraceCgroupAttachTask are the events cgroup_mkdir, cgroup_rmdir and
	// cgroup_attach_task: Task came to Cgroup, with all threads of its process if N is 1.
	TraceCgroupMkdir
	TraceCgroupRmdir
	TraceCgroupAttachTask
	// TraceCpusetWrite is the function cpuset_write_resmask: cpuset.cpus of Cgroup was written.
	TraceCpusetWrite
	// TraceTick is the function scx_tick (sched_ext's part of the tick) on ThisCPU.
	TraceTick
	// TraceFutexWait and TraceFutexWake are the functions behind waiting on, and waking from, a queue of a workload
	// (__futex_wait, futex_wake): Task is the one that calls, N is 1 when the call returns and 0 when it begins. They return 0
	// or -ETIMEDOUT, and the number of tasks that were woken.
	TraceFutexWait
	TraceFutexWake
	// NrTracePoints is their number.
	NrTracePoints
)

// TraceArgs is what a tracer is told. It is reused: copy what is kept.
type TraceArgs struct {
	Point       TracePoint
	Task, Other *Task
	Cgroup      *Cgroup
	N           uint64
	Text        string
	Ret         int64 // what a function returns, at its end
}

// tracers are the funcs at each point, in order of attaching. A point without any costs one comparison.
type tracers struct {
	at   [NrTracePoints][]*tracer
	args TraceArgs
}

// tracer is one attached func.
type tracer struct{ f func(a *TraceArgs) }

// OnTrace makes f run at a trace point, in the context of the CPU where it happens, until the returned func is called.
// f must not change the machine other than by the kernel functions that tracing programs may call.
func (m *Machine) OnTrace(p TracePoint, f func(a *TraceArgs)) (detach func()) {
	t := &tracer{f}
	m.tracers.at[p] = append(m.tracers.at[p], t)
	return func() {
		old := m.tracers.at[p]
		var left []*tracer
		for _, o := range old {
			if o != t {
				left = append(left, o)
			}
		}
		m.tracers.at[p] = left
	}
}

// Traced tells whether anything is attached to p.
func (m *Machine) Traced(p TracePoint) bool { return m.tracers.at[p] != nil }

// trace runs what is attached to p.
func (m *Machine) trace(p TracePoint, t *Task, c *Cgroup, n uint64) {
	if m.tracers.at[p] != nil {
		m.runTracers(TraceArgs{Point: p, Task: t, Cgroup: c, N: n})
	}
}

// traceReturn is trace for the end of a function.
func (m *Machine) traceReturn(p TracePoint, t *Task, ret int64) {
	if m.tracers.at[p] != nil {
		m.runTracers(TraceArgs{Point: p, Task: t, N: 1, Ret: ret})
	}
}

// runTracers runs what is attached to a point. A tracer that causes another trace point gets its own arguments back.
func (m *Machine) runTracers(a TraceArgs) {
	saved := m.tracers.args
	for _, t := range m.tracers.at[a.Point] {
		m.tracers.args = a
		t.f(&m.tracers.args)
	}
	m.tracers.args = saved
}
