package bpf

import (
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/schedsim/schedsim/sched"
	"github.com/schedsim/schedsim/sched/bpf/agent"
	"github.com/schedsim/schedsim/sim"
	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/elf"
)

// script is an agent made of funcs.
type script struct {
	prepare          func(e *agent.Env, o *elf.Object) (Edit, error)
	loaded, attached func(l *Loaded) error
}

func (s *script) Prepare(e *agent.Env, o *elf.Object) (Edit, error) {
	if s.prepare == nil {
		return Edit{}, nil
	}
	return s.prepare(e, o)
}

func (s *script) Loaded(l *Loaded) error   { return call(s.loaded, l) }
func (s *script) Attached(l *Loaded) error { return call(s.attached, l) }

func call(f func(l *Loaded) error, l *Loaded) error {
	if f == nil {
		return nil
	}
	return f(l)
}

// setUp is what agent.bpf.o needs to be attached.
func setUp(*agent.Env, *elf.Object) (Edit, error) {
	return Edit{
		Set: []agent.Global{
			{Path: "slice_ns", Value: 5_000_000}, {Path: "mode", Value: "AWAKE"}, {Path: "nr_domains", Value: 2},
			{Path: "domains[1]", Value: map[string]any{"id": 1, "mode": "SLEEPY", "mask": []any{1, 2, 3, 4}}},
			{Path: "domains[1].mask[3]", Value: 11},
		},
		Members: []agent.Member{{Name: "flags", Value: "ENQ_LAST"}},
	}, nil
}

// TestAgent does what the user-space half of agent.bpf.o does, in every way that there is.
func TestAgent(t *testing.T) {
	for _, engine := range []string{"interp", "jit"} {
		t.Run(engine, func(t *testing.T) {
			r := newRig(t, rigConfig{topo: "1n1l4c1t"})
			var got []uint64
			var ticks []sim.Time
			run := func(l *Loaded, prog string, arg any) agent.Cell {
				t.Helper()
				r0, c, err := l.Run(prog, arg)
				if err != nil || r0 < 0 {
					t.Fatalf("%s: %d, %v", prog, r0, err)
				}
				return c
			}
			must := func(err error) {
				t.Helper()
				if err != nil {
					t.Fatal(err)
				}
			}
			var kept *Loaded
			s := &script{prepare: setUp}
			s.loaded = func(l *Loaded) error {
				kept = l
				c, err := l.Var("domains[1]")
				must(err)
				v, err := c.Get()
				must(err)
				want := map[string]any{"id": uint64(1), "mode": uint64(3), "mask": []any{uint64(1), uint64(2), uint64(3), uint64(11)}}
				if d := cmp.Diff(want, v); d != "" {
					t.Error(d)
				}
				must(l.Set("per_cpu[0]", 1))
				if err := l.Set("nr_domains", 3); err == nil || !strings.Contains(err.Error(), "read-only once the object is loaded") {
					t.Errorf("set read-only data: %v", err)
				}

				byID, err := l.Map("by_id")
				must(err)
				must(byID.Update(7, map[string]any{"mask": []any{0, 0, 0, 3}}))
				if _, err := byID.Lookup(8); !errors.Is(err, abi.ENOENT) {
					t.Errorf("lookup of a missing key: %v", err)
				}
				each, err := l.Map("each_cpu")
				must(err)
				must(each.Update(0, []any{map[string]any{"id": 4}, map[string]any{"id": 5}, map[string]any{"id": 6}, map[string]any{"id": 7}}))
				values, err := each.Lookup(0)
				must(err)
				for i, c := range each.CPUs(values) {
					id, err := c.At("id")
					must(err)
					if id.Uint() != uint64(4+i) {
						t.Errorf("CPU %d: %d", i, id.Uint())
					}
				}
				queue, err := l.Map("queue")
				must(err)
				must(queue.Push(uint64(9)))
				queues, err := l.Map("queues")
				must(err)
				must(queues.PutInner(2, 0))
				in, err := l.Map("in")
				must(err)
				must(in.Produce(binary.LittleEndian.AppendUint64(nil, 1234)))

				addr, err := run(l, "alloc", map[string]any{"pages": 2}).At("addr")
				must(err)
				b, err := l.ReadArena(addr.Uint(), 8)
				must(err)
				if addr.Uint()>>44 != 1 || binary.LittleEndian.Uint64(b) != 77 {
					t.Errorf("arena at %#x: %v", addr.Uint(), b)
				}
				must(l.WriteArena(addr.Uint()+4096, []byte{1, 2, 3}))
				run(l, "talk", nil)
				out, err := l.Map("out")
				must(err)
				_, err = out.Consume(func(b []byte) { got = append(got, binary.LittleEndian.Uint64(b)) })
				must(err)
				if r0, _, err := l.Run("pop_inner", map[string]any{"pages": 1}); r0 != -2 || err != nil {
					t.Errorf("an inner map that is not there: %d, %v", r0, err)
				}
				if r0, _, err := l.Run("pop_inner", map[string]any{"pages": 2}); r0 != -2 || err != nil { // ENOENT of an empty queue
					t.Errorf("an empty inner map: %d, %v", r0, err)
				}
				return nil
			}
			wait := &sim.WaitQueue{Name: "user space"}
			var user *sim.Task
			s.attached = func(l *Loaded) error {
				for _, cpu := range []sim.CPU{1, 3} {
					l.On(cpu, func(sim.Time) error { run(l, "where", nil); return nil })
				}
				l.Every(0, 10*sim.Millisecond, func(now sim.Time) error { ticks = append(ticks, now); return nil })
				var err error
				user, err = l.Spawn(sim.TaskSpec{Comm: "user", Behavior: &loop{steps: []sim.Step{
					{Kind: sim.StepRun, Dur: sim.Millisecond}, {Kind: sim.StepWait, Queue: wait, Dur: 9 * sim.Millisecond}}}})
				return err
			}
			o := r.options(engine)
			o.Agent = s
			p, err := New("testdata/agent.bpf.o", o)
			if err != nil {
				t.Fatal(err)
			}
			r.enable(p)
			r.spawn(sim.TaskSpec{Comm: "hog", Behavior: hog()})
			r.run(35 * sim.Millisecond)
			r.mustLive()
			// 3 from by_id, 4 from each_cpu on CPU 0, 9 from the queue, 1 from .data.per_cpu.
			if d := cmp.Diff([]uint64{3 + 4_000 + 900_000 + 10_000_000}, got); d != "" {
				t.Error(d)
			}
			for name, want := range map[string]uint64{"drained": 1234, "ran_on": 1<<1 | 1<<3} {
				if v, err := kept.Uint(name); v != want || err != nil {
					t.Errorf("%s = %d, %v; want %d", name, v, err, want)
				}
			}
			if d := cmp.Diff([]sim.Time{10 * ms, 20 * ms, 30 * ms}, ticks); d != "" {
				t.Error(d)
			}
			if n := r.m.CPUTime(user); n != 4*sim.Millisecond {
				t.Errorf("the user-space task ran for %v", n)
			}
			r.k.Disable(0)
			r.run(20 * sim.Millisecond)
			if len(ticks) != 3 {
				t.Errorf("the loop goes on after the scheduler: %v", ticks)
			}
		})
	}
}

const ms = sim.Time(sim.Millisecond)

// What agents do wrong.
func TestAgentErrors(t *testing.T) {
	prepare := func(g ...agent.Global) func(*agent.Env, *elf.Object) (Edit, error) {
		return func(e *agent.Env, o *elf.Object) (Edit, error) {
			edit, _ := setUp(e, o)
			edit.Set = append(edit.Set, g...)
			return edit, nil
		}
	}
	run := func(prog string, arg any) func(l *Loaded) error {
		return func(l *Loaded) error { _, _, err := l.Run(prog, arg); return err }
	}
	update := func(name string, key, value any) func(l *Loaded) error {
		return func(l *Loaded) error {
			m, err := l.Map(name)
			if err != nil {
				return err
			}
			return m.Update(key, value)
		}
	}
	for _, tc := range []struct {
		name  string
		agent script
		want  string
	}{
		{"no agent", script{}, "ops.init() failed (-22)"},
		{"unknown variable", script{prepare: prepare(agent.Global{Path: "slice_n", Value: 1})}, `variable "slice_n": there is none; did you mean "slice_ns"?`},
		{"wrong type", script{prepare: prepare(agent.Global{Path: "domains[2]", Value: 1})}, "expected the members of struct domain"},
		{"wrong index", script{prepare: prepare(agent.Global{Path: "domains[8].id", Value: 1})}, "index 8 of 8 elements"},
		{"unknown member", script{prepare: func(*agent.Env, *elf.Object) (Edit, error) {
			return Edit{Members: []agent.Member{{Name: "flgs", Value: "1"}}}, nil
		}}, `no member "flgs"; did you mean "flags"?`},
		{"unknown program", script{prepare: setUp, loaded: run("allocc", nil)}, `no SYSCALL program "allocc"; did you mean "alloc"?`},
		{"unknown argument", script{prepare: setUp, loaded: run("alloc", map[string]any{"page": 1})}, `no member "page"; did you mean "pages"?`},
		{"short context", script{prepare: setUp, loaded: run("alloc", nil)}, "context of 0 bytes"},
		{"no argument type", script{prepare: setUp, loaded: run("talk", map[string]any{"x": 1})}, "it does not say what it takes"},
		{"unknown map", script{prepare: setUp, loaded: update("by_idd", 0, 0)}, `no map "by_idd"; did you mean "by_id"?`},
		{"wrong key", script{prepare: setUp, loaded: update("each_cpu", 99, map[string]any{})}, `map "each_cpu": E2BIG`},
		{"wrong value", script{prepare: setUp, loaded: update("by_id", 1, "x")}, `map "by_id": value: string given`},
		{"too few CPUs", script{prepare: setUp, loaded: update("each_cpu", 1, []any{1, 2})}, "2 values, there are 4 CPUs"},
		{"arena", script{prepare: setUp, loaded: func(l *Loaded) error { _, err := l.ReadArena(1<<44, 8); return err }}, "are not there"},
		{"no ring", script{prepare: setUp, loaded: func(l *Loaded) error {
			m, err := l.Map("by_id")
			if err != nil {
				return err
			}
			return m.Produce(nil)
		}}, `map "by_id": not a ring buffer`},
		{"after attaching", script{prepare: setUp, attached: func(*Loaded) error { return errors.New("no more") }}, "agent.bpf.o: no more"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t, rigConfig{topo: "1n1l4c1t"})
			o := r.options("interp")
			o.Agent = &tc.agent
			p, err := New("testdata/agent.bpf.o", o)
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			tbl, err := p.Open(sched.Env{Machine: r.m, Kernel: r.k})
			if err == nil {
				if err = r.k.Enable(tbl); err == nil {
					err = p.Attached()
				}
			}
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%v, want %q", err, tc.want)
			}
		})
	}
}

// A user-space half that fails while its scheduler is in charge ends the run.
func TestAgentFails(t *testing.T) {
	r := newRig(t, rigConfig{topo: "1n1l4c1t"})
	o := r.options("interp")
	o.Agent = &script{prepare: setUp, attached: func(l *Loaded) error {
		l.After(2, 5*sim.Millisecond, func(sim.Time) error { return errors.New("lost its way") })
		return nil
	}}
	p, err := New("testdata/agent.bpf.o", o)
	if err != nil {
		t.Fatal(err)
	}
	r.enable(p)
	r.spawn(sim.TaskSpec{Comm: "hog", Behavior: hog()})
	r.run(sim.Second)
	if err := p.AgentError(); err == nil || err.Error() != "agent.bpf.o: 5ms: lost its way" || r.m.Now() != 5*ms {
		t.Errorf("%v at %v", err, r.m.Now())
	}
}
