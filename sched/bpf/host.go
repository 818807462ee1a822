package bpf

import (
	"math/rand/v2"
	"strings"

	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/sim"
	"github.com/schedsim/schedsim/vm/abi"
)

var (
	_ abi.NUMAHost  = (*host)(nil)
	_ abi.NodesHost = (*host)(nil)
	_ abi.CommHost  = (*host)(nil)
	_ abi.IRQHost   = (*host)(nil)

	_ abi.CgroupHost = (*host)(nil)
	_ abi.DyingHost  = (*host)(nil)
	_ abi.PerfHost   = (*host)(nil)
)

// host is the kernel around the programs of one policy.
type host struct {
	p      *Policy
	m      *sim.Machine
	rand   *rand.Rand
	timers map[uint64]*timer // by address of the struct bpf_timer; looked up, never walked
	order  []*timer          // the same, as they were armed first

	// Timers that fired and were armed for now at the moment at.
	at    sim.Time
	fires int

	perf bool // a program has read a performance counter
}

// A program may arm a timer for now each time that one fires. hrtimer_interrupt (kernel/time/hrtimer.c, 7.2) sees to it
// that the CPU does other things in between: it goes on only three times with timers that have expired meanwhile, then
// programs the next interrupt for later. Here too the next firing is late, after maxFiresAtOnce at one moment.
const (
	maxFiresAtOnce = 64
	lateFire       = 10 * sim.Microsecond
)

// timer is one struct bpf_timer. It stays allocated once it was armed: programs re-arm the same few.
type timer struct {
	sim.Timer
	fire func()
}

func newHost(p *Policy) *host {
	m := p.env.Machine
	return &host{p: p, m: m, rand: m.Rand("bpf"), timers: map[uint64]*timer{}}
}

// CPU is the processor that the program runs on.
func (h *host) CPU() int32 { return int32(h.m.ThisCPU()) }

// NrCPUs is the number of possible processors.
func (h *host) NrCPUs() int32 { return int32(h.m.NrCPUs()) }

// NowNS is the time since boot in nanoseconds. The processor has got there when it is through with what it was charged for: a timer that
// a callback starts anew each time comes later by what the interrupt takes, as on a real machine.
func (h *host) NowNS() uint64 {
	return uint64(h.m.RQClock(h.m.ThisCPU()).Add(h.m.Boot()))
}

// CurrentTask is the address of the current task_struct of the processor.
func (h *host) CurrentTask() uint64 { return h.m.Curr(h.m.ThisCPU()).K.Addr }

// CurrentPID are the current task's thread and process ids.
func (h *host) CurrentPID() (pid, tgid int32) {
	t := h.m.Curr(h.m.ThisCPU())
	return t.PID, t.K.TGID()
}

// CurrentComm is the name of the current task.
func (h *host) CurrentComm() string { return h.m.Curr(h.m.ThisCPU()).Comm }

// CurrentCgroupID is the id of the current task's cgroup.
func (h *host) CurrentCgroupID() uint64 { return h.m.Curr(h.m.ThisCPU()).Cgroup.ID }

// AncestorCgroupID is the id of the ancestor of the current task's cgroup at a level, 0 if there is none.
func (h *host) AncestorCgroupID(level int32) uint64 {
	c := h.m.Curr(h.m.ThisCPU()).Cgroup
	for c != nil && c.K.Level() > level {
		c = c.Parent
	}
	if c == nil || c.K.Level() != level {
		return 0
	}
	return c.ID
}

// UnderCgroup tells whether the current task is in the cgroup at that address or below it.
func (h *host) UnderCgroup(cgroup uint64) bool {
	a := h.m.CgroupByAddr(cgroup)
	return a != nil && h.m.Curr(h.m.ThisCPU()).Cgroup.Under(a)
}

// Dying tells whether the cgroup at that address was removed.
func (h *host) Dying(cgroup uint64) bool {
	c := h.m.CgroupByAddr(cgroup)
	return c == nil || !c.Online()
}

// ReadPerf is what a performance counter has counted: nothing, since the machine has none.
func (h *host) ReadPerf(uint64) (count, enabled, running uint64) {
	if !h.perf {
		h.perf = true
		h.p.notice("performance counters are not modelled: programs read zeros")
	}
	return 0, 0, 0
}

// Node is the NUMA node of the processor that the program runs on.
func (h *host) Node() int32 { return h.m.Topo().CPUs[h.m.ThisCPU()].Node }

// NrNodes is the number of NUMA nodes.
func (h *host) NrNodes() int32 { return int32(h.m.Topo().Nodes) }

// IRQsDisabled tells that a program runs with interrupts off: under the lock of a runqueue, in select_cpu, which try_to_wake_up
// and sched_exec call under the task's pi_lock, and in dumps (scx_dump_state). Kernels 6.x do not ask: their bpf_timer_cancel
// minds NMIs only.
func (h *host) IRQsDisabled() bool {
	if strings.HasPrefix(h.p.opt.Kernel.Version, "6.") {
		return false
	}
	f := h.p.env.Kernel.Frame()
	switch f.Callback {
	case ops.SelectCPU, ops.Dump, ops.DumpCPU, ops.DumpTask:
		return true
	}
	return f.Locked != sim.NoCPU
}

// Rand32 draws from the policy's own stream.
func (h *host) Rand32() uint32 { return h.rand.Uint32() }

// Printk passes a line of output on.
func (h *host) Printk(line string) {
	if h.p.opt.Print != nil {
		h.p.opt.Print(h.m.Now(), h.m.ThisCPU(), line)
	}
}

// ArmTimer arms the timer at key as a hrtimer of the given processor.
func (h *host) ArmTimer(key uint64, cpu int32, atNS uint64, fire func()) {
	t := h.timers[key]
	if t == nil {
		t = &timer{}
		t.Timer.Fire = func(sim.Time) { h.fired(t) }
		h.timers[key] = t
		h.order = append(h.order, t)
	}
	t.fire = fire
	at, now := sim.Never, h.m.Now()
	if atNS < uint64(sim.Never) {
		at = sim.Time(atNS).Add(-h.m.Boot())
	}
	if at <= now {
		if h.at != now {
			h.at, h.fires = now, 0
		}
		if h.fires++; h.fires > maxFiresAtOnce {
			at = now.Add(lateFire)
		}
	}
	h.m.Arm(&t.Timer, sim.CPU(cpu), at)
}

// DisarmTimer cancels the timer at key.
func (h *host) DisarmTimer(key uint64) bool {
	t := h.timers[key]
	return t != nil && h.m.Cancel(&t.Timer)
}

// fired runs a timer's callback. It is no callback of the table, so its cost is charged and its faults are reported
// here.
func (h *host) fired(t *timer) {
	p := h.p
	if p.kernel == nil {
		return // the policy was closed
	}
	defer p.env.Kernel.End(p.env.Kernel.As(p.table))
	if !h.m.Softirq(&t.Timer) {
		return
	}
	t.fire()
	if c := p.cost(); c > 0 {
		h.m.Charge(h.m.ThisCPU(), sim.CostCallback, c)
	}
	if f := p.kernel.TakeFault(); f != nil {
		p.env.Kernel.Fault(f.Error())
	}
}

// Pace has the processor get to where the program is, and others do what they do meanwhile.
func (h *host) Pace() { h.p.env.Kernel.Pace() }

// Paces tells whether processors take turns.
func (h *host) Paces() bool { return h.m.Elapses() }
