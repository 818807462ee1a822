package bpf

import (
	"testing"

	"github.com/schedsim/schedsim/sim"
)

// The kernel's own examples, compiled unmodified, schedule for two seconds without an error exit.
func TestKernelExamples(t *testing.T) {
	for _, name := range []string{"scx_simple", "scx_cpu0", "scx_central"} {
		for _, engine := range []string{"interp", "jit"} {
			for _, topo := range []string{"1n1l1c1t", "1n1l4c1t", "1n2l4c2t"} {
				t.Run(name+"/"+engine+"/"+topo, func(t *testing.T) {
					r := newRig(t, rigConfig{topo: topo})
					p, err := New(kernelObject(t, name), r.options(engine))
					if err != nil {
						t.Fatal(err)
					}
					r.enable(p)
					r.spawn(mixed(4)...)
					r.run(2 * sim.Second)
					r.mustLive()
					var ran sim.Duration
					r.m.Tasks(func(t *sim.Task) { ran += t.SumExec })
					if ran < sim.Second {
						t.Errorf("tasks ran for %s in two seconds", ran)
					}
				})
			}
		}
	}
}
