package bpf

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/schedsim/schedsim/sched/bpf/agent"
	"github.com/schedsim/schedsim/sim"
)

// real opens and enables the object of a scheduler with its recipe; it skips where $SCHEDSIM_OBJECTS has none.
func real(t *testing.T, r *rig, scheduler string) *Policy {
	t.Helper()
	name := "scx_" + scheduler
	file, ok := findObject(filepath.SplitList(os.Getenv("SCHEDSIM_OBJECTS")), name)
	if !ok {
		t.Skip("SCHEDSIM_OBJECTS lists no folder with " + name + ".bpf.o")
	}
	p, err := New(file, r.options("auto"))
	must(t, err)
	r.enable(p)
	return p
}

// global is a variable, or a part of the value of a key of a map.
func global(t *testing.T, p *Policy, path string) uint64 {
	t.Helper()
	v, err := p.user.Uint(path)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func inMap(t *testing.T, p *Policy, name string, key any, path string) uint64 {
	t.Helper()
	m, err := p.user.Map(name)
	var c agent.Cell
	if err == nil {
		c, err = m.Lookup(key)
	}
	if err == nil {
		c, err = c.At(path)
	}
	if err != nil {
		t.Fatal(err)
	}
	return c.Uint()
}

// live fails unless the policy and its user-space half still run.
func live(t *testing.T, r *rig, p *Policy) {
	t.Helper()
	r.mustLive()
	if err := p.AgentError(); err != nil {
		t.Fatal(err)
	}
}

// scx_pandemonium's loop sees that the machine has become busy, and idle again, and enters another regime; what it has seen of
// programs is what new tasks begin with.
func TestPandemoniumAdapts(t *testing.T) {
	r := newRig(t, rigConfig{topo: "1n2l4c1t", quiet: true})
	p := real(t, r, "pandemonium")
	knob := func(name string) uint64 { return inMap(t, p, "tuning_knobs_map", 0, name) }
	if a, s := knob("affinity_mode"), knob("slice_ns"); a != 2 || s != 1e6 {
		t.Errorf("at the beginning: affinity %d, slice %d; want those of the mixed regime", a, s)
	}
	tau := knob("topology_tau_ns")
	for range 4 { // one more each second, so that it is seen more than once what they are
		r.spawn(sim.TaskSpec{Comm: "sleeper", Behavior: periodic(100*sim.Microsecond, 5*sim.Millisecond)})
		r.run(sim.Second)
	}
	r.run(sim.Second)
	live(t, r, p)
	if a, s := knob("affinity_mode"), knob("slice_ns"); a != 1 || s != min(2e6, tau*9830>>16) {
		t.Errorf("hardly busy: affinity %d, slice %d; want those of the light regime", a, s)
	}
	if avg := inMap(t, p, "task_class_init", "sleeper", "avg_runtime"); avg < 50e3 || avg > 200e3 {
		t.Errorf("a sleeper runs for %d ns, as it was learnt", avg)
	}
	for range 40 {
		r.spawn(sim.TaskSpec{Comm: "hog", Behavior: hog()})
	}
	r.run(30 * sim.Second)
	live(t, r, p)
	if a, s := knob("preempt_thresh_ns"), knob("slice_ns"); a < min(2e6, tau*4915>>16) || s < 25e5 {
		t.Errorf("busy: preemption after %d, slice %d; want those of the heavy regime, tau %d", a, s, tau)
	}
	if now := knob("topology_tau_ns"); now != tau {
		t.Errorf("tau was %d and is %d", tau, now)
	}
}

// scx_flash keeps CPUs out of idle states that take more than 32 us to leave.
func TestFlashLimitsIdle(t *testing.T) {
	for _, tc := range []struct {
		scheduler string
		exit      sim.Duration
	}{{"flash", 2 * sim.Microsecond}, {"bpfland", 200 * sim.Microsecond}} {
		t.Run(tc.scheduler, func(t *testing.T) {
			r := newRig(t, rigConfig{topo: "1n1l1c1t", costs: sim.Costs{IdleExit: 2 * sim.Microsecond, DeepIdleAfter: 5 * sim.Millisecond, DeepIdleExit: 200 * sim.Microsecond}})
			real(t, r, tc.scheduler)
			r.spawn(sim.TaskSpec{Comm: "naps", Behavior: periodic(sim.Millisecond, 20*sim.Millisecond)})
			r.run(100 * sim.Millisecond)
			var woken sim.Time
			n := 0
			for _, rec := range r.records {
				switch {
				case rec.Kind == sim.KindWaking && rec.Task > 0:
					woken = rec.At
				case rec.Kind == sim.KindSwitch && rec.Task > 0 && woken > 0:
					if n++; rec.At.Sub(woken) != tc.exit {
						t.Errorf("a wakeup took %v, want %v", rec.At.Sub(woken), tc.exit)
					}
					woken = 0
				}
			}
			if n < 3 {
				t.Errorf("%d wakeups", n)
			}
		})
	}
}

// scx_mitosis's user space follows cgroups and cpusets that change while it runs.
func TestMitosisFollows(t *testing.T) {
	r := newRig(t, rigConfig{topo: "1n1l8c1t", quiet: true})
	p := real(t, r, "mitosis")
	cells := func() uint64 { return global(t, p, "cell_config.num_cells") }
	mask := func(cell string) uint64 { return global(t, p, "cell_config.cpumasks["+cell+"].mask[0]") }
	if cells() != 1 || mask("0") != 0xff {
		t.Fatalf("at the beginning: %d cells, cell 0 has %#x", cells(), mask("0"))
	}
	a, err := r.m.Mkdir(r.m.Root(), "a")
	if err != nil {
		t.Fatal(err)
	}
	b, err := r.m.Mkdir(r.m.Root(), "b")
	if err != nil {
		t.Fatal(err)
	}
	r.run(20 * sim.Millisecond)
	if cells() != 3 || mask("0") != 7 || mask("1") != 0x38 || mask("2") != 0xc0 {
		t.Errorf("two cgroups: %d cells, %#x %#x %#x", cells(), mask("0"), mask("1"), mask("2"))
	}
	if err := r.m.Rmdir(a); err != nil {
		t.Fatal(err)
	}
	r.run(20 * sim.Millisecond)
	if cells() != 3 || mask("1") != 0 || mask("2") != 0xf0 {
		t.Errorf("one cgroup is gone: %d cells, %#x %#x", cells(), mask("1"), mask("2"))
	}
	if err := r.m.SetCgroupCPUs(b, []sim.CPU{1}); err != nil {
		t.Fatal(err)
	}
	r.run(1100 * sim.Millisecond)
	live(t, r, p)
	if mask("2") != 2 || mask("0") != 0xfd {
		t.Errorf("a cpuset was written: %#x %#x", mask("0"), mask("2"))
	}
	if global(t, p, "cpuset_seq") != global(t, p, "applied_cpuset_seq") || global(t, p, "cpuset_seq") == 0 {
		t.Errorf("cpusets: %d writes, %d applied", global(t, p, "cpuset_seq"), global(t, p, "applied_cpuset_seq"))
	}
}

// scx_rusty's load balancer, every 2 s, asks for tasks to go to the domain with less to do; the programs count what they heard.
func TestRustyBalances(t *testing.T) {
	r := newRig(t, rigConfig{topo: "1n2l2c1t", quiet: true})
	p := real(t, r, "rusty")
	moves := func() (sum uint64) {
		m, err := p.user.Map("stats")
		if err != nil {
			t.Fatal(err)
		}
		c, err := m.Lookup(13) // RUSTY_STAT_LOAD_BALANCE
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range m.CPUs(c) {
			sum += v.Uint()
		}
		return sum
	}
	for range 10 {
		r.spawn(sim.TaskSpec{Comm: "bound", Behavior: hog(), CPUs: []sim.CPU{0, 1}}, sim.TaskSpec{Comm: "free", Behavior: hog()})
	}
	r.run(1900 * sim.Millisecond)
	if n := moves(); n != 0 {
		t.Errorf("%d moves before anybody asked", n)
	}
	r.run(sim.Second)
	live(t, r, p)
	if n := moves(); n == 0 {
		t.Error("no move, where one domain has three times the tasks of the other")
	}
}

// scx_layered gives a layer CPUs by what it uses, and takes them back. Tasks that never sleep would stay where they were before
// the layer had CPUs, and count as guests there: the programs leave a task alone as long as nobody else wants its CPU.
func TestLayeredFollows(t *testing.T) {
	r := newRig(t, rigConfig{topo: "1n1l8c1t", quiet: true})
	p := real(t, r, "layered")
	count := func(layer string) uint64 { return global(t, p, "layers["+layer+"].nr_cpus") }
	var tasks []*sim.Task
	for range 4 {
		s, err := r.m.Spawn(sim.TaskSpec{Comm: "batch", Nice: 5, Behavior: periodic(9*sim.Millisecond, sim.Millisecond)})
		if err != nil {
			t.Fatal(err)
		}
		tasks = append(tasks, s)
	}
	r.run(5 * sim.Second)
	if n := count("0"); n < 4 || n > 5 { // four that are 90 % busy, and no CPU may be more than that, or much less
		t.Errorf("batch has %d CPUs for four tasks", n)
	}
	if n := count("1"); n != 8-count("0")-count("2") {
		t.Errorf("the open layer has %d CPUs, the others %d and %d", n, count("0"), count("2"))
	}
	for _, task := range tasks {
		if err := r.m.Kill(task); err != nil {
			t.Fatal(err)
		}
	}
	r.run(3 * sim.Second)
	live(t, r, p)
	if n := count("0"); n != 0 {
		t.Errorf("batch has %d CPUs for nothing", n)
	}
}
