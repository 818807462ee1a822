package fidelity

import "slices"

// Beside is the yardstick of a figure: the kernel's own runs judged as the simulator is. Each run stands beside the other runs of
// its case; so that the two can be compared, the simulator stands beside the same others.
type Beside struct {
	// Runs is how many runs have the figure, Kernel how many of them are hits, Simulator how often the simulator is one.
	Runs      int `json:"runs"`
	Kernel    int `json:"kernel"`
	Simulator int `json:"simulator"`
	// Farthest is the greatest distance of a run of the kernel from the others.
	Farthest float64 `json:"farthest"`
}

// beside judges the kernel's runs, nil where there are not several or the lab cannot tell.
func (r *Row) beside(c *Case, weighted bool) *Beside {
	n := len(r.Kernel.Values)
	if n < 2 || !r.Tolerance.Judged {
		return nil
	}
	b := &Beside{}
	for i, v := range r.Kernel.Values {
		others := newSample(slices.Delete(slices.Clone(r.Kernel.Values), i, i+1))
		t := tolerance(r.figure, c, others, weighted)
		if !t.Judged {
			continue
		}
		b.Runs++
		b.Farthest = max(b.Farthest, others.distance(v))
		if others.allows(v, t) {
			b.Kernel++
		}
		if others.allows(r.Simulator.Median, t) {
			b.Simulator++
		}
	}
	if b.Runs == 0 {
		return nil
	}
	return b
}

// InSpread tells of a miss that the kernel misses itself by as much: a run of it is beyond the tolerance of the others, and the
// simulator is no farther from them all than that run. So few runs do not show all that the kernel does.
func (r *Row) InSpread() bool {
	b := r.Beside
	return r.Verdict == Miss && b != nil && b.Kernel < b.Runs && r.Distance() <= b.Farthest
}
