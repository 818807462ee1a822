package fidelity

import (
	"math"
	"strings"
)

// Tolerance is how far the simulator may be from what the kernel did.
type Tolerance struct {
	// Allowed is in the figure's unit.
	Allowed float64 `json:"allowed"`
	// Rule says where it comes from, "±1 %".
	Rule string `json:"rule"`
	// Judged is false where the lab cannot tell: under icount the kernel's paths take as many times longer as virtual CPUs are
	// busy, so times of microseconds are those of the lab and not of a machine.
	Judged bool `json:"judged"`
}

// queueing is the wakeup latency from which on it is a matter of who runs first, and not of how long the kernel's paths are.
const queueing = 500_000

// tolerance is the table of tolerances: what a figure of a case may differ.
func tolerance(f Figure, c *Case, kernel Sample, weighted bool) Tolerance {
	one := c.CPUs == 1
	part := func(p float64, rule string) Tolerance {
		return Tolerance{math.Abs(kernel.Median) * p, rule, true}
	}
	// A number of events in the window is a whole one.
	count := func(t Tolerance) Tolerance {
		t.Allowed, t.Rule = max(t.Allowed, 1), t.Rule+" or 1"
		return t
	}
	either := func(p1, pn float64, rule1, rulen string) Tolerance {
		if one {
			return part(p1, rule1)
		}
		return part(pn, rulen)
	}
	switch f.Kind {
	case Share:
		switch {
		case one:
			return Tolerance{0.005, "±0.5 % of a CPU", true}
		case !weighted || strings.Contains(c.Scheduler, "fifo"):
			return Tolerance{0.01, "±1 % of a CPU", true}
		}
		return Tolerance{max(kernel.Spread(), 0.01), "the kernel's spread once more, at least 1 % of a CPU", true}
	case SliceP50:
		return either(0.001, 0.01, "±0.1 %", "±1 %")
	case Switches:
		if c.Scheduler == "eevdf" && strings.HasPrefix(c.Workload, "hogs") {
			return count(either(0.06, 0.10, "±6 %", "±10 %"))
		}
		return count(either(0.01, 0.05, "±1 %", "±5 %"))
	case WakeP50, WakeP99:
		if kernel.Median < queueing {
			return Tolerance{Rule: "below 0.5 ms"}
		}
		if f.Kind == WakeP50 {
			return either(0.005, 0.03, "±0.5 %", "±3 %")
		}
		return either(0.005, 0.10, "±0.5 %", "±10 %")
	case ResponseP50, ResponseP99:
		switch {
		case !strings.HasPrefix(c.Workload, "periodic"):
			return Tolerance{Rule: "for information"} // what throughput and shares say, once more
		case kernel.Median < queueing:
			return Tolerance{Rule: "below 0.5 ms"}
		}
		if !one && c.Scheduler == "eevdf" {
			return part(0.20, "±20 %")
		}
		return either(0.003, 0.01, "±0.3 %", "±1 %")
	case Misses:
		if one {
			return Tolerance{0, "exact", true}
		}
		return part(0.01, "±1 %")
	case Units:
		return count(either(0.005, 0.02, "±0.5 %", "±2 %"))
	case Length:
		return either(0.005, 0.02, "±0.5 %", "±2 %")
	case Migrations:
		if one {
			return Tolerance{0, "none", true}
		}
		return Tolerance{Rule: "order of magnitude"}
	case ExitKind:
		return Tolerance{0, "equal", true}
	}
	return Tolerance{Rule: "for information"}
}
