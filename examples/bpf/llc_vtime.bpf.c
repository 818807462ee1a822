/* SPDX-License-Identifier: GPL-2.0 */
/*
 * llc_vtime: one queue per last-level cache, ordered by weighted virtual time.
 *
 * Tasks stay where their data is: a task queues in the DSQ of the LLC that it last ran in, and a CPU serves its own LLC
 * first. Only a CPU that would go idle takes from the others, nearest number first, and then the task has moved.
 * User space says which CPU belongs to which LLC in cpu_llc[].
 */
#include "sched_ext.bpf.h"

char _license[] SEC("license") = "GPL";

#define MAX_CPUS 1024
#define MAX_LLCS 64

const volatile u64 slice_ns = 5000000;
const volatile u32 nr_llcs = 1;
const volatile u32 cpu_llc[MAX_CPUS];

static u64 vtime_now[MAX_LLCS];
u64 nr_local, nr_stolen; /* dispatches from the own and from another LLC */

static __always_inline u32 llc_of(s32 cpu)
{
	u32 llc = (u32)cpu < MAX_CPUS ? cpu_llc[cpu] : 0;

	return llc < MAX_LLCS ? llc : 0;
}

OP3(s32, llc_select_cpu, struct task_struct *, p, s32, prev_cpu, u64, wake_flags)
{
	bool idle = false;
	s32 cpu = scx_bpf_select_cpu_dfl(p, prev_cpu, wake_flags, &idle);

	if (idle)
		scx_insert(p, SCX_DSQ_LOCAL, slice_ns, 0);
	return cpu;
}

OP2(void, llc_enqueue, struct task_struct *, p, u64, enq_flags)
{
	u32 llc = llc_of(scx_bpf_task_cpu(p));
	u64 vtime = p->scx.dsq_vtime, now = vtime_now[llc];

	/* Each LLC has a clock of its own: keep a task that comes from another within one slice of this one's. */
	if (time_before(vtime, now - slice_ns))
		vtime = now - slice_ns;
	else if (time_before(now + slice_ns, vtime))
		vtime = now + slice_ns;
	scx_insert_vtime(p, llc, slice_ns, vtime, enq_flags);
}

OP2(void, llc_dispatch, s32, cpu, struct task_struct *, prev)
{
	u32 own = llc_of(cpu), i;

	if (scx_move_to_local(own)) {
		nr_local++;
		return;
	}
	for (i = 1; i < MAX_LLCS; i++) {
		if (i >= nr_llcs)
			break;
		if (scx_move_to_local((own + i) % nr_llcs)) {
			nr_stolen++;
			return;
		}
	}
}

OP1(void, llc_running, struct task_struct *, p)
{
	u32 llc = llc_of(scx_bpf_task_cpu(p));

	if (time_before(vtime_now[llc], p->scx.dsq_vtime))
		vtime_now[llc] = p->scx.dsq_vtime;
}

OP2(void, llc_stopping, struct task_struct *, p, bool, runnable)
{
	scx_set_vtime(p, p->scx.dsq_vtime + (slice_ns - p->scx.slice) * 100 / p->scx.weight);
}

OP1(void, llc_enable, struct task_struct *, p)
{
	scx_set_vtime(p, vtime_now[llc_of(scx_bpf_task_cpu(p))]);
}

OP0_S(s32, llc_init)
{
	u32 i;
	s32 err;

	if (!nr_llcs || nr_llcs > MAX_LLCS) {
		scx_error("nr_llcs is %u, at most %u are supported", nr_llcs, MAX_LLCS);
		return -22; /* EINVAL */
	}
	for (i = 0; i < MAX_LLCS; i++) {
		if (i >= nr_llcs)
			break;
		err = scx_bpf_create_dsq(i, -1);
		if (err)
			return err;
	}
	return 0;
}

SCHEDULER llc_vtime_ops = {
	.select_cpu = (void *)llc_select_cpu,
	.enqueue = (void *)llc_enqueue,
	.dispatch = (void *)llc_dispatch,
	.running = (void *)llc_running,
	.stopping = (void *)llc_stopping,
	.enable = (void *)llc_enable,
	.init = (void *)llc_init,
	.name = "llc_vtime",
};
