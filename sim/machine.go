package sim

import (
	"math/rand/v2"

	"github.com/schedsim/schedsim/sim/kobj"
	"github.com/schedsim/schedsim/sim/topo"
)

// Config describes a machine. Topo and Classes are required.
type Config struct {
	Topo *topo.Topology
	// Classes builds the scheduling classes, highest priority first; the idle class comes last.
	Classes func(m *Machine) []Class
	// Layout says where the fields of kernel objects lie; nil means kobj.Compact().
	Layout *kobj.Layout
	// Mem holds the kernel objects; nil means Go memory.
	Mem kobj.Memory
	// HZ is the tick rate in Hz; 0 means 250.
	HZ    int
	Costs Costs
	Seed  uint64
	// Sink takes the records; nil drops them.
	Sink Sink
}

// Costs are the machine's overheads. The zero value is a machine without any ("off").
type Costs struct {
	Switch        Duration // context switch
	Wakeup        Duration // try_to_wake_up on the waker's CPU
	Tick          Duration // tick interrupt
	IPI           Duration // from sending a reschedule interrupt to its arrival
	Migration     Duration // cold caches after a move to another CPU of the same LLC
	MigrationLLC  Duration // ... to another LLC
	MigrationNode Duration // ... to another NUMA node
	IdleExit      Duration // leaving the idle state
	// InsnPS and KfuncNS price a scheduler callback: picoseconds per BPF instruction, ns per kfunc call; Callback is
	// the fixed cost of entering it, in ns.
	InsnPS   int64
	KfuncNS  int64
	Callback Duration
}

// Timer is a one-shot timer embedded in its owner: arming it allocates nothing.
type Timer struct {
	// TODO(sim): event node
	Fire func(now Time)
}

// Machine is the simulated machine.
type Machine struct{}

type taskRun struct{}

// New builds a machine; all CPUs are online and idle at time 0.
func New(c Config) (*Machine, error) { panic("BUG: not built") }

// Spawn creates a task as fork and wake_up_new_task do (at spec.Start if that is later).
func (m *Machine) Spawn(spec TaskSpec) (*Task, error) { panic("BUG: not built") }

// Run advances the machine to the time until, or until nothing can happen any more.
func (m *Machine) Run(until Time) error { panic("BUG: not built") }

// Stop makes Run return after the current event.
func (m *Machine) Stop() {}

// Now is the current time.
func (m *Machine) Now() Time { return 0 }

// RQClock is the runqueue clock of cpu as scx_bpf_now reads it.
func (m *Machine) RQClock(cpu CPU) Time { return 0 }

// Topo is the machine's topology.
func (m *Machine) Topo() *topo.Topology { return nil }

// NrCPUs is the number of possible CPUs.
func (m *Machine) NrCPUs() int { return 0 }

// Online tells whether cpu is online.
func (m *Machine) Online(cpu CPU) bool { return true }

// Curr is the task that runs on cpu; its idle task if none does.
func (m *Machine) Curr(cpu CPU) *Task { return nil }

// IdleTask is the idle task of cpu.
func (m *Machine) IdleTask(cpu CPU) *Task { return nil }

// ThisCPU is the CPU on whose behalf code runs now (smp_processor_id).
func (m *Machine) ThisCPU() CPU { return 0 }

// NrRunning is the number of tasks enqueued on cpu, over all classes (rq->nr_running).
func (m *Machine) NrRunning(cpu CPU) int { return 0 }

// AddNrRunning is add_nr_running and sub_nr_running: a class calls it as it queues and unqueues tasks.
func (m *Machine) AddNrRunning(cpu CPU, n int) {}

// Resched makes cpu call its scheduler soon (resched_curr): at once after the current event if cpu is the one that
// code runs on, after an IPI otherwise.
func (m *Machine) Resched(cpu CPU) {}

// NeedResched tells whether a reschedule of cpu is pending.
func (m *Machine) NeedResched(cpu CPU) bool { return false }

// MoveTask moves the queued, not running task t to the runqueue of cpu (move_queued_task without its enqueue): the
// caller dequeues before and enqueues after.
func (m *Machine) SetTaskCPU(t *Task, cpu CPU) {}

// Change runs f with t out of its class's queues, as sched_change_begin and sched_change_end: dequeue (DEQUEUE_SAVE
// etc. in flags), put_prev, f, class switch hooks, enqueue, set_next.
func (m *Machine) Change(t *Task, flags DeqFlags, f func()) {}

// SetClass moves t to class c through Change.
func (m *Machine) SetClass(t *Task, c Class) {}

// SetNice and SetAffinity are the system calls.
func (m *Machine) SetNice(t *Task, nice int) {}

// SetAffinity sets the CPUs that t may use (sched_setaffinity).
func (m *Machine) SetAffinity(t *Task, cpus []CPU) error { return nil }

// ClassFor decides the class of a new or changed task; sched_ext replaces it while it is enabled.
func (m *Machine) SetClassFor(f func(t *Task) Class) {}

// ClassByName returns the class with that name, nil if there is none.
func (m *Machine) ClassByName(name string) Class { return nil }

// Tasks calls f for each live task in the order of creation (the idle tasks are not among them).
func (m *Machine) Tasks(f func(t *Task)) {}

// TaskByPID returns the live task with that PID, nil if there is none.
func (m *Machine) TaskByPID(pid int32) *Task { return nil }

// TaskByAddr returns the task whose task_struct is at the simulated address addr, idle tasks included; nil if none.
func (m *Machine) TaskByAddr(addr uint64) *Task { return nil }

// Charge adds scheduler overhead to cpu: the task running there, or the one about to, makes no progress for d.
func (m *Machine) Charge(cpu CPU, kind CostKind, d Duration) {}

// Costs returns the machine's overheads.
func (m *Machine) Costs() Costs { return Costs{} }

// Arm arms t to fire at the time at on cpu, as a hrtimer of that CPU; it replaces an earlier expiry.
func (m *Machine) Arm(t *Timer, cpu CPU, at Time) {}

// Cancel disarms t and tells whether it was armed.
func (m *Machine) Cancel(t *Timer) bool { return false }

// Rand returns the random stream of that name: the same draws for the same (seed, name), whatever else is drawn.
func (m *Machine) Rand(name string) *rand.Rand { return nil }

// Emit sends a record; At is filled in.
func (m *Machine) Emit(r Record) {}

// Mem and Layout are the kernel objects' memory and layout.
func (m *Machine) Mem() kobj.Memory { return nil }

// Layout says where the fields of kernel objects lie.
func (m *Machine) Layout() *kobj.Layout { return nil }
