package bpf

import (
	"testing"

	"github.com/schedsim/schedsim/sim"
)

// TestKptrOfDeadTask: what a task's storage refers to is given back with the task, so that the next cpumask is where the last was.
func TestKptrOfDeadTask(t *testing.T) {
	for _, engine := range []string{"interp", "jit"} {
		t.Run(engine, func(t *testing.T) {
			r := newRig(t, rigConfig{topo: "1n1l2c1t", quiet: true})
			p, err := New("testdata/kptr.bpf.o", r.options(engine))
			must(t, err)
			r.enable(p)
			const n = 20
			before := counterOf(t, p, "masks")
			for range n {
				r.spawn(sim.TaskSpec{Comm: "short", Policy: sim.PolicyExt, Behavior: once(sim.Step{Kind: sim.StepRun, Dur: sim.Millisecond})})
				r.run(20 * sim.Millisecond)
			}
			r.mustLive()
			if masks, reused := counterOf(t, p, "masks")-before, counterOf(t, p, "reused"); masks != n || reused < n-2 {
				t.Errorf("%d masks for %d tasks, %d where the one before was", masks, n, reused)
			}
		})
	}
}
