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
	// StepRunClock uses the CPU until the task's own clock (CLOCK_THREAD_CPUTIME_ID) has advanced by Step.Dur: what interrupts and
	// switches take from it meanwhile counts.
	StepRunClock
	// StepRunWall uses the CPU until Step.Dur of wall time has passed, preempted time included (rt-app's runtime).
	StepRunWall
	// StepSleep blocks for Step.Dur.
	StepSleep
	// StepSleepUntil blocks until Step.At; it does not block when Step.At is past.
	StepSleepUntil
	// StepWait blocks on Step.Queue until another task wakes it or, where Step.Dur > 0, for at most that long.
	StepWait
	// StepWake wakes up to Step.N waiters of Step.Queue (N <= 0: all), in arrival order. The task goes on running.
	StepWake
	// StepFork creates the task Step.Spawn.
	StepFork
	// StepYield is sched_yield.
	StepYield
	// StepSetNice changes the task's own nice value to Step.N.
	StepSetNice
	// StepSetScheduler changes the task's own scheduling parameters to Step.Sched.
	StepSetScheduler
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
	Sched *SchedParams // StepSetScheduler
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

// WaitQueue holds the tasks blocked in StepWait, in arrival order. The zero value is empty. A queue belongs to one
// machine.
type WaitQueue struct {
	Name       string
	head, tail *Task
	n          int
}

// Len returns the number of blocked tasks.
func (q *WaitQueue) Len() int { return q.n }

// add appends t.
func (q *WaitQueue) add(t *Task) {
	t.waitOn, t.waitPrev, t.waitNext = q, q.tail, nil
	if q.tail != nil {
		q.tail.waitNext = t
	} else {
		q.head = t
	}
	q.tail = t
	q.n++
}

// remove takes t, which waits on q, out of it.
func (q *WaitQueue) remove(t *Task) {
	if t.waitPrev != nil {
		t.waitPrev.waitNext = t.waitNext
	} else {
		q.head = t.waitNext
	}
	if t.waitNext != nil {
		t.waitNext.waitPrev = t.waitPrev
	} else {
		q.tail = t.waitPrev
	}
	t.waitOn, t.waitPrev, t.waitNext = nil, nil, nil
	q.n--
}

// moveTo moves the first n tasks, all for n <= 0, to the end of to.
func (q *WaitQueue) moveTo(to *WaitQueue, n int) {
	if n <= 0 || n > q.n {
		n = q.n
	}
	for range n {
		t := q.head
		q.remove(t)
		to.add(t)
	}
}

// SchedulerGroup is TaskSpec.Group of the processes of a scheduler: reports show them, but they are no work to be shared fairly.
const SchedulerGroup = "(scheduler)"

// TaskSpec describes a task to create.
type TaskSpec struct {
	Comm     string
	Nice     int   // -20..19
	CPUs     []CPU // allowed CPUs; nil means all
	Start    Time  // when it first becomes runnable; forked tasks start at once
	Behavior Behavior
	Group    string   // display name of the workload task it is an instance of
	Policy   Policy   // PolicyNormal unless said otherwise
	RTPrio   int      // 1..99 for PolicyFIFO and PolicyRR; 0 means 1
	DL       Deadline // for PolicyDeadline
	Cgroup   *Cgroup  // nil: that of the parent
	CgroupW  int      // 1..10000: alone in a cgroup below Cgroup with this cpu.weight; 0: in Cgroup itself
	Process  string   // tasks with the same name here are threads of one process, led by the first; "" means see Thread
	Thread   bool     // a thread of the process that forks it, not a process of its own
	KThread  bool     // a kernel thread (PF_KTHREAD)
	Orphan   bool     // its parent is init, whoever spawns it
}
