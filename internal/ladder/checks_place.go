package ladder

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/reports"
	"github.com/schedsim/schedsim/sched/bpf"
	"github.com/schedsim/schedsim/sim"
)

// placeChecks are those about where tasks run.
func placeChecks() []Check {
	return []Check{
		{
			Name:     "sticky",
			Says:     "a task that wakes while the CPU on which it ran is idle runs there again",
			Limit:    "99 % of such wakeups, on 8 CPUs that are busy for a third of the time",
			Workload: `{"tasks": {"naps": {"instance": 12, "run": 1000, "sleep": 4000, "schedsim": {"run": {"dist": "exponential", "mean": "1ms"}, "sleep": {"dist": "exponential", "mean": "4ms"}}}}}`,
			Topo:     "1n1l4c2t", Length: 2 * sim.Second,
			Measure: func(s *Seen) Finding { return stays(s, 0.99, func(w Wake) bool { return w.FromIdle }) },
		},
		{
			Name:     "locality",
			Says:     "where the machine is not saturated, a task stays on the CPU on which it ran",
			Limit:    "95 % of the wakeups for which that CPU is idle, on 16 CPUs in two LLCs that are busy for a third of the time",
			Workload: `{"tasks": {"naps": {"instance": 24, "run": 1000, "sleep": 4000, "schedsim": {"run": {"dist": "exponential", "mean": "1ms"}, "sleep": {"dist": "exponential", "mean": "4ms"}}}}}`,
			Topo:     "1n2l8c1t", Length: 2 * sim.Second,
			Measure: func(s *Seen) Finding { return stays(s, 0.95, func(w Wake) bool { return w.FromIdle }) },
		},
		{
			Name:     "llc",
			Says:     "tasks stay in the last-level cache in which they ran; moving to another is the exception",
			Limit:    "at most 10 % of the times that a task comes to run are in another LLC than the time before, on 16 CPUs in two LLCs that are busy for two thirds of the time",
			Workload: `{"tasks": {"naps": {"instance": 32, "run": 1000, "sleep": 2000, "schedsim": {"run": {"dist": "exponential", "mean": "1ms"}, "sleep": {"dist": "exponential", "mean": "2ms"}}}}}`,
			Topo:     "1n2l8c1t", Length: 2 * sim.Second,
			Measure: func(s *Seen) Finding { return sameLLC(s, 0.1) },
		},
		{
			Name: "domains",
			Says: "each last-level cache is a domain; tasks run in the domain that they were given, and domains are given evenly",
			Limit: "at most 10 % of the times that a task comes to run are in another LLC than the time before, and the busier of the two LLCs " +
				"does at most 1.2 times the work of the other, on 16 CPUs with 40 tasks that never sleep",
			Workload: `{"tasks": {"hog": {"instance": 40, "run": 10000}}}`,
			Topo:     "1n2l8c1t", Length: 4 * sim.Second,
			Measure: func(s *Seen) Finding {
				f := sameLLC(s, 0.1)
				busy := make([]float64, 2)
				for _, sp := range s.Spans {
					busy[s.Topo.CPUs[sp.CPU].LLC] += float64(sp.Length())
				}
				ratio := max(busy[0], busy[1]) / max(min(busy[0], busy[1]), 1)
				if f.Figure += fmt.Sprintf(", load %.2f", ratio); ratio > 1.2 {
					f.OK, f.Text = false, fmt.Sprintf("one LLC did %.2f times the work of the other", ratio)
				}
				return f
			},
		},
		{
			Name:     "one-cpu",
			Says:     "all tasks are queued in one place and run on CPU 0 only, in the order in which they came",
			Limit:    "all CPU time is on CPU 0, on 4 CPUs",
			Workload: `{"tasks": {"hog": {"instance": 6, "run": 10000}, "naps": {"instance": 4, "run": 500, "sleep": 5000}}}`,
			Topo:     "1n1l4c1t", Length: 2 * sim.Second,
			Measure: func(s *Seen) Finding {
				var on, all sim.Duration
				for _, sp := range s.Spans {
					if s.Group(sp.PID) == "" {
						continue
					}
					if all += sp.Length(); sp.CPU == 0 {
						on += sp.Length()
					}
				}
				part := float64(on) / float64(max(all, 1))
				return atLeast(part, 1, reports.Percent(part), fmt.Sprintf("%s of the CPU time is on CPU 0", reports.Percent(part)))
			},
		},
		{
			Name:     "central",
			Says:     "one CPU makes all scheduling decisions: it puts tasks on the other CPUs' queues from its own dispatch; slices do not end by themselves",
			Limit:    "99 % of the tasks that come to a local queue were put there by CPU 0 from ops.dispatch; no tick finds a slice that ends after the first 100 ms, on 8 CPUs",
			Workload: `{"tasks": {"hog": {"instance": 12, "run": 10000}, "naps": {"instance": 8, "run": 500, "sleep": 5000}}}`,
			Topo:     "1n1l4c2t", Length: 2 * sim.Second,
			Measure: central,
		},
		{
			Name: "nest",
			Says: "tasks are kept on a small set of cores that stay warm",
			Limit: "95 % of the work of 100 ms is done on at most 8 of 32 CPUs on average, for 12 tasks that want 2.4 CPUs together, over 4 s " +
				"after the first second; with each task on a CPU of its own it would be 12",
			Workload: `{"tasks": {"naps": {"instance": 12, "run": 1000, "sleep": 4000, "schedsim": {"run": {"dist": "exponential", "mean": "1ms"}, "sleep": {"dist": "exponential", "mean": "4ms"}}}}}`,
			Topo:     "1n2l8c2t", Length: 5 * sim.Second,
			Measure: nested,
		},
		{
			Name:     "tickless",
			Says:     "tasks run with infinite slices; only where several want one CPU does a primary CPU preempt",
			Limit:    "99 % of the ticks find an infinite slice, and tasks that have a CPU each are preempted at most once per second and CPU, on 8 CPUs",
			Workload: `{"tasks": {"hog": {"instance": 7, "run": 10000}}}`,
			Topo:     "1n1l8c1t", Length: 4 * sim.Second,
			Measure: tickless,
		},
		{
			Name: "pair",
			Says: "the two CPUs of a pair run tasks of one cgroup at any time",
			Limit: "at most 1 % of the time in which both CPUs of a pair are busy is of different cgroups (what a kick takes to arrive), on 4 CPUs, " +
				"three cgroups and tasks that never sleep, with SCX_OPS_ENQ_LAST; without the flag the kernel lets a task go on whose CPU has " +
				"nothing else, and for a task that wakes it chooses an idle CPU itself: neither asks the scheduler",
			Workload: `{"tasks": {
				"a": {"instance": 3, "taskgroup": "/a", "run": 10000},
				"b": {"instance": 3, "taskgroup": "/b", "run": 10000},
				"c": {"instance": 2, "taskgroup": "/c", "run": 1000}}}`,
			Topo: "1n1l4c1t", Length: 4 * sim.Second,
			Members: []bpf.Member{{Name: "flags", Value: "ENQ_LAST"}},
			Measure: paired,
		},
	}
}

// stays measures the wakeups of some kind after which a task runs where it was.
func stays(s *Seen, limit float64, of func(Wake) bool) Finding {
	n, same := 0, 0
	for _, w := range s.Wakes {
		if s.Group(w.PID) == "" || !of(w) {
			continue
		}
		if n++; w.From == w.On {
			same++
		}
	}
	part := float64(same) / float64(max(n, 1))
	return atLeast(part, limit, reports.Percent(part), fmt.Sprintf("%d of %d wakeups run where the task was", same, n))
}

// sameLLC measures how often a task comes to run in another LLC than before.
func sameLLC(s *Seen, limit float64) Finding {
	last := map[int32]int32{}
	n, moved := 0, 0
	for _, sp := range byStart(s.Spans) {
		if s.Group(sp.PID) == "" {
			continue
		}
		llc := s.Topo.CPUs[sp.CPU].LLC
		if was, ok := last[sp.PID]; ok {
			if n++; was != llc {
				moved++
			}
		}
		last[sp.PID] = llc
	}
	part := float64(moved) / float64(max(n, 1))
	return atMost(part, limit, reports.Percent(part)+" move", fmt.Sprintf("a task came to run in another LLC %d times of %d", moved, n))
}

func byStart(spans []Span) []Span {
	list := slices.Clone(spans)
	slices.SortStableFunc(list, func(a, b Span) int { return cmp.Compare(a.From, b.From) })
	return list
}

// onCPU tells whether a queue is a CPU's own.
func onCPU(dsq uint64) bool { return dsq&ops.DSQLocalOn == ops.DSQLocalOn }

func central(s *Seen) Finding {
	n, ours := 0, 0
	for _, i := range s.Inserts {
		if !onCPU(i.DSQ) || s.Group(i.PID) == "" {
			continue
		}
		if n++; i.In == ops.Dispatch && i.On == 0 {
			ours++
		}
	}
	part := float64(ours) / float64(max(n, 1))
	f := atLeast(part, 0.99, reports.Percent(part), fmt.Sprintf("%d of %d tasks came to local queues by CPU 0", ours, n))
	if finite := ticks(s, sim.Time(100*sim.Millisecond)); finite > 0 {
		f.OK, f.Text = false, fmt.Sprintf("%d ticks found a slice that ends", finite)
	}
	return f
}

// ticks counts those that found a finite slice, from a time on. One of 0 was ended by a kick, whose interrupt is still to come.
func ticks(s *Seen, from sim.Time) (finite int) {
	for _, t := range s.Ticks {
		if t.At >= from && t.PID > 0 && s.Group(t.PID) != "" && t.Slice != ops.SliceInf && t.Slice != 0 {
			finite++
		}
	}
	return finite
}

func nested(s *Seen) Finding {
	const window = 100 * sim.Millisecond
	windows := int(sim.Duration(s.End) / window)
	busy := make([][]float64, windows)
	for i := range busy {
		busy[i] = make([]float64, len(s.Topo.CPUs))
	}
	for _, sp := range s.Spans {
		for i := int(sim.Duration(sp.From) / window); i < windows; i++ {
			from, to := sim.Time(i)*sim.Time(window), sim.Time(i+1)*sim.Time(window)
			if from >= sp.To {
				break
			}
			busy[i][sp.CPU] += float64(min(to, sp.To).Sub(max(from, sp.From)))
		}
	}
	sum, n := 0, 0
	for i := int(sim.Second / window); i < windows; i++ {
		sum += carriers(busy[i], 0.95)
		n++
	}
	mean := float64(sum) / float64(max(n, 1))
	return atMost(mean, 8, fmt.Sprintf("%.1f CPUs", mean), fmt.Sprintf("95 %% of the work is done on %.1f of %d CPUs", mean, len(s.Topo.CPUs)))
}

// carriers is the least number of CPUs that do a part of all the work.
func carriers(busy []float64, part float64) int {
	list := slices.Clone(busy)
	slices.Sort(list)
	slices.Reverse(list)
	all := 0.0
	for _, b := range list {
		all += b
	}
	n, sum := 0, 0.0
	for n < len(list) && sum < part*all {
		sum += list[n]
		n++
	}
	return n
}

func tickless(s *Seen) Finding {
	const from = sim.Time(sim.Second)
	n, preempted := 0, 0
	for _, t := range s.Ticks {
		if t.At >= from && t.PID > 0 && s.Group(t.PID) != "" {
			n++
		}
	}
	for _, sp := range s.Spans {
		if sp.To >= from && sp.To < s.End && sp.Preempted && s.Group(sp.PID) != "" {
			preempted++
		}
	}
	finite := ticks(s, from)
	part := 1 - float64(finite)/float64(max(n, 1))
	f := atLeast(part, 0.99, reports.Percent(part), fmt.Sprintf("%d of %d ticks found a slice that ends", finite, n))
	if limit := len(s.Topo.CPUs) * int(s.End.Sub(from)/sim.Second); n == 0 || preempted > limit {
		f.OK, f.Text = false, fmt.Sprintf("%d preemptions where every task could have a CPU of its own; %d ticks", preempted, n)
	}
	return f
}

// paired measures how long both CPUs of a pair run tasks of different cgroups. CPU c and c + half of the CPUs are a pair.
func paired(s *Seen) Finding {
	half := sim.CPU(len(s.Topo.CPUs) / 2)
	var both, apart sim.Duration
	for c := range half {
		var of [2][]Span
		for _, sp := range byStart(s.Spans) {
			switch {
			case s.Group(sp.PID) == "":
			case sp.CPU == c:
				of[0] = append(of[0], sp)
			case sp.CPU == c+half:
				of[1] = append(of[1], sp)
			}
		}
		for i, j := 0, 0; i < len(of[0]) && j < len(of[1]); {
			a, b := of[0][i], of[1][j]
			if d := min(a.To, b.To).Sub(max(a.From, b.From)); d > 0 {
				if both += d; s.Group(a.PID) != s.Group(b.PID) {
					apart += d
				}
			}
			if a.To < b.To {
				i++
			} else {
				j++
			}
		}
	}
	part := float64(apart) / float64(max(both, 1))
	f := atMost(part, 0.01, reports.Percent(part), fmt.Sprintf("%s of the time that both CPUs of a pair are busy is of different cgroups", reports.Percent(part)))
	var missing []string
	for _, g := range s.Report.Groups {
		if g.CPUTime == 0 {
			missing = append(missing, g.Name)
		}
	}
	if both == 0 || missing != nil {
		f.OK, f.Text = false, "never ran: "+strings.Join(missing, ", ")+"; both CPUs busy for "+reports.Dur(both)
	}
	return f
}
