package ext

import (
	"math/bits"

	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/sim"
)

// Flags of a runqueue (enum scx_rq_flags).
const (
	rqOnline       uint32 = 1 << 0
	rqBalCBPending uint32 = 1 << 6
	rqInWakeup     uint32 = 1 << 16
	rqInBalance    uint32 = 1 << 17
)

// rq is the sched_ext part of a CPU's runqueue (struct scx_rq).
type rq struct {
	cpu   sim.CPU
	local dsq
	// runnable holds the tasks that are runnable but not running, in the order in which they became so.
	runnable node
	// ddspDeferred holds tasks that were dispatched directly to the local DSQ of another CPU and wait for irqWork.
	ddspDeferred node
	// extraEnq are the flags that a move to this CPU adds to the enqueue.
	extraEnq uint64
	flags    uint32

	nrRunning  uint32
	nrImmed    int
	perfTarget uint32

	inSelectCPU     bool
	cpuReleased     bool
	kickSyncPending bool
	kickSync        uint64
	qseq            uint64 // tasks that a policy was given there (rq->scx.ops_qseq of 6.18)

	toKick, toKickIfIdle, toPreempt, toWait, toSync cpuSet
	// ksyncs are the kick_sync values of other CPUs when this one began to wait for them.
	ksyncs []uint64

	// subDispatchPrev is the task that ran before, while ops.dispatch of the root runs.
	subDispatchPrev *sim.Task

	// reenqLocals and reenqUsers are the deferred re-enqueues of the local DSQ, by instance, and of user DSQs.
	reenqLocals   []*sched
	reenqLocalSeq uint64
	reenqUsers    []reenqUser

	// tickAt is the time of the last tick of a task of this class; lag is 1 ns while the current task started at that
	// very time and has not been charged yet, see SetNext.
	tickAt sim.Time
	lag    sim.Duration

	// picks counts the picks at the time pickAt; late reschedules after too many, see reschedKicked.
	picks  int
	pickAt sim.Time
	late   sim.Timer

	// The works that the kernel defers to irq works and balance callbacks.
	deferred, kick, disable, repick sim.IRQWork
}

// reenqUser is a requested re-enqueue of the tasks of a user DSQ (struct scx_deferred_reenq_user).
type reenqUser struct {
	d     *dsq
	flags uint64
}

// dspCtx is the dispatch buffer of a CPU (struct scx_dsp_ctx).
type dspCtx struct {
	rq      *rq
	nrTasks uint32
	buf     []dspEnt
}

// dspEnt is a dispatch that waits for flushDispatchBuf (struct scx_dsp_buf_ent).
type dspEnt struct {
	t               *sim.Task
	qseq            uint64
	dsqID, enqFlags uint64
}

func (r *rq) init(k *Kernel, cpu sim.CPU, n int) {
	r.cpu = cpu
	r.local.init(ops.DSQLocal, r, nil)
	r.runnable.init()
	r.ddspDeferred.init()
	r.flags = rqOnline
	for _, s := range []*cpuSet{&r.toKick, &r.toKickIfIdle, &r.toPreempt, &r.toWait, &r.toSync} {
		*s = make(cpuSet, (n+63)/64)
	}
	r.ksyncs = make([]uint64, n)
	r.perfTarget = ops.CPUPerfOne
	r.deferred.Do = func() { k.runDeferred(r) }
	r.kick.Do = func() { k.kickCPUs(r) }
	r.disable.Do = k.disableWorks
	r.late.Fire = func(sim.Time) { k.m.Resched(r.cpu) }
	r.repick.Do = func() { k.m.Resched(r.cpu) }
}

// cpuSet is a set of CPUs outside kernel-object memory.
type cpuSet []uint64

func (s cpuSet) set(cpu sim.CPU)      { s[cpu>>6] |= 1 << (cpu & 63) }
func (s cpuSet) clear(cpu sim.CPU)    { s[cpu>>6] &^= 1 << (cpu & 63) }
func (s cpuSet) has(cpu sim.CPU) bool { return s[cpu>>6]&(1<<(cpu&63)) != 0 }

// next is the first CPU of the set from one on, NoCPU if there is none.
func (s cpuSet) next(from sim.CPU) sim.CPU {
	w := int(from >> 6)
	if w >= len(s) {
		return sim.NoCPU
	}
	for word := s[w] &^ (1<<(from&63) - 1); ; word = s[w] {
		if word != 0 {
			return sim.CPU(w<<6 + bits.TrailingZeros64(word))
		}
		if w++; w == len(s) {
			return sim.NoCPU
		}
	}
}

func (s cpuSet) empty() bool {
	for _, w := range s {
		if w != 0 {
			return false
		}
	}
	return true
}
