/* SPDX-License-Identifier: GPL-2.0 */
/*
 * lost-aging: a clock that is meant to make waiting tasks older, and hardly moves.
 *
 * The queue is ordered by deadline: the scheduler's clock plus how long the task's last burst was, so that short bursts
 * go first. The clock follows the deadlines of the tasks that run. A long burst that waits keeps its deadline while the
 * clock, and with it the deadlines of newcomers, goes past it: it ages. A task may compete in a window behind the clock,
 * so that small differences do not matter.
 */
#include "../../bpf/sched_ext.bpf.h"

char _license[] SEC("license") = "GPL";

#define QUEUE 0

#ifdef FIXED
#define WINDOW_NS 100000 /* 0.1 ms */
#else
#define WINDOW_NS 30000000 /* 30 ms: "more room for tasks that wake up often" */
#endif

#define BPF_F_NO_PREALLOC 1
#define CREATE 1

static void *(*const bpf_task_storage_get)(void *map, struct task_struct *p, void *value, u64 flags) = (void *)156;

static u64 clock;

struct task_ctx {
	u64 burst, started;
};

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct task_ctx);
} tasks SEC(".maps");

OP2(void, aging_enqueue, struct task_struct *, p, u64, enq_flags)
{
	struct task_ctx *t = bpf_task_storage_get(&tasks, p, NULL, CREATE);

	if (t)
		scx_insert_vtime(p, QUEUE, SCX_SLICE_DFL, clock + t->burst, enq_flags);
}

OP2(void, aging_dispatch, s32, cpu, struct task_struct *, prev)
{
	scx_move_to_local(QUEUE);
}

OP1(void, aging_running, struct task_struct *, p)
{
	struct task_ctx *t = bpf_task_storage_get(&tasks, p, NULL, 0);

	if (time_before(clock + WINDOW_NS, p->scx.dsq_vtime))
		clock = p->scx.dsq_vtime - WINDOW_NS;
	if (t)
		t->started = scx_bpf_now();
}

OP2(void, aging_stopping, struct task_struct *, p, bool, runnable)
{
	struct task_ctx *t = bpf_task_storage_get(&tasks, p, NULL, 0);

	if (t)
		t->burst = scx_bpf_now() - t->started;
}

OP0_S(s32, aging_init)
{
	return scx_bpf_create_dsq(QUEUE, -1);
}

SCHEDULER ops = {
	.enqueue = (void *)aging_enqueue,
	.dispatch = (void *)aging_dispatch,
	.running = (void *)aging_running,
	.stopping = (void *)aging_stopping,
	.init = (void *)aging_init,
	.name = "lost_aging",
};
