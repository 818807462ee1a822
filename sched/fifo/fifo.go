package fifo

import (
	"fmt"

	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/sched"
	"github.com/schedsim/schedsim/sim"
)

// shared is the id of the queue.
const shared = 0

// Policy runs tasks in the order in which they become runnable, each for a slice. The zero value is ready to use.
type Policy struct {
	Slice sim.Duration // 0: ops.SliceDfl
}

var _ sched.Policy = (*Policy)(nil)

// Name implements sched.Policy.
func (p *Policy) Name() string { return "fifo" }

// Open implements sched.Policy.
func (p *Policy) Open(e sched.Env) (*ops.Table, error) {
	k, slice := e.Kernel, uint64(p.Slice)
	if p.Slice < 0 {
		return nil, fmt.Errorf("policy fifo: slice %s is negative", p.Slice)
	}
	if slice == 0 {
		slice = ops.SliceDfl
	}
	return &ops.Table{
		Name: "fifo",
		Init: func() int32 { return k.CreateDSQ(shared, -1) },
		SelectCPU: func(t *sim.Task, prev sim.CPU, wakeFlags uint64) sim.CPU {
			cpu, idle := k.SelectCPUDfl(t, prev, wakeFlags)
			if idle { // no need to queue
				k.DSQInsert(t, ops.DSQLocal, slice, 0)
			}
			return cpu
		},
		Enqueue:  func(t *sim.Task, enqFlags uint64) { k.DSQInsert(t, shared, slice, enqFlags) },
		Dispatch: func(sim.CPU, *sim.Task) { k.DSQMoveToLocal(shared, 0) },
	}, nil
}

// Close implements sched.Policy.
func (p *Policy) Close() error { return nil }
