package fair

import (
	"fmt"
	"math"
	"testing"

	"github.com/schedsim/schedsim/sim"
)

// TestShares checks the CPU time of hogs on one CPU against the shares measured on Linux 6.18 (rt-app, one CPU) and the
// weights.
func TestShares(t *testing.T) {
	for _, tc := range []struct {
		name  string
		nices []int
		want  []float64
		tol   float64
	}{
		{"equal", []int{0, 0}, []float64{.5, .5}, .01},
		{"nice 0 and 1", []int{0, 1}, []float64{.5553, .4447}, .01},
		{"nice 0 and 5", []int{0, 5}, []float64{.7535, .2465}, .01},
		{"nice 0 and 10", []int{0, 10}, []float64{.9030, .0970}, .01},
		{"nice 0 and 19", []int{0, 19}, []float64{.9856, .0144}, .01},
		{"nice -5, 0, 5", []int{-5, 0, 5}, []float64{.69665, .22857, .07478}, .01},
		{"nice -20 and 19", []int{-20, 19}, []float64{.99983, .00017}, .002},
	} {
		for _, o := range []struct {
			name string
			opt  Options
		}{{"hrtick", Options{}}, {"no hrtick", Options{Disable: HRTick}}, {"no parity", Options{Disable: RunToParity}}} {
			t.Run(tc.name+"/"+o.name, func(t *testing.T) {
				b := newBench(t, "1n1l1c1t", o.opt, sim.Costs{})
				var ts []*sim.Task
				for _, n := range tc.nices {
					ts = append(ts, b.spawn(sim.TaskSpec{Comm: fmt.Sprint("nice", n), Nice: n, Behavior: hog{}}))
				}
				b.run(10 * sim.Second)
				for i, task := range ts {
					if got := b.cpuTime(task).Seconds() / 10; math.Abs(got-tc.want[i]) > tc.tol {
						t.Errorf("nice %d: share %.4f, want %.4f", tc.nices[i], got, tc.want[i])
					}
				}
			})
		}
	}
}

// TestSliceLength checks how long a preempted task ran: one base slice with the slice timer, one tick without.
func TestSliceLength(t *testing.T) {
	for _, tc := range []struct {
		topo string
		opt  Options
		want sim.Duration
	}{
		{"1n1l1c1t", Options{}, 700 * sim.Microsecond},
		{"1n1l2c1t", Options{}, 1400 * sim.Microsecond},
		{"1n1l4c1t", Options{}, 2100 * sim.Microsecond},
		{"1n1l8c1t", Options{}, 2800 * sim.Microsecond},
		{"1n1l1c1t", Options{Disable: HRTick}, 4 * sim.Millisecond},
		{"1n1l8c1t", Options{Disable: HRTick}, 4 * sim.Millisecond},
	} {
		t.Run(fmt.Sprint(tc.topo, tc.want), func(t *testing.T) {
			b := newBench(t, tc.topo, tc.opt, sim.Costs{})
			for range 2 * b.m.NrCPUs() {
				b.spawn(sim.TaskSpec{Comm: "hog", Behavior: hog{}})
			}
			b.run(2 * sim.Second)
			if got := percentile(b.slices, 50); got != tc.want {
				t.Errorf("median slice %v of %d, want %v", got, len(b.slices), tc.want)
			}
		})
	}
}
