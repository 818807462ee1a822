/* SPDX-License-Identifier: GPL-2.0 */
/*
 * torn-cursor: a variable is read before a call and written after it, and the call changed it.
 *
 * Each queued task has a context from a pool, which is a stack of free numbers. ops.dispatch borrows one for its own
 * work, and hands it back. But scx_bpf_dsq_move_to_local() runs ops.dequeue of the task that it takes out of the queue,
 * before it returns: that callback gives a context back, too. On a machine with several CPUs any other callback can do
 * so at that moment.
 */
#include "../../bpf/sched_ext.bpf.h"

char _license[] SEC("license") = "GPL";

#define QUEUE 0
#define POOL 64
#define BPF_F_NO_PREALLOC 1
#define CREATE 1

static void *(*const bpf_task_storage_get)(void *map, struct task_struct *p, void *value, u64 flags) = (void *)156;

static u32 free_list[POOL];
static u32 nr_free; /* free_list[0 .. nr_free-1] are free */

struct task_ctx {
	u32 number; /* plus 1; 0: none */
};

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct task_ctx);
} tasks SEC(".maps");

static __always_inline void give(u32 number)
{
	if (nr_free < POOL)
		free_list[nr_free++] = number;
}

OP2(void, torn_enqueue, struct task_struct *, p, u64, enq_flags)
{
	struct task_ctx *t = bpf_task_storage_get(&tasks, p, NULL, CREATE);

	if (!t)
		return;
	if (!nr_free || nr_free > POOL) {
		scx_error("no context for task %d: %u of %u are free", p->pid, nr_free, POOL);
		return;
	}
	t->number = free_list[--nr_free] + 1;
	scx_insert(p, QUEUE, SCX_SLICE_DFL, enq_flags);
}

/* The task leaves the queue. */
OP2(void, torn_dequeue, struct task_struct *, p, u64, deq_flags)
{
	struct task_ctx *t = bpf_task_storage_get(&tasks, p, NULL, 0);

	if (!t || !t->number)
		return;
	give(t->number - 1);
	t->number = 0;
}

OP2(void, torn_dispatch, s32, cpu, struct task_struct *, prev)
{
	u32 top = nr_free, mine;

	if (!top || top > POOL)
		return;
	mine = free_list[top - 1];
#ifdef FIXED
	nr_free = top - 1; /* taken: whoever comes now sees it */
	scx_move_to_local(QUEUE);
	give(mine);
#else
	scx_move_to_local(QUEUE);
	free_list[top - 1] = mine;
	nr_free = top; /* and what ops.dequeue has given back is forgotten */
#endif
}

OP0_S(s32, torn_init)
{
	int i;

	for_range(i, 0, POOL)
		if ((u32)i < POOL)
			free_list[i] = i;
	nr_free = POOL;
	return scx_bpf_create_dsq(QUEUE, -1);
}

SCHEDULER ops = {
	.enqueue = (void *)torn_enqueue,
	.dequeue = (void *)torn_dequeue,
	.dispatch = (void *)torn_dispatch,
	.init = (void *)torn_init,
	.name = "torn_cursor",
};
