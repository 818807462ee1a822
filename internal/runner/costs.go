package runner

import (
	"github.com/schedsim/schedsim/machines"
	"github.com/schedsim/schedsim/sim"
)

// DefaultCosts are the machine's overheads where they are on: those of the default machine.
func DefaultCosts() sim.Costs { return machines.Costs() }
