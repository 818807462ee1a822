package userland

import (
	"errors"

	"github.com/schedsim/schedsim/sched/bpf/agent"
	"github.com/schedsim/schedsim/sim"
	"github.com/schedsim/schedsim/vm/abi"
)

// queueWorker is scx_userland (tools/sched_ext, 7.2): tasks come by the queue "enqueued" and stand in a list in order of virtual
// time; each turn takes all that have come and gives back a batch from the front by the queue "dispatched".
//
// Its virtual times are whole nanoseconds here, and a task that comes while it is still in the list moves to its new place; the
// list of the original is broken then.
type queueWorker struct {
	cost  Costs
	batch int

	enqueued, dispatched *agent.Map
	pid, sumExec, weight place
	nrQueued, scheduled  counter

	tasks       map[int32]*listed // by pid; looked up, never walked
	first       *listed
	waiting     int
	minVruntime uint64

	giving bool // the turn is at its second half
	given  int  // in this turn
	count  Stats
}

// listed is a task that it has heard of.
type listed struct {
	pid               int32
	sumExec, vruntime uint64
	prev, next        *listed
	inList            bool
}

func (w *queueWorker) start(l *agent.Loaded) error {
	var err error
	if w.enqueued, err = l.Map("enqueued"); err != nil {
		return err
	}
	if w.dispatched, err = l.Map("dispatched"); err != nil {
		return err
	}
	p, err := places(w.enqueued.Value(), "pid", "sum_exec_runtime", "weight")
	if err != nil {
		return err
	}
	w.pid, w.sumExec, w.weight = p[0], p[1], p[2]
	if w.nrQueued, err = newCounter(l, "nr_queued"); err != nil {
		return err
	}
	if w.scheduled, err = newCounter(l, "nr_scheduled"); err != nil {
		return err
	}
	w.tasks = map[int32]*listed{}
	return nil
}

func (w *queueWorker) stats() Stats {
	s := w.count
	s.Waiting = w.waiting
	return s
}

func (w *queueWorker) work(sim.Time) (cost sim.Duration, over bool, err error) {
	if w.giving {
		return w.give()
	}
	c, ok, err := w.enqueued.Pop()
	switch {
	case err != nil:
		return 0, false, err
	case !ok:
		w.nrQueued.set(0)
		w.scheduled.set(uint64(w.waiting))
		w.giving, w.given = true, 0
		return w.cost.Take, false, nil
	}
	w.count.Taken++
	return w.cost.Take + w.insert(c.B), false, nil
}

// insert puts a task into the list, before the first whose virtual time is not less.
func (w *queueWorker) insert(task []byte) sim.Duration {
	pid := int32(w.pid.get(task))
	t := w.tasks[pid]
	if t == nil {
		t = &listed{pid: pid}
		w.tasks[pid] = t
	}
	if t.inList {
		w.count.Again++
		w.remove(t)
	}
	exec, weight := w.sumExec.get(task), max(w.weight.get(task), 1)
	t.vruntime = max(t.vruntime+(exec-t.sumExec)*100/weight, w.minVruntime)
	t.sumExec = exec

	var prev *listed
	at, passed := w.first, 0
	for at != nil && t.vruntime > at.vruntime {
		prev, at = at, at.next
		passed++
	}
	t.prev, t.next, t.inList = prev, at, true
	if at != nil {
		at.prev = t
	}
	if prev != nil {
		prev.next = t
	} else {
		w.first = t
	}
	w.waiting++
	return sim.Duration(passed) * w.cost.Pass
}

func (w *queueWorker) remove(t *listed) {
	if t.prev != nil {
		t.prev.next = t.next
	} else {
		w.first = t.next
	}
	if t.next != nil {
		t.next.prev = t.prev
	}
	t.prev, t.next, t.inList = nil, nil, false
	w.waiting--
}

// give hands the first of the list back, or ends the turn.
func (w *queueWorker) give() (cost sim.Duration, over bool, err error) {
	t := w.first
	if t == nil || w.given == w.batch {
		w.scheduled.set(uint64(w.waiting))
		w.giving = false
		w.count.Turns++
		return w.cost.Turn, true, nil
	}
	w.minVruntime = t.vruntime
	switch err := w.dispatched.Push(int64(t.pid)); {
	case errors.Is(err, abi.E2BIG):
		w.count.Refused++
		w.given = w.batch
	case err != nil:
		return 0, false, err
	default:
		w.remove(t)
		w.given++
		w.count.Given++
	}
	return w.cost.Give, false, nil
}
