package ext

import (
	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/sim"
)

// opss is who owns a task (enum scx_ops_state).
type opss uint8

const (
	opssNone opss = iota
	opssQueueing
	opssQueued
	opssDispatching
)

// entity is what the core keeps of a task beside the bytes of p->scx (struct sched_ext_entity): its places in queues
// and who owns it. It belongs to one task from fork to death; entities are reused with Task.Index.
type entity struct {
	t   *sim.Task
	sch *sched // p->scx.sched, nil while the task has none
	// dsq is the queue that the task is on, nil if on none.
	dsq  *dsq
	list node   // on dsq.list, on a rq's ddspDeferred, or on the private list of a re-enqueue
	priq rbNode // on dsq.priq while onPriq
	run  node   // on a rq's runnable list
	// onPriq is SCX_TASK_DSQ_ON_PRIQ.
	onPriq bool
	state  opss
	// dsqSeq is the number of the insertion into the queue, for iterators.
	dsqSeq uint32
	// qseq counts the times that the task was given to the policy (p->scx.ops_qseq); qseqQueued is the count that
	// brands the current ownership, 0 if the policy does not own the task.
	qseq, qseqQueued uint64
	// reenqs is how often the task was enqueued again since it ran (p->scx.reenq_cnt of 7.3).
	reenqs uint32
}

// ent returns the entity of t. For a task that the core does not know (an idle task) or no longer knows it is an
// entity on no queue and owned by nobody.
func (k *Kernel) ent(t *sim.Task) *entity {
	if i := int(t.Index); i >= 0 && i < len(k.ents) {
		if e := k.ents[i]; e != nil && e.t == t {
			return e
		}
	}
	return &entity{t: t}
}

// initEntity follows init_scx_entity.
func (k *Kernel) initEntity(t *sim.Task) {
	for int(t.Index) >= len(k.ents) {
		k.ents = append(k.ents, nil)
	}
	e := k.ents[t.Index]
	if e == nil {
		e = new(entity)
		k.ents[t.Index] = e
	} else if e.list.on() || e.run.on() || e.dsq != nil {
		panic("BUG: ext: task slot reused while its last task is still queued")
	}
	*e = entity{t: t}
	e.list.t, e.priq.t, e.run.t = t, t, t
	t.K.SetSCXFlags(0)
	t.K.SetSCXWeight(0)
	t.K.SetStickyCPU(-1)
	t.K.SetHoldingCPU(-1)
	t.K.SetSelectedCPU(0)
	t.K.SetRunnableAt(k.jiffies())
	t.K.SetDdspDSQID(ops.DSQInvalid)
	t.K.SetDdspEnqFlags(0)
	t.K.SetSlice(ops.SliceDfl)
	t.K.SetDSQVtime(0)
	t.K.SetDisallow(false)
}

func setFlags(t *sim.Task, set uint32)    { t.K.SetSCXFlags(t.K.SCXFlags() | set) }
func clearFlags(t *sim.Task, clr uint32)  { t.K.SetSCXFlags(t.K.SCXFlags() &^ clr) }
func hasFlags(t *sim.Task, f uint32) bool { return t.K.SCXFlags()&f != 0 }

// queued tells whether t is on the runqueue of sched_ext (SCX_TASK_QUEUED).
func queued(t *sim.Task) bool { return hasFlags(t, ops.TaskQueued) }
