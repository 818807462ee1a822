package ext

import (
	"fmt"
	"strings"

	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/sim"
)

// Snapshot tells how things stand, for people who look for the reason of something: which callback runs and for whom, and for each
// CPU its current task and the runnable ones, each with the queue that it is in, its slice and its virtual time.
func (k *Kernel) Snapshot() string {
	var b strings.Builder
	if f := &k.frame; k.depth > 0 {
		fmt.Fprintf(&b, "in ops.%v on CPU %d", f.Callback, f.CPU)
		if t := f.Subject[0]; t != nil {
			fmt.Fprintf(&b, " for %s", t)
		}
		b.WriteByte('\n')
	}
	for i := range k.rqs {
		r := &k.rqs[i]
		curr := k.m.Curr(r.cpu)
		fmt.Fprintf(&b, "CPU %d: nr_running %d, local queue %d, current %s of %s", r.cpu, k.m.NrRunning(r.cpu), r.local.nr, curr, curr.Class.Name())
		if k.onExt(curr) {
			b.WriteString(k.taskText(curr))
		}
		b.WriteByte('\n')
		for n := r.runnable.next; n != &r.runnable; n = n.next {
			if n.t != curr {
				fmt.Fprintf(&b, "  %s%s\n", n.t, k.taskText(n.t))
			}
		}
	}
	return b.String()
}

// taskText is what Snapshot shows of a task.
func (k *Kernel) taskText(t *sim.Task) string {
	queue := "in no queue"
	switch d := k.ent(t).dsq; {
	case d == nil:
	case d.isLocal():
		queue = fmt.Sprintf("in the local queue of CPU %d", d.rq.cpu)
	case d.id == ops.DSQGlobal:
		queue = "in a global queue"
	default:
		queue = fmt.Sprintf("in queue %#x", d.id)
	}
	return fmt.Sprintf(" %s, slice %d, vtime %d, weight %d", queue, t.K.Slice(), t.K.DSQVtime(), t.K.SCXWeight())
}
