/* SPDX-License-Identifier: GPL-2.0 */
/* Where and when ops.init of a scheduler runs: attached to its entry. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

char _license[] SEC("license") = "GPL";

u64 init_at;
s32 init_cpu;

SEC("fentry")
int on_init(u64 *ctx)
{
	init_cpu = bpf_get_smp_processor_id();
	init_at = bpf_ktime_get_ns();
	return 0;
}
