package benchmarks

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/schedsim/schedsim/sim"
)

// BenchmarkEvents is what one event costs, callbacks and all, under FIFO in Go. An iteration is 100 µs of simulated time.
func BenchmarkEvents(b *testing.B) {
	for _, policy := range []string{"go", "eevdf"} {
		for _, n := range []int{8, 64, 1024} {
			b.Run(fmt.Sprintf("policy=%s/cpus=%d", policy, n), func(b *testing.B) {
				r := newRig(b, policy, n)
				start := r.m.Events()
				b.ReportAllocs()
				for b.Loop() {
					r.run(b, 100*sim.Microsecond)
				}
				events := float64(r.m.Events() - start)
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/events, "ns/event")
				b.ReportMetric(events/b.Elapsed().Seconds(), "events/s")
			})
		}
	}
}

// BenchmarkSwitches counts the context switches simulated per second under one FIFO in Go, and the same FIFO from C on each
// engine.
func BenchmarkSwitches(b *testing.B) {
	for _, n := range []int{8, 64} {
		for _, policy := range policies {
			b.Run(fmt.Sprintf("cpus=%d/policy=%s", n, policy), func(b *testing.B) {
				r := newRig(b, policy, n)
				start := r.switches
				b.ReportAllocs()
				for b.Loop() {
					r.run(b, 100*sim.Microsecond)
				}
				switches := float64(r.switches - start)
				b.ReportMetric(switches/b.Elapsed().Seconds(), "switches/s")
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/switches, "ns/switch")
			})
		}
	}
}

// BenchmarkRatio runs the three side by side, in turns of 1 ms of simulated time, and reports how much slower than Go the
// engines are, by the medians of all turns: the figure that other work on the machine disturbs least.
func BenchmarkRatio(b *testing.B) {
	for _, n := range []int{8, 64} {
		b.Run(fmt.Sprintf("cpus=%d", n), func(b *testing.B) {
			var rigs []*rig
			for _, policy := range policies {
				rigs = append(rigs, newRig(b, policy, n))
			}
			turns := make([][]time.Duration, len(rigs))
			for b.Loop() {
				for i, r := range rigs {
					began := time.Now()
					r.run(b, sim.Millisecond)
					turns[i] = append(turns[i], time.Since(began))
				}
			}
			median := func(i int) float64 {
				slices.Sort(turns[i])
				return float64(turns[i][len(turns[i])/2])
			}
			b.ReportMetric(median(1)/median(0), "jit/go")
			b.ReportMetric(median(2)/median(0), "interp/go")
		})
	}
}
