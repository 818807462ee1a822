package sim

import "github.com/schedsim/schedsim/sim/kobj"

// State is a task's state with the kernel's values (task_struct.__state, TASK_*).
type State uint32

// Task states.
const (
	StateRunning       State = 0x0000
	StateInterruptible State = 0x0001
	StateDead          State = 0x0080
	StateWaking        State = 0x0200
	StateNew           State = 0x0800
)

// Policy is a scheduling policy with the kernel's values (SCHED_*).
type Policy uint32

// Scheduling policies.
const (
	PolicyNormal Policy = 0
	PolicyFIFO   Policy = 1
	PolicyRR     Policy = 2
	PolicyBatch  Policy = 3
	PolicyIdle   Policy = 5
	PolicyExt    Policy = 7
)

// Task is one thread of the simulated machine. What BPF programs can see of it lives in K and only there; the
// other fields are the machine's own.
//
// Invariant: OnRQ tasks are known to exactly one class on exactly one CPU (CPU()).
type Task struct {
	// PID is the thread's id, unique in the run; 0 is every CPU's idle task. It equals K.PID().
	PID int32
	// Index is a small dense number, reused after the task is gone; classes keep per-task data in slices by it.
	Index int32
	Comm  string
	Group string // the workload's name for the tasks that it is one of
	K     kobj.Task
	Class Class
	Prog  Behavior

	State  State
	Policy Policy
	Nice   int
	// Weight is the load weight by sched_prio_to_weight (1024 at nice 0).
	Weight uint64
	// OnRQ tells that the task is enqueued or running (task_on_rq_queued).
	OnRQ bool
	// OnCPU tells that it is the current task of its CPU.
	OnCPU bool
	// SchedDelayed tells that the fair class keeps it enqueued although it sleeps (se.sched_delayed).
	SchedDelayed bool
	// Exiting is PF_EXITING.
	Exiting bool
	// MigrationDisabled is the depth of migrate_disable.
	MigrationDisabled int32
	// ReapExt and other class bookkeeping live in the classes, indexed by Index.

	// SumExec is the CPU time consumed (se.sum_exec_runtime); PrevSumExec its value when the task was last picked.
	SumExec     Duration
	PrevSumExec Duration

	taskRun // the machine's own state of the task's behaviour
}

// CPU returns the CPU that the task is on or last was on (task_cpu).
func (t *Task) CPU() CPU { return CPU(t.K.CPU()) }
