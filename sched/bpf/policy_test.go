package bpf

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/schedsim/schedsim/examples"
	"github.com/schedsim/schedsim/sched"
	"github.com/schedsim/schedsim/sched/fifo"
	"github.com/schedsim/schedsim/sim"
)

func example(t *testing.T, name string, o Options) *Policy {
	t.Helper()
	obj, err := examples.Object(name)
	if err != nil {
		t.Fatal(err)
	}
	p, err := Read(name+".bpf.o", obj, o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// mixed is a workload with sleepers, hogs and weights.
func mixed(n int) []sim.TaskSpec {
	var specs []sim.TaskSpec
	for i := range n {
		d := sim.Duration(i)
		specs = append(specs,
			sim.TaskSpec{Comm: fmt.Sprintf("hog%d", i), Behavior: hog(), Nice: i % 3},
			sim.TaskSpec{Comm: fmt.Sprintf("short%d", i), Behavior: periodic(100*sim.Microsecond+d*7*sim.Microsecond, sim.Millisecond+d*13*sim.Microsecond)},
			sim.TaskSpec{Comm: fmt.Sprintf("long%d", i), Behavior: periodic(3*sim.Millisecond+d*sim.Microsecond, 9*sim.Millisecond)},
		)
	}
	return specs
}

// decisions drops what belongs to how a policy is written: which callbacks it has.
func decisions(records []sim.Record) []sim.Record {
	var out []sim.Record
	for _, r := range records {
		if r.Kind != sim.KindOp && r.Kind != sim.KindOpEnd {
			out = append(out, r)
		}
	}
	return out
}

// The FIFO written in Go and the one compiled from C take the same decisions, on both engines.
func TestSameDecisions(t *testing.T) {
	for _, topo := range []string{"1n1l1c1t", "1n1l4c1t", "1n2l2c2t", "2n2l2c2t"} {
		t.Run(topo, func(t *testing.T) {
			run := func(policy func(r *rig) sched.Policy) []sim.Record {
				r := newRig(t, rigConfig{topo: topo})
				r.enable(policy(r))
				r.spawn(mixed(6)...)
				r.run(300 * sim.Millisecond)
				r.mustLive()
				return decisions(r.records)
			}
			native := run(func(*rig) sched.Policy { return new(fifo.Policy) })
			if len(native) < 300 {
				t.Fatalf("only %d records", len(native))
			}
			for _, engine := range []string{"interp", "jit"} {
				got := run(func(r *rig) sched.Policy { return example(t, "simple", r.options(engine)) })
				if d := firstDifference(native, got); d != "" {
					t.Errorf("%s: %s", engine, d)
				}
			}
		})
	}
}

func firstDifference(a, b []sim.Record) string {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return fmt.Sprintf("record %d differs (-go +bpf):\n%s", i, cmp.Diff(a[i], b[i]))
		}
	}
	if len(a) != len(b) {
		return fmt.Sprintf("%d records in Go, %d in BPF", len(a), len(b))
	}
	return ""
}

func share(r *rig, comm string) float64 {
	var all, mine sim.Duration
	r.m.Tasks(func(t *sim.Task) {
		all += t.SumExec
		if t.Comm == comm {
			mine += t.SumExec
		}
	})
	return float64(mine) / float64(all)
}

// Examples run on several machines and do what their headers say.
func TestExamples(t *testing.T) {
	for _, engine := range []string{"interp", "jit"} {
		t.Run("central/"+engine, func(t *testing.T) {
			r := newRig(t, rigConfig{topo: "1n1l4c1t"})
			p := example(t, "central", r.options(engine))
			r.enable(p)
			r.spawn(mixed(4)...)
			r.run(500 * sim.Millisecond)
			r.mustLive()
			for _, name := range []string{"nr_queued", "nr_dealt", "nr_timers", "nr_preempted"} {
				if counter(t, p, name) == 0 {
					t.Errorf("%s is 0", name)
				}
			}
			busy := map[sim.CPU]bool{}
			for _, rec := range r.records {
				if rec.Kind == sim.KindSwitch && rec.Task != 0 {
					busy[rec.CPU] = true
				}
			}
			if len(busy) != 4 {
				t.Errorf("tasks ran on %d CPUs, want 4", len(busy))
			}
		})
		t.Run("llc_vtime/"+engine, func(t *testing.T) {
			r := newRig(t, rigConfig{topo: "1n2l2c1t"})
			p := example(t, "llc_vtime", r.options(engine))
			r.enable(p)
			r.spawn(mixed(6)...)
			r.run(500 * sim.Millisecond)
			r.mustLive()
			if local, stolen := counter(t, p, "nr_local"), counter(t, p, "nr_stolen"); local < 10*stolen {
				t.Errorf("%d dispatches from the own LLC, %d from another: want ten times as many", local, stolen)
			}
		})
		// ops.dispatch runs before the previous task is enqueued again, so two hogs on one CPU alternate whatever their weights;
		// weights tell from three tasks on. (On a real kernel it is the kernel's own threads that make the third.)
		t.Run("simple by vtime/"+engine, func(t *testing.T) {
			r := newRig(t, rigConfig{topo: "1n1l1c1t"})
			o := r.options(engine)
			o.Globals = map[string]any{"fifo": false}
			r.enable(example(t, "simple", o))
			for range 2 {
				r.spawn(sim.TaskSpec{Comm: "heavy", Behavior: hog()}, sim.TaskSpec{Comm: "light", Nice: 5, Behavior: hog()})
			}
			r.run(4 * sim.Second)
			r.mustLive()
			if s := share(r, "heavy"); s < 0.65 || s > 0.80 {
				t.Errorf("the heavy tasks got %.3f of the CPU, their weights say 100:33", s)
			}
		})
	}
}

// TestTooLong: a file that cannot be an object is not read to its end, which it may not have.
func TestTooLong(t *testing.T) {
	path := filepath.Join(t.TempDir(), "long.bpf.o")
	f, err := os.Create(path)
	if err == nil {
		err = errors.Join(f.Truncate(maxObject+1), f.Close())
	}
	if err != nil {
		t.Skip(err)
	}
	if _, err := New(path, Options{}); err == nil || !strings.HasPrefix(err.Error(), "long.bpf.o: more than ") {
		t.Errorf("got %v", err)
	}
}

// TestTimerForNow: a program that arms timers for now in their callbacks again and again does not stop the clock.
func TestTimerForNow(t *testing.T) {
	r := newRig(t, rigConfig{topo: "1n1l2c1t"})
	p := example(t, "simple", r.options("interp"))
	r.enable(p)
	n := [2]int{}
	var fire [2]func()
	for i := range fire {
		fire[i] = func() {
			n[i]++
			p.host.ArmTimer(uint64(1-i), int32(1-i), 0, fire[1-i])
		}
	}
	p.host.ArmTimer(0, 0, 0, fire[0])
	r.spawn(sim.TaskSpec{Comm: "hog", Behavior: hog()})
	r.run(100 * lateFire)
	r.mustLive()
	for i := range n {
		if n[i] < 1000 || n[i] > 101*maxFiresAtOnce {
			t.Errorf("timer %d fired %d times", i, n[i])
		}
	}
}

func counter(t *testing.T, p *Policy, name string) uint64 {
	t.Helper()
	b, err := p.Global(name)
	if err != nil {
		t.Fatal(err)
	}
	return binary.LittleEndian.Uint64(b)
}

// A policy is opened once: then it lets go of the object, but not of the names that messages and callers use.
func TestOpenTwice(t *testing.T) {
	r := newRig(t, rigConfig{topo: "1n1l1c1t"})
	p := example(t, "simple", r.options("interp"))
	name := p.Name()
	r.enable(p)
	if p.obj != nil || p.Name() != name || name == "" {
		t.Errorf("name %q, want %q; object %v", p.Name(), name, p.obj)
	}
	if _, err := p.Open(sched.Env{Machine: r.m, Kernel: r.k}); err == nil || err.Error() != "simple.bpf.o: has been opened already" {
		t.Errorf("opened again: %v", err)
	}
}
