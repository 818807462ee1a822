/* SPDX-License-Identifier: GPL-2.0 */
/*
 * simple: one queue for the whole machine, first in first out or by weighted virtual time.
 *
 * The smallest useful scheduler. A waking task that finds an idle CPU goes straight to it; everybody else queues in
 * one DSQ, from which each CPU takes the head when it runs dry. With fifo = true (the default) the head is the task
 * that has waited longest; otherwise the one with the least virtual time, which advances faster for lighter tasks.
 */
#include "sched_ext.bpf.h"

char _license[] SEC("license") = "GPL";

const volatile bool fifo = true;
const volatile u64 slice_ns = 20000000; /* SCX_SLICE_DFL */

#define SHARED_DSQ 0

static u64 vtime_now;

OP3(s32, simple_select_cpu, struct task_struct *, p, s32, prev_cpu, u64, wake_flags)
{
	bool idle = false;
	s32 cpu = scx_bpf_select_cpu_dfl(p, prev_cpu, wake_flags, &idle);

	if (idle)
		scx_insert(p, SCX_DSQ_LOCAL, slice_ns, 0);
	return cpu;
}

OP2(void, simple_enqueue, struct task_struct *, p, u64, enq_flags)
{
	u64 vtime;

	if (fifo) {
		scx_insert(p, SHARED_DSQ, slice_ns, enq_flags);
		return;
	}

	/* A sleeper may save up at most one slice of credit. */
	vtime = p->scx.dsq_vtime;
	if (time_before(vtime, vtime_now - slice_ns))
		vtime = vtime_now - slice_ns;
	scx_insert_vtime(p, SHARED_DSQ, slice_ns, vtime, enq_flags);
}

OP2(void, simple_dispatch, s32, cpu, struct task_struct *, prev)
{
	scx_move_to_local(SHARED_DSQ);
}

OP1(void, simple_running, struct task_struct *, p)
{
	if (!fifo && time_before(vtime_now, p->scx.dsq_vtime))
		vtime_now = p->scx.dsq_vtime;
}

OP2(void, simple_stopping, struct task_struct *, p, bool, runnable)
{
	if (!fifo)
		scx_set_vtime(p, p->scx.dsq_vtime + (slice_ns - p->scx.slice) * 100 / p->scx.weight);
}

OP1(void, simple_enable, struct task_struct *, p)
{
	scx_set_vtime(p, vtime_now);
}

OP0_S(s32, simple_init)
{
	return scx_bpf_create_dsq(SHARED_DSQ, -1);
}

SCHEDULER simple_ops = {
	.select_cpu = (void *)simple_select_cpu,
	.enqueue = (void *)simple_enqueue,
	.dispatch = (void *)simple_dispatch,
	.running = (void *)simple_running,
	.stopping = (void *)simple_stopping,
	.enable = (void *)simple_enable,
	.init = (void *)simple_init,
	.name = "simple",
};
