package bpf

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/schedsim/schedsim/sim"
)

// objectDir is where scripts/kernel-objects leaves the kernel's own example schedulers.
func objectDir(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("SCHEDSIM_OBJECTS")
	if dir == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			t.Skip("no home directory, and SCHEDSIM_OBJECTS is not set")
		}
		dir = filepath.Join(home, ".cache/schedsim/linux-7.2/obj")
	}
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("no objects of the kernel's examples in %s: run scripts/kernel-objects", dir)
	}
	return dir
}

// The kernel's own examples, compiled unmodified, schedule for two seconds without an error exit.
func TestKernelExamples(t *testing.T) {
	dir := objectDir(t)
	for _, name := range []string{"scx_simple", "scx_cpu0", "scx_central"} {
		for _, engine := range []string{"interp", "jit"} {
			for _, topo := range []string{"1n1l1c1t", "1n1l4c1t", "1n2l4c2t"} {
				t.Run(name+"/"+engine+"/"+topo, func(t *testing.T) {
					r := newRig(t, rigConfig{topo: topo})
					p, err := New(filepath.Join(dir, name+".bpf.o"), r.options(engine))
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
