package bpf

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"github.com/schedsim/schedsim/sim"
)

// Real schedulers that listen to cgroups, names and cpusets hear of them, and go on when all of that happens.
func TestEventsOfObjects(t *testing.T) {
	for _, tc := range []struct {
		object string
		heard  string // a variable that grows by one with each write to a cpuset, "" for none
	}{{"scx_mitosis", "cpuset_seq"}, {"scx_layered", ""}, {"scx_lavd", ""}} {
		t.Run(tc.object, func(t *testing.T) {
			path := kernelObject(t, tc.object)
			r := newRig(t, rigConfig{topo: "1n2l4c1t"})
			o := r.options("jit")
			var lines []string
			o.Print = func(_ sim.Time, _ sim.CPU, line string) { lines = append(lines, line) }
			p, err := New(path, o)
			must(t, err)
			r.enable(p)
			seq := func() uint32 {
				if tc.heard == "" {
					return 0
				}
				b, err := p.Global(tc.heard)
				must(t, err)
				return binary.LittleEndian.Uint32(b)
			}
			before, writes := seq(), uint32(0)
			for i := range 12 {
				c, err := r.m.MkdirAll(fmt.Sprintf("/svc%d", i))
				must(t, err)
				var tasks []*sim.Task
				for j := range 4 {
					x, err := r.m.Spawn(sim.TaskSpec{Comm: "w", Process: fmt.Sprint("p", i), Cgroup: c,
						Behavior: periodic(sim.Duration(j+1)*200*sim.Microsecond, sim.Millisecond)})
					must(t, err)
					tasks = append(tasks, x)
				}
				if i%3 == 0 {
					must(t, r.m.SetCgroupCPUs(c, []sim.CPU{sim.CPU(i % 8), sim.CPU((i + 3) % 8)}))
					writes++
				}
				r.run(130 * sim.Millisecond)
				r.m.Rename(tasks[1], fmt.Sprint("name", i))
				must(t, r.m.MoveTasks(r.m.Root(), tasks...))
				r.run(20 * sim.Millisecond)
				if i%2 == 0 {
					for _, x := range tasks {
						must(t, r.m.Kill(x))
					}
				}
				must(t, r.m.Rmdir(c))
				r.run(50 * sim.Millisecond)
				r.mustLive()
			}
			if got := seq() - before; tc.heard != "" && got != writes {
				t.Errorf("%s grew by %d, cpusets were written %d times", tc.heard, got, writes)
			}
			if all := strings.Join(lines, "\n"); strings.Contains(all, "could not") {
				t.Errorf("it says:\n%s", all)
			}
		})
	}
}

// The iterator of scx_cake can be read: a record of the same size for each thread.
func TestReadIterOfObject(t *testing.T) {
	path := kernelObject(t, "scx_cake")
	r := newRig(t, rigConfig{topo: "1n1l4c1t"})
	p, err := New(path, r.options("jit"))
	must(t, err)
	r.enable(p)
	read := func() int {
		t.Helper()
		out, err := p.ReadIter("cake_task_iter")
		must(t, err)
		return len(out)
	}
	r.spawn(mixed(2)...)
	r.run(100 * sim.Millisecond)
	six := read()
	r.spawn(mixed(2)...)
	r.run(100 * sim.Millisecond)
	if twelve := read(); six == 0 || six%6 != 0 || twelve != 2*six {
		t.Errorf("%d bytes of 6 threads, %d of 12", six, twelve)
	}
	r.mustLive()
}
