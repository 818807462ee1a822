package kfuncs

import (
	"fmt"
	"math"
	"math/bits"
	"testing"

	"pgregory.net/rapid"

	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/vm/abi"
)

func TestIterNum(t *testing.T) {
	r := newRig(t, "1n1l1c1t")
	for _, tc := range []struct {
		name       string
		start, end int32
		ret        uint64
		n          int
	}{
		{"usual", 0, 5, 0, 5},
		{"negative", -3, 2, 0, 5},
		{"empty", 4, 4, 0, 0},
		{"backwards", 5, 4, neg(abi.EINVAL), 0},
		{"longest", 0, maxLoops, 0, -1},
		{"too long", 0, maxLoops + 1, neg(abi.E2BIG), 0},
		{"overflow", math.MinInt32, math.MaxInt32, neg(abi.E2BIG), 0},
		{"lowest", math.MinInt32, math.MinInt32 + 2, 0, 2},
		{"highest", math.MaxInt32 - 2, math.MaxInt32, 0, 2},
	} {
		t.Run(tc.name, func(t *testing.T) {
			it := r.put(0, 0xdeadbeef)
			r.want(tc.ret, "bpf_iter_num_new", it, uint64(uint32(tc.start)), uint64(uint32(tc.end)))
			if tc.n < 0 {
				return
			}
			for i := range tc.n {
				r.want(it, "bpf_iter_num_next", it)
				if v := int32(r.get(it)); v != tc.start+int32(i) {
					t.Fatalf("number %d is %d", i, v)
				}
			}
			r.want(0, "bpf_iter_num_next", it)
			r.want(0, "bpf_iter_num_next", it)
			r.call("bpf_iter_num_destroy", it)
		})
	}
	r.faults("bpf_iter_num_new: argument 1: 8 bytes at 0x8 are not memory", "bpf_iter_num_new", 8, 0, 5)
}

func TestIterBits(t *testing.T) {
	r := newRig(t, "1n1l1c1t")
	long := make([]uint64, maxBitsWords)
	long[3], long[maxBitsWords-1] = 1<<5, 1<<63
	for _, tc := range []struct {
		name  string
		words []uint64
		n     uint64
		ret   uint64
		bits  []int32
	}{
		{"one word", []uint64{1 | 1<<7 | 1<<63}, 1, 0, []int32{0, 7, 63}},
		{"empty", []uint64{0}, 1, 0, nil},
		{"two words", []uint64{1 << 63, 3}, 2, 0, []int32{63, 64, 65}},
		{"longest", long, maxBitsWords, 0, []int32{3*64 + 5, maxBitsWords*64 - 1}},
		{"too long", long, maxBitsWords + 1, neg(abi.E2BIG), nil},
		{"no words", long, 0, neg(abi.EINVAL), nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			from, _, err := r.mem.Alloc(8*maxBitsWords, 8)
			if err != nil {
				t.Fatal(err)
			}
			for i, w := range tc.words {
				r.mem.Store(from+8*uint64(i), 8, w)
			}
			it := r.put(0, 0xdeadbeef, 0xdeadbeef)
			r.want(tc.ret, "bpf_iter_bits_new", it, from, tc.n)
			for _, bit := range tc.bits {
				r.want(it+12, "bpf_iter_bits_next", it)
				if v := int32(r.get(it+8) >> 32); v != bit {
					t.Fatalf("bit %d, want %d", v, bit)
				}
			}
			r.want(0, "bpf_iter_bits_next", it)
			r.want(0, "bpf_iter_bits_next", it)
			r.call("bpf_iter_bits_destroy", it)
		})
	}
	it := r.put(0, 0, 0)
	r.want(neg(abi.EINVAL), "bpf_iter_bits_new", it, 0, 1)
	r.want(neg(abi.EFAULT), "bpf_iter_bits_new", it, 8, 1)
	r.put(0, r.stack+64, 128)
	r.faults(fmt.Sprintf("bpf_iter_bits_next: argument 1: %#x is no iterator", it), "bpf_iter_bits_next", it)
	r.faults(fmt.Sprintf("bpf_iter_bits_destroy: argument 1: %#x is no iterator", it), "bpf_iter_bits_destroy", it)
	r.faults("bpf_iter_bits_new: argument 1: 16 bytes at 0x8 are not memory", "bpf_iter_bits_new", 8, 0, 5)
}

func TestNothingToDo(t *testing.T) {
	r := newRig(t, "1n1l1c1t")
	for _, f := range []string{"bpf_rcu_read_lock", "bpf_preempt_disable", "bpf_preempt_enable", "bpf_rcu_read_unlock"} {
		r.want(0, f)
	}
	flags := r.put(0, 7)
	r.call("bpf_local_irq_save", flags)
	if v := r.get(flags); v != 0 {
		t.Errorf("flags %#x", v)
	}
	r.want(0x1234, "bpf_rdonly_cast", 0x1234, 5)
	for _, suffix := range []string{"", "_irqsave"} {
		lock := r.put(64, 0)
		r.want(0, "bpf_res_spin_lock"+suffix, lock, flags)
		r.want(neg(abi.EDEADLK), "bpf_res_spin_lock"+suffix, lock, flags)
		r.call("bpf_res_spin_unlock", lock)
		r.want(0, "bpf_res_spin_lock"+suffix, lock, flags)
		r.call("bpf_res_spin_unlock_irqrestore", lock, flags)
	}
}

// TestAllocs: what schedulers call for each event allocates nothing.
func TestAllocs(t *testing.T) {
	r := newRig(t, "1n1l2c1t")
	p := r.m.IdleTask(0).K.Addr
	r.enable(&ops.Table{Init: func() int32 { return int32(r.call("scx_bpf_create_dsq", 1, ^uint64(0))) }})
	mask := r.call("scx_bpf_get_online_cpumask")
	for _, tc := range []struct {
		name string
		args abi.Args
	}{
		{"scx_bpf_task_cpu", abi.Args{p}},
		{"scx_bpf_dsq_nr_queued", abi.Args{1}},
		{"scx_bpf_pick_idle_cpu", abi.Args{mask, 0}},
		{"scx_bpf_kick_cpu", abi.Args{1, ops.KickIdle}},
		{"bpf_cpumask_test_cpu", abi.Args{1, mask}},
		{"bpf_iter_num_next", abi.Args{r.put(0, 5<<32)}},
		{"scx_bpf_now", abi.Args{}},
	} {
		f, a := r.funcs[tc.name].Call, new(abi.Args)
		if n := testing.AllocsPerRun(100, func() {
			*a = tc.args
			f(r.c, a)
		}); n != 0 {
			t.Errorf("%s: %v allocations", tc.name, n)
		}
	}
}

// TestTaskRefs holds a task beyond its end.
func TestTaskRefs(t *testing.T) {
	r := newRig(t, "1n1l1c1t")
	a := r.spawn("a", run(ms))
	addr := a.K.Addr
	r.want(addr, "bpf_task_from_pid", uint64(a.PID))
	r.want(addr, "bpf_task_from_vpid", uint64(a.PID))
	r.want(addr, "bpf_task_acquire", addr)
	for _, pid := range []int32{0, -1, 4711, math.MaxInt32} {
		r.want(0, "bpf_task_from_pid", uint64(uint32(pid)))
	}
	r.run()
	r.want(0, "bpf_task_from_pid", uint64(a.PID)) // it has ended
	r.want(0, "bpf_task_acquire", addr)
	r.want(0, "scx_bpf_task_cpu", addr) // still an object: it was on CPU 0
	for range 3 {
		r.call("bpf_task_release", addr)
	}
	r.faults(fmt.Sprintf("bpf_task_release: argument 1: %#x is no task", addr), "bpf_task_release", addr)
	idle := r.m.IdleTask(0)
	r.want(idle.K.Addr, "bpf_task_acquire", idle.K.Addr)
	r.call("bpf_task_release", idle.K.Addr)
	r.faults(fmt.Sprintf("bpf_task_release: argument 1: no reference to %s[0] is held", idle.Comm), "bpf_task_release", idle.K.Addr)
}

// TestGarbage passes pointers to nothing to every function that takes a pointer: a fault that names the function, and
// no panic.
func TestGarbage(t *testing.T) {
	r := newRig(t, "1n1l1c1t")
	r.enable(&ops.Table{Init: func() int32 { return int32(r.call("scx_bpf_create_dsq", 1, ^uint64(0))) }})
	for _, k := range All(&Host{}) {
		if k.Call == nil {
			continue
		}
		for _, bad := range []uint64{0, 8, 0xdead_beef_0000, r.stack + 1, ^uint64(0) - 7, r.m.IdleTask(0).K.Addr + 8} {
			_, fault := r.try(k.Name, bad, bad, bad, bad, bad)
			if fault != "" && len(fault) <= len(k.Name)+2 || fault != "" && fault[:len(k.Name)] != k.Name {
				t.Errorf("%s: fault %q", k.Name, fault)
			}
		}
	}
	for _, f := range []string{"scx_bpf_dsq_insert", "__scx_bpf_dsq_insert_vtime", "scx_bpf_select_cpu_dfl", "scx_bpf_task_cpu",
		"scx_bpf_task_running", "scx_bpf_task_set_slice", "scx_bpf_task_set_dsq_vtime", "bpf_task_acquire", "bpf_task_release",
		"scx_bpf_task_cgroup"} {
		r.faults(f+": argument 1: 0x10 is no task", f, 0x10, r.stack, r.stack, r.stack)
	}
	for _, f := range []string{"scx_bpf_pick_idle_cpu", "scx_bpf_put_cpumask", "bpf_cpumask_first", "bpf_cpumask_weight"} {
		r.faults(f+": argument 1: 0x10 is no cpumask", f, 0x10)
	}
}

func TestCPUMaskRefs(t *testing.T) {
	r := newRig(t, "1n1l2c2t")
	m := r.call("bpf_cpumask_create")
	r.want(1, "bpf_cpumask_empty", m)
	r.want(4, "bpf_cpumask_first", m)
	r.want(m, "bpf_cpumask_acquire", m)
	r.call("bpf_cpumask_release", m)
	r.call("bpf_cpumask_set_cpu", 2, m)
	r.call("bpf_cpumask_release", m)
	r.faults("bpf_cpumask_release: argument 1: the cpumask has no references", "bpf_cpumask_release", m)
	again := r.call("bpf_cpumask_create")
	if again != m {
		t.Errorf("the memory at %#x is not used again: %#x", m, again)
	}
	r.want(1, "bpf_cpumask_empty", again)
	r.want(neg(abi.EACCES), "bpf_cpumask_populate", again, r.put(0, 0xff), 4)
	r.want(0, "bpf_cpumask_populate", again, r.put(0, 0xfa), 8)
	r.want(2, "bpf_cpumask_weight", again) // CPUs beyond the machine's are left out
}

// TestCPUMasks compares all operations on masks with operations on integers.
func TestCPUMasks(t *testing.T) {
	r := newRig(t, "1n1l3c2t")
	const n, all = 6, uint64(1<<6 - 1)
	addr := [3]uint64{r.call("bpf_cpumask_create"), r.call("bpf_cpumask_create"), r.call("bpf_cpumask_create")}
	first := func(w uint64) uint64 {
		if w == 0 {
			return n
		}
		return uint64(bits.TrailingZeros64(w))
	}
	rapid.Check(t, func(rt *rapid.T) {
		var model [3]uint64
		for i, a := range addr {
			r.call("bpf_cpumask_clear", a)
			model[i] = rapid.Uint64Max(all).Draw(rt, "mask")
			for cpu := range uint64(64) {
				if model[i]>>cpu&1 != 0 {
					r.call("bpf_cpumask_set_cpu", cpu, a)
				}
			}
		}
		cpu := rapid.Uint64Max(9).Draw(rt, "cpu")
		bit := uint64(0)
		if cpu < n {
			bit = 1 << cpu
		}
		d, x, y := addr[0], addr[1], addr[2]
		want := model[0]
		check := func(ret uint64, name string, args ...uint64) {
			rt.Helper()
			if v := r.call(name, args...); v != ret {
				rt.Errorf("%s%x of %#x: %d, want %d", name, args, model, v, ret)
			}
			if got := r.get(d); got != want {
				rt.Errorf("%s%x of %#x: mask %#x, want %#x", name, args, model, got, want)
			}
		}
		check(retBool(want&bit != 0), "bpf_cpumask_test_cpu", cpu, d)
		check(first(want), "bpf_cpumask_first", d)
		check(first(^want&all), "bpf_cpumask_first_zero", d)
		check(first(want&model[1]), "bpf_cpumask_first_and", d, x)
		check(retBool(want == 0), "bpf_cpumask_empty", d)
		check(retBool(want == all), "bpf_cpumask_full", d)
		check(uint64(bits.OnesCount64(want)), "bpf_cpumask_weight", d)
		check(retBool(want == model[1]), "bpf_cpumask_equal", d, x)
		check(retBool(want&model[1] != 0), "bpf_cpumask_intersects", d, x)
		check(retBool(want&^model[1] == 0), "bpf_cpumask_subset", d, x)
		old := want
		want |= bit
		check(retBool(old&bit != 0), "bpf_cpumask_test_and_set_cpu", cpu, d)
		want &^= bit
		check(retBool(bit != 0), "bpf_cpumask_test_and_clear_cpu", cpu, d)
		want |= bit
		check(0, "bpf_cpumask_set_cpu", cpu, d)
		want &^= bit
		check(0, "bpf_cpumask_clear_cpu", cpu, d)
		want = model[1] & model[2]
		check(retBool(want != 0), "bpf_cpumask_and", d, x, y)
		want = model[1] | model[2]
		check(0, "bpf_cpumask_or", d, x, y)
		want = model[1] ^ model[2]
		check(0, "bpf_cpumask_xor", d, x, y)
		want = model[2]
		check(0, "bpf_cpumask_copy", d, y)
		want = all
		check(0, "bpf_cpumask_setall", d)
		want = 0
		check(0, "bpf_cpumask_clear", d)

		both := model[1] & model[2]
		seen := uint64(0)
		for range n {
			v := r.call("bpf_cpumask_any_and_distribute", x, y)
			if both == 0 && v != n || both != 0 && both>>v&1 == 0 {
				rt.Errorf("any_and_distribute of %#x: %d", both, v)
			}
			seen |= 1 << v & all
		}
		if seen != both {
			rt.Errorf("%d picks from %#x gave only %#x", n, both, seen)
		}
		if v := r.call("bpf_cpumask_any_distribute", x); model[1] == 0 && v != n || model[1] != 0 && model[1]>>v&1 == 0 {
			rt.Errorf("any_distribute of %#x: %d", model[1], v)
		}
	})
}
