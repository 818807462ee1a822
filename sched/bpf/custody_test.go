package bpf

import (
	"testing"

	"github.com/schedsim/schedsim/sim"
)

// TestCustodyOfKernels: who owns a task on a queue of the scheduler's own. With three hogs on two CPUs, whose nice values change
// twenty times in a second, ops.dequeue comes on 7.2.13 whenever a task is dispatched from there, and with SCX_DEQ_SCHED_CHANGE
// when it changes; on 6.18.15 it does not come once. So it is here, with the types of each kernel.
func TestCustodyOfKernels(t *testing.T) {
	for _, tc := range []struct {
		kernel, like string
	}{{"7.3", "7.2"}, {"7.2", "7.2"}, {"6.18", "6.18"}, {"6.16", "6.18"}} {
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
			here, there := kernelCounters{}, countersOf(t, tc.like, "custody_ops")
			for _, name := range []string{"nr_enqueued", "nr_dispatched", "nr_gone", "nr_changed", "nr_asleep", "nr_other"} {
				here[name] = float64(counterOf(t, p, name))
			}
			told := tc.like == "7.2"
			for who, c := range map[string]kernelCounters{"simulator": here, "kernel": there} {
				if c.of("nr_enqueued") < 150 || c.of("nr_dispatched") < 150 || c.of("nr_asleep")+c.of("nr_other") != 0 {
					t.Errorf("%s: %v", who, c)
				}
				if told && (c.of("nr_gone") != c.of("nr_dispatched") || c.of("nr_changed") == 0) || !told && c.of("nr_gone")+c.of("nr_changed") != 0 {
					t.Errorf("%s is told of tasks: %v", who, c)
				}
			}
		})
	}
}
