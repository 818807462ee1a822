package rr

import (
	"fmt"

	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/sched"
	"github.com/schedsim/schedsim/sim"
)

// Policy gives each task on a CPU a slice in turn. A task that wakes goes to an idle CPU if there is one; CPUs that
// run dry take a task from the next CPU that has one waiting. The zero value is ready to use.
type Policy struct {
	Slice sim.Duration // 0: 5 ms
}

var _ sched.Policy = (*Policy)(nil)

// Name implements sched.Policy.
func (p *Policy) Name() string { return "rr" }

// Open implements sched.Policy.
func (p *Policy) Open(e sched.Env) (*ops.Table, error) {
	k, slice := e.Kernel, uint64(p.Slice)
	if p.Slice < 0 {
		return nil, fmt.Errorf("policy rr: slice %s is negative", p.Slice)
	}
	if slice == 0 {
		slice = uint64(5 * sim.Millisecond)
	}
	n := sim.CPU(e.Machine.NrCPUs())
	return &ops.Table{
		Name: "rr",
		Init: func() int32 {
			for cpu := range n { // the queue of a CPU has the CPU's number
				if err := k.CreateDSQ(uint64(cpu), k.CPUNode(cpu)); err != 0 {
					return err
				}
			}
			return 0
		},
		SelectCPU: func(t *sim.Task, prev sim.CPU, wakeFlags uint64) sim.CPU {
			cpu, idle := k.SelectCPUDfl(t, prev, wakeFlags)
			if idle {
				k.DSQInsert(t, ops.DSQLocal, slice, 0)
			}
			return cpu
		},
		Enqueue: func(t *sim.Task, enqFlags uint64) { k.DSQInsert(t, uint64(t.CPU()), slice, enqFlags) },
		Dispatch: func(cpu sim.CPU, _ *sim.Task) {
			for i := range n {
				if k.DSQMoveToLocal(uint64((cpu+i)%n), 0) {
					return
				}
			}
		},
	}, nil
}

// Close implements sched.Policy.
func (p *Policy) Close() error { return nil }
