package bpf

import (
	"testing"

	"github.com/schedsim/schedsim/sim"
)

// TestCustodyOfKernels: who owns a task on a queue of the scheduler's own. Three hogs on two CPUs, whose nice values change twenty
// times in a second, gave on real kernels
//
//	7.2.13   228 enqueues, 196 dispatches, ops.dequeue 196 times without flags and 31 times with SCX_DEQ_SCHED_CHANGE
//	6.18.15  237 enqueues, 217 dispatches, ops.dequeue not once
func TestCustodyOfKernels(t *testing.T) {
	for _, tc := range []struct {
		kernel string
		told   bool
	}{{"7.3", true}, {"7.2", true}, {"6.18", false}, {"6.16", false}} {
		t.Run(tc.kernel, func(t *testing.T) {
			r := newRig(t, rigConfig{topo: "1n2l1c1t", quiet: true, kernel: tc.kernel})
			p, err := New("testdata/custody.bpf.o", r.options(""))
			must(t, err)
			r.enable(p)
			tasks := r.hogs("/", 3)
			for i := range 20 {
				r.run(50 * sim.Millisecond)
				for _, task := range tasks {
					r.m.SetNice(task, i&1)
				}
			}
			r.mustLive()
			count := func(name string) uint64 { return counterOf(t, p, name) }
			if count("nr_enqueued") < 150 || count("nr_dispatched") < 150 || count("nr_asleep") != 0 || count("nr_other") != 0 {
				t.Errorf("%d enqueues, %d dispatches, %d and %d odd dequeues", count("nr_enqueued"), count("nr_dispatched"), count("nr_asleep"), count("nr_other"))
			}
			gone, changed := count("nr_gone"), count("nr_changed")
			if tc.told && (gone != count("nr_dispatched") || changed == 0) || !tc.told && gone+changed != 0 {
				t.Errorf("ops.dequeue came %d times without flags for %d dispatches, %d times for a change", gone, count("nr_dispatched"), changed)
			}
		})
	}
}
