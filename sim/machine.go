package sim

import (
	"errors"
	"fmt"
	"math/rand/v2"

	"github.com/schedsim/schedsim/internal/eventq"
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
	// Boot is how long the machine has been up at time 0: what its clocks show then.
	Boot Duration
	// ClockSkew is how far the clock of each CPU is ahead of the time, by CPU; nil: all show the time.
	ClockSkew []Duration
	Seed      uint64
	// TickOrder says which CPU has the tick of the time at first; the others follow in order of number. On a real machine that
	// is a race. Nil: CPU 0.
	TickOrder func(at Time) CPU
	// Turn, if not 0, has the CPUs execute one after the other, in turns of at most that time, as virtual CPUs do that one thread
	// emulates: see turns. Recorded runs of such a machine are compared with it.
	Turn Duration
	// TurnAt is a time, of the run or not, at which the timer comes that bounds turns: with Turn, where in a turn the run begins. TurnPPB is how much
	// later than Turn after the last it comes again, in parts per billion.
	TurnAt  Time
	TurnPPB int64
	// Look is, with Turn, how long a task of StepRunClock executes at most between two looks at its clock. What is left of it at the end of a
	// turn it executes in the next one, before it finds that its time is over. 0: it knows at any time.
	Look Duration
	// Sink takes the records, a Chooser those that it wants; nil drops them.
	Sink Sink
}

// Costs are the machine's overheads. The zero value is a machine without any ("off").
type Costs struct {
	Switch Duration // context switch
	Wakeup Duration // try_to_wake_up on the waker's CPU
	// Queue is the part of a wakeup that comes before the woken task is queued, where a task wakes it, and not an interrupt; Select
	// that of choosing among several CPUs. Call is the way of a task to its first wakeup. Block is what comes between a task's wish to
	// sleep and the switch, Preempt what comes between the end of an interrupt or a call and the switch that it brings about.
	Queue, Select, Call, Block, Preempt Duration
	Fork                                Duration // creation of a task, on its parent's CPU, before the new task is there
	Exit                                Duration // end of a task, until its CPU reschedules because it leaves its autogroup
	ExitRest                            Duration // ... from there to its last switch
	Tick                                Duration // tick interrupt
	Timer                               Duration // interrupt of a timer that ends a sleep or a slice of the fair class
	Softirq                             Duration // from the interrupt of a timer to the callback of a program's timer, which runs in a softirq
	IPI                                 Duration // from sending a reschedule interrupt to its arrival
	IRQWork                             Duration // interrupt that a CPU sends itself for work to be done soon, as scx_bpf_kick_cpu does
	Move                                Duration // moving a queued task from one runqueue to another, on the CPU that does it
	Migration                           Duration // cold caches after a move to another CPU of the same LLC
	MigrationLLC                        Duration // ... to another LLC
	MigrationNode                       Duration // ... to another NUMA node
	IdleExit                            Duration // leaving the idle state
	// DeepIdleExit replaces IdleExit for a CPU that has been idle for DeepIdleAfter or longer; 0: there is no deep state.
	DeepIdleExit, DeepIdleAfter Duration
	// Warmup is the time that a task must have run on a CPU to pay the full price of the next migration; one that ran for
	// less pays in proportion. 0: it always pays all.
	Warmup Duration
	// SMT is the rate, in 1024ths, of a thread while another thread of its core runs a task; 0: it is not slowed down.
	SMT int32
	// Jitter is by how much, in 1024ths, each of the above times that is charged may be longer or shorter, evenly drawn; 0: not
	// at all. Equal tasks that are charged equally tie, for as long as they run; on no real machine do they.
	Jitter int32
	// SpeedDelay is the time after which a CPU has the frequency that a scheduler asked for; 0: CPUs do not change theirs.
	SpeedDelay Duration
	// InsnPS and KfuncNS price a scheduler callback: picoseconds per BPF instruction, ns per kfunc call; Callback is
	// the fixed cost of entering it, in ns.
	InsnPS   int64
	KfuncNS  int64
	Callback Duration
}

// The phases of a moment: what comes first among events of the same time. A step that ends frees its CPU before the tick. The
// tick comes before timers of its time, which share its interrupt: it is the one without slack. Reschedule interrupts come
// last, so that they find what the moment made.
const (
	phaseLate = iota // with turns: an interrupt that waited for what the CPU was busy with
	phaseStep        // the end of a task's step
	phaseTick
	phaseTimer
	phaseTickEnd // the way back from a tick that timers followed
	phaseIPI
)

// Machine is the simulated machine.
//
// It is used by one goroutine. Between calls of Run, code outside may spawn tasks, arm timers and change tasks; it
// then acts from CPU 0.
type Machine struct {
	now     Time
	q       eventq.Queue
	err     error
	stopped bool
	boot    Duration // Config.Boot
	// wakingLate tells that Costs.Queue was charged for the wakeup at hand.
	wakingLate bool
	running    bool // Run is firing an event: pending local work is done when the handler returns
	this       CPU

	cpus    []cpu
	classes []classEntry // by rank
	hooked  hookLists
	onFree  []func(*Task)

	onCgroupFree []func(*Cgroup)
	busy         []uint64 // bit set of CPUs that do not run their idle task

	tick       eventq.Event
	tickEnd    eventq.Event
	tickOrder  func(at Time) CPU
	tickPeriod Duration
	turns      *turns // nil: all CPUs execute at once
	elapsing   int    // calls of Elapse that have not returned

	tasks       taskTable
	processes   map[string]*Task // leaders by TaskSpec.Process
	classFor    func(t *Task) Class
	distributed CPU // what anyAndDistribute returned last
	servers     Servers

	topo   *topo.Topology
	layout *kobj.Layout
	mem    kobj.Memory
	costs  Costs
	seed   uint64
	rands  map[string]*rand.Rand
	dice   *rand.Rand // of Costs.Jitter; nil without
	cg     cgroups
	online kobj.CPUMask
	active kobj.CPUMask // cpu_active_mask
	tracers
	sink    Sink
	wanted  KindSet         // what the sink is told
	emitted [NrKinds]uint64 // records so far
	rec     Record          // what the sink is handed
	texts   []string
	fired   uint64 // events so far
	// momentStart is fired at the first event of the time now.
	momentStart uint64
}

// classEntry is a class with its hooks.
type classEntry struct {
	Class
	h Hooks
}

// hookLists are the hooks that are called on every class, without the nil ones.
type hookLists struct {
	tickAll, enterIdle, exitIdle, pickIdle []func(CPU)
	fork                                   []func(*Task) error
	postFork, cancelFork, dead, cgroupMove []func(*Task)

	rqOnline, rqOffline                     []func(CPU)
	hotplug                                 []func(CPU, bool)
	domains                                 []func()
	cgroupOnline                            []func(*Cgroup) Errno
	cgroupOffline, cgroupFree, cgroupShares []func(*Cgroup)
	cgroupLife, cgroupIdle, cgroupBandwidth []func(*Cgroup, bool)
	cgroupWeight                            []func(*Cgroup, uint32)
	canAttach                               []func([]*Task, *Cgroup) Errno
}

// New builds a machine; all CPUs are online and idle at time 0.
func New(c Config) (*Machine, error) {
	switch {
	case c.Topo == nil:
		return nil, errors.New("machine: no topology")
	case c.Classes == nil:
		return nil, errors.New("machine: no scheduling classes")
	case c.HZ < 0 || c.HZ > 10_000:
		return nil, fmt.Errorf("machine: HZ %d, want 1 to 10000", c.HZ)
	}
	n := len(c.Topo.CPUs)
	if c.ClockSkew != nil && len(c.ClockSkew) != n {
		return nil, fmt.Errorf("machine: clock skews of %d CPUs, but there are %d", len(c.ClockSkew), n)
	}
	layout, err := c.Layout.ForCPUs(n)
	if err != nil {
		return nil, fmt.Errorf("machine: %w", err)
	}
	hz := c.HZ
	if hz == 0 {
		hz = 250
	}
	m := &Machine{
		topo: c.Topo, layout: layout, mem: c.Mem, costs: c.Costs, seed: c.Seed, tickOrder: c.TickOrder,
		rands: map[string]*rand.Rand{}, processes: map[string]*Task{}, tickPeriod: Second / Duration(hz),
		cpus: make([]cpu, n), busy: make([]uint64, (n+63)/64),
	}
	if err := m.initBoot(c.Boot); err != nil {
		return nil, err
	}
	m.setSink(c.Sink)
	if m.mem == nil {
		m.mem = &kobj.Heap{}
	}
	if c.Costs.Jitter < 0 || c.Costs.Jitter > 1024 {
		return nil, fmt.Errorf("machine: jitter %d, want 0 to 1024", c.Costs.Jitter)
	}
	if c.Costs.Jitter != 0 {
		m.dice = m.Rand("costs")
	}
	m.tick.Fire, m.tickEnd.Fire = m.fireTick, m.fireTickEnd
	m.tick.Tag, m.tickEnd.Tag = -1, -1
	m.tasks.init()
	for _, mask := range []*kobj.CPUMask{&m.online, &m.active} {
		if *mask, err = kobj.NewCPUMask(m.mem, layout); err != nil {
			return nil, fmt.Errorf("machine: %w", err)
		}
		mask.Fill(n)
	}
	if err := m.initCgroups(); err != nil {
		return nil, fmt.Errorf("machine: %w", err)
	}
	for i := range m.cpus {
		if err := m.initCPU(CPU(i)); err != nil {
			return nil, fmt.Errorf("machine: cpu %d: %w", i, err)
		}
		if c.ClockSkew != nil {
			if m.cpus[i].skew = c.ClockSkew[i]; m.cpus[i].skew < 0 {
				return nil, fmt.Errorf("machine: cpu %d: clock skew %v, want 0 or more", i, m.cpus[i].skew)
			}
		}
	}
	m.classes = append(m.classes, classEntry{Class: &stopClass{m: m}})
	for _, cl := range c.Classes(m) {
		m.addClass(cl)
	}
	if len(m.classes) < 2 {
		return nil, errors.New("machine: no scheduling classes")
	}
	if c.Turn > 0 {
		m.turns = newTurns(m, c.Turn, c.TurnAt, c.TurnPPB)
		m.turns.look = c.Look
	}
	m.classFor = m.defaultClass
	lowest := len(m.classes) - 1
	for i := range m.cpus {
		c := &m.cpus[i]
		c.idle.Class, c.idle.rank, c.next = m.classes[lowest].Class, int8(lowest), int8(lowest)
	}
	return m, nil
}

// addClass appends a class below those that are there.
func (m *Machine) addClass(cl Class) {
	e := classEntry{Class: cl}
	if h, ok := cl.(Hooker); ok {
		e.h = h.Hooks()
	}
	m.classes = append(m.classes, e)
	l := &m.hooked
	l.tickAll = appendHook(l.tickAll, e.h.TickAll)
	l.enterIdle = appendHook(l.enterIdle, e.h.EnterIdle)
	l.exitIdle = appendHook(l.exitIdle, e.h.ExitIdle)
	l.pickIdle = appendHook(l.pickIdle, e.h.PickIdle)
	if e.h.Fork != nil {
		l.fork = append(l.fork, e.h.Fork)
	}
	l.rqOnline = appendHook(l.rqOnline, e.h.RQOnline)
	l.rqOffline = appendHook(l.rqOffline, e.h.RQOffline)
	l.cgroupMove = appendHook(l.cgroupMove, e.h.CgroupMove)
	l.cgroupOffline = appendHook(l.cgroupOffline, e.h.CgroupOffline)
	l.cgroupFree = appendHook(l.cgroupFree, e.h.CgroupFree)
	l.cgroupShares = appendHook(l.cgroupShares, e.h.CgroupShares)
	l.hotplug = appendPresent(l.hotplug, e.h.Hotplug, e.h.Hotplug != nil)
	l.domains = appendPresent(l.domains, e.h.Domains, e.h.Domains != nil)
	l.cgroupOnline = appendPresent(l.cgroupOnline, e.h.CgroupOnline, e.h.CgroupOnline != nil)
	l.cgroupLife = appendPresent(l.cgroupLife, e.h.CgroupLife, e.h.CgroupLife != nil)
	l.cgroupIdle = appendPresent(l.cgroupIdle, e.h.CgroupIdle, e.h.CgroupIdle != nil)
	l.cgroupBandwidth = appendPresent(l.cgroupBandwidth, e.h.CgroupBandwidth, e.h.CgroupBandwidth != nil)
	l.cgroupWeight = appendPresent(l.cgroupWeight, e.h.CgroupWeight, e.h.CgroupWeight != nil)
	l.canAttach = appendPresent(l.canAttach, e.h.CanAttach, e.h.CanAttach != nil)
	l.postFork = appendHook(l.postFork, e.h.PostFork)
	l.cancelFork = appendHook(l.cancelFork, e.h.CancelFork)
	l.dead = appendHook(l.dead, e.h.Dead)
}

func appendHook[T any](l []func(T), f func(T)) []func(T) {
	if f == nil {
		return l
	}
	return append(l, f)
}

func appendPresent[T any](l []T, f T, present bool) []T {
	if !present {
		return l
	}
	return append(l, f)
}

// Now is the current time.
func (m *Machine) Now() Time { return m.now }

// Topo is the machine's topology.
func (m *Machine) Topo() *topo.Topology { return m.topo }

// NrCPUs is the number of possible CPUs.
func (m *Machine) NrCPUs() int { return len(m.cpus) }

// Online tells whether cpu is online.
func (m *Machine) Online(cpu CPU) bool { return m.online.Test(int32(cpu)) }

// OnlineMask is the mask of online CPUs in kernel-object memory.
func (m *Machine) OnlineMask() kobj.CPUMask { return m.online }

// ThisCPU is the CPU on whose behalf code runs now (smp_processor_id).
func (m *Machine) ThisCPU() CPU { return m.this }

// HZ is the tick rate.
func (m *Machine) HZ() int { return int(Second / m.tickPeriod) }

// Costs returns the machine's overheads.
func (m *Machine) Costs() Costs { return m.costs }

// Mem and Layout are the kernel objects' memory and layout.
func (m *Machine) Mem() kobj.Memory { return m.mem }

// Layout says where the fields of kernel objects lie.
func (m *Machine) Layout() *kobj.Layout { return m.layout }

// Print emits a line of text that a program wrote, on ThisCPU and for its current task.
func (m *Machine) Print(line string) {
	m.texts = append(m.texts, line)
	m.Emit(Record{Kind: KindPrint, CPU: m.this, Task: m.cpus[m.this].curr.PID, A: uint64(len(m.texts) - 1)})
}

// Text returns the line of the KindPrint record whose A is id.
func (m *Machine) Text(id uint64) string {
	if id >= uint64(len(m.texts)) {
		return ""
	}
	return m.texts[id]
}

// ClassByName returns the class with that name, nil if there is none.
func (m *Machine) ClassByName(name string) Class {
	for i := range m.classes {
		if m.classes[i].Name() == name {
			return m.classes[i].Class
		}
	}
	return nil
}

// rankOf returns the rank of a class of this machine; 0 is the highest.
func (m *Machine) rankOf(c Class) int8 {
	for i := range m.classes {
		if m.classes[i].Class == c {
			return int8(i)
		}
	}
	panic(fmt.Sprintf("BUG: class %v is not of this machine", c))
}

// ClassAbove tells whether a has a higher priority than b (sched_class_above).
func (m *Machine) ClassAbove(a, b Class) bool { return m.rankOf(a) < m.rankOf(b) }

// NextClass is the class of the task that cpu runs or, while it schedules, the highest that may run next
// (rq->next_class).
func (m *Machine) NextClass(cpu CPU) Class { return m.classes[m.cpus[cpu].next].Class }

// SetClassFor makes f decide the class of each new task; sched_ext does so while it is enabled. Nil restores the
// default: dl for SCHED_DEADLINE, rt for real-time policies, fair for the others, where the machine has such classes.
func (m *Machine) SetClassFor(f func(t *Task) Class) {
	if f == nil {
		f = m.defaultClass
	}
	m.classFor = f
}

// DefaultClass is the class that t's policy asks for when nothing was set with SetClassFor.
func (m *Machine) DefaultClass(t *Task) Class { return m.defaultClass(t) }

func (m *Machine) defaultClass(t *Task) Class {
	name := "fair"
	switch t.Policy {
	case PolicyFIFO, PolicyRR:
		name = "rt"
	case PolicyDeadline:
		name = "dl"
	}
	if c := m.ClassByName(name); c != nil {
		return c
	}
	return m.classes[max(len(m.classes)-2, 1)].Class
}

// fail ends the run with an error; the first one counts.
func (m *Machine) fail(err error) {
	if m.err == nil {
		m.err = err
	}
}
