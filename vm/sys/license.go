package sys

import (
	"slices"

	"github.com/schedsim/schedsim/vm/helpers"
)

// gplLicenses are those that license_is_gpl_compatible (include/linux/license.h, 7.2) knows.
var gplLicenses = [...]string{"GPL", "GPL v2", "GPL and additional rights", "Dual BSD/GPL", "Dual MIT/GPL", "Dual MPL/GPL"}

func gplCompatible(license string) bool { return slices.Contains(gplLicenses[:], license) }

// gplHelpers are the helpers of 7.2 whose bpf_func_proto says gpl_only, and that programs other than network filters call.
var gplHelpers = [...]string{
	"copy_from_user_task", "get_branch_snapshot", "get_current_task", "get_current_task_btf", "get_func_ip", "get_stack",
	"get_stackid", "override_return", "perf_event_output", "perf_event_read", "perf_event_read_value", "perf_prog_read_value",
	"probe_read", "probe_read_str", "probe_read_kernel", "probe_read_kernel_str", "probe_read_user", "probe_read_user_str",
	"probe_write_user", "read_branch_records", "seq_printf", "seq_printf_btf", "seq_write", "skb_output", "snprintf",
	"task_pt_regs", "timer_cancel", "timer_init", "timer_set_callback", "timer_start", "trace_printk", "trace_vprintk",
	"xdp_output",
}

// gplOnly tells whether only GPL-compatible programs may call the helper.
func gplOnly(id int32) bool {
	name := helpers.Name(int64(id))
	return len(name) > 4 && slices.Contains(gplHelpers[:], name[4:]) // without bpf_
}
