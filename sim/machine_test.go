package sim_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/schedsim/schedsim/sim"
)

func TestSmoke(t *testing.T) {
	g := newRig(t, 1, nil)
	g.rr.keepLog = true
	a := g.spawn(t, "a", steps(run(15*ms), sleep(5*ms), run(1*ms)))
	g.spawn(t, "b", steps(run(12*ms)))
	g.run(t, sim.Time(sim.Second))
	want := []string{
		"enqueue a[1] cpu=0 flags=0x80008",
		"enqueue b[2] cpu=0 flags=0x80008",
		"set_next a[1] cpu=0 first=true",
		"tick a[1] cpu=0", "tick a[1] cpu=0", "tick a[1] cpu=0", // 4, 8, 12 ms
		"put_prev a[1] cpu=0 next=b[2]",
		"set_next b[2] cpu=0 first=true",
		"tick b[2] cpu=0", "tick b[2] cpu=0", // 16, 20; it ends at 24 ms, before that tick
		"dequeue b[2] cpu=0 flags=0x10009",
		"put_prev b[2] cpu=0 next=a[1]",
		"set_next a[1] cpu=0 first=true",
		"tick a[1] cpu=0", // at 24 ms
		"dequeue a[1] cpu=0 flags=0x9",
		"put_prev a[1] cpu=0 next=swapper/0[0]",
		"enqueue a[1] cpu=0 flags=0x9",
		"set_next a[1] cpu=0 first=true",
		"dequeue a[1] cpu=0 flags=0x10009",
		"put_prev a[1] cpu=0 next=swapper/0[0]",
	}
	if d := cmp.Diff(want, g.rr.log); d != "" {
		t.Errorf("calls (-want +got)\n%s", d)
	}
	if a.SumExec != 16*ms {
		t.Errorf("a used %v, want 16ms", a.SumExec)
	}
	if g.NrTasks() != 0 {
		t.Errorf("%d tasks are left", g.NrTasks())
	}
}
