package fair

import (
	"math/bits"

	"github.com/schedsim/schedsim/sim"
)

// entity is what the class knows of a task (struct sched_entity and the wakeup fields of task_struct).
//
// Virtual times are uint64 that wrap, compared by the sign of their difference, as in the kernel.
type entity struct {
	t *sim.Task

	weight    uint64 // load weight, 1<<20 at nice 0
	slice     uint64 // request in ns
	vruntime  uint64
	deadline  uint64 // virtual deadline; relative to vruntime while relDeadline
	vprot     uint64 // slice protection ends here
	vlag      int64  // virtual lag when it last left or was delayed
	execStart int64  // start of the unaccounted run

	onRQ        bool // se.on_rq: queued or current
	delayed     bool // se.sched_delayed
	customSlice bool // the slice was set by the task (sched_attr.sched_runtime)
	relDeadline bool
	idlePolicy  bool // SCHED_IDLE as counted in the runqueue

	node // in the tree of its runqueue, unless it is current

	// lprev and lnext link the entity in its runqueue's list of tasks, most recently run first (se.group_node).
	lprev, lnext *entity

	avg loadAvg

	// cfs is the runqueue that the entity is or was last queued on, parent the entity of that runqueue's group (nil: the
	// root); my is the runqueue of the group that the entity stands for, nil for a task.
	cfs            *runq
	parent         *entity
	my             *runq
	depth          int
	runnableWeight int
	throttled      bool // in the limbo of a throttled runqueue, linked by lprev and lnext
	throttleWork   bool // will be throttled on its way back to user mode

	wakeeFlips  uint32
	lastWakee   int32 // PID
	flipDecayAt int64 // in ticks
}

// reset makes e the entity of the new task t (__sched_fork).
func (e *entity) reset(t *sim.Task, c *config) {
	*e = entity{t: t, weight: taskWeight(t), slice: c.baseSlice}
	e.avg.init(e.weight)
}

// taskWeight is the load weight of t on 64 bits (set_load_weight).
func taskWeight(t *sim.Task) uint64 { return t.Weight << loadShift }

// idle tells whether e gives way to everything else: a SCHED_IDLE task or a group with cpu.idle (se_is_idle).
func (e *entity) idle() bool {
	if e.my != nil {
		return e.my.idle
	}
	return e.t.Policy == sim.PolicyIdle
}

// calcDeltaFair follows calc_delta_fair: real time to virtual time. On 64 bits the kernel divides exactly.
func (e *entity) calcDeltaFair(delta uint64) uint64 {
	if e.weight == nice0Load {
		return delta
	}
	if hi, lo := bits.Mul64(delta, nice0Load); hi == 0 {
		return lo / e.weight
	}
	// The kernel's product wraps here, after more than four hours without an update; time that long is kept exact.
	hi, lo := bits.Mul64(delta, nice0Load)
	q, _ := bits.Div64(hi%e.weight, lo, e.weight)
	return q
}

// before tells whether e's deadline is the earlier one (entity_before).
func (e *entity) before(o *entity) bool { return int64(e.deadline-o.deadline) < 0 }

// protected follows protect_slice.
func (e *entity) protected() bool { return int64(e.vruntime-e.vprot) < 0 }

// cancelProtect follows cancel_protect_slice.
func (e *entity) cancelProtect() {
	if e.protected() {
		e.vprot = e.vruntime
	}
}

// rescale adjusts what depends on the weight to a new one (rescale_entity): lag, relative deadline and relative
// protection keep their size in real time.
func (e *entity) rescale(weight uint64, relVprot bool) {
	old := int64(e.weight)
	w := int64(weight)
	e.vlag = e.vlag * old / w
	if e.relDeadline {
		e.deadline = uint64(int64(e.deadline) * old / w)
	}
	if relVprot {
		e.vprot = uint64(int64(e.vprot) * old / w)
	}
	e.weight = weight
}

// vmin returns the earlier of two virtual times (min_vruntime).
func vmin(a, b uint64) uint64 {
	if int64(b-a) < 0 {
		return b
	}
	return a
}
