package rtapp

import (
	"github.com/schedsim/schedsim/sim"
	"github.com/schedsim/schedsim/workloads/gen"
)

// File is one rt-app file.
type File struct {
	Name     string
	Global   Global
	Tasks    []*Task
	Warnings []Warning
}

// Task returns the task with that name, nil if there is none.
func (f *File) Task(name string) *Task {
	for _, t := range f.Tasks {
		if t.Name == name {
			return t
		}
	}
	return nil
}

// Global is the object "global".
type Global struct {
	// Duration is how long the file wants to run; 0 means until every task has ended.
	Duration sim.Duration
	// DefaultPolicy is the policy of tasks that name none.
	DefaultPolicy Policy
	// Title is ours: a one-line description for reports.
	Title string
	// Cgroups and Timeline are ours: the cgroups that are there before the tasks, and what happens later.
	Cgroups  []*Cgroup
	Timeline []*Action
}

// Policy is a policy by rt-app's name; the zero value means that none was given.
type Policy uint8

// The policies that rt-app knows.
const (
	PolicyNone Policy = iota
	PolicyOther
	PolicyBatch
	PolicyIdle
	PolicyRR
	PolicyFIFO
	PolicyDeadline
)

var policyNames = [...]string{"", "SCHED_OTHER", "SCHED_BATCH", "SCHED_IDLE", "SCHED_RR", "SCHED_FIFO", "SCHED_DEADLINE"}

// String returns rt-app's name of p.
func (p Policy) String() string { return policyNames[p] }

// Sched are the scheduling parameters of a task or a phase.
type Sched struct {
	Policy    Policy // PolicyNone: the default policy (task), unchanged (phase)
	PolicyPos Pos
	// Priority is the nice value or the real-time priority; only meaningful with HasPriority.
	Priority    int
	HasPriority bool
	PriorityPos Pos
	// DLRuntime, DLPeriod and DLDeadline are in microseconds. DLRuntime asks for a custom slice unless Policy is
	// SCHED_DEADLINE.
	DLRuntime, DLPeriod, DLDeadline int
	DLPos                           Pos
}

// CPUSet is an array "cpus".
type CPUSet struct {
	CPUs []int
	// At are the positions of the elements.
	At  []Pos
	Pos Pos
}

// Task is one member of "tasks".
type Task struct {
	Name      string
	Pos       Pos
	Instances int // 0: only a template for fork
	// Delay before the first activation, in microseconds; it also shifts the base of timers.
	Delay int
	// Loop is how often the phases are gone through; -1 means for ever.
	Loop   int
	Phases []*Phase
	Sched  Sched
	CPUs   *CPUSet // nil: all
	// CgroupWeight is ours: cpu.weight of the cgroup in which each instance is alone; 0 means that it has none.
	CgroupWeight int
	// Cgroup is the path of the cgroup that the task starts in; "" means the root (rt-app's taskgroup).
	Cgroup    string
	CgroupPos Pos
	Title     string
}

// Phase is a list of events that is repeated.
type Phase struct {
	Name string // "" in a task without phases
	Pos  Pos
	// Loop is how often the events are gone through; 0 and below mean for ever.
	Loop   int
	Events []*Event
	Sched  Sched
	CPUs   *CPUSet // nil: the task's
}

// EventKind says what an event does.
type EventKind uint8

// The events.
const (
	Lock EventKind = iota
	Unlock
	Wait
	Signal
	Broad
	Sync
	Sleep
	Runtime
	Run
	Timer
	Suspend
	Resume
	MemRun
	Mem
	IORun
	Yield
	Barrier
	Fork
	SemPost
	SemWait
)

// eventNames are in the order of the constants. A longer name stands before one that it starts with, so that the first
// match is the right one.
var eventNames = [...]string{
	"lock", "unlock", "wait", "signal", "broad", "sync", "sleep", "runtime", "run", "timer", "suspend", "resume",
	"memrun", "mem", "iorun", "yield", "barrier", "fork", "sem_post", "sem_wait",
}

// String returns rt-app's name of the event.
func (k EventKind) String() string { return eventNames[k] }

// Event is one step of a phase.
type Event struct {
	Kind EventKind
	// Key is the key as written, or as renamed when it stood there twice.
	Key string
	// Pos is the position of the key, ValPos that of the value.
	Pos, ValPos Pos
	// US is the duration of run, runtime and sleep and the period of timer, in microseconds; the bytes of mem and
	// iorun.
	US int
	// Dist replaces US when it is not nil (ours).
	Dist *gen.Dist
	// Ref is the object that the event is about: mutex, condition, semaphore, barrier, timer, or a task to resume or
	// fork. For suspend it is the task itself.
	Ref string
	// Mutex is the mutex of wait and sync.
	Mutex string
	// Absolute and Unique are the modes of a timer.
	Absolute, Unique bool
}
