package sim

// Behavior says what a task does: after each finished Step the machine asks for the next one. It is called with the
// task running (or, for a task's first step, about to run) and may keep state, but must not touch the machine except
// through the Step it returns.
type Behavior interface {
	Next(t *Task, now Time) Step
}

// StepKind says what a Step does.
type StepKind uint8

// The kinds of steps.
const (
	// StepExit ends the task.
	StepExit StepKind = iota
	// StepRun uses the CPU for Step.Dur of CPU time at capacity 1024.
	StepRun
	// StepRunWall uses the CPU until Step.Dur of wall time has passed, preempted time included (rt-app's runtime).
	StepRunWall
	// StepSleep blocks for Step.Dur.
	StepSleep
	// StepSleepUntil blocks until Step.At; it does not block when Step.At is past.
	StepSleepUntil
	// StepWait blocks on Step.Queue until another task wakes it.
	StepWait
	// StepWake wakes up to Step.N waiters of Step.Queue (N <= 0: all), in arrival order. The task goes on running.
	StepWake
	// StepFork creates the task Step.Spawn.
	StepFork
	// StepYield is sched_yield.
	StepYield
	// StepSetNice changes the task's own nice value to Step.N.
	StepSetNice
	// StepSetAffinity changes the task's own allowed CPUs to Step.CPUs.
	StepSetAffinity
	// StepMark emits a KindMark record with Step.A and Step.B and costs nothing; workloads count finished work,
	// requests and missed deadlines with it.
	StepMark
)

// Step is one thing that a task does.
type Step struct {
	Kind  StepKind
	Dur   Duration
	At    Time
	Queue *WaitQueue
	N     int32
	Sync  bool // StepWake: the waker is about to sleep (WF_SYNC)
	Spawn *TaskSpec
	CPUs  []CPU
	Mark  MarkKind
	A, B  uint64
}

// MarkKind says what a KindMark record counts.
type MarkKind uint8

// The marks.
const (
	// MarkWork is one finished unit of work (one loop of a task); A is the time it took from its release, in ns.
	MarkWork MarkKind = iota
	// MarkMiss is one missed deadline (a timer whose period had passed); A is the lateness in ns.
	MarkMiss
)

// WaitQueue holds the tasks blocked in StepWait, in arrival order. The zero value is empty.
type WaitQueue struct {
	Name    string
	waiters []*Task
}

// Len returns the number of blocked tasks.
func (q *WaitQueue) Len() int { return len(q.waiters) }

// TaskSpec describes a task to create.
type TaskSpec struct {
	Comm     string
	Nice     int   // -20..19
	CPUs     []CPU // allowed CPUs; nil means all
	Start    Time  // when it first becomes runnable; forked tasks start at once
	Behavior Behavior
	Group    string // display name of the workload task it is an instance of
	Policy   Policy // PolicyNormal unless said otherwise
	CgroupW  int    // cgroup cpu.weight, 1..10000; 0 means 100
}
