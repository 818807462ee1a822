package vtime

import (
	"fmt"

	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/sched"
	"github.com/schedsim/schedsim/sim"
)

// shared is the id of the queue.
const shared = 0

// Policy runs the task that has had the least CPU time for its weight. A task that slept may be behind the others by
// at most one slice. The zero value is ready to use.
type Policy struct {
	Slice sim.Duration // 0: ops.SliceDfl
}

var _ sched.Policy = (*Policy)(nil)

// Name implements sched.Policy.
func (p *Policy) Name() string { return "vtime" }

// before tells whether virtual time a comes before b; the clock wraps around.
func before(a, b uint64) bool { return int64(a-b) < 0 }

// Open implements sched.Policy.
func (p *Policy) Open(e sched.Env) (*ops.Table, error) {
	k, slice := e.Kernel, uint64(p.Slice)
	if p.Slice < 0 {
		return nil, fmt.Errorf("policy vtime: slice %s is negative", p.Slice)
	}
	if slice == 0 {
		slice = ops.SliceDfl
	}
	var now uint64 // the virtual time of the task that started last
	return &ops.Table{
		Name: "vtime",
		Init: func() int32 { return k.CreateDSQ(shared, -1) },
		SelectCPU: func(t *sim.Task, prev sim.CPU, wakeFlags uint64) sim.CPU {
			cpu, idle := k.SelectCPUDfl(t, prev, wakeFlags)
			if idle {
				k.DSQInsert(t, ops.DSQLocal, slice, 0)
			}
			return cpu
		},
		Enqueue: func(t *sim.Task, enqFlags uint64) {
			v := t.K.DSQVtime()
			if before(v, now-slice) {
				v = now - slice
			}
			k.DSQInsertVtime(t, shared, slice, v, enqFlags)
		},
		Dispatch: func(sim.CPU, *sim.Task) { k.DSQMoveToLocal(shared, 0) },
		Running: func(t *sim.Task) {
			if v := t.K.DSQVtime(); before(now, v) {
				now = v
			}
		},
		Stopping: func(t *sim.Task, _ bool) { // what is left of the slice was not used
			used := (slice - min(slice, t.K.Slice())) * 100 / uint64(max(t.K.SCXWeight(), 1))
			k.TaskSetDSQVtime(t, t.K.DSQVtime()+used)
		},
		Enable: func(t *sim.Task) { k.TaskSetDSQVtime(t, now) },
	}, nil
}

// Close implements sched.Policy.
func (p *Policy) Close() error { return nil }
