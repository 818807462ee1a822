package ladder

import (
	"testing"

	"github.com/schedsim/schedsim/sim"
)

// Each check accepts a scheduler that does what is asked for, and refuses one that does something else.
func TestChecks(t *testing.T) {
	const examples = "../../examples/bpf/"
	for _, tc := range []struct {
		check, good, bad string
	}{
		{"vtime", "vtime", "fifo"},
		{"cgroup-weights", "eevdf", "vtime"},
		{"latency", "vtime", "fifo"},
		{"fifo", "fifo", "vtime"},
		{"llc", examples + "llc_vtime.bpf.o", examples + "central.bpf.o"},
		{"domains", examples + "llc_vtime.bpf.o", "fifo"},
		{"central", examples + "central.bpf.o", "fifo"},
		{"sticky", "", examples + "central.bpf.o"},
		{"locality", "fifo", examples + "central.bpf.o"},
		{"one-cpu", "", "fifo"},
		{"cells", "", "fifo"},
		{"layers", "", "vtime"},
		{"nest", "", "fifo"},
		{"tickless", "", "fifo"},
		{"pair", "", examples + "simple.bpf.o"},
		{"five-queues", "", "vtime"},
		{"user-space", "", "fifo"},
	} {
		for _, side := range []struct {
			scheduler string
			ok        bool
		}{{tc.good, true}, {tc.bad, false}} {
			if side.scheduler == "" {
				continue // shown by the schedulers that are meant: TestKernelLadder
			}
			t.Run(tc.check+"/"+baseName(side.scheduler), func(t *testing.T) {
				t.Parallel()
				r := Run(Job{Object: side.scheduler, Check: tc.check, Seed: 42, Costs: true}).Result
				if r.Finding == nil {
					t.Fatalf("nothing was found: %s, %s", r.Stage, r.Reason)
				}
				if r.Finding.OK != side.ok {
					t.Errorf("holds: %v (%s, %s), want %v", r.Finding.OK, r.Finding.Figure, r.Finding.Text, side.ok)
				}
				if !r.Finding.OK && r.Finding.Text == "" || r.Finding.Figure == "" {
					t.Errorf("it says nothing: %+v", r.Finding)
				}
			})
		}
	}
	for _, c := range Checks() {
		if c.Length > 20*sim.Second {
			t.Errorf("%s takes long", c.Name)
		}
	}
}
