package ladder

import (
	"fmt"

	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/reports"
	"github.com/schedsim/schedsim/sim"
)

// duty are the checks about who decides, and in which order.
func duty() []Check {
	return []Check{
		{
			Name:     "user-space",
			Says:     "the policy is a task in user space: what ops.enqueue hands over runs only after that task has seen it",
			Limit:    "in 99 % of the cases a task of the scheduler ran between ops.enqueue and the time that the task runs, and at least 100 such cases, on 4 CPUs",
			Workload: `{"tasks": {"hog": {"instance": 8, "run": 10000}, "naps": {"instance": 8, "run": 500, "sleep": 5000}}}`,
			Topo:     "1n1l4c1t", Length: 2 * sim.Second,
			Measure: userSpace,
		},
		{
			Name:     "fifo",
			Says:     "tasks that do not find an idle CPU wait in one queue and run in the order in which they came",
			Limit:    "99 % of the tasks that leave the queue came before all others in it, on 4 CPUs with 3 tasks per CPU",
			Workload: `{"tasks": {"hog": {"instance": 8, "run": 10000}, "naps": {"instance": 4, "run": 500, "sleep": 5000}}}`,
			Topo:     "1n1l4c1t", Length: 2 * sim.Second,
			Measure: inOrder,
		},
	}
}

func userSpace(s *Seen) Finding {
	// When a task of the scheduler's own ran, in order of time.
	var own []Span
	for _, sp := range byStart(s.Spans) {
		if s.Group(sp.PID) == "" {
			own = append(own, sp)
		}
	}
	given := map[int32]sim.Time{} // by PID, when ops.enqueue got it
	n, seen, at, ins := 0, 0, 0, 0
	starts := byStart(s.Spans)
	next := 0
	for _, op := range append(s.Ops, Op{At: s.End}) {
		for ; next < len(starts) && starts[next].From < op.At; next++ {
			sp := starts[next]
			from, ok := given[sp.PID]
			if !ok {
				continue
			}
			delete(given, sp.PID)
			for at < len(own) && own[at].To < from {
				at++
			}
			if n++; at < len(own) && own[at].From < sp.From {
				seen++
			}
		}
		if op.Call != ops.Enqueue || s.Group(op.PID) == "" {
			continue
		}
		// What ops.enqueue puts on a queue itself is not handed over.
		for ins < len(s.Inserts) && s.Inserts[ins].At < op.At {
			ins++
		}
		direct := false
		for k := ins; k < len(s.Inserts) && s.Inserts[k].At == op.At; k++ {
			direct = direct || s.Inserts[k].PID == op.PID && s.Inserts[k].In == ops.Enqueue
		}
		if !direct {
			given[op.PID] = op.At
		}
	}
	part := float64(seen) / float64(max(n, 1))
	f := atLeast(part, 0.99, fmt.Sprintf("%s of %d", reports.Percent(part), n), fmt.Sprintf("%d of %d tasks ran only after user space had", seen, n))
	if n < 100 {
		f.OK, f.Text = false, fmt.Sprintf("%d tasks were handed to user space", n)
	}
	return f
}

func inOrder(s *Seen) Finding {
	var queue []int32
	n, first := 0, 0
	starts := byStart(s.Spans)
	next := 0
	leave := func(pid int32) {
		for i, p := range queue {
			if p == pid {
				if n++; i == 0 {
					first++
				}
				queue = append(queue[:i], queue[i+1:]...)
				return
			}
		}
	}
	for _, i := range append(s.Inserts, Insert{At: s.End}) {
		for ; next < len(starts) && starts[next].From < i.At; next++ {
			leave(starts[next].PID)
		}
		switch {
		case s.Group(i.PID) == "":
		case onCPU(i.DSQ):
			leave(i.PID)
		default:
			queue = append(queue, i.PID)
		}
	}
	part := float64(first) / float64(max(n, 1))
	f := atLeast(part, 0.99, fmt.Sprintf("%s of %d", reports.Percent(part), n), fmt.Sprintf("%d of %d tasks were the first in the queue", first, n))
	if n < 100 {
		f.OK, f.Text = false, fmt.Sprintf("%d tasks waited in a queue", n)
	}
	return f
}
