package bpf

import (
	"strings"
	"testing"

	"github.com/schedsim/schedsim/sched/bpf/agent/userland"
	"github.com/schedsim/schedsim/sim"
)

const userVtime = "../../examples/bpf/user_vtime.bpf.o"

// userland loads and enables an object whose policy is a process.
func (r *rig) userland(path, kind string, args map[string]any) (*Policy, *userland.Agent) {
	r.t.Helper()
	a, err := userland.New(kind, args)
	if err != nil {
		r.t.Fatal(err)
	}
	o := r.options("interp")
	o.Agent = a
	if strings.HasSuffix(path, "user_vtime.bpf.o") || strings.HasSuffix(path, "scx_userland.bpf.o") {
		o.Globals = map[string]any{"num_possible_cpus": r.m.NrCPUs()}
	}
	p, err := New(path, o)
	if err != nil {
		r.t.Fatal(err)
	}
	r.enable(p)
	return p, a
}

// latency is the mean time from wakeup to running, of all tasks but one.
func (r *rig) latency(but int32) sim.Duration {
	woken := map[int32]sim.Time{}
	var sum, n sim.Duration
	for _, rec := range r.records {
		switch rec.Kind {
		case sim.KindWakeup:
			woken[rec.Task] = rec.At
		case sim.KindSwitch:
			if at, ok := woken[rec.Task]; ok && rec.Task != but {
				sum += rec.At.Sub(at)
				n++
			}
			delete(woken, rec.Task)
		}
	}
	if n == 0 {
		r.t.Fatal("nothing was woken")
	}
	return sum / n
}

// The process decides: what runs was handed over by it, in shares by weight, and its work takes the CPU time that it should.
func TestUserVtime(t *testing.T) {
	r := newRig(t, rigConfig{topo: "1n1l2c1t"})
	p, a := r.userland(userVtime, "userland", map[string]any{"turn": "1us", "take": 700, "give": 500, "pass": 1, "batch": 1})
	var hogs []*sim.Task
	for _, nice := range []int{0, 0, 0, 5, 5, 5, 10, 10} {
		x, err := r.m.Spawn(sim.TaskSpec{Comm: "hog", Nice: nice, Behavior: hog()})
		must(t, err)
		hogs = append(hogs, x)
	}
	r.run(10 * sim.Second)
	r.mustLive()
	s := a.Stats()
	if n := p.global(t, "nr_user"); n < 500 || s.Given < n || s.Given-n > 8 {
		t.Errorf("%d tasks dispatched, the process has handed over %d", n, s.Given)
	}
	if p.global(t, "nr_kernel")+p.global(t, "nr_full") != 0 || s.Refused+s.Again != 0 {
		t.Errorf("kernel %d, full %d, %+v", p.global(t, "nr_kernel"), p.global(t, "nr_full"), s)
	}
	// It finds its queue empty once a turn. Each insertion passes at most all hogs. The last step may not be over.
	least := sim.Duration(s.Turns*1000 + (s.Taken+s.Turns)*700 + s.Given*500)
	if got := a.Task().SumExec; got < least-2*sim.Microsecond || got > least+sim.Duration(8*s.Taken)+2*sim.Microsecond {
		t.Errorf("the process ran for %v, its work takes %v", got, least)
	}
	weights := map[int]float64{0: 100, 5: 33, 10: 11} // sched_ext's, of 1 to 10000
	base := float64(hogs[0].SumExec) / 100
	for _, h := range hogs {
		if got := float64(h.SumExec) / weights[h.Nice] / base; got < 0.98 || got > 1.02 {
			t.Errorf("nice %d ran for %v: %.3f of its share", h.Nice, h.SumExec, got)
		}
	}
	r.k.Disable(64)
	r.run(20 * sim.Millisecond)
	if r.m.TaskByPID(a.Task().PID) != nil {
		t.Error("the process outlives its scheduler")
	}
}

// A slower process makes everybody wait longer.
func TestUserSlow(t *testing.T) {
	for _, tc := range []struct{ kind, object string }{
		{"userland", userVtime}, {"rlfifo", "testdata/userring.bpf.o"}, {"rustland", "testdata/userring.bpf.o"},
	} {
		t.Run(tc.kind, func(t *testing.T) {
			run := func(take string) (sim.Duration, sim.Duration) {
				r := newRig(t, rigConfig{topo: "1n1l4c1t"})
				_, a := r.userland(tc.object, tc.kind, map[string]any{"take": take})
				for i := range 6 {
					d := sim.Duration(i) * 10 * sim.Microsecond
					r.spawn(sim.TaskSpec{Comm: "p", Behavior: periodic(sim.Millisecond+d, 4*sim.Millisecond-d)})
				}
				r.run(sim.Second)
				r.mustLive()
				return r.latency(a.Task().PID), a.Task().SumExec
			}
			fast, fastRan := run("100ns")
			slow, slowRan := run("100us")
			if slow < fast+100*sim.Microsecond || slowRan < 50*fastRan {
				t.Errorf("latency %v and %v, the process ran for %v and %v", fast, slow, fastRan, slowRan)
			}
		})
	}
}

// Ring buffers, of sizes that the loader makes powers of two, carry tasks to a process and back.
func TestUserRing(t *testing.T) {
	for _, tc := range []struct {
		kind    string
		args    map[string]any
		slices  func(p *Policy, slice uint64) bool
		waiting int
	}{
		{"rlfifo", nil, func(_ *Policy, slice uint64) bool { return slice > 0 && 5_000_000%slice < slice && slice <= 5_000_000 }, 0},
		{"rustland", map[string]any{"slice_min": "2ms"}, func(_ *Policy, slice uint64) bool { return slice == 2_000_000 || slice == 660_000 }, 12},
	} {
		for _, topo := range []string{"1n1l1c1t", "1n1l4c1t", "1n2l4c2t"} {
			t.Run(tc.kind+"/"+topo, func(t *testing.T) {
				r := newRig(t, rigConfig{topo: topo})
				p, a := r.userland("testdata/userring.bpf.o", tc.kind, tc.args)
				for i := range 12 {
					b := hog()
					if i%3 == 0 {
						b = periodic(300*sim.Microsecond, 2*sim.Millisecond)
					}
					r.spawn(sim.TaskSpec{Comm: "t", Nice: i % 2 * 5, Behavior: b})
				}
				r.run(3 * sim.Second)
				r.mustLive()
				s := a.Stats()
				if given := p.global(t, "given"); given < 300 || s.Given < given || s.Given-given > 12 || p.global(t, "full") != 0 {
					t.Errorf("%d given back, of %+v; full %d", given, s, p.global(t, "full"))
				}
				if p.global(t, "selects") < s.Given || s.Waiting > tc.waiting || s.Taken < s.Given {
					t.Errorf("%d questions for a CPU, %+v", p.global(t, "selects"), s)
				}
				if slice := p.global(t, "last_slice"); !tc.slices(p, slice) {
					t.Errorf("slice %d", slice)
				}
				if idle := p.global(t, "on_idle"); (idle > 0) != (r.m.NrCPUs() > 1) {
					t.Errorf("%d tasks went to an idle CPU of %d", idle, r.m.NrCPUs())
				}
				var ran sim.Duration
				r.m.Tasks(func(x *sim.Task) { ran += x.SumExec })
				if ran < sim.Duration(min(r.m.NrCPUs(), 8))*28*sim.Second/10 { // 8 hogs
					t.Errorf("all ran for %v in 3s", ran)
				}
			})
		}
	}
}

// What an agent needs of an object is named when it is not there.
func TestUserlandRefused(t *testing.T) {
	for _, tc := range []struct{ name, object, kind, want string }{
		{"no ring buffer", userVtime, "rustland", `no map "queued"`},
		{"no queue", "testdata/userring.bpf.o", "userland", `no map "enqueued"`},
		{"no process", "testdata/agent.bpf.o", "rlfifo", `variable "usersched_pid": there is none`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t, rigConfig{topo: "1n1l1c1t"})
			o := r.options("interp")
			var err error
			if o.Agent, err = userland.New(tc.kind, nil); err != nil {
				t.Fatal(err)
			}
			p, err := New(tc.object, o)
			must(t, err)
			if err := r.open(p); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want one with %q", err, tc.want)
			}
		})
	}
}

// The schedulers whose policy is a process run under load on machines of many sizes, and the process decides.
func TestUserlandObjects(t *testing.T) {
	for _, tc := range []struct{ object, kind string }{
		{"scx_userland", "userland"}, {"scx_rlfifo", "rlfifo"}, {"scx_rustland", "rustland"},
	} {
		for _, topo := range []string{"1n1l4c1t", "1n2l8c2t"} {
			t.Run(tc.object+"/"+topo, func(t *testing.T) {
				path := kernelObject(t, tc.object)
				r := newRig(t, rigConfig{topo: topo})
				a, err := userland.New(tc.kind, nil)
				must(t, err)
				o := r.options("jit")
				o.Agent = a
				if tc.kind == "userland" {
					o.Globals = map[string]any{"num_possible_cpus": r.m.NrCPUs()}
				} else {
					o.Globals = map[string]any{"slice_ns": 1_000_000, "builtin_idle": true, "smt_enabled": strings.HasSuffix(topo, "2t")}
					o.Members = []Member{{Name: "flags", Value: "ENQ_LAST|ALLOW_QUEUED_WAKEUP"}}
				}
				p, err := New(path, o)
				must(t, err)
				r.enable(p)
				r.spawn(mixed(16)...)
				r.run(3 * sim.Second)
				r.mustLive()
				s := a.Stats()
				if s.Given < 500 || s.Taken < s.Given || s.Refused != 0 {
					t.Errorf("%+v", s)
				}
				if tc.kind != "userland" {
					if n := p.global(t, "nr_user_dispatches"); n > s.Given || p.global(t, "nr_sched_congested") != 0 {
						t.Errorf("%d dispatches to CPUs that the process chose, it has given back %d", n, s.Given)
					}
				}
				if a.Task().SumExec < sim.Duration(s.Given)*80 {
					t.Errorf("the process ran for %v", a.Task().SumExec)
				}
			})
		}
	}
}
