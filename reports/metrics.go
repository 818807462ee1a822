package reports

import (
	"fmt"

	"github.com/schedsim/schedsim/ops"
)

// exitErrorKinds is the first kind of exit that is an error.
const exitErrorKinds = ops.ExitError

// metric is one number of the totals.
type metric struct {
	name string // in tables
	key  string // in JSON
	unit string // in JSON
	// value returns the number, false where it means nothing for the run.
	value  func(r *Report) (float64, bool)
	format func(v float64) string
	// note is more about the number for the text of one run; nil for nothing.
	note func(r *Report) string
}

func durOf(v float64) string   { return Dur(int64(v)) }
func countOf(v float64) string { return count(uint64(v), "") }

// metrics lists the totals in the order of the tables. The comparison shows the same.
func metrics() []metric {
	always := func(f func(t *Totals) float64) func(r *Report) (float64, bool) {
		return func(r *Report) (float64, bool) { return f(&r.Totals), true }
	}
	perSecond := func(f func(t *Totals) uint64) func(r *Report) string {
		return func(r *Report) string { return fmt.Sprintf(" (%s)", rate(perSec(f(&r.Totals), r.Info.Length))) }
	}
	ifAny := func(n func(t *Totals) int64, f func(t *Totals) int64) func(r *Report) (float64, bool) {
		return func(r *Report) (float64, bool) { return float64(f(&r.Totals)), n(&r.Totals) > 0 }
	}
	wakes := func(t *Totals) int64 { return t.WakeLatency.Count }
	works := func(t *Totals) int64 { return t.Response.Count }
	return []metric{
		{"work done", "work_units", "units", always(func(t *Totals) float64 { return float64(t.Work) }),
			func(v float64) string { return count(uint64(v), "unit") }, nil},
		{"throughput", "work_per_s", "units/s", always(func(t *Totals) float64 { return t.WorkPerSec }),
			rate, nil},
		{"response p50", "response_p50", "ns", ifAny(works, func(t *Totals) int64 { return t.Response.P50 }), durOf, nil},
		{"response p99", "response_p99", "ns", ifAny(works, func(t *Totals) int64 { return t.Response.P99 }), durOf, nil},
		{"response max", "response_max", "ns", ifAny(works, func(t *Totals) int64 { return t.Response.Max }), durOf, nil},
		{"deadline misses", "misses", "misses", always(func(t *Totals) float64 { return float64(t.Misses) }), countOf, nil},
		{"wakeup latency p50", "wakeup_p50", "ns", ifAny(wakes, func(t *Totals) int64 { return t.WakeLatency.P50 }), durOf, nil},
		{"wakeup latency p99", "wakeup_p99", "ns", ifAny(wakes, func(t *Totals) int64 { return t.WakeLatency.P99 }), durOf, nil},
		{"wakeup latency max", "wakeup_max", "ns", ifAny(wakes, func(t *Totals) int64 { return t.WakeLatency.Max }), durOf, nil},
		{"CPU utilisation", "cpu_utilisation", "1", always(func(t *Totals) float64 { return t.Utilisation }), Percent, nil},
		{"context switches", "context_switches", "switches", always(func(t *Totals) float64 { return float64(t.Switches) }), countOf,
			perSecond(func(t *Totals) uint64 { return t.Switches })},
		{"preemptions", "preemptions", "preemptions", always(func(t *Totals) float64 { return float64(t.Preemptions) }), countOf,
			perSecond(func(t *Totals) uint64 { return t.Preemptions })},
		{"migrations", "migrations", "migrations", always(func(t *Totals) float64 { return float64(t.Migrations) }), countOf,
			perSecond(func(t *Totals) uint64 { return t.Migrations })},
		{"wakeups", "wakeups", "wakeups", always(func(t *Totals) float64 { return float64(t.Wakeups) }), countOf,
			perSecond(func(t *Totals) uint64 { return t.Wakeups })},
		{"scheduler overhead", "overhead_share", "1", always(func(t *Totals) float64 { return t.OverheadPart }), Percent,
			func(r *Report) string { return fmt.Sprintf(" of CPU time (%s)", Dur(r.Totals.Overhead)) }},
		{"fairness (Jain)", "fairness", "1", func(r *Report) (float64, bool) {
			if r.Totals.Fairness == nil {
				return 0, false
			}
			return *r.Totals.Fairness, true
		}, func(v float64) string { return fmt.Sprintf("%.4f", v) },
			func(r *Report) string { return fmt.Sprintf(" over %d tasks that never slept", r.Totals.FairnessTasks) }},
	}
}
