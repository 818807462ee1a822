package bpf

import (
	"fmt"
	"strings"
	"testing"

	"github.com/schedsim/schedsim/sched/bpf/agent"
	"github.com/schedsim/schedsim/sim"
	"github.com/schedsim/schedsim/vm/elf"
)

// Programs at classic tracepoints and kprobes see the records and the registers of what the machine does.
func TestEvents(t *testing.T) {
	for _, engine := range []string{"interp", "jit"} {
		t.Run(engine, func(t *testing.T) {
			r := newRig(t, rigConfig{topo: "1n1l2c1t"})
			o := r.options(engine)
			var notices []string
			o.Notice = func(text string) { notices = append(notices, text) }
			p, err := New("testdata/events.bpf.o", o)
			must(t, err)
			r.enable(p)
			want := func(what string, vars map[string]uint64) {
				t.Helper()
				for name, v := range vars {
					if got := p.global(t, name); got != v {
						t.Errorf("%s: %s is %d, want %d", what, name, got, v)
					}
				}
			}
			texts := func(vars map[string]string) {
				t.Helper()
				for name, v := range vars {
					if b, err := p.Global(name); err != nil || cString(b) != v {
						t.Errorf("%s is %q, want %q, %v", name, b, v, err)
					}
				}
			}
			left := strings.Join(notices, "\n")
			for _, n := range []string{"loaded, but nothing runs: ", "on_softirq (tp/irq/softirq_entry)", "on_read (kprobe/vfs_read)"} {
				if !strings.Contains(left, n) {
					t.Errorf("no notice %q in\n%s", n, left)
				}
			}
			if strings.Contains(left, "on_switch") || strings.Contains(left, "on_futex") {
				t.Errorf("notices:\n%s", left)
			}
			want("attached", map[string]uint64{"registered": 1})

			c, err := r.m.MkdirAll("/web")
			must(t, err)

			q, never := sim.WaitQueue{Name: "q"}, sim.WaitQueue{Name: "never"}
			x, err := r.m.Spawn(sim.TaskSpec{Comm: "waiter", Behavior: &loop{steps: []sim.Step{
				{Kind: sim.StepRun, Dur: 100_000}, {Kind: sim.StepWait, Queue: &q}}}})
			must(t, err)
			texts(map[string]string{"child_comm": "waiter"})
			want("fork", map[string]uint64{"forks": 1, "child": uint64(x.PID)})
			r.spawn(sim.TaskSpec{Comm: "waker", Behavior: &loop{steps: []sim.Step{
				{Kind: sim.StepRun, Dur: 1_000_000}, {Kind: sim.StepWake, Queue: &q, N: 1}}}},
				sim.TaskSpec{Comm: "late", Behavior: &loop{steps: []sim.Step{
					{Kind: sim.StepWait, Queue: &never, Dur: 3 * sim.Millisecond}, {Kind: sim.StepRun, Dur: 50_000}}}})
			r.run(100 * sim.Millisecond)
			r.mustLive()
			var switches, preempted, slept, wakings, migrations uint64
			for _, rec := range r.records {
				switch rec.Kind {
				case sim.KindSwitch:
					switches++
					switch {
					case rec.B == uint64(sim.StateInterruptible):
						slept++
					case rec.A != 0 || rec.B == 0:
						preempted++
					}
				case sim.KindWaking:
					wakings++
				case sim.KindMigrate:
					migrations++
				}
			}
			woken, waits := p.global(t, "woken"), p.global(t, "waits")
			want("running", map[string]uint64{"switches": switches, "preempted": preempted, "slept": slept, "wakings": wakings, "wakeups": wakings,
				"migrations": migrations, "died": 0, "probed": p.global(t, "wakes"), "woken_ret": woken, "woken_fexit": woken,
				"timeouts_fexit": p.global(t, "timeouts")})
			if n := p.global(t, "timeouts"); n < 10 || woken < 20 || p.global(t, "wakes") < woken || waits+1 < n+woken || p.global(t, "wait_done") < woken {
				t.Errorf("waits %d, wakes %d, woken %d, timeouts %d, done %d", waits, p.global(t, "wakes"), woken, n, p.global(t, "wait_done"))
			}
			if b, err := p.Global("woken_comm"); err != nil || cString(b) != "waiter" && cString(b) != "late" {
				t.Errorf("woken: %q, %v", b, err)
			}

			must(t, r.m.MoveTasks(c, x))
			want("move", map[string]uint64{"attach_id": c.ID, "attach_pid": uint64(x.PID)})
			r.m.Rename(x, "changed")
			texts(map[string]string{"renamed_from": "waiter", "renamed_to": "changed"})
			want("rename", map[string]uint64{"execs": 1})
			must(t, r.m.Kill(x))
			r.run(50 * sim.Millisecond)
			want("exit", map[string]uint64{"deaths": 1, "group_deaths": 1, "died": 1})
		})
	}
}

// A program that looks beyond the record of its tracepoint is refused when it is attached.
func TestEventTooFar(t *testing.T) {
	r := newRig(t, rigConfig{topo: "1n1l1c1t"})
	o := r.options("interp")
	o.Agent = &script{prepare: func(_ *agent.Env, o *elf.Object) (Edit, error) {
		for _, p := range o.Programs {
			p.AutoLoad = p.AutoLoad || p.Name == "too_far"
		}
		return Edit{}, nil
	}}
	p, err := New("testdata/events.bpf.o", o)
	must(t, err)
	want := "program too_far: it looks at 64 bytes of the record of sched/sched_process_exit, which has 33: EACCES"
	if err := r.open(p); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("error %v, want %q", err, want)
	}
}

// Reading an iterator runs its program for each thread by PID, and once more at the end; what does not fit a read comes with
// the next one.
func TestReadIter(t *testing.T) {
	for _, engine := range []string{"interp", "jit"} {
		t.Run(engine, func(t *testing.T) {
			r := newRig(t, rigConfig{topo: "1n1l2c1t"})
			p, err := New("testdata/events.bpf.o", r.options(engine))
			must(t, err)
			r.enable(p)
			want := ""
			for i := range 20 {
				x, err := r.m.Spawn(sim.TaskSpec{Comm: "t", Process: []string{"a", "b"}[i%2], Behavior: hog()})
				must(t, err)
				want += fmt.Sprintf("%d %d\n", i, x.PID)
			}
			r.run(sim.Millisecond)
			for _, wide := range []byte{0, 1} {
				b, err := p.Global("widths")
				must(t, err)
				b[0] = wide
				out, err := p.ReadIter("on_iter")
				must(t, err)
				if got := strings.ReplaceAll(string(out), "\x00", ""); got != want+"end\n" || len(out) != len(got)+int(wide)*20*4000 {
					t.Errorf("wide %d: %d bytes, %q", wide, len(out), got)
				}
			}
			if n := p.global(t, "failed"); n != 2 {
				t.Errorf("%d writes failed, want 2: of 8 tasks a read", n)
			}
			for _, name := range []string{"on_switch", "nobody"} {
				if _, err := p.ReadIter(name); err == nil || !strings.Contains(err.Error(), "program "+name+": no iterator over tasks") {
					t.Errorf("%s: %v", name, err)
				}
			}
			r.mustLive()
		})
	}
}
