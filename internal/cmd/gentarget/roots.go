package main

import "regexp"

// schedExtRoots are the types that programs around sched_ext use: the core's own, the kernel objects that schedulers
// read, the maps' and iterators' special structs, the user ABI of BPF, and what a C header for such programs needs.
func schedExtRoots() roots {
	return roots{
		types:       rootTypes(),
		patterns:    rootPatterns(),
		enumerators: regexp.MustCompile(`^(false$|__PAGE_SIZE$|TCX_|XDP_|IPPROTO_|BPF_|__BPF_|CSS_|CGRP_|__?SCX|PIDTYPE_|SD_|WQ_|TASK_|MAX_|TRACE_FLAG_)`),
		funcs:       rootFuncs(),
		vars: set("runqueues", "sd_llc_id", "sd_llc_size", "sched_core_priority", "cpufreq_cpu_data", "__preempt_count",
			"kernel_cpustat", "kstat", "cpu_number", "current_task"),
	}
}

// rootTypes are the types kept by name and the number of pointers followed from each.
func rootTypes() map[string]int {
	m := map[string]int{
		"task_struct":      2, // what it points to is read by many schedulers: cred, signal, mm, css_set, ...
		"sched_ext_entity": 2,
		"rq":               2,
		"cgroup":           2,
	}
	for _, n := range []string{
		// sched_ext and the runqueues
		"sched_ext_ops", "sched_ext_ops_cid", "cfs_rq", "rt_rq", "dl_rq", "scx_rq", "sched_entity", "sched_class",
		"sched_domain", "sched_domain_shared", "sched_group", "root_domain", "task_group", "load_weight", "sched_attr", "rq_flags",
		"class_rcu_t", "lock_class_key", "cpuidle_state", "cpufreq_policy", "cpufreq_cpuinfo", "sugov_cpu", "sugov_policy",
		"psi_group", "psi_group_cpu", "kernel_cpustat", "kernel_stat", "vm_event_state", "cpuinfo_x86", "cpuset",
		// tasks
		"pid", "upid", "pid_namespace", "ns_common", "nsproxy", "signal_struct", "sighand_struct", "cred", "mm_struct",
		"thread_info", "mempolicy", "nodemask_t", "files_struct", "file", "path", "inode", "dentry", "fs_struct", "robust_list_head", "pt_regs",
		"task_delay_info", "taskstats", "vm_area_struct", "user_struct", "user_namespace", "kuid_t", "kgid_t",
		// cgroups
		"css_set", "kernfs_node", "cgroup_subsys_state", "cgroup_subsys", "cgroup_root", "cgroup_file", "cftype", "cgroup_taskset",
		"mem_cgroup", "percpu_ref", "percpu_ref_data", "kernfs_open_file",
		// masks
		"cpumask", "cpumask_t", "cpumask_var_t", "bpf_cpumask",
		// machinery of BPF
		"bpf_map", "bpf_prog", "bpf_prog_aux", "bpf_link", "bpf_dynptr_kern", "bpf_attr", "bpf_insn", "btf", "btf_type", "bpf_array",
		"bpf_verifier_env", "bpf_tramp_run_ctx", "bpf_run_ctx", "bpf_struct_ops_common_value", "bpf_struct_ops_sched_ext_ops",
		"bpf_struct_ops_sched_ext_ops_cid", "bpf_user_pt_regs_t", "seq_file", "seq_operations",
		"trace_entry", "ring_buffer_event",
		// users of other struct_ops, contexts of other programs
		"tcp_congestion_ops", "Qdisc_ops", "Qdisc", "tcp_sock", "inet_connection_sock", "inet_sock", "sock", "sock_common", "sk_buff", "skb_shared_info",
		"__sk_buff", "xdp_md", "xdp_buff", "iphdr", "ipv6hdr", "tcphdr", "udphdr", "ethhdr", "linux_binprm",
		"bpf_sock", "bpf_sock_ops", "bpf_sock_tuple", "bpf_sysctl", "bpf_tcp_sock", "bpf_fib_lookup", "bpf_perf_event_data", "bpf_nf_ctx",
		// words of C that headers lean on
		"list_head", "hlist_head", "hlist_node", "hlist_nulls_node", "rb_node", "rb_root", "rb_root_cached", "rhash_head", "rhashtable",
		"callback_head", "llist_node", "llist_head", "xarray", "idr", "kref", "refcount_t", "atomic_t", "atomic64_t", "atomic_long_t",
		"spinlock_t", "raw_spinlock_t", "rwlock_t", "mutex", "seqcount_t", "completion", "wait_queue_head", "wait_queue_entry",
		"hrtimer", "timer_list", "work_struct", "delayed_work", "irq_work", "timespec64", "__kernel_timespec", "timer_rand_state",
		"u8", "u16", "u32", "u64", "s8", "s16", "s32", "s64", "__u8", "__u16", "__u32", "__u64", "__s8", "__s16", "__s32", "__s64",
		"__le16", "__be16", "__le32", "__be32", "__le64", "__be64", "__wsum", "__sum16", "bool", "_Bool", "size_t", "ssize_t", "pid_t", "uid_t", "gid_t", "ktime_t",
		"uintptr_t", "dev_t", "umode_t", "loff_t", "gfp_t", "fmode_t", "__kernel_pid_t", "uint8_t", "uint16_t", "uint32_t", "uint64_t",
		"int8_t", "int16_t", "int32_t", "int64_t", "u_int32_t",
		// enums
		"page_size_enum", "pid_type", "task_work_notify_mode", "hrtimer_mode", "hrtimer_restart", "cpu_idle_type", "cpu_usage_stat", "node_states", "zone_type",
		"psi_states", "cgroup_bpf_attach_type", "cgroup_subsys_id", "perf_type_id", "perf_hw_id", "perf_sw_ids", "perf_event_type",
		"tcp_ca_event", "tcp_ca_state", "tcp_ca_ack_event_flags",
	} {
		if _, ok := m[n]; !ok {
			m[n] = 1
		}
	}
	return m
}

func rootPatterns() []*regexp.Regexp {
	var out []*regexp.Regexp
	for _, p := range []string{
		`^scx_`, `^bpf_iter`, `^btf_trace_(sched|cgroup|task|cpu|hrtimer|timer|irq|softirq|ipi|contextual|sys)_`,
		// The user ABI of BPF and the special structs of map values.
		`^bpf_(timer|wq|spin_lock|res_spin_lock|list_head|list_node|rb_root|rb_node|refcount|dynptr|kptr.*|task_work|throw.*|testmod_ctx)$`,
		`^bpf_(sock|xdp|sysctl|dummy|map|prog|attach|func|link|stats|cmd|cgroup_iter_order|perf_event|task_fd|core_relo|ret_code|hdr_start|lwt|adj|line_info|func_info|btf|token|tcx|spin|pidns|raw_tracepoint|mem|crypto|cgroup|redir|flow|tunnel|xfrm|sk|tcp|devmap|cpumap|stack_build|snprintf|stream).*`,
		`^trace_event_raw_(sched|cgroup|task|cpu|hrtimer|timer|irq|softirq|ipi|sys|bpf)(_|$)`,
		`^futex_`,
		`^mm_cid`,
		`^kf_`,
	} {
		out = append(out, regexp.MustCompile(p))
	}
	return out
}

// rootFuncs are functions that tracing programs of schedulers attach to, and kernel functions that carry no tag because
// they are ordinary functions registered as such.
func rootFuncs() map[string]bool {
	return set(
		"bpf_scx_reg", "scx_tick", "cpuset_write_resmask", "task_tick_scx", "bpf_lsm_file_open", "bpf_lsm_task_alloc",
		"futex_wait", "futex_wake", "futex_requeue", "futex_lock_pi", "futex_unlock_pi", "futex_wait_multiple", "futex_wait_requeue_pi",
		"__futex_wait", "tcp_slow_start", "tcp_cong_avoid_ai", "tcp_reno_cong_avoid", "tcp_reno_ssthresh", "tcp_reno_undo_cwnd",
	)
}

func set(names ...string) map[string]bool {
	m := make(map[string]bool, len(names))
	for _, n := range names {
		m[n] = true
	}
	return m
}
