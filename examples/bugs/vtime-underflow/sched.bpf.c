/* SPDX-License-Identifier: GPL-2.0 */
/*
 * vtime-underflow: a clock that starts at 0, and something is taken from it.
 *
 * There is a queue for all tasks and one per CPU for those that may only run there, all ordered by virtual time. A CPU
 * takes from the queue whose first task is behind. A task that has slept starts one slice behind the clock.
 */
#include "../../bpf/sched_ext.bpf.h"

char _license[] SEC("license") = "GPL";

#define MAX_CPUS 64
#define SHARED MAX_CPUS

extern struct task_struct *scx_bpf_dsq_peek(u64 dsq_id) __ksym;

const volatile u32 nr_cpus = 2;

static u64 clock;

#ifdef FIXED
static __always_inline bool before(u64 a, u64 b) { return time_before(a, b); }
#else
static __always_inline bool before(u64 a, u64 b) { return a < b; }
#endif

OP2(void, uf_enqueue, struct task_struct *, p, u64, enq_flags)
{
	u64 vtime = p->scx.dsq_vtime, queue = SHARED;

	if (before(vtime, clock - SCX_SLICE_DFL))
		vtime = clock - SCX_SLICE_DFL; /* in the first 20 ms of the clock: nearly 2^64 */
	if (p->nr_cpus_allowed == 1)
		queue = scx_bpf_task_cpu(p);
	scx_insert_vtime(p, queue, SCX_SLICE_DFL, vtime, enq_flags);
}

OP2(void, uf_dispatch, s32, cpu, struct task_struct *, prev)
{
	struct task_struct *own = scx_bpf_dsq_peek(cpu), *shared = scx_bpf_dsq_peek(SHARED);

	if (own && shared && before(shared->scx.dsq_vtime, own->scx.dsq_vtime))
		own = NULL;
	if (own && scx_move_to_local(cpu))
		return;
	scx_move_to_local(SHARED);
}

OP1(void, uf_running, struct task_struct *, p)
{
	if (time_before(clock, p->scx.dsq_vtime))
		clock = p->scx.dsq_vtime;
}

OP2(void, uf_stopping, struct task_struct *, p, bool, runnable)
{
	scx_set_vtime(p, p->scx.dsq_vtime + SCX_SLICE_DFL - p->scx.slice);
}

OP1(void, uf_enable, struct task_struct *, p)
{
	scx_set_vtime(p, clock);
}

OP0_S(s32, uf_init)
{
	s32 err = scx_bpf_create_dsq(SHARED, -1);
	int i;

	for_range(i, 0, nr_cpus) {
		if (err)
			break;
		err = scx_bpf_create_dsq(i, -1);
	}
	return err;
}

SCHEDULER ops = {
	.enqueue = (void *)uf_enqueue,
	.dispatch = (void *)uf_dispatch,
	.running = (void *)uf_running,
	.stopping = (void *)uf_stopping,
	.enable = (void *)uf_enable,
	.init = (void *)uf_init,
	.timeout_ms = 2000,
	.name = "vtime_underflow",
};
