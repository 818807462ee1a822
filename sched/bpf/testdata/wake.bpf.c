#include "bpf.h"

/* A scheduler that counts which CPU enqueues a task that wakes for another CPU, with and without SCX_OPS_ALLOW_QUEUED_WAKEUP. */

struct task_struct { int pid; } relocatable;
struct sched_ext_ops {
	s32 (*select_cpu)(struct task_struct *p, s32 prev, u64 flags);
	void (*enqueue)(struct task_struct *p, u64 flags);
	u64 flags;
	char name[128];
};

extern bool scx_bpf_dsq_insert___v2___compat(struct task_struct *p, u64 dsq, u64 slice, u64 flags) __ksym;
extern s32 scx_bpf_task_cpu(const struct task_struct *p) __ksym;
static u32 (*const this_cpu)(void) = (void *)8;

#define LOCAL (1ULL << 63 | 2)
#define SLICE 20000000ULL
enum { SWITCH_PARTIAL = 8, ALLOW_QUEUED_WAKEUP = 32 };
#define ENQ_WAKEUP 1
#define ENQ_CPU_SELECTED (1ULL << 20)

/* Wakeups for a CPU that is not the one on which select_cpu ran, by where enqueue ran and whether it was told of select_cpu. */
u64 nr_by_waker, nr_by_waker_selected, nr_by_target, nr_by_target_selected;
s32 chosen_on[2], chosen[2];
u32 pids[2];

SEC("struct_ops/select_cpu") s32 wake_select(u64 *ctx)
{
	struct task_struct *p = (void *)ctx[0];
	u32 i = p->pid & 1;

	pids[i] = p->pid;
	chosen_on[i] = this_cpu();
	chosen[i] = !chosen_on[i];
	return chosen[i];
}

SEC("struct_ops/enqueue") void wake_enqueue(u64 *ctx)
{
	struct task_struct *p = (void *)ctx[0];
	u64 flags = ctx[1];
	u32 i = p->pid & 1;

	if (flags & ENQ_WAKEUP && pids[i] == p->pid && scx_bpf_task_cpu(p) == chosen[i]) {
		if (this_cpu() == chosen_on[i]) {
			nr_by_waker++;
			nr_by_waker_selected += !!(flags & ENQ_CPU_SELECTED);
		} else if (this_cpu() == chosen[i]) {
			nr_by_target++;
			nr_by_target_selected += !!(flags & ENQ_CPU_SELECTED);
		}
	}
	scx_bpf_dsq_insert___v2___compat(p, LOCAL, SLICE, 0);
}

SEC("?.struct_ops.link") struct sched_ext_ops direct = {
	.select_cpu = (void *)wake_select, .enqueue = (void *)wake_enqueue, .flags = SWITCH_PARTIAL, .name = "direct",
};
SEC("?.struct_ops.link") struct sched_ext_ops queued = {
	.select_cpu = (void *)wake_select, .enqueue = (void *)wake_enqueue, .flags = SWITCH_PARTIAL | ALLOW_QUEUED_WAKEUP, .name = "queued",
};
