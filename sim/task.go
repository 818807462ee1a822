package sim

import (
	"fmt"

	"github.com/schedsim/schedsim/internal/eventq"
	"github.com/schedsim/schedsim/sim/kobj"
)

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
	PolicyNormal   Policy = 0
	PolicyFIFO     Policy = 1
	PolicyRR       Policy = 2
	PolicyBatch    Policy = 3
	PolicyIdle     Policy = 5
	PolicyDeadline Policy = 6
	PolicyExt      Policy = 7
)

// Realtime tells whether tasks of policy p are of a class above the fair one (rt_policy, dl_policy).
func (p Policy) Realtime() bool { return p == PolicyFIFO || p == PolicyRR || p == PolicyDeadline }

// prioToWeight are the load weights of nice -20 to 19 (sched_prio_to_weight).
var prioToWeight = [40]uint64{
	88761, 71755, 56483, 46273, 36291,
	29154, 23254, 18705, 14949, 11916,
	9548, 7620, 6100, 4904, 3906,
	3121, 2501, 1991, 1586, 1277,
	1024, 820, 655, 526, 423,
	335, 272, 215, 172, 137,
	110, 87, 70, 56, 45,
	36, 29, 23, 18, 15,
}

// weightIdle is the load weight of SCHED_IDLE tasks (WEIGHT_IDLEPRIO).
const weightIdle = 3

// Priorities in the kernel's single scale: 0 is the highest real-time priority, 100 to 139 are nice -20 to 19.
const (
	deadlinePrio = -1 // MAX_DL_PRIO - 1
	maxRTPrio    = 100
	defaultPrio  = 120
	idlePrio     = 140
)

// Task is one thread of the simulated machine. What BPF programs can see of it lives in K; the other fields are the
// machine's own, or copies that the machine keeps equal. What each wakeup and each switch looks at comes first: with a
// thousand tasks most of that is not in the nearest cache.
//
// Invariant: OnRQ tasks are known to exactly one class on exactly one CPU (CPU()).
type Task struct {
	// PID is the thread's id, unique in the run; 0 is every CPU's idle task. It equals K.PID().
	PID int32
	// Index is a small dense number, reused after the task is gone; classes keep per-task data in slices by it.
	Index int32
	State State
	cpu   CPU
	K     kobj.Task
	// OnRQ tells that the task is enqueued or running (task_on_rq_queued).
	OnRQ bool
	// Migrating tells that it is between two runqueues (task_on_rq_migrating): from Machine.Deactivate to Activate.
	Migrating bool
	// OnCPU tells that it is the current task of its CPU.
	OnCPU bool
	// SchedDelayed tells that the fair class keeps it enqueued although it sleeps (se.sched_delayed).
	SchedDelayed bool
	// Exiting is PF_EXITING.
	Exiting bool
	// MigrationDisabled is the depth of migrate_disable; see Machine.SetMigrationDisabled.
	MigrationDisabled int32
	// Class is the scheduling class. It changes only within Machine.Change (Machine.SetClass).
	Class Class
	Prog  Behavior
	// SumExec is the CPU time accounted so far (se.sum_exec_runtime); PrevSumExec its value when the task was last
	// picked. Machine.CPUTime includes what runs right now.
	SumExec     Duration
	PrevSumExec Duration

	taskRun // the machine's own state of the task's behaviour

	Comm   string
	Group  string // the workload's name for the tasks that it is one of
	Policy Policy
	Nice   int
	RTPrio int // 1..99 for PolicyFIFO and PolicyRR, else 0
	// DL are the parameters of PolicyDeadline; those of the last time under other policies.
	DL Deadline
	// Weight is the load weight by sched_prio_to_weight (1024 at nice 0).
	Weight uint64
	// Cgroup is the cgroup that the task is in (or, before its start, will be forked into); SchedGroup is the one that it
	// is scheduled in (p->sched_task_group), which follows Cgroup at the end of a move.
	Cgroup, SchedGroup *Cgroup
}

// CPU returns the CPU that the task is on or last was on (task_cpu). What programs see of it is a copy: one that runs
// unverified may write there.
func (t *Task) CPU() CPU { return t.cpu }

func (t *Task) setCPU(cpu CPU) {
	t.cpu = cpu
	t.K.SetCPU(int32(cpu))
}

// IsIdle tells whether t is the idle task of a CPU.
func (t *Task) IsIdle() bool { return t.PID == 0 }

// IsKThread tells whether t is a thread of the kernel (PF_KTHREAD).
func (t *Task) IsKThread() bool { return t.kthread }

// String names the task in messages: comm[pid].
func (t *Task) String() string { return fmt.Sprintf("%s[%d]", t.Comm, t.PID) }

// taskRun is the machine's own state of a task.
type taskRun struct {
	rank          int8 // of Class; 0 is the highest
	doing         doing
	killed        bool // it ends when it next runs
	ending        int8 // on its way out: 1 it has left its autogroup, 2 Costs.ExitRest was charged too
	inWait        bool // in a StepWait
	blocking      bool // on the way to sleep, Costs.Block
	wakeQueued    bool // on the wake list of its CPU
	wokenRemotely bool // sched_remote_wakeup
	kthread       bool
	timerOn       CPU   // where the timer fires
	timerLate     bool  // it has fired, and Costs.Queue was charged for the wakeup
	lastRan       CPU   // where it last ran, NoCPU before that
	toPin         int32 // calls of migrate_disable that it makes when it next runs
	// left is the CPU time that the current StepRun still needs, in ns at capacity 1, so that dividing by a CPU's
	// capacity rounds only once.
	left    int64
	wallEnd Time // end of the current StepRunWall
	// clockEnd is the CPU time at which the current StepRunClock ends.
	clockEnd Duration
	lookIn   Duration      // with turns: what it executes until it looks at its clock again
	work     func(t *Task) // done on the way back to user mode
	late     *Step         // a StepWake that comes when Costs.Queue is over
	handedAt Time          // see Machine.handOver
	stepsAt  Time
	steps    int          // steps begun at the time stepsAt
	timer    eventq.Event // end of a sleep; start of a task whose time has not come
	// arrivedExec is the CPU time that it had used when it came to lastRan.
	arrivedExec Duration

	waitOn             *WaitQueue
	waitPrev, waitNext *Task
	waitRet            int64 // what a StepWait returns: 0, or an error number
	nextWoken          *Task // on the wake list of its CPU

	wakes    WaitQueue // those that it is about to wake, see wakeUpQ
	wakeSync bool
	woke     int64

	parent *Task  // in the sense of real_parent; the idle task of CPU 0 stands for init
	leader *Task  // of its process, nil if it is the leader itself; held
	forker int32  // PID of the task that created it
	forked bool   // it is or was a parent
	mm     uint64 // address of the mm_struct that was made for it, 0 for kernel threads and further threads
	refs   int32  // Machine.Hold minus Release
	gone   bool   // dead and out of the tables

	cgPrev, cgNext *Task // in the same cgroup
	inCgroup       bool
	ownW           int      // TaskSpec.CgroupW, until the cgroup is made
	own            *Cgroup  // made for this task alone, see TaskSpec.CgroupW
	userCPUs       []uint64 // what sched_setaffinity asked for (user_cpus_ptr), nil if nothing
	prev, next     *Task    // all live tasks, in order of creation
}

// doing says what the current step of a task is, as far as the CPU is concerned.
type doing uint8

const (
	doNext doing = iota // nothing: the next step must be asked for
	doRun
	doRunWall
	doRunClock
)

// setState sets the task's state in both places.
func (t *Task) setState(s State) {
	t.State = s
	t.K.SetState(uint32(s))
}

// setNice sets the nice value and what follows from it and from the policy (set_load_weight, normal_prio).
func (t *Task) setNice(nice int) {
	t.Nice = nice
	static := int32(defaultPrio + nice)
	prio := static
	t.Weight = prioToWeight[nice+20]
	switch t.Policy {
	case PolicyFIFO, PolicyRR:
		prio = int32(maxRTPrio - 1 - t.RTPrio)
	case PolicyDeadline:
		prio = deadlinePrio
	case PolicyIdle:
		t.Weight = weightIdle
	}
	t.K.SetStaticPrio(static)
	t.K.SetNormalPrio(prio)
	t.K.SetPrio(prio)
	t.K.SetRTPriority(uint32(t.RTPrio))
	t.K.SetPolicy(uint32(t.Policy))
	t.K.SetLoadWeight(t.Weight << 10)
}
