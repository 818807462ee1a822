/* SPDX-License-Identifier: GPL-2.0 */
/*
 * stale-mask: what a task may use is asked once and kept, and nobody says when it changes.
 *
 * The scheduler keeps the CPUs of each task as bits, because testing a word is cheaper than walking a cpumask, and puts
 * a waking task straight on an idle one of them. sched_setaffinity() changes the mask; ops.set_cpumask tells so.
 */
#include "../../bpf/sched_ext.bpf.h"

char _license[] SEC("license") = "GPL";

#define BPF_F_NO_PREALLOC 1
#define CREATE 1

static void *(*const bpf_task_storage_get)(void *map, struct task_struct *p, void *value, u64 flags) = (void *)156;

struct task_ctx {
	u64 cpus;
};

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct task_ctx);
} tasks SEC(".maps");

static __always_inline void remember(struct task_struct *p, const struct cpumask *mask)
{
	struct task_ctx *t = bpf_task_storage_get(&tasks, p, NULL, CREATE);
	u64 cpus = 0;
	int i;

	for_range(i, 0, 64)
		if (bpf_cpumask_test_cpu(i, mask))
			cpus |= 1ULL << i;
	if (t)
		t->cpus = cpus;
}

OP3(s32, mask_select_cpu, struct task_struct *, p, s32, prev_cpu, u64, wake_flags)
{
	struct task_ctx *t = bpf_task_storage_get(&tasks, p, NULL, 0);
	s32 picked = -1;
	int i;

	if (!t)
		return prev_cpu;
	for_range(i, 0, 64) {
		if (t->cpus >> i & 1 && scx_bpf_test_and_clear_cpu_idle(i)) {
			picked = i;
			break;
		}
	}
	if (picked < 0)
		return prev_cpu;
	scx_insert(p, SCX_DSQ_LOCAL_ON | picked, SCX_SLICE_DFL, 0);
	return picked;
}

#ifdef FIXED
OP2(void, mask_set_cpumask, struct task_struct *, p, const struct cpumask *, mask)
{
	remember(p, mask);
}
#endif

OP1(void, mask_enable, struct task_struct *, p)
{
	remember(p, p->cpus_ptr);
}

SCHEDULER ops = {
	.select_cpu = (void *)mask_select_cpu,
	.enable = (void *)mask_enable,
#ifdef FIXED
	.set_cpumask = (void *)mask_set_cpumask,
#endif
	.name = "stale_mask",
};
