package ladder

import (
	"fmt"
	"slices"

	"github.com/schedsim/schedsim/reports"
	"github.com/schedsim/schedsim/sim"
)

// latencyChecks are those about who goes first.
func latencyChecks() []Check {
	return []Check{{
		Name: "latency",
		Says: "tasks that sleep often and run for a short time go before those that never sleep",
		Limit: "a wakeup of theirs waits, at the 90th percentile, for at most a quarter of what a wait of a hog takes on average, over 3 s after the " +
			"first second, on 4 CPUs with 6 hogs per CPU",
		Workload: `{"tasks": {
			"hog": {"instance": 24, "run": 10000},
			"keys": {"instance": 8, "sleep": 8000, "run": 200, "schedsim": {
				"sleep": {"dist": "exponential", "mean": "8ms"}, "run": {"dist": "exponential", "mean": "200us", "at_most": "2ms"}}}}}`,
		Topo: "1n1l4c1t", Length: 4 * sim.Second,
		Measure: latency,
	}}
}

func latency(s *Seen) Finding {
	const from = sim.Time(sim.Second)
	var waits []sim.Duration
	for _, w := range s.Wakes {
		if w.At >= from && s.Group(w.PID) == "keys" {
			waits = append(waits, w.Latency())
		}
	}
	if len(waits) == 0 {
		return Finding{Figure: "no wakeups", Text: "no task was woken"}
	}
	slices.Sort(waits)
	p90 := waits[len(waits)*9/10]
	// A hog waits from the end of a time on a CPU to the start of the next.
	last := map[int32]sim.Time{}
	var sum sim.Duration
	n := 0
	for _, sp := range byStart(s.Spans) {
		if s.Group(sp.PID) != "hog" {
			continue
		}
		if was, ok := last[sp.PID]; ok && was >= from && sp.From > was {
			sum += sp.From.Sub(was)
			n++
		}
		last[sp.PID] = sp.To
	}
	if n == 0 {
		return Finding{Figure: "hogs do not run", Text: "no hog came to run twice"}
	}
	mean := sum / sim.Duration(n)
	ratio := float64(p90) / float64(mean)
	return atMost(ratio, 0.25, fmt.Sprintf("%s beside %s", reports.Dur(p90), reports.Dur(mean)),
		fmt.Sprintf("9 of 10 wakeups wait for up to %s, a hog for %s on average", reports.Dur(p90), reports.Dur(mean)))
}
