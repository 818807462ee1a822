package sched

import (
	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/sched/class/ext"
	"github.com/schedsim/schedsim/sim"
)

// Env is what a policy is given to work with: the machine that it schedules and the kernel functions it may call.
type Env struct {
	Machine *sim.Machine
	Kernel  *ext.Kernel
}

// Policy is a scheduler. Open binds it to one machine and returns its table of callbacks; it is called once per run.
type Policy interface {
	// Name is how reports call the policy.
	Name() string
	// Open returns the callbacks. An error means that the policy cannot be loaded (exit code 3 of the command).
	Open(e Env) (*ops.Table, error)
	// Close releases what Open took.
	Close() error
}

// Attacher is a policy that has something to do once its table is in charge: whoever enables the table calls Attached then.
// An error ends the run.
type Attacher interface {
	Attached() error
}
