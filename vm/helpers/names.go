package helpers

import (
	"slices"
	"strings"
)

// names are the helpers of Linux 7.2 by number, without the prefix bpf_ (___BPF_FUNC_MAPPER of include/uapi/linux/bpf.h).
// The list is complete: the kernel adds no more helpers, only kfuncs.
var names = [...]string{
	"unspec", "map_lookup_elem", "map_update_elem", "map_delete_elem", "probe_read", "ktime_get_ns", "trace_printk",
	"get_prandom_u32", "get_smp_processor_id", "skb_store_bytes", "l3_csum_replace", "l4_csum_replace", "tail_call",
	"clone_redirect", "get_current_pid_tgid", "get_current_uid_gid", "get_current_comm", "get_cgroup_classid",
	"skb_vlan_push", "skb_vlan_pop", "skb_get_tunnel_key", "skb_set_tunnel_key", "perf_event_read", "redirect",
	"get_route_realm", "perf_event_output", "skb_load_bytes", "get_stackid", "csum_diff", "skb_get_tunnel_opt",
	"skb_set_tunnel_opt", "skb_change_proto", "skb_change_type", "skb_under_cgroup", "get_hash_recalc",
	"get_current_task", "probe_write_user", "current_task_under_cgroup", "skb_change_tail", "skb_pull_data",
	"csum_update", "set_hash_invalid", "get_numa_node_id", "skb_change_head", "xdp_adjust_head", "probe_read_str",
	"get_socket_cookie", "get_socket_uid", "set_hash", "setsockopt", "skb_adjust_room", "redirect_map",
	"sk_redirect_map", "sock_map_update", "xdp_adjust_meta", "perf_event_read_value", "perf_prog_read_value",
	"getsockopt", "override_return", "sock_ops_cb_flags_set", "msg_redirect_map", "msg_apply_bytes", "msg_cork_bytes",
	"msg_pull_data", "bind", "xdp_adjust_tail", "skb_get_xfrm_state", "get_stack", "skb_load_bytes_relative",
	"fib_lookup", "sock_hash_update", "msg_redirect_hash", "sk_redirect_hash", "lwt_push_encap",
	"lwt_seg6_store_bytes", "lwt_seg6_adjust_srh", "lwt_seg6_action", "rc_repeat", "rc_keydown", "skb_cgroup_id",
	"get_current_cgroup_id", "get_local_storage", "sk_select_reuseport", "skb_ancestor_cgroup_id", "sk_lookup_tcp",
	"sk_lookup_udp", "sk_release", "map_push_elem", "map_pop_elem", "map_peek_elem", "msg_push_data", "msg_pop_data",
	"rc_pointer_rel", "spin_lock", "spin_unlock", "sk_fullsock", "tcp_sock", "skb_ecn_set_ce", "get_listener_sock",
	"skc_lookup_tcp", "tcp_check_syncookie", "sysctl_get_name", "sysctl_get_current_value", "sysctl_get_new_value",
	"sysctl_set_new_value", "strtol", "strtoul", "sk_storage_get", "sk_storage_delete", "send_signal",
	"tcp_gen_syncookie", "skb_output", "probe_read_user", "probe_read_kernel", "probe_read_user_str",
	"probe_read_kernel_str", "tcp_send_ack", "send_signal_thread", "jiffies64", "read_branch_records",
	"get_ns_current_pid_tgid", "xdp_output", "get_netns_cookie", "get_current_ancestor_cgroup_id", "sk_assign",
	"ktime_get_boot_ns", "seq_printf", "seq_write", "sk_cgroup_id", "sk_ancestor_cgroup_id", "ringbuf_output",
	"ringbuf_reserve", "ringbuf_submit", "ringbuf_discard", "ringbuf_query", "csum_level", "skc_to_tcp6_sock",
	"skc_to_tcp_sock", "skc_to_tcp_timewait_sock", "skc_to_tcp_request_sock", "skc_to_udp6_sock", "get_task_stack",
	"load_hdr_opt", "store_hdr_opt", "reserve_hdr_opt", "inode_storage_get", "inode_storage_delete", "d_path",
	"copy_from_user", "snprintf_btf", "seq_printf_btf", "skb_cgroup_classid", "redirect_neigh", "per_cpu_ptr",
	"this_cpu_ptr", "redirect_peer", "task_storage_get", "task_storage_delete", "get_current_task_btf",
	"bprm_opts_set", "ktime_get_coarse_ns", "ima_inode_hash", "sock_from_file", "check_mtu", "for_each_map_elem",
	"snprintf", "sys_bpf", "btf_find_by_name_kind", "sys_close", "timer_init", "timer_set_callback", "timer_start",
	"timer_cancel", "get_func_ip", "get_attach_cookie", "task_pt_regs", "get_branch_snapshot", "trace_vprintk",
	"skc_to_unix_sock", "kallsyms_lookup_name", "find_vma", "loop", "strncmp", "get_func_arg", "get_func_ret",
	"get_func_arg_cnt", "get_retval", "set_retval", "xdp_get_buff_len", "xdp_load_bytes", "xdp_store_bytes",
	"copy_from_user_task", "skb_set_tstamp", "ima_file_hash", "kptr_xchg", "map_lookup_percpu_elem",
	"skc_to_mptcp_sock", "dynptr_from_mem", "ringbuf_reserve_dynptr", "ringbuf_submit_dynptr",
	"ringbuf_discard_dynptr", "dynptr_read", "dynptr_write", "dynptr_data", "tcp_raw_gen_syncookie_ipv4",
	"tcp_raw_gen_syncookie_ipv6", "tcp_raw_check_syncookie_ipv4", "tcp_raw_check_syncookie_ipv6", "ktime_get_tai_ns",
	"user_ringbuf_drain", "cgrp_storage_get", "cgrp_storage_delete",
}

// Name is the kernel's name of helper number n, as programs call it; "" if there is no such helper.
func Name(n int64) string {
	if n <= 0 || n >= int64(len(names)) {
		return ""
	}
	return "bpf_" + names[n]
}

// Number is the number of the helper with that name (with or without bpf_), 0 if there is none.
func Number(name string) int64 {
	if len(name) > 4 && name[:4] == "bpf_" {
		name = name[4:]
	}
	return int64(max(slices.Index(names[:], name), 0))
}

// refused is why helpers are not modelled.
var refused = []struct{ why, names string }{
	{"the machine has no network", `
		skb_store_bytes l3_csum_replace l4_csum_replace clone_redirect skb_vlan_push skb_vlan_pop skb_get_tunnel_key
		skb_set_tunnel_key redirect get_route_realm skb_load_bytes csum_diff skb_get_tunnel_opt skb_set_tunnel_opt
		skb_change_proto skb_change_type skb_under_cgroup get_hash_recalc skb_change_tail skb_pull_data csum_update
		set_hash_invalid skb_change_head xdp_adjust_head get_socket_cookie get_socket_uid set_hash setsockopt skb_adjust_room
		redirect_map sk_redirect_map sock_map_update xdp_adjust_meta getsockopt sock_ops_cb_flags_set msg_redirect_map
		msg_apply_bytes msg_cork_bytes msg_pull_data bind xdp_adjust_tail skb_get_xfrm_state skb_load_bytes_relative fib_lookup
		sock_hash_update msg_redirect_hash sk_redirect_hash lwt_push_encap lwt_seg6_store_bytes lwt_seg6_adjust_srh
		lwt_seg6_action skb_cgroup_id sk_select_reuseport skb_ancestor_cgroup_id sk_lookup_tcp sk_lookup_udp sk_release
		msg_push_data msg_pop_data sk_fullsock tcp_sock skb_ecn_set_ce get_listener_sock skc_lookup_tcp tcp_check_syncookie
		tcp_gen_syncookie skb_output tcp_send_ack xdp_output get_netns_cookie sk_assign sk_cgroup_id sk_ancestor_cgroup_id
		csum_level skc_to_tcp6_sock skc_to_tcp_sock skc_to_tcp_timewait_sock skc_to_tcp_request_sock skc_to_udp6_sock
		load_hdr_opt store_hdr_opt reserve_hdr_opt skb_cgroup_classid redirect_neigh redirect_peer check_mtu
		skc_to_unix_sock xdp_get_buff_len xdp_load_bytes xdp_store_bytes skb_set_tstamp skc_to_mptcp_sock
		tcp_raw_gen_syncookie_ipv4 tcp_raw_gen_syncookie_ipv6 tcp_raw_check_syncookie_ipv4 tcp_raw_check_syncookie_ipv6`},
	{"the machine has no remote controls", "rc_repeat rc_keydown rc_pointer_rel"},
	{"the machine has no sysctls", "sysctl_get_name sysctl_get_current_value sysctl_get_new_value sysctl_set_new_value"},
	{"the machine has no files", "d_path ima_inode_hash ima_file_hash sock_from_file bprm_opts_set"},
	{"bpf_task_storage_get is modelled", "inode_storage_get inode_storage_delete sk_storage_get sk_storage_delete get_local_storage"},
	{"tasks take no signals", "send_signal send_signal_thread"},
	{"tasks have no registers", "task_pt_regs"},
	{"the machine has no stacks to walk", "get_stackid"},
	{"the machine has no branch records", "read_branch_records"},
	{"programs of perf events are not run", "perf_prog_read_value"},
	{"nothing is probed: arguments of a program are in its context", "get_func_ip get_attach_cookie get_func_arg get_func_ret get_func_arg_cnt override_return"},
	{"programs of cgroups are not run", "get_retval set_retval"},
	{"bpf_snprintf and bpf_trace_vprintk are modelled", "snprintf_btf seq_printf_btf"},
	{"nobody reads what an iterator writes", "seq_printf seq_write"},
	{"there is no kernel behind the programs that could do it", "sys_bpf sys_close btf_find_by_name_kind kallsyms_lookup_name"},
}

// Note says why a helper is not modelled, or what a program can use in its place; "" for those that are modelled always.
func Note(n int64) string {
	name := strings.TrimPrefix(Name(n), "bpf_")
	for _, r := range refused {
		if name != "" && slices.Contains(strings.Fields(r.names), name) {
			return r.why
		}
	}
	return ""
}
