package bpf

import (
	"testing"

	"github.com/schedsim/schedsim/sim"
)

// TestWakeList: a task that sleeps for 2 ms at a time, on two CPUs, of which ops.select_cpu always chooses the other. The waker
// enqueues it, each time with SCX_ENQ_CPU_SELECTED; with SCX_OPS_ALLOW_QUEUED_WAKEUP the idle CPU that was chosen does, without that
// flag: here as on Linux 7.2.13, where now and then the other CPU is busy.
func TestWakeList(t *testing.T) {
	for _, table := range []string{"direct", "queued"} {
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
			here, there := kernelCounters{}, countersOf(t, "7.2", table)
			for _, name := range []string{"nr_by_waker", "nr_by_waker_selected", "nr_by_target", "nr_by_target_selected"} {
				here[name] = float64(counterOf(t, p, name))
			}
			for who, c := range map[string]kernelCounters{"simulator": here, "kernel": there} {
				if queued := c.of("nr_by_target") > 10*c.of("nr_by_waker"); queued != (table == "queued") || c.of("nr_by_waker")+c.of("nr_by_target") < 50 ||
					c.of("nr_by_waker_selected") != c.of("nr_by_waker") || c.of("nr_by_target_selected") != 0 {
					t.Errorf("%s: %v", who, c)
				}
			}
			if table == "direct" && (here.of("nr_by_target") != 0 || there.of("nr_by_target") != 0) {
				t.Errorf("the other CPU has enqueued: here %v, on the kernel %v", here, there)
			}
		})
	}
}
