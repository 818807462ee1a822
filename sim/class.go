package sim

// EnqFlags are the enqueue flags of kernel/sched/sched.h (7.2). The scheduling classes of the kernel see the low 32
// bits; sched_ext adds its own above (ops.Enq...).
type EnqFlags uint64

// Enqueue flags, as ENQUEUE_* of the kernel.
const (
	EnqWakeup     EnqFlags = 0x0001
	EnqRestore    EnqFlags = 0x0002
	EnqMove       EnqFlags = 0x0004
	EnqNoClock    EnqFlags = 0x0008
	EnqMigrating  EnqFlags = 0x0010
	EnqDelayed    EnqFlags = 0x0020
	EnqClass      EnqFlags = 0x0040
	EnqHead       EnqFlags = 0x0001_0000
	EnqReplenish  EnqFlags = 0x0002_0000
	EnqMigrated   EnqFlags = 0x0004_0000
	EnqInitial    EnqFlags = 0x0008_0000
	EnqRQSelected EnqFlags = 0x0010_0000
)

// DeqFlags are the dequeue flags of kernel/sched/sched.h (7.2).
type DeqFlags uint64

// Dequeue flags, as DEQUEUE_* of the kernel.
const (
	DeqSleep     DeqFlags = 0x0001
	DeqSave      DeqFlags = 0x0002
	DeqMove      DeqFlags = 0x0004
	DeqNoClock   DeqFlags = 0x0008
	DeqMigrating DeqFlags = 0x0010
	DeqDelayed   DeqFlags = 0x0020
	DeqClass     DeqFlags = 0x0040
	DeqSpecial   DeqFlags = 0x0001_0000
	DeqThrottle  DeqFlags = 0x0002_0000
)

// WakeFlags are the wake flags of kernel/sched/sched.h (7.2); sched_ext passes them on as SCX_WAKE_*.
type WakeFlags uint64

// Wake flags, as WF_* of the kernel.
const (
	WakeExec       WakeFlags = 0x02
	WakeFork       WakeFlags = 0x04
	WakeTTWU       WakeFlags = 0x08
	WakeSync       WakeFlags = 0x10
	WakeMigrated   WakeFlags = 0x20
	WakeCurrentCPU WakeFlags = 0x40
	WakeRQSelected WakeFlags = 0x80
)

// Class is a scheduling class: the machine's seam for schedulers, after struct sched_class. The machine asks the
// classes in the order in which it was given them, highest priority first.
//
// All callbacks run inside Machine.Run, one at a time. The kernel's locks are not modelled; its order of calls is.
type Class interface {
	// Name returns the class's name ("fair", "ext", "idle").
	Name() string
	// SelectCPU picks the CPU on which t, which is waking, will be enqueued (select_task_rq). The machine calls it
	// only for tasks that may run on more than one CPU and whose migration is not disabled, and falls back to an
	// allowed CPU if the answer is not allowed (select_fallback_rq).
	SelectCPU(t *Task, prev CPU, f WakeFlags) CPU
	// Enqueue makes t, which is now runnable on cpu, known to the class (enqueue_task).
	Enqueue(cpu CPU, t *Task, f EnqFlags)
	// Dequeue withdraws t (dequeue_task). It returns false when the class keeps the task for now although it sleeps
	// (the fair class's delayed dequeue); it must then set t.SchedDelayed.
	Dequeue(cpu CPU, t *Task, f DeqFlags) bool
	// Pick returns the task to run next on cpu, nil for none (balance and pick_task). prev is the task that ran
	// until now; it is still the CPU's current task and may be returned.
	Pick(cpu CPU, prev *Task) *Task
	// SetNext tells that t becomes the current task of cpu (set_next_task). first tells a real pick from the
	// re-insertion after a change of class, affinity or priority.
	SetNext(cpu CPU, t *Task, first bool)
	// PutPrev tells that prev stops being the current task of cpu (put_prev_task). next is the task that follows,
	// nil when prev is only taken out for a change of its attributes.
	PutPrev(cpu CPU, prev, next *Task)
	// Tick is the periodic tick with cur running on cpu (task_tick).
	Tick(cpu CPU, cur *Task)
}

// Hooks are the rarer callbacks of a class; a nil func means that the class does not care. A class offers them by
// implementing Hooker. They are a struct of funcs, not more interface methods, because most classes want few.
type Hooks struct {
	// UpdateCurr brings the accounting of the current task of cpu up to date (update_curr).
	UpdateCurr func(cpu CPU)
	// WakeupPreempt is called on the class that runs or is about to run on cpu (Machine.NextClass) when t, of this
	// class or of a higher one, was enqueued there. For a task of its own class it decides whether t preempts by
	// calling Machine.Resched; for a higher one the machine does so afterwards (wakeup_preempt).
	WakeupPreempt func(cpu CPU, t *Task, f WakeFlags)
	// QueueWakeup tells whether the wakeup of t may be finished by the CPU that was chosen for it, in an interrupt there
	// (scx_allow_ttwu_queue). Nil: the waker enqueues.
	QueueWakeup func(t *Task) bool
	// TaskWoken is called at the end of a wakeup, also of a new task's first one (task_woken).
	TaskWoken func(cpu CPU, t *Task)
	// Yield is sched_yield by the current task of cpu (yield_task).
	Yield func(cpu CPU)
	// Fork, PostFork, CancelFork and Dead follow sched_ext's fork hooks; they are called for every task, of
	// whatever class. An error from Fork refuses the task, and CancelFork is then called.
	Fork       func(t *Task) error
	PostFork   func(t *Task)
	CancelFork func(t *Task)
	Dead       func(t *Task)
	// TaskFork initialises the class's view of a new task of this class (task_fork).
	TaskFork func(t *Task)
	// SwitchingFrom is called before a task leaves the class, while it is still queued, SwitchedFrom when it was
	// taken out; SwitchingTo before a queued or sleeping task joins the class, SwitchedTo after (switching_from,
	// switched_from, switching_to, switched_to).
	SwitchingFrom func(cpu CPU, t *Task)
	SwitchedFrom  func(cpu CPU, t *Task)
	SwitchingTo   func(cpu CPU, t *Task)
	SwitchedTo    func(cpu CPU, t *Task)
	// PrioChanged is called at the end of a change that left t in its class (prio_changed); oldPrio is p->prio
	// before the change.
	PrioChanged func(cpu CPU, t *Task, oldPrio int32)
	// SetAffinity is called after t's allowed CPUs changed, while t is out of its queues (set_cpus_allowed).
	SetAffinity func(t *Task)
	// Reweight is called after t.Weight changed, while t is out of its queues (reweight_task).
	Reweight func(cpu CPU, t *Task)
	// Migrate is called before t's CPU changes to cpu, which differs from t.CPU() (migrate_task_rq).
	Migrate func(t *Task, cpu CPU)
	// Admit decides whether t may get the policy p, with the parameters d if that is SCHED_DEADLINE, and accounts for it
	// (sched_dl_overflow). It is asked when either the old or the new policy is SCHED_DEADLINE, before the change, and
	// for a new task of that policy.
	Admit func(t *Task, p Policy, d Deadline) error
	// TickAll is called on each tick of cpu whatever class runs (scx_tick, the fair class's load-balance trigger).
	TickAll func(cpu CPU)
	// EnterIdle and ExitIdle tell that cpu starts and stops running its idle task, in the place where the idle
	// class of the kernel tells sched_ext (set_next_task_idle, put_prev_task_idle: __scx_update_idle with do_notify).
	EnterIdle func(cpu CPU)
	ExitIdle  func(cpu CPU)
	// PickIdle tells that the idle task was picked on cpu, also when it ran already and goes on (pick_task_idle:
	// __scx_update_idle without do_notify).
	PickIdle func(cpu CPU)

	// RQOnline and RQOffline tell that the runqueue of cpu starts and stops taking tasks (rq_online, rq_offline). Hotplug
	// tells the same at the places where the kernel tells sched_ext (scx_rq_activate, scx_rq_deactivate). Domains tells
	// that the set of active CPUs changed, after it did (partition_sched_domains).
	RQOnline  func(cpu CPU)
	RQOffline func(cpu CPU)
	Hotplug   func(cpu CPU, online bool)
	Domains   func()

	// CgroupLife tells that c was made or removed (cgroup_lifetime_notifier). CgroupOnline may refuse a new cgroup
	// (cpu_cgroup_css_online); the classes are asked from the lowest up. CgroupOffline follows a grace period
	// after the removal (css_offline), CgroupFree comes when nothing holds the cgroup any more.
	CgroupLife    func(c *Cgroup, online bool)
	CgroupOnline  func(c *Cgroup) Errno
	CgroupOffline func(c *Cgroup)
	CgroupFree    func(c *Cgroup)
	// CanAttach may refuse the move of tasks to another cgroup (cpu_cgroup_can_attach). ChangeGroup is called on t's class
	// while t is out of its queues and t.SchedGroup has changed (task_change_group), CgroupMove after that on all classes
	// (scx_cgroup_move_task).
	CanAttach   func(tasks []*Task, to *Cgroup) Errno
	ChangeGroup func(t *Task)
	CgroupMove  func(t *Task)
	// CgroupShares follows a change of c.Shares, and of c.Idle if that is its reason (sched_group_set_shares,
	// sched_group_set_idle). CgroupWeight, CgroupIdle and CgroupBandwidth are called as the kernel calls sched_ext
	// (scx_group_set_weight and relatives): CgroupWeight before c.Weight changes, CgroupBandwidth with whether something
	// changed.
	CgroupShares    func(c *Cgroup)
	CgroupWeight    func(c *Cgroup, weight uint32)
	CgroupIdle      func(c *Cgroup, idle bool)
	CgroupBandwidth func(c *Cgroup, changed bool)
}

// Hooker is a Class with Hooks. The machine asks once, when it is built.
type Hooker interface {
	Class
	Hooks() Hooks
}
