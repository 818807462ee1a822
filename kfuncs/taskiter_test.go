package kfuncs

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/schedsim/schedsim/sim"
	"github.com/schedsim/schedsim/vm/abi"
)

// thread makes a task that sleeps, of a process by its name.
func (r *rig) thread(process string, c *sim.Cgroup) *sim.Task {
	r.t.Helper()
	b := steps([]sim.Step{{Kind: sim.StepSleep, Dur: sim.Second}})
	t, err := r.m.Spawn(sim.TaskSpec{Comm: "t", Process: process, Behavior: &b, Cgroup: c})
	check(r.t, err)
	return t
}

// walk is what an iterator meets, as PIDs.
func (r *rig) walk(name string, it uint64) []int32 {
	r.t.Helper()
	pids := []int32{}
	for {
		at := r.call(name, it)
		if at == 0 {
			return pids
		}
		t := r.m.TaskByAddr(at)
		if t == nil || len(pids) > 100 {
			r.t.Fatalf("%#x is no task, or there is no end: %v", at, pids)
		}
		pids = append(pids, t.PID)
	}
}

func TestTaskIterator(t *testing.T) {
	r := newRig(t, "1n1l2c1t")
	a1 := r.thread("a", nil)
	b1 := r.thread("b", nil)
	a2 := r.thread("a", nil)
	c1 := r.thread("c", nil)
	a3 := r.thread("a", nil)
	c2 := r.thread("c", nil)
	check(t, r.m.Run(r.m.Now().Add(sim.Millisecond)))
	walk := func(start, flags uint64) []int32 {
		t.Helper()
		it := r.put(0, 1, 2, 3)
		r.want(0, "bpf_iter_task_new", it, start, flags)
		got := r.walk("bpf_iter_task_next", it)
		r.want(0, "bpf_iter_task_next", it)
		r.want(0, "bpf_iter_task_destroy", it)
		return got
	}
	all := []int32{0, a1.PID, a2.PID, a3.PID, b1.PID, c1.PID, c2.PID}
	for _, tc := range []struct {
		name         string
		start, flags uint64
		want         []int32
	}{
		{"processes", 0, taskIterAllProcs, []int32{0, a1.PID, b1.PID, c1.PID}},
		{"processes, whatever the task", b1.K.Addr, taskIterAllProcs, []int32{0, a1.PID, b1.PID, c1.PID}},
		{"threads", 0, taskIterAllThreads, all},
		{"of one process", a1.K.Addr, taskIterProcThreads, []int32{a1.PID, a2.PID, a3.PID}},
		{"from a thread on", a2.K.Addr, taskIterProcThreads, []int32{a2.PID, a3.PID}},
		{"of a process alone", b1.K.Addr, taskIterProcThreads, []int32{b1.PID}},
		{"of init_task", r.m.IdleTask(0).K.Addr, taskIterProcThreads, []int32{0}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, walk(tc.start, tc.flags)); diff != "" {
				t.Error(diff)
			}
		})
	}
	it := r.put(0, 1, 2, 3)
	r.want(abi.EINVAL.Ret(), "bpf_iter_task_new", it, 0, taskIterProcThreads)
	r.want(0, "bpf_iter_task_next", it)
	r.want(abi.EINVAL.Ret(), "bpf_iter_task_new", it, a1.K.Addr, 3)
	r.want(0, "bpf_iter_task_next", it)
	r.faults("bpf_iter_task_new: argument 2: 0x7 is no task", "bpf_iter_task_new", it, 7, taskIterProcThreads)

	// A process whose leader has ended goes on with its threads.
	check(t, r.m.Kill(c1))
	check(t, r.m.Run(r.m.Now().Add(sim.Millisecond)))
	if diff := cmp.Diff([]int32{0, a1.PID, b1.PID, c2.PID}, walk(0, taskIterAllProcs)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]int32{0, a1.PID, a2.PID, a3.PID, b1.PID, c2.PID}, walk(0, taskIterAllThreads)); diff != "" {
		t.Error(diff)
	}
}

func TestCSSTaskIterator(t *testing.T) {
	r := newRig(t, "1n1l2c1t")
	g, h := r.mkdir("/g"), r.mkdir("/h")
	a1, b1 := r.thread("a", g), r.thread("b", h)
	a2, c1 := r.thread("a", g), r.thread("c", g)
	check(t, r.m.Run(r.m.Now().Add(sim.Millisecond)))
	walk := func(c *sim.Cgroup, flags uint64) []int32 {
		t.Helper()
		it := r.put(0, 9)
		r.want(0, "bpf_iter_css_task_new", it, c.K.Addr, flags)
		got := r.walk("bpf_iter_css_task_next", it)
		r.want(0, "bpf_iter_css_task_destroy", it)
		return got
	}
	for _, tc := range []struct {
		name  string
		c     *sim.Cgroup
		flags uint64
		want  []int32
	}{
		{"threads", g, 0, []int32{a1.PID, a2.PID, c1.PID}},
		{"processes", g, cssTaskProcs, []int32{a1.PID, c1.PID}},
		{"processes, threaded", g, cssTaskProcs | cssTaskThreaded, []int32{a1.PID, c1.PID}},
		{"another", h, 0, []int32{b1.PID}},
		{"none", r.m.Root(), 0, []int32{}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, walk(tc.c, tc.flags)); diff != "" {
				t.Error(diff)
			}
		})
	}
	// Who comes later stands last, and who ends meanwhile is not met.
	check(t, r.m.MoveTasks(g, b1))
	it := r.put(0, 9)
	r.want(0, "bpf_iter_css_task_new", it, g.K.Addr, 0)
	check(t, r.m.Kill(a2))
	check(t, r.m.Run(r.m.Now().Add(sim.Millisecond)))
	if diff := cmp.Diff([]int32{a1.PID, c1.PID, b1.PID}, r.walk("bpf_iter_css_task_next", it)); diff != "" {
		t.Error(diff)
	}
	r.want(0, "bpf_iter_css_task_destroy", it)
	for _, flags := range []uint64{cssTaskThreaded, 4, 7} {
		r.want(abi.EINVAL.Ret(), "bpf_iter_css_task_new", it, g.K.Addr, flags)
		r.want(0, "bpf_iter_css_task_next", it)
		r.want(0, "bpf_iter_css_task_destroy", it)
	}
	r.faults("bpf_iter_css_task_new: argument 2: 0x7 is no cgroup", "bpf_iter_css_task_new", it, 7, 0)
	r.faults(fmt.Sprintf("bpf_iter_css_task_next: argument 1: %#x is no iterator", it), "bpf_iter_css_task_next", r.put(0, 5))
}
