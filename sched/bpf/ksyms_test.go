package bpf

import (
	"testing"

	"github.com/schedsim/schedsim/sim"
)

func TestKsyms(t *testing.T) {
	r := newRig(t, rigConfig{topo: "1n2l2c2t"})
	k := &ksyms{m: r.m, mem: r.space, kernel: r.kernel}
	for _, tc := range []struct {
		name string
		want []uint64 // by CPU
	}{
		{"sd_llc_id", []uint64{0, 0, 1, 1, 0, 0, 1, 1}}, // the second threads of the cores come last
		{"sd_llc_size", []uint64{4, 4, 4, 4, 4, 4, 4, 4}},
		{"sched_core_priority", []uint64{0, 0, 0, 0, 0, 0, 0, 0}},
		{"__preempt_count", []uint64{0, 0, 0, 0, 0, 0, 0, 0}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			addr, ok := k.address(tc.name)
			if !ok {
				t.Fatal("not there")
			}
			if again, _ := k.address(tc.name); again != addr {
				t.Errorf("at %#x, then at %#x", addr, again)
			}
			for cpu, want := range tc.want {
				if got, ok := r.space.Load(k.perCPU(addr, int32(cpu)), 4); !ok || got != want {
					t.Errorf("CPU %d: %d, want %d", cpu, got, want)
				}
			}
		})
	}
	addr, ok := k.address("runqueues")
	if !ok {
		t.Fatal("no runqueues")
	}
	off, _, _ := r.kernel.Field("rq.cpu")
	for cpu := range int32(8) {
		at := k.perCPU(addr+uint64(off), cpu)
		if at != r.m.RQ(sim.CPU(cpu)).Addr+uint64(off) {
			t.Errorf("rq.cpu of CPU %d at %#x", cpu, at)
		}
		if v, _ := r.space.Load(at, 4); v != uint64(cpu) {
			t.Errorf("rq.cpu of CPU %d is %d", cpu, v)
		}
	}
	for _, v := range k.vars { // so that machine code finds copies by itself
		for cpu, at := range v.at {
			if at != v.at[0]+uint64(cpu)*(v.at[1]-v.at[0]) {
				t.Errorf("%s of CPU %d at %#x does not lie at the distance of the others", v.name, cpu, at)
			}
		}
	}
	if _, ok := k.address("no_such_variable"); ok {
		t.Error("a variable that the kernel does not have was found")
	}
	if got := k.perCPU(42, 3); got != 42 {
		t.Errorf("a pointer to nothing became %#x", got)
	}
	var told []string
	k.notices("x.bpf.o", func(s string) { told = append(told, s) })
	if len(told) != 1 || told[0] != "x.bpf.o: variables of the kernel that are not modelled read as zeros: __preempt_count" {
		t.Errorf("notices %q", told)
	}
}
