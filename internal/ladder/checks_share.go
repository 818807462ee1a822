package ladder

import (
	"fmt"
	"math"
	"strings"

	"github.com/schedsim/schedsim/reports"
	"github.com/schedsim/schedsim/sim"
)

// shareChecks are those about how CPU time is divided.
func shareChecks() []Check {
	return []Check{
		{
			Name:  "vtime",
			Says:  "tasks that never sleep get CPU time in the proportion of their weights",
			Limit: "no task is more than 2 % from its part, over 8 s after the first 2 s, on two CPUs",
			// More tasks than two: with two, the one that has just run is not on the queue when the next is chosen.
			Workload: `{"tasks": {
				"high": {"instance": 4, "priority": -5, "run": 10000},
				"even": {"instance": 8, "run": 10000},
				"low": {"instance": 4, "priority": 5, "run": 10000}}}`,
			Topo: "1n1l2c1t", Length: 10 * sim.Second,
			Measure: func(s *Seen) Finding { return weighted(s, 2*sim.Second, 0.02) },
		},
		{
			Name:  "cgroup-weights",
			Says:  "CPU time is divided by the weights of cgroups, level by level",
			Limit: "no cgroup is more than 5 % from its part of the machine, over 8 s after the first 2 s, on two CPUs",
			Workload: `{"global": {"schedsim": {"cgroups": {
					"/a": {"weight": 100}, "/b": {"weight": 300}, "/b/x": {"weight": 100}, "/b/y": {"weight": 200}}}},
				"tasks": {
					"a": {"instance": 4, "taskgroup": "/a", "run": 10000},
					"x": {"instance": 4, "taskgroup": "/b/x", "run": 10000},
					"y": {"instance": 4, "taskgroup": "/b/y", "run": 10000}}}`,
			Topo: "1n1l2c1t", Length: 10 * sim.Second,
			Measure: func(s *Seen) Finding {
				return parts(s, 2*sim.Second, 0.05, map[string]float64{"a": 0.25, "x": 0.25, "y": 0.5})
			},
		},
		{
			Name:  "five-queues",
			Says:  "five queues by the tasks' weights, of which queue N is served 2^N times for each time that queue 0 is",
			Limit: "the CPU time of the queues is within 15 % of 1:2:4:8:16, with 6 tasks in each, over 8 s after the first 2 s, on two CPUs",
			// Weights of 15 (nice 9), 36 (5), 100 (0), 215 (-3) and 586 (-8): one for each queue. Several tasks each, so that no
			// queue runs dry.
			Workload: `{"tasks": {
				"q0": {"instance": 6, "priority": 9, "run": 10000},
				"q1": {"instance": 6, "priority": 5, "run": 10000},
				"q2": {"instance": 6, "run": 10000},
				"q3": {"instance": 6, "priority": -4, "run": 10000},
				"q4": {"instance": 6, "priority": -10, "run": 10000}}}`,
			Topo: "1n1l2c1t", Length: 10 * sim.Second,
			Measure: fiveQueues,
		},
	}
}

// weighted compares what tasks got with the parts that their weights give them.
func weighted(s *Seen, from sim.Duration, limit float64) Finding {
	got := s.CPUTime(sim.Time(from))
	var time, weight float64
	for _, t := range s.Report.Tasks {
		time += float64(got[t.PID])
		weight += float64(t.Weight)
	}
	worst, text := 0.0, ""
	for _, t := range s.Report.Tasks {
		want := float64(t.Weight) / weight
		off := float64(got[t.PID])/time/want - 1
		if math.Abs(off) >= math.Abs(worst) {
			worst = off
			text = fmt.Sprintf("%s got %s of the CPU time, its weight says %s", t.Comm, reports.Percent(float64(got[t.PID])/time), reports.Percent(want))
		}
	}
	return atMost(math.Abs(worst), limit, "within "+reports.Percent(math.Abs(worst)), text)
}

// parts compares what the tasks of a workload got with given parts of all.
func parts(s *Seen, from sim.Duration, limit float64, want map[string]float64) Finding {
	got := s.GroupTime(sim.Time(from))
	all := float64(s.End.Sub(sim.Time(from))) * float64(len(s.Topo.CPUs))
	worst, text := -1.0, ""
	for _, g := range s.Report.Groups {
		off := math.Abs(float64(got[g.Name])/all - want[g.Name])
		if off > worst {
			worst = off
			text = fmt.Sprintf("%s got %s of the machine, %s is its part", g.Name, reports.Percent(float64(got[g.Name])/all), reports.Percent(want[g.Name]))
		}
	}
	return atMost(worst, limit, "within "+reports.Percent(worst), text)
}

func fiveQueues(s *Seen) Finding {
	got := s.GroupTime(2 * sim.Time(sim.Second))
	all := 0.0
	for _, d := range got {
		all += float64(d)
	}
	worst := 0.0
	var list []string
	for i, name := range []string{"q0", "q1", "q2", "q3", "q4"} {
		want := float64(int(1)<<i) / 31
		part := float64(got[name]) / all
		worst = max(worst, math.Abs(part/want-1))
		list = append(list, reports.Percent(part))
	}
	return atMost(worst, 0.15, "within "+reports.Percent(worst), "the queues got "+strings.Join(list, ", "))
}
