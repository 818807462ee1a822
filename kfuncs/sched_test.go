package kfuncs

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/sim"
	"github.com/schedsim/schedsim/vm/abi"
)

const ms = sim.Millisecond

// firsts is order with p behind it, unless p has been the last: a task begins to run again when it leaves its autogroup.
func firsts(order []string, p *sim.Task) []string {
	if n := len(order); n > 0 && order[n-1] == p.Comm {
		return order
	}
	return append(order, p.Comm)
}

// TestFIFO schedules with a queue of the policy's own through registers, old and new forms of the functions.
func TestFIFO(t *testing.T) {
	for _, tc := range []struct {
		name, insert, move string
	}{
		{"old", "scx_bpf_dsq_insert", "scx_bpf_dsq_move_to_local"},
		{"new", "scx_bpf_dsq_insert___v2", "scx_bpf_dsq_move_to_local___v2"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t, "1n1l1c1t")
			var order []string
			inserted := uint64(0)
			r.enable(&ops.Table{
				Init: func() int32 {
					r.want(0, "scx_bpf_create_dsq", 7, ^uint64(0))
					r.want(neg(abi.EEXIST), "scx_bpf_create_dsq", 7, ^uint64(0))
					r.want(neg(abi.EINVAL), "scx_bpf_create_dsq", ops.DSQGlobal, ^uint64(0))
					r.want(neg(abi.EINVAL), "scx_bpf_create_dsq", 8, 5)
					r.want(neg(abi.ENOENT), "scx_bpf_dsq_nr_queued", 9)
					r.want(0, "scx_bpf_dsq_nr_queued", 7)
					r.want(0, "scx_bpf_dsq_peek", 7)
					return 0
				},
				Enqueue: func(p *sim.Task, flags uint64) {
					inserted += r.call(tc.insert, p.K.Addr, 7, uint64(5*ms), flags)
				},
				Dispatch: func(cpu sim.CPU, prev *sim.Task) {
					r.want(32, "scx_bpf_dispatch_nr_slots")
					n := r.call("scx_bpf_dsq_nr_queued", 7)
					if first := r.call("scx_bpf_dsq_peek", 7); (first != 0) != (n > 0) {
						t.Errorf("peek gives %#x, %d are queued", first, n)
					}
					r.want(retBool(n > 0), tc.move, 7, 0)
				},
				Running: func(p *sim.Task) { order = firsts(order, p) },
			})
			r.spawn("a", run(12*ms)) // the last slice of each is not over when it ends
			r.spawn("b", run(3*ms))
			r.spawn("c", run(9*ms))
			r.run()
			r.healthy()
			if diff := cmp.Diff([]string{"a", "b", "c", "a", "c"}, order); diff != "" {
				t.Error(diff)
			}
			if want := map[string]uint64{"old": 0, "new": 5}[tc.name]; inserted != want {
				t.Errorf("the insertions returned %d times true, want %d", inserted, want)
			}
		})
	}
}

// TestVtime orders tasks by vtime, with the arguments in a struct and in registers, and moves them by an iterator.
func TestVtime(t *testing.T) {
	for _, structArgs := range []bool{false, true} {
		r := newRig(t, "1n1l1c1t")
		vtimes := map[string]uint64{"a": 30, "b": 10, "c": 20}
		var walks [][]string
		var order []string
		r.enable(&ops.Table{
			Init: func() int32 {
				r.want(0, "scx_bpf_create_dsq", 1, ^uint64(0))
				return int32(r.call("scx_bpf_create_dsq", 2, ^uint64(0)))
			},
			Enqueue: func(p *sim.Task, flags uint64) {
				v := vtimes[p.Comm]
				if structArgs {
					r.want(1, "__scx_bpf_dsq_insert_vtime", p.K.Addr, r.put(0, 1, uint64(20*ms), v, flags))
				} else {
					r.call("scx_bpf_dsq_insert_vtime", p.K.Addr, 1, uint64(20*ms), v, flags)
				}
			},
			Dispatch: func(sim.CPU, *sim.Task) {
				it := r.stack + 64
				if r.call("scx_bpf_dsq_nr_queued", 1) > 0 {
					walks = append(walks, nil)
					w := &walks[len(walks)-1]
					r.want(0, "bpf_iter_scx_dsq_new", it, 1, 0)
					for {
						p := r.m.TaskByAddr(r.call("bpf_iter_scx_dsq_next", it))
						if p == nil {
							break
						}
						*w = append(*w, p.Comm)
						// Turn the order around in the second queue.
						r.call("scx_bpf_dsq_move_set_slice", it, uint64(9*ms))
						r.call("scx_bpf_dsq_move_set_vtime", it, 100-p.K.DSQVtime())
						r.want(1, "scx_bpf_dsq_move_vtime", it, p.K.Addr, 2, 0)
						r.want(0, "scx_bpf_dsq_move_vtime", it, p.K.Addr, 2, 0) // it has left the queue
					}
					r.call("bpf_iter_scx_dsq_destroy", it)
				}
				r.call("scx_bpf_dsq_move_to_local", 2)
			},
			Running: func(p *sim.Task) {
				n := len(order)
				if order = firsts(order, p); len(order) > n && p.K.Slice() != uint64(9*ms) {
					t.Errorf("%s runs with a slice of %d", p.Comm, p.K.Slice())
				}
			},
		})
		for _, n := range []string{"a", "b", "c"} {
			r.spawn(n, run(2*ms))
		}
		r.run()
		r.healthy()
		if diff := cmp.Diff([][]string{{"b", "c", "a"}}, walks); diff != "" {
			t.Errorf("struct %v: %s", structArgs, diff)
		}
		if diff := cmp.Diff([]string{"a", "c", "b"}, order); diff != "" {
			t.Errorf("struct %v: %s", structArgs, diff)
		}
	}
}

// TestIter checks iterators that could not be made, and that handles are used again.
func TestIter(t *testing.T) {
	r := newRig(t, "1n1l1c1t")
	r.enable(&ops.Table{Init: func() int32 { return int32(r.call("scx_bpf_create_dsq", 1, ^uint64(0))) }})
	it := r.put(0, 1, 2, 3, 4, 5, 6)
	for _, tc := range []struct {
		name       string
		dsq, flags uint64
		want       uint64
	}{
		{"no queue", 99, 0, neg(abi.ENOENT)},
		{"bad flags", 1, 1, neg(abi.EINVAL)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r.want(tc.want, "bpf_iter_scx_dsq_new", it, tc.dsq, tc.flags)
			r.want(0, "bpf_iter_scx_dsq_next", it)
			r.call("scx_bpf_dsq_move_set_slice", it, 5)
			r.want(0, "bpf_iter_scx_dsq_destroy", it)
		})
	}
	r.want(0, "bpf_iter_scx_dsq_new", it, 1, ops.DSQIterRev)
	r.want(0, "bpf_iter_scx_dsq_new", it+64, 1, 0)
	if a, b := r.get(it), r.get(it+64); a != 1 || b != 2 {
		t.Errorf("handles %d and %d", a, b)
	}
	r.call("bpf_iter_scx_dsq_destroy", it)
	r.want(0, "bpf_iter_scx_dsq_new", it, 1, 0)
	if a := r.get(it); a != 1 {
		t.Errorf("handle %d, want the free one", a)
	}
	r.call("bpf_iter_scx_dsq_destroy", it)
	r.call("bpf_iter_scx_dsq_destroy", it+64)
	r.put(0, 77)
	r.faults(fmt.Sprintf("bpf_iter_scx_dsq_next: argument 1: %#x is no iterator", it), "bpf_iter_scx_dsq_next", it)
	r.faults("bpf_iter_scx_dsq_new: argument 1: 48 bytes at 0x10 are not memory", "bpf_iter_scx_dsq_new", 0x10, 1, 0)
}

// TestSelectCPU asks for idle CPUs in select_cpu.
func TestSelectCPU(t *testing.T) {
	r := newRig(t, "1n1l2c2t")
	calls := 0
	r.enable(&ops.Table{
		SelectCPU: func(p *sim.Task, prev sim.CPU, flags uint64) sim.CPU {
			calls++
			idle := r.put(0, 0xff)
			cpu := sim.CPU(int32(r.call("scx_bpf_select_cpu_dfl", p.K.Addr, uint64(prev), flags, idle)))
			if got := r.mem.Bytes(idle, 1)[0]; got != 1 {
				t.Errorf("is_idle is %d on an idle machine", got)
			}
			if v := r.call("scx_bpf_task_cpu", p.K.Addr); sim.CPU(v) != p.CPU() {
				t.Errorf("task_cpu %d", v)
			}
			r.want(0, "scx_bpf_task_running", p.K.Addr)
			// The CPU is claimed: only three are left.
			online := r.call("scx_bpf_get_online_cpumask")
			r.want(4, "bpf_cpumask_weight", online)
			r.want(3, "bpf_cpumask_weight", r.call("scx_bpf_get_idle_cpumask"))
			r.want(2, "bpf_cpumask_weight", r.call("scx_bpf_get_idle_smtmask"))
			one := r.call("bpf_cpumask_create")
			r.call("bpf_cpumask_set_cpu", uint64(cpu), one)
			r.want(neg(abi.EBUSY), "scx_bpf_pick_idle_cpu", one, 0)
			r.want(uint64(cpu), "scx_bpf_pick_any_cpu", one, 0)
			and := r.put(64, uint64(prev), flags, 0)
			r.want(neg(abi.EBUSY), "__scx_bpf_select_cpu_and", p.K.Addr, one, and)
			r.want(neg(abi.EBUSY), "scx_bpf_select_cpu_and", p.K.Addr, uint64(prev), flags, one, 0)
			r.want(0, "scx_bpf_test_and_clear_cpu_idle", uint64(cpu))
			other := (cpu + 1) % 4
			r.want(1, "scx_bpf_test_and_clear_cpu_idle", uint64(other))
			r.want(0, "scx_bpf_test_and_clear_cpu_idle", uint64(other))
			r.call("bpf_cpumask_release", one)
			r.call("scx_bpf_put_idle_cpumask", online)
			r.call("scx_bpf_put_cpumask", online)
			r.want(1, "scx_bpf_dsq_insert___v2", p.K.Addr, ops.DSQLocal, uint64(5*ms), 0)
			return cpu
		},
	})
	r.spawn("a", run(ms), sleep(ms), run(ms))
	r.run()
	r.healthy()
	if calls != 2 {
		t.Errorf("select_cpu ran %d times, want 2", calls)
	}
}

// TestMachineFuncs calls what asks about the machine, from a callback with a locked runqueue.
func TestMachineFuncs(t *testing.T) {
	r := newRig(t, "2n1l2c1t")
	ran := false
	r.enable(&ops.Table{Running: func(p *sim.Task) {
		if ran {
			return
		}
		ran = true
		cpu := uint64(p.CPU())
		r.want(4, "scx_bpf_nr_cpu_ids")
		r.want(2, "scx_bpf_nr_node_ids")
		r.want(0, "scx_bpf_cpu_node", 0)
		r.want(1, "scx_bpf_cpu_node", 3)
		r.want(uint64(r.m.Now()), "scx_bpf_now")
		r.want(1024, "scx_bpf_cpuperf_cap", 0)
		r.want(1024, "scx_bpf_cpuperf_cur", 0)
		r.call("scx_bpf_cpuperf_set", cpu, 512)
		if v := r.k.CPUPerfTarget(p.CPU()); v != 512 {
			t.Errorf("performance target %d", v)
		}
		r.want(4, "bpf_cpumask_weight", r.call("scx_bpf_get_possible_cpumask"))
		r.want(r.m.RQ(p.CPU()).Addr, "scx_bpf_cpu_rq", cpu)
		r.want(r.m.RQ(p.CPU()).Addr, "scx_bpf_locked_rq")
		r.want(r.m.Curr(2).K.Addr, "scx_bpf_cpu_curr", 2)
		r.want(1, "scx_bpf_task_set_slice", p.K.Addr, uint64(3*ms))
		r.want(1, "scx_bpf_task_set_dsq_vtime", p.K.Addr, 1234)
		if p.K.Slice() != uint64(3*ms) || p.K.DSQVtime() != 1234 {
			t.Errorf("slice %d, vtime %d", p.K.Slice(), p.K.DSQVtime())
		}
		cgrp := r.call("scx_bpf_task_cgroup", p.K.Addr)
		if cgrp != r.m.RootCgroup().Addr {
			t.Errorf("cgroup %#x", cgrp)
		}
		r.want(cgrp, "bpf_cgroup_acquire", cgrp)
		r.want(cgrp, "bpf_cgroup_ancestor", cgrp, 0)
		r.want(0, "bpf_cgroup_ancestor", cgrp, 1)
		r.want(0, "bpf_cgroup_ancestor", cgrp, ^uint64(0))
		r.want(cgrp, "bpf_cgroup_from_id", 1)
		r.want(0, "bpf_cgroup_from_id", 2)
		r.want(1, "bpf_task_under_cgroup", p.K.Addr, cgrp)
		r.call("bpf_cgroup_release", cgrp)
		r.call("scx_bpf_kick_cpu", 1, ops.KickIdle)
	}})
	r.spawn("a", run(ms))
	r.run()
	r.healthy()
	if !ran {
		t.Error("nothing ran")
	}
}

// TestCallerErrors shows mistakes that end the policy, not the program.
func TestCallerErrors(t *testing.T) {
	for _, tc := range []struct {
		name, msg string
		f         func(r *rig, p *sim.Task)
	}{
		{"kick", "invalid CPU 99", func(r *rig, _ *sim.Task) { r.call("scx_bpf_kick_cpu", 99, 0) }},
		{"curr", "invalid CPU -1", func(r *rig, _ *sim.Task) { r.want(0, "scx_bpf_cpu_curr", 0xffffffff) }},
		{"cpuperf", "Invalid cpuperf target 2000 for CPU 0", func(r *rig, _ *sim.Task) { r.call("scx_bpf_cpuperf_set", 0, 2000) }},
		{"peek", "peek on non-existent DSQ 0x63", func(r *rig, _ *sim.Task) { r.want(0, "scx_bpf_dsq_peek", 99) }},
		{"size", "invalid data=0000000000000000 and data__sz=104",
			func(r *rig, _ *sim.Task) { r.call("scx_bpf_error_bstr", r.text(0, "x"), 0, 104) }},
		{"format", "format preparation failed (-22)",
			func(r *rig, _ *sim.Task) { r.call("scx_bpf_error_bstr", r.text(0, "%q"), 0, 0) }},
		{"odd size", "invalid data=0000000000000010 and data__sz=7",
			func(r *rig, _ *sim.Task) { r.call("scx_bpf_error_bstr", r.text(0, "x"), 0x10, 7) }},
		{"data", "failed to read data fields (-14)",
			func(r *rig, _ *sim.Task) { r.call("scx_bpf_error_bstr", r.text(0, "%d"), 0x10, 8) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t, "1n1l1c1t")
			done := false
			r.enable(&ops.Table{Running: func(p *sim.Task) {
				if !done {
					done = true
					tc.f(r, p)
				}
			}})
			r.spawn("a", run(ms))
			r.run()
			r.ended(ops.ExitError, tc.msg)
		})
	}
}

// TestExit ends policies with formatted messages, and dumps.
func TestExit(t *testing.T) {
	enqueue := func(r *rig, f func(p *sim.Task)) {
		r.enable(&ops.Table{
			Running: f,
			Dump: func(*ops.DumpCtx) {
				r.call("scx_bpf_dump_bstr", r.text(512, "half "), 0, 0)
				r.call("scx_bpf_dump_bstr", r.text(512, "line %u\n"), r.put(640, 42), 8)
			},
		})
		r.spawn("a", run(ms))
		r.run()
	}
	t.Run("error", func(t *testing.T) {
		r := newRig(t, "1n1l1c1t")
		enqueue(r, func(p *sim.Task) {
			data := r.put(64, p.K.Addr, 0xfffffff0, r.text(256, "why"))
			r.call("scx_bpf_error_bstr", r.text(0, "n=%d s=%s%%"), data+8, 16)
		})
		r.ended(ops.ExitErrorBPF, "n=-16 s=why%")
		if dump := r.k.ExitInfo().Dump; !containsLine(dump, "half line 42") {
			t.Errorf("the dump lacks the policy's line:\n%s", dump)
		}
	})
	t.Run("exit", func(t *testing.T) {
		r := newRig(t, "1n1l1c1t")
		enqueue(r, func(*sim.Task) {
			r.call("scx_bpf_exit_bstr", uint64(ops.ECodeActRestart), r.text(0, "bye"), 0, 0)
		})
		r.ended(ops.ExitUnregBPF, "bye")
		if code := r.k.ExitInfo().ExitCode; code != ops.ECodeActRestart {
			t.Errorf("exit code %#x", code)
		}
	})
}

func containsLine(text, line string) bool {
	for start := 0; start < len(text); {
		end := start
		for end < len(text) && text[end] != '\n' {
			end++
		}
		l := text[start:end]
		for len(l) > 0 && l[0] == ' ' {
			l = l[1:]
		}
		if l == line {
			return true
		}
		start = end + 1
	}
	return false
}

// TestEvents copies as many counters as the program has room for.
func TestEvents(t *testing.T) {
	r := newRig(t, "1n1l1c1t")
	r.enable(&ops.Table{})
	list := r.k.Events().List()
	r.k.Events().SelectCPUFallback, r.k.Events().SubBypassDispatch = 11, 22
	n := uint64(8 * len(list))
	for i := range uint64(20) {
		r.put(8*i, ^uint64(0))
	}
	r.call("scx_bpf_events", r.stack, n+16)
	if a, b, beyond := r.get(r.stack), r.get(r.stack+n-8), r.get(r.stack+n); a != 11 || b != 22 || ^beyond != 0 {
		t.Errorf("%d, %d, %#x", a, b, beyond)
	}
	r.put(0, 1, 2)
	r.call("scx_bpf_events", r.stack, 8)
	if a, b := r.get(r.stack), r.get(r.stack+8); a != 11 || b != 2 {
		t.Errorf("short: %d, %d", a, b)
	}
}
