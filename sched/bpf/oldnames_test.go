package bpf

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/schedsim/schedsim/sched"
	"github.com/schedsim/schedsim/sim"
)

// TestOldNames: a scheduler that uses names from before 6.13 runs on 6.16, which tells once of each that it was renamed, in these words
// (6.16.12); a kernel that has them no longer refuses it by name.
func TestOldNames(t *testing.T) {
	r := newRig(t, rigConfig{topo: "1n2l1c1t", quiet: true, kernel: "6.16"})
	o := r.options("")
	o.Members = []Member{{"flags", "0"}}
	p, err := New("testdata/oldnames.bpf.o", o)
	must(t, err)
	r.enable(p)
	r.hogs("/", 3)
	r.run(sim.Second)
	r.mustLive()
	there := countersOf(t, "6.16", "old_ops")
	for _, name := range []string{"turns", "by_vtime", "moved", "moved_vtime", "consumed"} {
		if n := counterOf(t, p, name); (n == 0) != (there.of(name) == 0) {
			t.Errorf("%s is %d, on the kernel %v", name, n, there.of(name))
		}
	}
	var got []string
	for _, line := range r.k.Log() {
		if strings.Contains(line, "renamed") {
			got = append(got, line)
		}
	}
	slices.Sort(got)
	if d := cmp.Diff([]string{
		"sched_ext: scx_bpf_consume() renamed to scx_bpf_dsq_move_to_local()",
		"sched_ext: scx_bpf_dispatch() renamed to scx_bpf_dsq_insert()",
		"sched_ext: scx_bpf_dispatch_from_dsq() renamed to scx_bpf_dsq_move()",
		"sched_ext: scx_bpf_dispatch_from_dsq_set_slice() renamed to scx_bpf_dsq_move_set_slice()",
		"sched_ext: scx_bpf_dispatch_from_dsq_set_vtime() renamed to scx_bpf_dsq_move_set_vtime()",
		"sched_ext: scx_bpf_dispatch_from_dsq_vtime() renamed to scx_bpf_dsq_move_vtime()",
		"sched_ext: scx_bpf_dispatch_vtime() renamed to scx_bpf_dsq_insert_vtime()",
	}, got); d != "" {
		t.Errorf("(-kernel +simulator):\n%s", d)
	}
	for _, kernel := range []string{"6.18", "7.2", "7.3"} {
		r := newRig(t, rigConfig{topo: "1n2l1c1t", quiet: true, kernel: kernel})
		p, err := New("testdata/oldnames.bpf.o", r.options(""))
		must(t, err)
		if _, err := p.Open(sched.Env{Machine: r.m, Kernel: r.k}); err == nil || !strings.Contains(err.Error(), `"scx_bpf_`) {
			t.Errorf("%s: %v", kernel, err)
		}
	}
}
