package bpf

import (
	"encoding/binary"
	"testing"

	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/sched"
	"github.com/schedsim/schedsim/sim"
)

func (r *rig) cidPolicy(engine, table string, globals map[string]any, members ...Member) *Policy {
	r.t.Helper()
	o := r.options(engine)
	o.Table, o.Globals, o.Members = table, globals, members
	p, err := New("testdata/cid.bpf.o", o)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { p.Close() })
	return p
}

func counterOf(t *testing.T, p *Policy, name string) uint64 {
	t.Helper()
	b, err := p.Global(name)
	if err != nil {
		t.Fatal(err)
	}
	var w [8]byte
	copy(w[:], b)
	return binary.LittleEndian.Uint64(w[:])
}

// TestCIDObject: an object of the cid form, with the kernel's order of cids and with its own.
func TestCIDObject(t *testing.T) {
	for _, engine := range []string{"interp", "jit"} {
		for _, reverse := range []bool{false, true} {
			r := newRig(t, rigConfig{topo: "1n2l2c1t", quiet: true})
			p := r.cidPolicy(engine, "cid_ops", map[string]any{"reverse": reverse})
			r.enable(p)
			task, err := r.m.Spawn(sim.TaskSpec{Comm: "t", Behavior: periodic(sim.Millisecond, sim.Millisecond)})
			if err != nil {
				t.Fatal(err)
			}
			r.spawn(mixed(4)...)
			r.run(100 * sim.Millisecond)
			if err := r.m.SetAffinity(task, []sim.CPU{0, 1}); err != nil {
				t.Fatal(err)
			}
			r.run(100 * sim.Millisecond)
			r.mustLive()
			want := uint64(0b0011)
			topo := []int32{1, 1, 0, 0, 0, 0} // of cid 1: the second core of the first cache
			if reverse {
				want = 0b1100
				topo = []int32{-1, -1, -1, -1, -1, -1}
			}
			if got := counterOf(t, p, "last_mask"); got != want || counterOf(t, p, "last_range") != 4 {
				t.Errorf("reverse %v: mask %#b of %d cids, want %#b", reverse, got, counterOf(t, p, "last_range"), want)
			}
			b, err := p.Global("topo")
			if err != nil {
				t.Fatal(err)
			}
			for i, w := range topo {
				if got := int32(binary.LittleEndian.Uint32(b[4*i:])); got != w {
					t.Errorf("reverse %v: word %d of the topology: %d, want %d", reverse, i, got, w)
				}
			}
			if n := counterOf(t, p, "wrong_cid"); n != 0 {
				t.Errorf("reverse %v: %d wrong cids", reverse, n)
			}
			for _, v := range []string{"nr_selected", "nr_enqueued", "nr_dispatched", "nr_running", "nr_masks"} {
				if counterOf(t, p, v) == 0 {
					t.Errorf("%s is 0", v)
				}
			}
		}
	}
}

// TestCIDNoArena: without an arena the kernel does not register a table of the cid form.
func TestCIDNoArena(t *testing.T) {
	r := newRig(t, rigConfig{topo: "1n1l4c1t", quiet: true})
	_, err := r.cidPolicy("", "bare_ops", nil).Open(sched.Env{Machine: r.m, Kernel: r.k})
	want := "cid.bpf.o: struct sched_ext_ops_cid bare_ops: sched_ext: cid-form scheduler must use a BPF arena map"
	if err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

// TestSubOfObject: an object as the root of a sub-scheduler written in Go. (A second object would need a second arena.)
func TestSubOfObject(t *testing.T) {
	r := newRig(t, rigConfig{topo: "1n1l4c1t", quiet: true})
	c, err := r.m.MkdirAll("/jobs")
	if err != nil {
		t.Fatal(err)
	}
	root := r.cidPolicy("", "cid_ops", nil)
	r.enable(root)
	enqueued := 0
	tbl := &ops.Table{
		Name: "sub", CID: true, SubCgroupID: c.ID,
		Init: func() int32 { return r.k.CreateDSQ(1, -1) },
		Enqueue: func(t *sim.Task, f uint64) {
			enqueued++
			r.k.DSQInsert(t, 1, ops.SliceDfl, f)
		},
		Dispatch: func(sim.CPU, *sim.Task) { r.k.DSQMoveToLocal(1, 0) },
	}
	for i := range 8 {
		spec := sim.TaskSpec{Comm: "root", Behavior: hog()}
		if i%2 == 0 {
			spec.Comm, spec.Cgroup = "job", c
		}
		r.spawn(spec)
	}
	u, err := r.k.EnableSub(tbl)
	if err != nil {
		t.Fatal(err)
	}
	r.run(sim.Second)
	r.mustLive()
	if got := counterOf(t, root, "child"); got != c.ID {
		t.Errorf("the root was told of a child of cgroup %d, want %d", got, c.ID)
	}
	if u.ExitInfo() != nil || counterOf(t, root, "nr_sub") == 0 || enqueued == 0 {
		t.Errorf("%d dispatches for the child, which enqueued %d tasks; exit %+v", counterOf(t, root, "nr_sub"), enqueued, u.ExitInfo())
	}
	u.Disable(ops.ExitUnreg)
	before := enqueued
	r.run(sim.Second)
	r.mustLive()
	if enqueued != before || counterOf(t, root, "child") != 0 {
		t.Error("the sub-scheduler goes on")
	}
	r.m.Tasks(func(task *sim.Task) {
		if r.m.CPUTime(task) < sim.Second/2 {
			t.Errorf("%v ran for %v", task, r.m.CPUTime(task))
		}
	})
}
