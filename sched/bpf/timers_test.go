package bpf

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/schedsim/schedsim/sim"
)

// TestTimers: a program's timer is on the CPU where it was armed, until it is put on another: then its callback runs there, and arms it
// there again.
func TestTimers(t *testing.T) {
	r := newRig(t, rigConfig{topo: "1n1l4c1t"})
	p := example(t, "central", r.options("interp"))
	if got := p.Timers(); got != nil {
		t.Errorf("not loaded yet: %v", got)
	}
	r.enable(p)
	r.spawn(mixed(4)...)
	r.run(10 * sim.Millisecond)
	was := p.Timers()
	if len(was) != 1 || was[0].CPU != 0 {
		t.Fatalf("%v, want one on CPU 0", was)
	}
	for _, list := range [][]ArmedTimer{nil, {was[0], was[0]}} {
		if p.SetTimers(list) {
			t.Errorf("%d timers for one", len(list))
		}
	}
	if d := cmp.Diff(was, p.Timers()); d != "" {
		t.Error(d)
	}
	want := []ArmedTimer{{CPU: 2, At: sim.Time(10*sim.Millisecond + 300*sim.Microsecond)}}
	if !p.SetTimers(want) {
		t.Fatal("not set")
	}
	if d := cmp.Diff(want, p.Timers()); d != "" {
		t.Error(d)
	}
	n := counter(t, p, "nr_timers")
	r.run(sim.Millisecond)
	if got := p.Timers(); len(got) != 1 || got[0].CPU != 2 || got[0].At <= want[0].At || counter(t, p, "nr_timers") != n+1 {
		t.Errorf("%v and %d callbacks, want one more than %d", got, counter(t, p, "nr_timers"), n)
	}
}
