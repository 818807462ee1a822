package bpf

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/schedsim/schedsim/sim"
)

// TestWakeList: a task that sleeps for 2 ms at a time, on two CPUs, of which ops.select_cpu always chooses the other. On Linux
// 7.2.13 the waker enqueued it 143 times in a second, each time with SCX_ENQ_CPU_SELECTED; with SCX_OPS_ALLOW_QUEUED_WAKEUP the
// idle CPU that was chosen did, 74 times, and never with that flag.
func TestWakeList(t *testing.T) {
	for table, want := range map[string][4]bool{"direct": {true, true, false, false}, "queued": {false, false, true, false}} {
		t.Run(table, func(t *testing.T) {
			r := newRig(t, rigConfig{topo: "1n1l2c1t", quiet: true, costs: sim.Costs{IPI: sim.Microsecond}})
			o := r.options("")
			o.Table = table
			p, err := New("testdata/wake.bpf.o", o)
			must(t, err)
			r.enable(p)
			r.spawn(sim.TaskSpec{Comm: "w", Policy: sim.PolicyExt, Behavior: periodic(10*sim.Microsecond, 2*sim.Millisecond)})
			r.run(sim.Second)
			r.mustLive()
			var got [4]bool
			for i, name := range []string{"nr_by_waker", "nr_by_waker_selected", "nr_by_target", "nr_by_target_selected"} {
				got[i] = counterOf(t, p, name) != 0
			}
			if counterOf(t, p, "nr_by_waker_selected") != counterOf(t, p, "nr_by_waker") {
				t.Error("some wakeups by the waker were not told of select_cpu")
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("who enqueues (-kernel +simulator):\n%s", d)
			}
		})
	}
}
