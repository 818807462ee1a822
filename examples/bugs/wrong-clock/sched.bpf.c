/* SPDX-License-Identifier: GPL-2.0 */
/*
 * wrong-clock: a task is held against the clock of one queue and waits in another.
 *
 * CPUs are split into two cells, and tasks belong to a cell: nice ones to the second. Each cell has a queue ordered by
 * virtual time, and a clock: how far its tasks have come. A task that has slept starts where the clock is, so that it
 * cannot hoard. A task that may only run in the other cell queues there, of course.
 */
#include "../../bpf/sched_ext.bpf.h"

char _license[] SEC("license") = "GPL";

#define CELLS 2

const volatile u32 nr_cpus = 4; /* the first half is cell 0 */

static u64 clock[CELLS];

static __always_inline u32 cpu_cell(s32 cpu) { return (u32)cpu >= nr_cpus / 2; }

/* Which clock counts for a task: that of the queue where it waits. */
static __always_inline u32 clock_of(const struct task_struct *p)
{
#ifdef FIXED
	return cpu_cell(scx_bpf_task_cpu(p));
#else
	return p->static_prio > 120; /* its own cell */
#endif
}

OP3(s32, cell_select_cpu, struct task_struct *, p, s32, prev_cpu, u64, wake_flags)
{
	return prev_cpu;
}

OP2(void, cell_enqueue, struct task_struct *, p, u64, enq_flags)
{
	u64 vtime = p->scx.dsq_vtime, now = clock[clock_of(p)];

	if (time_before(vtime, now - SCX_SLICE_DFL))
		vtime = now - SCX_SLICE_DFL;
	scx_insert_vtime(p, cpu_cell(scx_bpf_task_cpu(p)), SCX_SLICE_DFL, vtime, enq_flags);
}

OP2(void, cell_dispatch, s32, cpu, struct task_struct *, prev)
{
	scx_move_to_local(cpu_cell(cpu));
}

OP1(void, cell_running, struct task_struct *, p)
{
	u64 *now = &clock[clock_of(p)];

	if (time_before(*now, p->scx.dsq_vtime))
		*now = p->scx.dsq_vtime;
}

OP2(void, cell_stopping, struct task_struct *, p, bool, runnable)
{
	scx_set_vtime(p, p->scx.dsq_vtime + SCX_SLICE_DFL - p->scx.slice);
}

OP1(void, cell_enable, struct task_struct *, p)
{
	scx_set_vtime(p, clock[clock_of(p)]);
}

OP0_S(s32, cell_init)
{
	s32 err = 0;
	int i;

	for_range(i, 0, CELLS) {
		err = scx_bpf_create_dsq(i, -1);
		if (err)
			break;
	}
	return err;
}

SCHEDULER ops = {
	.select_cpu = (void *)cell_select_cpu,
	.enqueue = (void *)cell_enqueue,
	.dispatch = (void *)cell_dispatch,
	.running = (void *)cell_running,
	.stopping = (void *)cell_stopping,
	.enable = (void *)cell_enable,
	.init = (void *)cell_init,
	.timeout_ms = 3000,
	.name = "wrong_clock",
};
