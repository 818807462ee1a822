package progtype

import (
	"slices"
	"strings"

	"github.com/schedsim/schedsim/vm/verifier"
)

// Lists of helpers after the *_func_proto functions of net/core/filter.c, kernel/bpf/cgroup.c and kernel/bpf/helpers.c, for a
// loader with all capabilities. "name=form" asks for one of several prototypes.
const (
	base = `map_lookup_elem map_update_elem map_delete_elem map_push_elem map_pop_elem map_peek_elem map_lookup_percpu_elem get_prandom_u32
		get_smp_processor_id get_numa_node_id tail_call ktime_get_ns ktime_get_boot_ns ktime_get_tai_ns ringbuf_output ringbuf_reserve ringbuf_submit
		ringbuf_discard ringbuf_query strncmp strtol strtoul get_current_pid_tgid get_ns_current_pid_tgid get_current_uid_gid spin_lock spin_unlock
		jiffies64 per_cpu_ptr this_cpu_ptr timer_init timer_set_callback timer_start timer_cancel kptr_xchg for_each_map_elem loop user_ringbuf_drain
		ringbuf_reserve_dynptr ringbuf_submit_dynptr ringbuf_discard_dynptr dynptr_from_mem dynptr_read dynptr_write dynptr_data cgrp_storage_get
		cgrp_storage_delete get_current_cgroup_id get_current_ancestor_cgroup_id current_task_under_cgroup get_cgroup_classid
		task_storage_get task_storage_delete trace_printk get_current_task get_current_task_btf get_current_comm probe_read_user probe_read_kernel
		probe_read_user_str probe_read_kernel_str copy_from_user copy_from_user_task snprintf_btf snprintf task_pt_regs trace_vprintk
		perf_event_read_value perf_event_read send_signal send_signal_thread get_task_stack get_branch_snapshot find_vma`
	socketCasts = ` skc_to_tcp6_sock skc_to_tcp_sock skc_to_tcp_timewait_sock skc_to_tcp_request_sock skc_to_udp6_sock skc_to_unix_sock skc_to_mptcp_sock`
	socket      = base + socketCasts + " ktime_get_coarse_ns"
	skFilter    = socket + ` skb_load_bytes skb_load_bytes_relative get_socket_cookie get_netns_cookie get_socket_uid perf_event_output`
	storage     = ` sk_storage_get sk_storage_delete`
	lookups     = ` sk_lookup_tcp sk_lookup_udp sk_release skc_lookup_tcp`
	cookies     = ` tcp_raw_gen_syncookie_ipv4 tcp_raw_gen_syncookie_ipv6 tcp_raw_check_syncookie_ipv4 tcp_raw_check_syncookie_ipv6`
	cgSkb       = skFilter + storage + lookups + ` get_local_storage sk_fullsock skb_cgroup_id skb_ancestor_cgroup_id sk_cgroup_id sk_ancestor_cgroup_id
		tcp_sock get_listener_sock skb_ecn_set_ce`
	tc = skFilter + storage + lookups + cookies + ` skb_store_bytes skb_pull_data csum_diff csum_update csum_level l3_csum_replace l4_csum_replace
		clone_redirect get_cgroup_classid=get_cgroup_classid_skb skb_vlan_push skb_vlan_pop skb_change_proto skb_change_type skb_adjust_room skb_change_tail skb_change_head
		skb_get_tunnel_key skb_set_tunnel_key skb_get_tunnel_opt skb_set_tunnel_opt redirect redirect_neigh redirect_peer get_route_realm
		get_hash_recalc set_hash_invalid set_hash skb_under_cgroup fib_lookup check_mtu sk_fullsock skb_get_xfrm_state skb_cgroup_classid
		skb_cgroup_id skb_ancestor_cgroup_id tcp_sock get_listener_sock tcp_check_syncookie skb_ecn_set_ce tcp_gen_syncookie sk_assign skb_set_tstamp`
	xdpList = socket + lookups + cookies + ` perf_event_output csum_diff xdp_adjust_head xdp_adjust_meta redirect redirect_map xdp_adjust_tail
		xdp_get_buff_len xdp_load_bytes xdp_store_bytes fib_lookup check_mtu tcp_check_syncookie tcp_gen_syncookie`
	sockOpsList = socket + storage + ` get_local_storage setsockopt=sock_ops_setsockopt getsockopt=sock_ops_getsockopt sock_ops_cb_flags_set sock_map_update
		sock_hash_update get_socket_cookie perf_event_output get_netns_cookie load_hdr_opt store_hdr_opt reserve_hdr_opt tcp_sock`
	skMsgList = socket + storage + ` msg_redirect_map msg_redirect_hash msg_apply_bytes msg_cork_bytes msg_pull_data msg_push_data msg_pop_data
		perf_event_output get_netns_cookie`
	skSkbList = socket + lookups + ` skb_store_bytes skb_load_bytes skb_pull_data skb_change_tail skb_change_head skb_adjust_room get_socket_cookie
		get_socket_uid sk_redirect_map sk_redirect_hash perf_event_output`
	lwt         = socket + ` skb_load_bytes skb_pull_data csum_diff get_cgroup_classid=get_cgroup_classid_skb get_route_realm get_hash_recalc perf_event_output skb_under_cgroup`
	lwtXmitList = lwt + ` skb_get_tunnel_key skb_set_tunnel_key skb_get_tunnel_opt skb_set_tunnel_opt redirect clone_redirect skb_change_tail skb_change_head
		skb_store_bytes csum_update csum_level l3_csum_replace l4_csum_replace set_hash_invalid lwt_push_encap`
	reuseport = base + ` sk_select_reuseport skb_load_bytes skb_load_bytes_relative get_socket_cookie=get_socket_ptr_cookie ktime_get_coarse_ns`
	cgSock    = base + ` get_local_storage get_socket_cookie get_netns_cookie perf_event_output sk_storage_get=sk_storage_get_cg_sock ktime_get_coarse_ns`
	addr      = socket + storage + ` get_local_storage get_socket_cookie get_netns_cookie perf_event_output sk_lookup_tcp=sock_addr_sk_lookup_tcp
		sk_lookup_udp=sock_addr_sk_lookup_udp sk_release skc_lookup_tcp=sock_addr_skc_lookup_tcp`
	options = base + storage + ` get_local_storage get_netns_cookie tcp_sock perf_event_output`
	sysctl  = base + ` get_local_storage sysctl_get_name sysctl_get_current_value sysctl_get_new_value sysctl_set_new_value ktime_get_coarse_ns perf_event_output`
)

// helperSet is a set of helpers, with the prototypes that apply.
type helperSet struct {
	ids    []int32
	forms  map[int32]string
	number map[string]int32
}

func newHelperSet() *helperSet {
	return &helperSet{forms: map[int32]string{}, number: verifier.HelperIDs()}
}

func (h *helperSet) has(id int32) bool    { return slices.Contains(h.ids, id) }
func (h *helperSet) form(id int32) string { return h.forms[id] }

func (h *helperSet) add(list string) {
	for name := range strings.FieldsSeq(list) {
		name, form, _ := strings.Cut(name, "=")
		id := h.number[name]
		if id == 0 {
			panic("BUG: no helper " + name)
		}
		h.ids = append(h.ids, id)
		delete(h.forms, id)
		if form != "" {
			h.forms[id] = form
		}
	}
}

// Helpers are the helpers of a list, with the prototypes that apply ("name=form").
func Helpers(list string) (has func(id int32) bool, form func(id int32) string) {
	h := newHelperSet()
	h.add(list)
	return h.has, h.form
}

// TracingForm are the prototypes of helpers that tracing and SYSCALL programs have where there are several. It follows
// tracing_prog_func_proto (kernel/trace/bpf_trace.c, 7.2).
func TracingForm(id int32) string {
	switch id {
	case 46: // get_socket_cookie
		return "get_socket_ptr_cookie"
	case 107:
		return "sk_storage_get_tracing"
	case 108:
		return "sk_storage_delete_tracing"
	case 188:
		return "xdp_get_buff_len_trace"
	}
	return ""
}

// helpersOf are the helpers of a type of program.
func helpersOf(k kind, section string) *helperSet {
	h := newHelperSet()
	_, hook, _ := strings.Cut(section, "/")
	inet := strings.HasSuffix(hook, "4") || strings.HasSuffix(hook, "6")
	switch k {
	case socketFilter:
		h.add(skFilter)
	case schedCls, schedAct:
		h.add(tc)
	case xdp:
		h.add(xdpList)
	case cgroupSkb:
		h.add(cgSkb)
	case sockOps:
		h.add(sockOpsList)
	case skMsg:
		h.add(skMsgList)
	case skSkb:
		h.add(skSkbList)
	case flowDissector:
		h.add(socket + " skb_load_bytes")
	case lwtOut:
		h.add(lwt)
	case lwtIn:
		h.add(lwt + " lwt_push_encap")
	case lwtXmit:
		h.add(lwtXmitList)
	case lwtSeg6:
		h.add(lwt + " lwt_seg6_store_bytes lwt_seg6_action lwt_seg6_adjust_srh")
		h.ids = slices.DeleteFunc(h.ids, func(id int32) bool { return id == h.number["skb_pull_data"] })
	case skReuseport:
		h.add(reuseport)
	case skLookup:
		h.add(socket + " perf_event_output sk_assign=sk_lookup_assign sk_release")
	case netfilter:
		h.add(base)
	case cgroupDevice:
		h.add(base + " get_local_storage perf_event_output")
	case cgroupSysctl:
		h.add(sysctl)
	case cgroupSock:
		h.add(cgSock)
		if hook == "sock_create" || hook == "sock" {
			h.add("setsockopt=sock_ops_setsockopt getsockopt=sock_ops_getsockopt")
		}
	case sockAddr:
		h.add(addr)
		if strings.HasPrefix(hook, "connect") && inet {
			h.add("bind")
		}
		if inet || strings.HasPrefix(hook, "connect") || strings.HasPrefix(hook, "recvmsg") || strings.HasPrefix(hook, "sendmsg") {
			h.add("setsockopt=sock_ops_setsockopt getsockopt=sock_ops_getsockopt")
		}
	case sockOpt:
		h.add(options)
		if hook == "setsockopt" {
			h.add("setsockopt getsockopt")
		}
	}
	if retval(k, hook) {
		h.add("get_retval set_retval")
	}
	return h
}

// retval follows cgroup_common_func_proto.
func retval(k kind, hook string) bool {
	switch k {
	case cgroupSock, cgroupDevice, cgroupSysctl, sockOpt:
		return true
	case sockAddr:
		return !strings.HasPrefix(hook, "recvmsg") && !strings.HasPrefix(hook, "getpeername") && !strings.HasPrefix(hook, "getsockname")
	}
	return false
}
