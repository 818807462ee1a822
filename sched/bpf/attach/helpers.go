package attach

import "github.com/schedsim/schedsim/vm/helpers"

// common are the helpers that programs of all types may call, those of tasks and tracing included: all that
// bpf_base_func_proto (kernel/bpf/helpers.c, 7.2) gives to a loader with all capabilities.
var common = [...]string{
	"map_lookup_elem", "map_update_elem", "map_delete_elem", "map_push_elem", "map_pop_elem", "map_peek_elem", "map_lookup_percpu_elem",
	"get_prandom_u32", "get_smp_processor_id", "get_numa_node_id", "tail_call", "ktime_get_ns", "ktime_get_boot_ns", "ktime_get_tai_ns",
	"ringbuf_output", "ringbuf_reserve", "ringbuf_submit", "ringbuf_discard", "ringbuf_query", "strncmp", "strtol", "strtoul",
	"get_current_pid_tgid", "get_ns_current_pid_tgid", "get_current_uid_gid", "spin_lock", "spin_unlock", "jiffies64", "per_cpu_ptr",
	"this_cpu_ptr", "timer_init", "timer_set_callback", "timer_start", "timer_cancel", "kptr_xchg", "for_each_map_elem", "loop",
	"user_ringbuf_drain", "ringbuf_reserve_dynptr", "ringbuf_submit_dynptr", "ringbuf_discard_dynptr", "dynptr_from_mem", "dynptr_read",
	"dynptr_write", "dynptr_data", "cgrp_storage_get", "cgrp_storage_delete", "get_current_cgroup_id", "get_current_ancestor_cgroup_id",
	"current_task_under_cgroup", "get_cgroup_classid", "task_storage_get", "task_storage_delete", "trace_printk", "get_current_task",
	"get_current_task_btf", "get_current_comm", "probe_read_user", "probe_read_kernel", "probe_read_user_str", "probe_read_kernel_str",
	"copy_from_user", "copy_from_user_task", "snprintf_btf", "snprintf", "task_pt_regs", "trace_vprintk", "perf_event_read_value",
	"perf_event_read", "send_signal", "send_signal_thread", "get_task_stack", "get_branch_snapshot", "find_vma",
}

// What other types of programs have beyond that: *_func_proto of kernel/trace/bpf_trace.c, and kernel/bpf/syscall.c.
var (
	traceHelpers = []string{"probe_read", "probe_read_str", "get_func_ip", "probe_write_user"} // bpf_tracing_func_proto
	eventHelpers = []string{"perf_event_output", "get_stackid", "get_stack", "get_attach_cookie"}
	perfHelpers  = []string{"perf_prog_read_value", "read_branch_records"}
	btfHelpers   = []string{"skb_output", "xdp_output", "skc_to_tcp6_sock", "skc_to_tcp_sock", "skc_to_tcp_timewait_sock",
		"skc_to_tcp_request_sock", "skc_to_udp6_sock", "skc_to_unix_sock", "skc_to_mptcp_sock", "sk_storage_get", "sk_storage_delete",
		"sock_from_file", "get_socket_cookie", "xdp_get_buff_len", "d_path"}
	argHelpers     = []string{"get_func_arg", "get_func_arg_cnt"}
	iterHelpers    = []string{"seq_printf", "seq_write", "seq_printf_btf"}
	syscallHelpers = []string{"sys_bpf", "btf_find_by_name_kind", "sys_close", "kallsyms_lookup_name"}
)

// helperSet are the helpers of all programs and those of the lists.
func helperSet(more ...[]string) func(id int32) bool {
	var bits [4]uint64
	add := func(name string) {
		if n := helpers.Number(name); n > 0 && n < int64(len(bits))*64 {
			bits[n/64] |= 1 << (n % 64)
		}
	}
	for _, name := range common {
		add("bpf_" + name)
	}
	for _, l := range more {
		for _, name := range l {
			add("bpf_" + name)
		}
	}
	return func(id int32) bool {
		return id > 0 && int(id) < len(bits)*64 && bits[id/64]>>(id%64)&1 != 0
	}
}
