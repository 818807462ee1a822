package kernels

import (
	"strings"
	"testing"

	"github.com/cilium/ebpf/btf"
	"github.com/google/go-cmp/cmp"

	"github.com/schedsim/schedsim/ops/kernels/v6_16"
	"github.com/schedsim/schedsim/ops/kernels/v6_18"
	"github.com/schedsim/schedsim/ops/kernels/v7_2"
	"github.com/schedsim/schedsim/ops/kernels/v7_3"
	"github.com/schedsim/schedsim/vm/abi"
)

func kernel(t testing.TB) *Kernel {
	k, err := Get("7.2")
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestGet(t *testing.T) {
	for _, tc := range []struct {
		name, version, release, err string
	}{
		{"version", "7.2", "7.2.13", ""},
		{"release", "7.2.13", "7.2.13", ""},
		{"unknown", "5.4", "", `kernel "5.4": not known; there is 7.3, 7.2, 6.18, 6.16`},
		{"empty", "", "", `kernel "": not known; there is 7.3, 7.2, 6.18, 6.16`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			k, err := Get(tc.version)
			if tc.err != "" {
				if err == nil || err.Error() != tc.err {
					t.Fatalf("error %v, want %s", err, tc.err)
				}
				return
			}
			if err != nil || k.Release != tc.release {
				t.Fatalf("%+v, %v", k, err)
			}
		})
	}
	if diff := cmp.Diff([]string{"7.3", "7.2", "6.18", "6.16"}, List()); diff != "" {
		t.Error(diff)
	}
}

// TestField compares offsets with those measured by storing through a task pointer on Linux 7.2.13, and with sizes that
// the ABI fixes.
func TestField(t *testing.T) {
	k := kernel(t)
	for _, tc := range []struct {
		path      string
		off, size uint32
		ok        bool
	}{
		{"task_struct.scx", 776, 0, true},
		{"task_struct.scx.dsq", 784, 8, true},
		{"task_struct.scx.flags", 872, 4, true},
		{"task_struct.scx.weight", 876, 4, true},
		{"task_struct.scx.runnable_node", 912, 16, true},
		{"task_struct.scx.runnable_node.next", 912, 8, true},
		{"task_struct.scx.kf_tasks[1]", 904, 8, true},
		{"sched_ext_ops.select_cpu", 0, 8, true},
		{"sched_ext_ops.enqueue", 8, 8, true},
		{"cpumask_t.bits", 0, 1024, true},
		{"bpf_iter_num.__opaque", 0, 8, true},
		{"bpf_iter_num.__opaque[0]", 0, 8, true},
		{"bpf_iter_num.__opaque[1]", 0, 0, false},
		{"task_struct", 0, 0, false},
		{"task_struct.", 0, 0, false},
		{"task_struct.nothing", 0, 0, false},
		{"task_struct.mm.pgd", 0, 0, false}, // through a pointer
		{"task_struct.comm[x]", 0, 0, false},
		{"task_struct.comm[0", 0, 0, false},
		{"no_such_struct.x", 0, 0, false},
		{"task_struct.sched_reset_on_fork", 0, 0, false}, // a bit field
	} {
		t.Run(tc.path, func(t *testing.T) {
			off, size, ok := k.Field(tc.path)
			if ok != tc.ok || off != tc.off || tc.size != 0 && size != tc.size {
				t.Errorf("%d, %d, %v; want %d, %d, %v", off, size, ok, tc.off, tc.size, tc.ok)
			}
		})
	}
	for _, tc := range []struct {
		name string
		size uint32
	}{{"task_struct", 6080}, {"cpumask_t", 1024}, {"bpf_timer", 16}, {"bpf_spin_lock", 4}, {"u64", 8}, {"no_such", 0}} {
		if size, ok := k.SizeOf(tc.name); size != tc.size || ok != (tc.size != 0) {
			t.Errorf("%s: %d, %v; want %d", tc.name, size, ok, tc.size)
		}
	}
}

// TestSchedulersFields looks up the fields that published schedulers read.
func TestSchedulersFields(t *testing.T) {
	k := kernel(t)
	for _, f := range strings.Fields(`
		task_struct.cpus_ptr task_struct.flags task_struct.pid task_struct.tgid task_struct.migration_disabled task_struct.comm
		task_struct.nr_cpus_allowed task_struct.scx.dsq_vtime task_struct.scx.slice task_struct.scx.disallow task_struct.scx.tid
		task_struct.real_parent task_struct.cgroups task_struct.se.sum_exec_runtime task_struct.static_prio task_struct.cpus_mask
		task_struct.mm task_struct.nvcsw task_struct.nivcsw task_struct.stime task_struct.utime task_struct.se.avg.util_avg
		task_struct.__state task_struct.prio task_struct.scx.ddsp_dsq_id task_struct.scx.ddsp_enq_flags task_struct.group_leader
		task_struct.real_cred task_struct.sched_class task_struct.signal task_struct.thread_node.next task_struct.thread_pid
		task_struct.policy task_struct.numa_preferred_nid task_struct.mempolicy task_struct.on_cpu task_struct.thread_info.cpu
		task_struct.start_time scx_exit_info.dump scx_exit_info.exit_code scx_exit_info.kind scx_exit_info.msg scx_exit_info.reason
		scx_exit_info.exit_cpu cgroup.kn kernfs_node.id kernfs_node.name scx_init_task_args.cgroup scx_init_task_args.fork cgroup.level
		cgroup.self cgroup.dom_cgrp cgroup.ancestors cgroup_subsys_state.cgroup cgroup_subsys_state.parent css_set.dfl_cgrp
		scx_cgroup_init_args.weight scx_cgroup_init_args.bw_period_us bpf_iter__task.meta bpf_iter__task.task bpf_iter_meta.seq
		scx_cmask.bits scx_cmask.base scx_sub_attach_args.ops cpufreq_policy.cpuinfo.max_freq rq.clock_task rq.clock_pelt
		rq.lost_idle_time cred.egid.val cred.euid.val pid.level pid.numbers pid_namespace.level pid_namespace.ns.inum
		signal_struct.pids signal_struct.thread_head upid.nr upid.ns scx_exit_task_args.cancelled cgroup.self.refcnt.percpu_count_ptr
		mempolicy.home_node mempolicy.mode mempolicy.nodes.bits bpf_perf_event_value.counter scx_bpf_dsq_insert_vtime_args.vtime
		scx_bpf_select_cpu_and_args.flags scx_event_stats.SCX_EV_SELECT_CPU_FALLBACK`) {
		if _, _, ok := k.Field(f); !ok { // the size of a flexible array is 0
			t.Errorf("%s: not found", f)
		}
	}
	for _, v := range []string{"runqueues", "sd_llc_id", "sched_core_priority", "cpufreq_cpu_data", "__preempt_count", "kernel_cpustat"} {
		var typ *btf.Var
		if err := k.BTF().TypeByName(v, &typ); err != nil {
			t.Errorf("variable %s: %v", v, err)
		}
	}
}

func TestEnumValue(t *testing.T) {
	k := kernel(t)
	for name, want := range map[string]uint64{
		"SCX_DSQ_LOCAL":          1<<63 | 2,
		"SCX_DSQ_LOCAL_ON":       3 << 62,
		"SCX_SLICE_DFL":          20_000_000,
		"SCX_ENQ_PREEMPT":        1 << 32,
		"SCX_EXIT_ERROR_STALL":   1026,
		"SCX_OPS_SWITCH_PARTIAL": 8,
		"BPF_MAP_TYPE_ARENA":     33,
		"SCX_PICK_IDLE_CORE":     1,
	} {
		if v, ok := k.EnumValue(name); !ok || v != want {
			t.Errorf("%s: %#x, %v; want %#x", name, v, ok, want)
		}
	}
	if _, ok := k.EnumValue("SCX_NO_SUCH"); ok {
		t.Error("SCX_NO_SUCH was found")
	}
}

func TestKconfig(t *testing.T) {
	k := kernel(t)
	for name, want := range map[string]string{
		"LINUX_KERNEL_VERSION":        "459277", // 7.2.13
		"CONFIG_HZ":                   "250",
		"CONFIG_NR_CPUS":              "8192",
		"CONFIG_PREEMPT_RCU":          "y",
		"CONFIG_X86_64":               "y",
		"CONFIG_NO_HZ_IDLE":           "",
		"CONFIG_PREEMPT_RT":           "",
		"CONFIG_LOCALVERSION":         `""`,
		"CONFIG_NO_SUCH_THING_AT_ALL": "",
	} {
		if v, ok := k.Kconfig(name); v != want || ok != (want != "") {
			t.Errorf("%s: %q, %v; want %q", name, v, ok, want)
		}
	}
	if n := len(k.KconfigNames()); n < 1000 {
		t.Errorf("%d options", n)
	}
}

func TestKfuncs(t *testing.T) {
	k := kernel(t)
	byName := map[string]KfuncInfo{}
	for _, f := range k.Kfuncs() {
		byName[f.Name] = f
	}
	for _, tc := range []struct {
		name, proto string
		flags       abi.KfuncFlags
	}{
		{"scx_bpf_task_cpu", "s32 scx_bpf_task_cpu(const struct task_struct *p)", abi.RCU},
		{"scx_bpf_now", "u64 scx_bpf_now(void)", 0},
		{"scx_bpf_create_dsq", "s32 scx_bpf_create_dsq(u64 dsq_id, s32 node)", abi.ImplicitArgs | abi.Sleepable},
		{"scx_bpf_get_idle_cpumask", "const struct cpumask *scx_bpf_get_idle_cpumask(void)", abi.ImplicitArgs | abi.Acquire},
		{"bpf_iter_num_new", "int bpf_iter_num_new(struct bpf_iter_num *it, int start, int end)", abi.IterNew},
		{"bpf_arena_alloc_pages", "void *bpf_arena_alloc_pages(void *p__map, void *addr__ign, u32 page_cnt, int node_id, u64 flags)",
			abi.ArenaRet | abi.ArenaArg2},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := byName[tc.name]
			if f.Proto != tc.proto || f.Flags != tc.flags {
				t.Errorf("%s [%s], want %s [%s]", f.Proto, FlagNames(f.Flags), tc.proto, FlagNames(tc.flags))
			}
		})
	}
}

// TestSets: which sets of sched_ext functions are in differs between kernels.
func TestSets(t *testing.T) {
	for _, tc := range []struct{ kernel, kfunc, sets, flags string }{
		{"6.16", "scx_bpf_consume", "dispatch", ""}, // it has no tag in this kernel's BTF, but is in its sets
		{"6.16", "scx_bpf_select_cpu_dfl", "idle", "RCU"},
		{"6.16", "bpf_task_acquire", "", "ACQUIRE RET_NULL RCU"},
		{"6.18", "scx_bpf_dsq_insert", "enqueue_dispatch", "RCU"},
		{"6.18", "bpf_rbtree_remove", "", "ACQUIRE RET_NULL"},
		{"7.2", "scx_bpf_cpu_rq", "any cpu_only", "IMPLICIT_ARGS"},
		{"7.2", "scx_bpf_dsq_move", "dispatch unlocked", "RCU"},
		{"7.2", "scx_bpf_select_cpu_dfl", "cpu_only select_cpu unlocked", "RCU IMPLICIT_ARGS"},
		{"7.2", "scx_bpf_cid_override", "init", "SLEEPABLE IMPLICIT_ARGS"},
		{"7.3", "scx_bpf_cpu_rq", "gone", ""},
		{"7.3", "scx_bpf_cid_to_cpu", "cid", "IMPLICIT_ARGS"},
		{"7.3", "bpf_list_push_back_impl", "", "SPINLOCK_SAFE"},
	} {
		t.Run(tc.kernel+" "+tc.kfunc, func(t *testing.T) {
			k, err := Get(tc.kernel)
			if err != nil {
				t.Fatal(err)
			}
			sets, flags := "gone", ""
			for _, f := range k.Kfuncs() {
				if f.Name == tc.kfunc {
					sets, flags = strings.Join(f.Sets, " "), FlagNames(f.Flags)
				}
			}
			if sets != tc.sets || flags != tc.flags {
				t.Errorf("sets %q, flags %q; want %q, %q", sets, flags, tc.sets, tc.flags)
			}
		})
	}
}

// TestAll: what is asked of any kernel.
func TestAll(t *testing.T) {
	for _, version := range List() {
		t.Run(version, func(t *testing.T) {
			k, err := Get(version)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasPrefix(k.Release, version+".") {
				t.Errorf("release %s", k.Release)
			}
			for _, f := range []string{"task_struct.scx.slice", "task_struct.scx.dsq_vtime", "task_struct.cpus_ptr", "rq.scx.flags",
				"sched_ext_ops.dispatch", "sched_ext_ops.name", "scx_exit_info.dump", "cgroup.kn"} {
				if _, _, ok := k.Field(f); !ok {
					t.Errorf("no field %s", f)
				}
			}
			if v, ok := k.Kconfig("CONFIG_SCHED_CLASS_EXT"); v != "y" || !ok {
				t.Errorf("CONFIG_SCHED_CLASS_EXT is %q", v)
			}
			if v, ok := k.EnumValue("SCX_DSQ_LOCAL"); v != 1<<63|2 || !ok {
				t.Errorf("SCX_DSQ_LOCAL is %#x", v)
			}
			fns := 0
			for _, f := range k.Kfuncs() {
				if f.Type == nil || f.Proto == "" {
					t.Errorf("%s has no prototype", f.Name)
				}
				ours := strings.Contains(f.Name, "scx_")
				if ours {
					fns++
				}
				if ours != (f.Sets != nil) {
					t.Errorf("%s is in the sets %q", f.Name, f.Sets)
				}
			}
			if fns < 40 {
				t.Errorf("%d kernel functions of sched_ext", fns)
			}
		})
	}
}

// TestData checks that the embedded data is what its constants say, and small.
func TestData(t *testing.T) {
	total := 0
	for _, k := range all() {
		n := len(k.rawBTF) + len(k.rawKconfig) + len(k.rawKfuncs)
		if n > 200<<10 {
			t.Errorf("%s: %d bytes of data", k.Version, n)
		}
		total += n
	}
	t.Logf("%d bytes of data in all", total)
	for _, tc := range []struct {
		version, btf string
		size         int
	}{
		{v7_3.Version, v7_3.BTF(), v7_3.Size}, {v7_2.Version, v7_2.BTF(), v7_2.Size},
		{v6_18.Version, v6_18.BTF(), v6_18.Size}, {v6_16.Version, v6_16.BTF(), v6_16.Size},
	} {
		if n := len(decompress(tc.btf)); n != tc.size {
			t.Errorf("%s: BTF of %d bytes, Size says %d", tc.version, n, tc.size)
		}
	}
	if v7_2.Absent != "" {
		t.Errorf("7.2 lacks %s: a name that no kernel has is a mistake in the list", v7_2.Absent)
	}
}

func BenchmarkParse(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		k := kernel(b)
		if _, ok := k.SizeOf("task_struct"); !ok {
			b.Fatal("no task_struct")
		}
	}
}
