/* SPDX-License-Identifier: GPL-2.0 */
/*
 * orphan-queue: a queue that no CPU is responsible for.
 *
 * CPUs are split between two groups of tasks, nice ones and the others, and each group has a queue per NUMA node, so
 * that memory stays near. A CPU serves the queue of its group on its node. A group need not have a CPU on every node:
 * for what queues there nevertheless, each node's first CPU is the fallback.
 */
#include "../../bpf/sched_ext.bpf.h"

char _license[] SEC("license") = "GPL";

#define MAX_CPUS 64
#define NODES 2

/* The machine, as user space would write it: two nodes of two CPUs, one of which is for nice tasks. */
const volatile u32 nr_cpus = 4;
const volatile u32 nr_nice_cpus = 1;

enum { OTHERS, NICE, GROUPS };

static __always_inline u32 group_of(const struct task_struct *p) { return p->static_prio > 120 ? NICE : OTHERS; }
static __always_inline u32 cpu_group(s32 cpu) { return (u32)cpu < nr_nice_cpus ? NICE : OTHERS; }
static __always_inline u32 cpu_node(s32 cpu) { return (u32)cpu >= nr_cpus / 2; }
static __always_inline bool is_fallback(s32 cpu) { return cpu == 0 || (u32)cpu == nr_cpus / 2; }
static __always_inline u64 queue(u32 group, u32 node) { return group * NODES + node; }

/* Whether the group has a CPU on the node. */
static __always_inline bool served(u32 group, u32 node)
{
	int i;
	bool any = false;

	for_range(i, 0, nr_cpus)
		if (cpu_node(i) == node && cpu_group(i) == group)
			any = true;
	return any;
}

OP2(void, orphan_enqueue, struct task_struct *, p, u64, enq_flags)
{
	scx_insert(p, queue(group_of(p), cpu_node(scx_bpf_task_cpu(p))), SCX_SLICE_DFL, enq_flags);
}

OP2(void, orphan_dispatch, s32, cpu, struct task_struct *, prev)
{
	u32 node = cpu_node(cpu), group = cpu_group(cpu);
	int i;

	if (scx_move_to_local(queue(group, node)))
		return;
	if (!is_fallback(cpu))
		return;
	for_range(i, 0, GROUPS) {
#ifndef FIXED
		if (i != (int)group)
			continue; /* this CPU is the other group's */
#endif
		if (!served(i, node) && scx_move_to_local(queue(i, node)))
			break;
	}
}

OP0_S(s32, orphan_init)
{
	s32 err = 0;
	int i;

	for_range(i, 0, GROUPS * NODES) {
		err = scx_bpf_create_dsq(i, -1);
		if (err)
			break;
	}
	return err;
}

SCHEDULER ops = {
	.enqueue = (void *)orphan_enqueue,
	.dispatch = (void *)orphan_dispatch,
	.init = (void *)orphan_init,
	.timeout_ms = 2000,
	.name = "orphan_queue",
};
