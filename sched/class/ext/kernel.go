package ext

import (
	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/sim"
)

// Kernel is the sched_ext class of one machine. While no policy is enabled it has no tasks and the machine runs as if
// it were not there.
//
// Kernel functions (scx_bpf_*) are methods of Kernel; those of them that only some callbacks may call say so.
type Kernel struct {
	m     *sim.Machine
	jiffy sim.Duration

	rqs  []rq
	ents []*entity // by Task.Index

	// sch is the root scheduler (scx_root), nil while there is none.
	sch   *sched
	state ops.EnableState
	// enabled is __scx_enabled; switchingAll and switchedAll are their namesakes.
	enabled, switchingAll, switchedAll bool
	// initTasks is scx_init_task_enabled: new tasks are initialised.
	initTasks bool
	groups    groupState
	// exitInfo is that of the running policy once it began to exit, then of the last one.
	exitInfo *ops.ExitInfo
	// enableSeq, hotplugSeq and nrRejected are the counters of /sys/kernel/sched_ext.
	enableSeq, hotplugSeq, nrRejected uint64
	// lastEvents are the counters of the last policy; callbackCost is what a callback costs unless the policy says.
	lastEvents   Events
	callbackCost sim.Duration
	// log are the lines that the kernel would print ("sched_ext: ...").
	log []string

	frame ops.Frame
	cur   *sched // whose callback runs, nil outside callbacks
	// enabling: Enable runs, in a thread of the kernel that takes interrupts.
	enabling bool
	nobody   bool // code runs on behalf of no instance: see As
	dying    []*sched
	// registered are the instances that were enabled and not unregistered, which may have ended.
	registered []*sched
	// nrSubs is the number of sub-schedulers: while there is none, every task is of the root.
	nrSubs int
	// groupSched is cgrp->scx_sched by Cgroup.Index; nil means the root's.
	groupSched []*sched
	old        Old
	// cidType is __scx_is_cid_type: CPUs are given to the policies as cids.
	cidType bool
	cids    cidTables
	calls   [ops.NrCallbacks]uint64
	// depth is the number of callbacks that are running; saved are the frames below theirs.
	depth int
	saved []frameState
	// ddsp is direct_dispatch_task; one CPU's worth is enough because enqueues do not nest.
	ddsp ddspState
	paid sim.Duration // of the price of the running callback

	topo domains
	idle idleState
	// distribute is distribute_cpu_mask_prev of each CPU.
	distribute []int

	watchdog watchdog
	dump     dumper

	tidCursor uint64
	tids      map[uint64]*sim.Task // looked up only, never ranged over
}

var (
	_ sim.Class  = (*Kernel)(nil)
	_ sim.Hooker = (*Kernel)(nil)
)

// New builds the class for m, which is still being built: sim.Config.Classes is the place to call it. Without a call
// of Enable it schedules nothing.
func New(m *sim.Machine) *Kernel {
	k := &Kernel{m: m, state: ops.Disabled, tidCursor: 1}
	k.frame.Locked = sim.NoCPU
	return k
}

// setup builds what depends on the machine, which is complete only after New. It runs when it is first needed: a task is
// created, a policy enabled.
func (k *Kernel) setup() {
	if k.rqs != nil {
		return
	}
	n := k.m.NrCPUs()
	k.jiffy = sim.Second / sim.Duration(k.m.HZ())
	k.rqs = make([]rq, n)
	for i := range k.rqs {
		k.rqs[i].init(k, sim.CPU(i), n)
	}
	k.distribute = make([]int, n)
	k.hotplugSeq = uint64(n - 1) // the CPUs that came after the first
	k.initDomains()
	k.initIdleMasks()
	k.watchdog.timer.Fire = k.watchdogWork
}

// Name implements sim.Class.
func (k *Kernel) Name() string { return "ext" }

// Hooks implements sim.Hooker.
func (k *Kernel) Hooks() sim.Hooks {
	return sim.Hooks{
		UpdateCurr:    k.updateCurr,
		WakeupPreempt: k.wakeupPreempt,
		QueueWakeup:   k.allowTTWUQueue,
		TaskWoken:     k.taskWoken,
		Yield:         k.yieldTask,
		Fork:          k.fork,
		PostFork:      k.postFork,
		CancelFork:    k.cancelFork,
		Dead:          k.dead,
		SwitchingTo:   k.switchingTo,
		SwitchedFrom:  k.switchedFrom,
		SetAffinity:   k.setCPUsAllowed,
		Reweight:      k.reweightTask,
		EnterIdle:     func(cpu sim.CPU) { k.updateIdle(cpu, true, true) },
		ExitIdle:      func(cpu sim.CPU) { k.updateIdle(cpu, false, true) },
		PickIdle:      func(cpu sim.CPU) { k.updateIdle(cpu, true, false) },

		RQOnline: k.rqOnline, RQOffline: k.rqOffline, Hotplug: k.handleHotplug, Domains: k.domainsChanged,
		CgroupLife: k.cgroupLife, CgroupOnline: k.tgOnline, CgroupOffline: k.tgOffline, CanAttach: k.cgroupCanAttach, CgroupMove: k.cgroupMoveTask,
		CgroupWeight: k.groupSetWeight, CgroupIdle: k.groupSetIdle, CgroupBandwidth: k.groupSetBandwidth,
	}
}

// Machine returns the machine of which k is a class.
func (k *Kernel) Machine() *sim.Machine { return k.m }

// State is the state of the core (/sys/kernel/sched_ext/state).
func (k *Kernel) State() ops.EnableState { return k.state }

// SwitchedAll tells whether all tasks of the fair class run on sched_ext (/sys/kernel/sched_ext/switch_all).
func (k *Kernel) SwitchedAll() bool { return k.switchingAll }

// ExitInfo tells why the policy ended; nil while it has not, or if there was none.
func (k *Kernel) ExitInfo() *ops.ExitInfo { return k.exitInfo }

// Frame tells which callback is running, for whom.
func (k *Kernel) Frame() *ops.Frame { return &k.frame }

// Calls returns how often each callback was called since the machine was built, by ops.Callback.
func (k *Kernel) Calls() [ops.NrCallbacks]uint64 { return k.calls }

// Log returns the lines that the kernel would have printed, without the newline.
func (k *Kernel) Log() []string { return k.log }

// Table returns the core's copy of the enabled policy's table, nil if there is none.
func (k *Kernel) Table() *ops.Table {
	if k.sch == nil {
		return nil
	}
	return &k.sch.ops
}

// jiffies is the time in ticks.
func (k *Kernel) jiffies() uint64 { return k.m.Jiffies() }

// jiffiesToMS follows jiffies_to_msecs.
func (k *Kernel) jiffiesToMS(j uint64) uint64 { return j * uint64(k.jiffy) / 1e6 }

// msToJiffies follows msecs_to_jiffies: it rounds up.
func (k *Kernel) msToJiffies(ms uint64) uint64 {
	return (ms*1e6 + uint64(k.jiffy) - 1) / uint64(k.jiffy)
}

// taskRQ follows task_rq.
func (k *Kernel) taskRQ(t *sim.Task) *rq { return &k.rqs[t.CPU()] }

// onExt tells whether t is of this class.
func (k *Kernel) onExt(t *sim.Task) bool {
	o, ok := t.Class.(*Kernel) // comparing interfaces is a call
	return ok && o == k
}

// isIdle follows is_idle_task.
func (k *Kernel) isIdle(cpu sim.CPU, t *sim.Task) bool { return t == k.m.IdleTask(cpu) }

// currIdle tells that cpu runs its idle task.
func (k *Kernel) currIdle(cpu sim.CPU) bool { return k.isIdle(cpu, k.m.Curr(cpu)) }

// aboveExt tells that t's class is above sched_ext: neither ext nor idle.
func (k *Kernel) aboveExt(cpu sim.CPU, t *sim.Task) bool { return !k.onExt(t) && !k.isIdle(cpu, t) }

// cpuValid follows scx_cpu_valid: where is extra text for the error.
func (s *sched) cpuValid(cpu sim.CPU, where string) bool {
	if cpu >= 0 && int(cpu) < len(s.k.rqs) {
		return true
	}
	if where != "" {
		where = " " + where
	}
	s.error("invalid CPU %d%s", cpu, where)
	return false
}
