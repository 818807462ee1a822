/* SPDX-License-Identifier: GPL-2.0 */
/*
 * hidden-queue: work in a queue that is only looked at when there is no other work.
 *
 * Tasks go straight back to the local queue of the CPU where their data is. One that may run on a single CPU, and finds
 * it busy, waits in the shared queue, since it would only be in the way.
 */
#include "../../bpf/sched_ext.bpf.h"

char _license[] SEC("license") = "GPL";

#define SHARED 0

OP3(s32, hidden_select_cpu, struct task_struct *, p, s32, prev_cpu, u64, wake_flags)
{
	return prev_cpu;
}

OP2(void, hidden_enqueue, struct task_struct *, p, u64, enq_flags)
{
#ifndef FIXED
	if (p->nr_cpus_allowed == 1) {
		scx_insert(p, SHARED, SCX_SLICE_DFL, enq_flags);
		return;
	}
#endif
	scx_insert(p, SCX_DSQ_LOCAL, SCX_SLICE_DFL, enq_flags);
}

/* Only called when the CPU's local queue is empty. */
OP2(void, hidden_dispatch, s32, cpu, struct task_struct *, prev)
{
	scx_move_to_local(SHARED);
}

OP0_S(s32, hidden_init)
{
	return scx_bpf_create_dsq(SHARED, -1);
}

SCHEDULER ops = {
	.select_cpu = (void *)hidden_select_cpu,
	.enqueue = (void *)hidden_enqueue,
	.dispatch = (void *)hidden_dispatch,
	.init = (void *)hidden_init,
	.timeout_ms = 2000,
	.name = "hidden_queue",
};
