package bpf

import (
	"encoding/binary"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/schedsim/schedsim/sim"
)

// TestText: what the functions for strings give a program, in the engines as in Linux 7.2.13, and what it writes to its streams.
func TestText(t *testing.T) {
	for _, engine := range []string{"interp", "jit"} {
		t.Run(engine, func(t *testing.T) {
			r := newRig(t, rigConfig{topo: "1n1l1c1t", quiet: true})
			var lines []string
			o := r.options(engine)
			o.Members = []Member{{"flags", "0"}}
			o.Print = func(_ sim.Time, _ sim.CPU, line string) { lines = append(lines, line) }
			p, err := New("testdata/text.bpf.o", o)
			must(t, err)
			r.enable(p)
			r.spawn(sim.TaskSpec{Comm: "named", Behavior: periodic(sim.Millisecond, sim.Millisecond)}, sim.TaskSpec{Comm: "other", Behavior: hog()})
			r.run(100 * sim.Millisecond)
			r.mustLive()
			b, err := p.Global("result")
			must(t, err)
			var got []any
			for ; len(b) > 0; b = b[4:] {
				got = append(got, float64(int32(binary.LittleEndian.Uint32(b))))
			}
			if d := cmp.Diff(countersOf(t, "7.2", "text_ops")["result"], any(got)); d != "" {
				t.Errorf("(-kernel +simulator):\n%s", d)
			}
			if d := cmp.Diff([]string{"strlen 18", "CPU: 0 UID: 0 PID: 0 Comm: swapper/0", "Call trace:"}, lines); d != "" {
				t.Error(d)
			}
			if counterOf(t, p, "named")&0xffffffff == 0 {
				t.Error("a task was not known by its name")
			}
		})
	}
}
