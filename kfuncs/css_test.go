package kfuncs

import (
	"fmt"
	"testing"

	"github.com/schedsim/schedsim/sim"
	"github.com/schedsim/schedsim/vm/abi"
)

func TestCSSIterator(t *testing.T) {
	r := newRig(t, "1n1l1c1t")
	root := r.m.RootCgroup().Addr
	for _, tc := range []struct {
		name  string
		order uint64
		want  []uint64
	}{
		{"descendants first", cgroupIterDescendantsPre, []uint64{root, 0}},
		{"descendants last", cgroupIterDescendantsPost, []uint64{root, 0}},
		{"ancestors", cgroupIterAncestorsUp, []uint64{root, 0}},
		{"children", cgroupIterChildren, []uint64{0, 0}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			it := r.put(0, 1, 2, 3)
			r.want(0, "bpf_iter_css_new", it, root, tc.order)
			for _, want := range tc.want {
				r.want(want, "bpf_iter_css_next", it)
			}
			r.want(0, "bpf_iter_css_destroy", it)
		})
	}
	// A tree /a/b, /a/c, /d, of which /a/c was removed and is not yet gone.
	b, c, d := r.mkdir("/a/b"), r.mkdir("/a/c"), r.mkdir("/d")
	if err := r.m.Rmdir(c); err != nil {
		t.Fatal(err)
	}
	at := func(cs ...*sim.Cgroup) []uint64 {
		var l []uint64
		for _, c := range cs {
			l = append(l, c.K.Addr)
		}
		return append(l, 0)
	}
	top, aa := r.m.Root(), b.Parent
	for _, tc := range []struct {
		name  string
		start *sim.Cgroup
		order uint64
		want  []uint64
	}{
		{"parents first", top, cgroupIterDescendantsPre, at(top, aa, b, c, d)},
		{"children first", top, cgroupIterDescendantsPost, at(b, c, aa, d, top)},
		{"parents first, a subtree", aa, cgroupIterDescendantsPre, at(aa, b, c)},
		{"children first, a subtree", aa, cgroupIterDescendantsPost, at(b, c, aa)},
		{"upwards", b, cgroupIterAncestorsUp, at(b, aa, top)},
		{"children", top, cgroupIterChildren, at(aa, d)},
		{"no children", d, cgroupIterChildren, at()},
	} {
		t.Run(tc.name, func(t *testing.T) {
			it := r.put(0, 1, 2, 3)
			r.want(0, "bpf_iter_css_new", it, tc.start.K.Addr, tc.order)
			for _, want := range tc.want {
				r.want(want, "bpf_iter_css_next", it)
			}
			r.want(0, "bpf_iter_css_destroy", it)
		})
	}
	it := r.put(0, 1, 2, 3)
	for _, order := range []uint64{0, 1, 6} {
		r.want(neg(abi.EINVAL), "bpf_iter_css_new", it, root, order)
		r.want(0, "bpf_iter_css_next", it)
	}
	r.faults("bpf_iter_css_new: argument 1: 24 bytes at 0x8 are not memory", "bpf_iter_css_new", 8, root, cgroupIterChildren)
}

// mkdir makes a cgroup and its parents.
func (r *rig) mkdir(path string) *sim.Cgroup {
	c, err := r.m.MkdirAll(path)
	if err != nil {
		r.t.Fatal(err)
	}
	return c
}

// A cgroup that was removed is found by nobody, and stays for those who hold it.
func TestCgroupReferences(t *testing.T) {
	r := newRig(t, "1n1l1c1t")
	c := r.mkdir("/a/b")
	addr, id := c.K.Addr, c.ID
	r.want(addr, "bpf_cgroup_from_id", id)
	r.want(addr, "bpf_cgroup_acquire", addr)
	r.want(c.Parent.K.Addr, "bpf_cgroup_ancestor", addr, 1)
	r.want(r.m.Root().K.Addr, "bpf_cgroup_ancestor", addr, 0)
	r.want(addr, "bpf_cgroup_ancestor", addr, 2)
	r.want(0, "bpf_cgroup_ancestor", addr, 3)
	if err := r.m.Rmdir(c); err != nil {
		t.Fatal(err)
	}
	r.run()
	r.want(0, "bpf_cgroup_from_id", id)
	if r.m.CgroupByAddr(addr) != c {
		t.Fatal("gone while it is held")
	}
	for range 3 {
		r.call("bpf_cgroup_release", addr)
	}
	if r.m.CgroupByAddr(addr) != nil {
		t.Error("there although nobody holds it")
	}
	r.faults(fmt.Sprintf("bpf_cgroup_release: argument 1: %#x is no cgroup", addr), "bpf_cgroup_release", addr)
}
