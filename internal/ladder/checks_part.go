package ladder

import (
	"fmt"

	"github.com/schedsim/schedsim/reports"
	"github.com/schedsim/schedsim/sim"
)

// partChecks are those about CPUs that belong to some of the tasks.
func partChecks() []Check {
	return []Check{
		{
			Name: "cells",
			Says: "each cgroup is a cell with CPUs of its own; its tasks run there and nobody else does",
			Limit: "at most 1 % of the CPU time is of tasks of another cell than the one whose CPU it is, and each cell has three to five of 12 CPUs, over 3 s " +
				"after the first second",
			Workload: `{"tasks": {
				"a": {"instance": 8, "taskgroup": "/a", "run": 10000},
				"b": {"instance": 8, "taskgroup": "/b", "run": 10000},
				"rest": {"instance": 8, "run": 10000}}}`,
			Topo: "1n1l12c1t", Length: 4 * sim.Second,
			Measure: func(s *Seen) Finding { return apart(s, sim.Second, 0.01, 3, 5) },
		},
		{
			Name: "layers",
			Says: "tasks are in layers by rules; a confined layer keeps to its CPUs, a grouped one prefers them, and layers get CPUs by how much they use",
			Limit: "at most 5 % of the CPU time is of tasks of another layer than the one that uses the CPU most in these 100 ms, and each of two layers that " +
				"want all CPUs has three to five of 8, over 4 s after the first 4 s, in which tasks that came before their layer had CPUs are rescued; " +
				"the layers are those of the recipe, by nice values",
			Workload: `{"tasks": {
				"batch": {"instance": 12, "priority": 5, "run": 10000},
				"normal": {"instance": 12, "run": 10000}}}`,
			Topo: "1n1l8c1t", Length: 8 * sim.Second,
			Measure: func(s *Seen) Finding { return apart(s, 4*sim.Second, 0.05, 3, 5) },
		},
	}
}

// apart measures how far tasks of different names share CPUs: the CPU time on CPUs that others of the names use more in a window
// of 100 ms, from a time on. Each name must be the first user of so many CPUs on average.
func apart(s *Seen, from sim.Duration, limit float64, least, most float64) Finding {
	const window = 100 * sim.Millisecond
	first := int(from / window)
	windows := int(sim.Duration(s.End) / window)
	names := make([]string, 0, len(s.Report.Groups))
	index := map[string]int{}
	for _, g := range s.Report.Groups {
		if g.Name != sim.SchedulerGroup {
			index[g.Name] = len(names)
			names = append(names, g.Name)
		}
	}
	cpus := len(s.Topo.CPUs)
	used := make([]sim.Duration, windows*cpus*len(names))
	for _, sp := range s.Spans {
		g, ok := index[s.Group(sp.PID)]
		if !ok {
			continue
		}
		for w := int(sim.Duration(sp.From) / window); w < windows; w++ {
			from, to := sim.Time(w)*sim.Time(window), sim.Time(w+1)*sim.Time(window)
			if from >= sp.To {
				break
			}
			used[(w*cpus+int(sp.CPU))*len(names)+g] += min(to, sp.To).Sub(max(sp.From, from))
		}
	}
	owns := make([]float64, len(names))
	var all, others sim.Duration
	for w := first; w < windows; w++ {
		for c := range cpus {
			row := used[(w*cpus+c)*len(names):][:len(names)]
			owner := 0
			for g, d := range row {
				if all += d; d > row[owner] {
					owner = g
				}
			}
			for g, d := range row {
				if g != owner {
					others += d
				}
			}
			if row[owner] > 0 {
				owns[owner] += 1 / float64(windows-first)
			}
		}
	}
	part := float64(others) / float64(max(all, 1))
	f := atMost(part, limit, reports.Percent(part), fmt.Sprintf("%s of the CPU time is on CPUs that others use more", reports.Percent(part)))
	for g, n := range owns {
		f.Figure += fmt.Sprintf(", %s %.1f", names[g], n)
		if n < least || n > most {
			f.OK, f.Text = false, fmt.Sprintf("%s has %.1f of %d CPUs", names[g], n, cpus)
		}
	}
	return f
}
