#include "bpf.h"

/* Two schedulers: one calls a kernel function from a callback that must not, the other keeps to the rules. */

struct task_struct { int pid; } relocatable;

struct sched_ext_ops {
	void (*enqueue)(struct task_struct *p, u64 flags);
	void (*dispatch)(s32 cpu, struct task_struct *prev);
	void (*running)(struct task_struct *p);
	void (*tick)(struct task_struct *p);
	s32 (*init)(void);
	char name[128];
};

extern bool scx_bpf_dsq_insert___v2___compat(struct task_struct *p, u64 dsq, u64 slice, u64 flags) __ksym;
extern bool scx_bpf_dsq_move_to_local(u64 dsq) __ksym;
extern s32 scx_bpf_create_dsq(u64 dsq, s32 node) __ksym;
extern u32 scx_bpf_dispatch_nr_slots(void) __ksym;

#define DSQ 9
#define SLICE 5000000ULL

const volatile u32 from; /* the running of this task is the one with the call */
u64 nr_running;

SEC("struct_ops/enqueue") void perm_enqueue(u64 *ctx)
{
	scx_bpf_dsq_insert___v2___compat((struct task_struct *)ctx[0], DSQ, SLICE, ctx[1]);
}

SEC("struct_ops/dispatch") void perm_dispatch(u64 *ctx)
{
	if (scx_bpf_dispatch_nr_slots())
		scx_bpf_dsq_move_to_local(DSQ);
}

SEC("struct_ops/running") void perm_running(u64 *ctx)
{
	if (++nr_running > from)
		scx_bpf_dispatch_nr_slots();
}

SEC("struct_ops.s/init") s32 perm_init(void *ctx)
{
	return scx_bpf_create_dsq(DSQ, -1);
}

SEC("?.struct_ops.link") struct sched_ext_ops wrong = {
	.enqueue = (void *)perm_enqueue,
	.dispatch = (void *)perm_dispatch,
	.running = (void *)perm_running,
	.init = (void *)perm_init,
	.name = "wrong",
};

SEC("?.struct_ops.link") struct sched_ext_ops right = {
	.enqueue = (void *)perm_enqueue,
	.dispatch = (void *)perm_dispatch,
	.init = (void *)perm_init,
	.name = "right",
};
