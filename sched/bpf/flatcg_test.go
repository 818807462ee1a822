package bpf

import (
	"fmt"
	"math"
	"testing"

	"github.com/schedsim/schedsim/sim"
)

// The kernel's scx_flatcg shares CPUs by the weights of cgroups and of those above them, and follows changes: with one
// CPU, /a with weight 300 against /b with 100 gets three quarters, whatever the number of tasks, as long as one waits while
// another runs: a group whose only task runs has nothing to dispatch.
func TestFlatcg(t *testing.T) {
	path := kernelObject(t, "scx_flatcg")
	r := newRig(t, rigConfig{topo: "1n1l1c1t", quiet: true})
	mkdir := func(path string, weight uint64) *sim.Cgroup {
		c, err := r.m.MkdirAll(path)
		must(t, err)
		must(t, r.m.SetCgroupWeight(c, weight))
		return c
	}
	a, b := mkdir("/a", 300), mkdir("/b", 100)
	p, err := New(path, r.options("interp"))
	if err != nil {
		t.Fatal(err)
	}
	r.enable(p)
	var tasks [2][]*sim.Task
	for i, g := range []*sim.Cgroup{a, b} {
		for j := range 3 + 2*i {
			x, err := r.m.Spawn(sim.TaskSpec{Comm: fmt.Sprint(g.Name, j), Cgroup: g, Behavior: hog()})
			must(t, err)
			tasks[i] = append(tasks[i], x)
		}
	}
	used := func(i int) (d sim.Duration) {
		for _, x := range tasks[i] {
			d += r.m.CPUTime(x)
		}
		return d
	}
	shares := func(want float64) {
		t.Helper()
		ua, ub := used(0), used(1)
		r.run(10 * sim.Second)
		r.mustLive()
		if got := float64(used(0)-ua) / float64(used(0)-ua+used(1)-ub); math.Abs(got-want) > .02 {
			t.Errorf("/a has %.3f of the CPU, want %.3f", got, want)
		}
	}
	shares(.75)
	must(t, r.m.SetCgroupWeight(b, 900))
	// The scheduler looks at weights again when a cgroup becomes active.
	_, err = r.m.Spawn(sim.TaskSpec{Comm: "c", Cgroup: mkdir("/c", 100), Behavior: periodic(sim.Millisecond, 99*sim.Millisecond)})
	must(t, err)
	shares(.25)
}
