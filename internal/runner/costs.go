package runner

import "github.com/schedsim/schedsim/sim"

// DefaultCosts are the machine's overheads where they are on: a server of the 2020s near 3 GHz.
//
// One of them is derived from a measurement: a mix of 85 BPF instructions takes 6.0 ns in the kernel's JIT on such a machine,
// 70 ps each. The others are ASSUMED, at the orders of magnitude that direct measurements of current servers are commonly
// reported at: a context switch, a wakeup and a tick about a microsecond, an interrupt to another CPU and leaving a shallow
// idle state a little more, refilling caches a few to tens of microseconds. They are the same for every scheduler, so
// comparisons depend on them less than absolute numbers do. Where a number matters, set it to what the machine at hand does.
func DefaultCosts() sim.Costs {
	return sim.Costs{
		Switch:        1000,
		Wakeup:        500,
		Tick:          1000,
		IPI:           1000,
		Migration:     3000,
		MigrationLLC:  15000,
		MigrationNode: 30000,
		IdleExit:      2000,
		InsnPS:        70,
		KfuncNS:       20, // a call with a lock and a list operation, between a helper (1.5 ns) and a hash update (43 ns)
		Callback:      20, // entering and leaving a program
	}
}
