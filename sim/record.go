package sim

// Kind says what a Record tells.
type Kind uint8

// The kinds of records. CPU and Task are the CPU and the task (its PID) that the record is about.
const (
	// KindSwitch: CPU switches to Task. A is the PID of the previous task (0: idle), B its state (StateRunning:
	// preempted). Task 0 is the idle task.
	KindSwitch Kind = iota
	// KindWaking: Task is being woken; CPU is the waker's CPU, A the waker's PID, B the CPU that Task
	// was on (target_cpu of sched_waking: the choice comes after).
	KindWaking
	// KindWakeup: Task became runnable on CPU. A is 1 for a new task (sched_wakeup_new).
	KindWakeup
	// KindMigrate: Task moves from CPU to CPU A.
	KindMigrate
	// KindFork: Task was created by the task A on CPU.
	KindFork
	// KindExit: Task ended.
	KindExit
	// KindTick: the tick fired on CPU while Task ran.
	KindTick
	// KindIPI: a reschedule interrupt was sent from CPU to CPU A.
	KindIPI
	// KindIdle: CPU entered (A=1) or left (A=0) idle.
	KindIdle
	// KindOp: a sched_ext callback started on CPU for Task; A is the callback (ops.Callback), B its argument.
	KindOp
	// KindOpEnd: that callback ended; A is the callback, B the cost charged in ns.
	KindOpEnd
	// KindDSQInsert: Task was inserted into DSQ A; B is the number of tasks then queued there.
	KindDSQInsert
	// KindDSQRemove: Task left DSQ A; B is the number of tasks that remain.
	KindDSQRemove
	// KindKick: CPU kicked CPU A with flags B (SCX_KICK_*).
	KindKick
	// KindMark: a workload mark of Task; A and B as the Step gave them, Mark in Record.Aux.
	KindMark
	// KindOverhead: A ns of scheduler overhead were charged to CPU; B says for what (CostKind).
	KindOverhead
	// KindExtState: sched_ext changed state; A is the new enable state, B the exit kind.
	KindExtState
	// KindPrint: a program printed; the text is found through Machine.Text(A).
	KindPrint
	// KindHotplug: CPU was asked to go offline (A=0), went online (A=1) or is offline now (A=2).
	KindHotplug
	// KindTimeline: somebody outside the tasks did what Machine.Text(A) says; B is 1 if the machine refused it.
	KindTimeline
	// KindSpeed: CPU has the frequency A (1024: the highest) and works at the rate B from now on (1024: full).
	KindSpeed
	// NrKinds is their number.
	NrKinds
)

// Record is one thing that happened. Every report is a fold over a run's records.
type Record struct {
	At   Time
	A, B uint64
	Task int32 // PID, 0: none or the idle task
	CPU  CPU
	Kind Kind
	Aux  uint8
}

// Sink takes the records of a run in order of time. The Record is reused: copy what is kept.
type Sink interface {
	Record(r *Record)
}

// SinkFunc makes a func a Sink.
type SinkFunc func(r *Record)

// Record implements Sink.
func (f SinkFunc) Record(r *Record) { f(r) }

// CostKind names a kind of scheduler overhead.
type CostKind uint8

// The kinds of overhead.
const (
	CostSwitch CostKind = iota
	CostWakeup
	CostTick
	CostIPI
	CostMigration
	CostIdleExit
	CostCallback
	CostTimer
	CostFork
	CostBlock
	CostPreempt
	CostExit
	CostIRQWork
	CostLock // waiting for the lock under which another CPU still deals with the task to be run
)
