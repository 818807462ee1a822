package bpf

import (
	"encoding/binary"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/schedsim/schedsim/sim"
)

// TestCgroupEvents: the records and arguments of the events of cgroups are those of Linux 7.2.13 (scripts/kernel-errors): a process of
// two threads goes to /x/y and back, and the cgroup goes. Once, not for each thread, is told of the process.
func TestCgroupEvents(t *testing.T) {
	for _, engine := range []string{"interp", "jit"} {
		t.Run(engine, func(t *testing.T) {
			r := newRig(t, rigConfig{topo: "1n2l1c1t", quiet: true})
			p, err := New("testdata/cgroups.bpf.o", r.options(engine))
			must(t, err)
			r.enable(p)
			leader, err := r.m.Spawn(sim.TaskSpec{Comm: "nap", Process: "nap", Behavior: periodic(10*sim.Microsecond, 2*sim.Millisecond)})
			must(t, err)
			thread, err := r.m.Spawn(sim.TaskSpec{Comm: "nap", Process: "nap", Behavior: periodic(10*sim.Microsecond, 2*sim.Millisecond)})
			must(t, err)
			r.run(10 * sim.Millisecond)
			y, err := r.m.MkdirAll("/x/y")
			must(t, err)
			must(t, r.m.MoveTasks(y, leader, thread))
			must(t, r.m.MoveTasks(r.m.Root(), leader, thread))
			must(t, r.m.Rmdir(y))
			r.run(10 * sim.Millisecond)
			r.mustLive()
			want := countersOf(t, "7.2", "cgroups_ops")
			for _, name := range []string{"result", "mkdir_path", "rmdir_path", "attach_path", "btf_path"} {
				b, err := p.Global(name)
				must(t, err)
				var got []any
				for ; len(b) > 0; b = b[4:] {
					got = append(got, float64(int32(binary.LittleEndian.Uint32(b))))
				}
				if d := cmp.Diff(want[name], any(got)); d != "" {
					t.Errorf("%s (-kernel +simulator):\n%s", name, d)
				}
			}
			// A thread alone is told of as such.
			must(t, r.m.MoveTasks(r.m.CgroupByPath("/x"), thread))
			b, err := p.Global("result")
			must(t, err)
			if n, leaders, whole := b[4*15], b[4*16], b[4*17]; n != 3 || leaders != 2 || whole != 2 {
				t.Errorf("%d events, %d of leaders, %d of whole processes", n, leaders, whole)
			}
		})
	}
}
