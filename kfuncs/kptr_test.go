package kfuncs

import (
	"fmt"
	"testing"
)

// TestDropKptr: the destructors of the three types, as their release functions; what is no such object is left alone.
func TestDropKptr(t *testing.T) {
	r := newRig(t, "1n1l2c1t")
	for _, name := range []string{"bpf_cpumask", "task_struct", "cgroup", "other"} {
		r.host.DropKptr(name, 0x10)
	}

	m := r.call("bpf_cpumask_create")
	r.want(m, "bpf_cpumask_acquire", m)
	r.host.DropKptr("bpf_cpumask", m)
	r.want(1, "bpf_cpumask_empty", m)
	r.host.DropKptr("bpf_cpumask", m)
	r.faults("bpf_cpumask_acquire: argument 1: the cpumask has no references", "bpf_cpumask_acquire", m)

	a := r.spawn("a", run(ms))
	addr := r.call("bpf_task_from_pid", uint64(a.PID))
	r.run()
	r.want(0, "scx_bpf_task_cpu", addr) // it has ended, and is held
	r.host.DropKptr("task_struct", addr)
	r.faults(fmt.Sprintf("scx_bpf_task_cpu: argument 1: %#x is no task", addr), "scx_bpf_task_cpu", addr)

	c := r.mkdir("/a")
	at := r.call("bpf_cgroup_from_id", c.ID)
	if err := r.m.Rmdir(c); err != nil {
		t.Fatal(err)
	}
	r.run()
	if r.m.CgroupByAddr(at) != c {
		t.Fatal("gone while it is held")
	}
	r.host.DropKptr("cgroup", at)
	if r.m.CgroupByAddr(at) != nil {
		t.Error("still there with nobody to hold it")
	}
}
