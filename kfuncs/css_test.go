package kfuncs

import (
	"testing"

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
	it := r.put(0, 1, 2, 3)
	for _, order := range []uint64{0, 1, 6} {
		r.want(neg(abi.EINVAL), "bpf_iter_css_new", it, root, order)
		r.want(0, "bpf_iter_css_next", it)
	}
	r.faults("bpf_iter_css_new: argument 1: 24 bytes at 0x8 are not memory", "bpf_iter_css_new", 8, root, cgroupIterChildren)
}
