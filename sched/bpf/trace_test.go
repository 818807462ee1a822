package bpf

import (
	"encoding/binary"
	"path/filepath"
	"strings"
	"testing"

	"github.com/schedsim/schedsim/sim"
)

// global is a 64-bit variable of a policy's object.
func (p *Policy) global(t *testing.T, name string) uint64 {
	t.Helper()
	b, err := p.Global(name)
	if err != nil {
		t.Fatal(err)
	}
	return binary.LittleEndian.Uint64(b)
}

// Programs at tracepoints and functions run when the machine comes by, with the kernel's arguments; cgroup callbacks see
// cgroups as the kernel lays them out.
func TestTraced(t *testing.T) {
	for _, engine := range []string{"interp", "jit"} {
		t.Run(engine, func(t *testing.T) {
			r := newRig(t, rigConfig{topo: "1n1l2c1t"})
			mkdir := func(path string) *sim.Cgroup {
				c, err := r.m.MkdirAll(path)
				must(t, err)
				return c
			}
			a := mkdir("/a")
			must(t, r.m.SetCgroupWeight(a, 250))
			o := r.options(engine)
			var notices []string
			o.Notice = func(text string) { notices = append(notices, text) }
			p, err := New(filepath.Join("testdata", "traced.bpf.o"), o)
			if err != nil {
				t.Fatal(err)
			}
			r.enable(p)
			want := func(what string, vars map[string]uint64) {
				t.Helper()
				for name, v := range vars {
					if got := p.global(t, name); got != v {
						t.Errorf("%s: %s is %d (%#x), want %d", what, name, got, got, v)
					}
				}
			}
			none := ^uint64(0)
			want("attached", map[string]uint64{"registered": 1, "inits": 2, "last_quota": none, "mkdirs": 0})
			left := strings.Join(notices, "\n")
			if !strings.Contains(left, "loaded, but nothing runs: at_read (fexit/futex_wait_multiple)") || strings.Contains(left, "at_switch") {
				t.Errorf("notices:\n%s", left)
			}

			b := mkdir("/a/b")
			want("mkdir", map[string]uint64{"mkdirs": 1, "mkdir_id": b.ID, "inits": 3, "lookups": 1})
			if path, err := p.Global("path"); err != nil || cString(path) != "/a/b" {
				t.Errorf("path %q, %v", path, err)
			}
			q := sim.WaitQueue{Name: "q"}
			x, err := r.m.Spawn(sim.TaskSpec{Comm: "waiter", Behavior: &loop{steps: []sim.Step{
				{Kind: sim.StepRun, Dur: 100_000}, {Kind: sim.StepWait, Queue: &q}}}})
			must(t, err)
			_, err = r.m.Spawn(sim.TaskSpec{Comm: "waker", Behavior: &loop{steps: []sim.Step{
				{Kind: sim.StepRun, Dur: 1_000_000}, {Kind: sim.StepWake, Queue: &q, N: 1}}}})
			must(t, err)
			r.run(10500 * sim.Microsecond)
			r.mustLive()
			var switches, in, wakings uint64
			for _, rec := range r.records {
				switch rec.Kind {
				case sim.KindSwitch:
					switches++
					if rec.Task != 0 {
						in++
					}
				case sim.KindWaking:
					wakings++
				}
			}
			want("running", map[string]uint64{"switches": switches, "switch_in": in, "wakings": wakings, "wakeups": wakings, "forks": 2,
				"new_wakeups": 2, "wakes": 10, "waits": 10, "deaths": 0})
			if n := p.global(t, "ticks"); n%1_000_000 == 0 {
				t.Errorf("ticks %d", n)
			}

			must(t, r.m.MoveTasks(b, x))
			want("move", map[string]uint64{"prep_moves": 1, "moves": 1, "last_from": 1, "last_to": b.ID, "from_css": b.ID, "attached": 1,
				"attached_id": b.ID, "attached_level": 2})
			must(t, r.m.SetCgroupWeight(a, 30))
			want("weight", map[string]uint64{"weights": 1, "last_weight": 250*100_000 + 30})
			must(t, r.m.SetCgroupBandwidth(a, 100_000, 7000, 0))
			must(t, r.m.SetCgroupIdle(a, true))
			must(t, r.m.SetCgroupCPUs(a, []sim.CPU{1}))
			want("files", map[string]uint64{"bandwidths": 1, "last_quota": 7000, "idles": 1, "cpusets": 1})
			r.m.Rename(x, "changed")
			for name, v := range map[string]string{"renamed_from": "waiter", "renamed_to": "changed"} {
				if b, err := p.Global(name); err != nil || cString(b) != v {
					t.Errorf("%s is %q, want %q", name, b, v)
				}
			}
			must(t, r.m.CPUDown(1))
			r.run(sim.Millisecond)
			must(t, r.m.CPUUp(1))
			want("hotplug", map[string]uint64{"online": 1, "offline": 1})
			must(t, r.m.Kill(x))
			r.run(sim.Millisecond)
			want("exit", map[string]uint64{"deaths": 1})
			must(t, r.m.Rmdir(b))
			want("rmdir", map[string]uint64{"rmdirs": 1, "exits": 0, "lookups": 1})
			r.run(20 * sim.Millisecond)
			want("offline", map[string]uint64{"exits": 1})
			r.mustLive()
			r.k.Disable(64)
			want("detached", map[string]uint64{"exits": 3})
		})
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
