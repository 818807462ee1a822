package bpf

import (
	"encoding/binary"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/schedsim/schedsim/sim"
)

// TestAsync: what bpf_timer_cancel_async and bpf_map_sum_elem_count say, in the engines as in Linux 7.2.13.
func TestAsync(t *testing.T) {
	for _, engine := range []string{"interp", "jit"} {
		t.Run(engine, func(t *testing.T) {
			r := newRig(t, rigConfig{topo: "1n2l1c1t", quiet: true})
			o := r.options(engine)
			p, err := New("testdata/async.bpf.o", o)
			must(t, err)
			r.enable(p)
			r.spawn(sim.TaskSpec{Comm: "nap", Policy: sim.PolicyExt, Behavior: periodic(10*sim.Microsecond, 2*sim.Millisecond)})
			r.run(sim.Second)
			r.mustLive()
			want := countersOf(t, "7.2", "async_ops")
			var got []any
			b, err := p.Global("result")
			must(t, err)
			for ; len(b) > 0; b = b[4:] {
				got = append(got, float64(int32(binary.LittleEndian.Uint32(b))))
			}
			if d := cmp.Diff(want["result"], any(got)); d != "" {
				t.Errorf("(-kernel +simulator):\n%s", d)
			}
			for _, name := range []string{"fired", "own"} {
				b, err := p.Global(name)
				must(t, err)
				if got := float64(int32(binary.LittleEndian.Uint32(b))); got != want[name] {
					t.Errorf("%s %v, kernel %v", name, got, want[name])
				}
			}
		})
	}
}
