#include "bpf.h"

/* A scheduler that no kernel would load: it writes over the tasks that it is given. */

struct task_struct { int pid; } relocatable;

struct sched_ext_ops {
	void (*enqueue)(struct task_struct *p, u64 flags);
	void (*dispatch)(s32 cpu, struct task_struct *prev);
	void (*running)(struct task_struct *p);
	u64 flags;
	char name[128];
};

extern bool scx_bpf_dsq_insert___v2___compat(struct task_struct *p, u64 dsq, u64 slice, u64 flags) __ksym;
extern bool scx_bpf_task_running(const struct task_struct *p) __ksym;

#define GLOBAL 0x8000000000000001ULL

const volatile u64 seed = 1;
u64 state;

static u64 random(void)
{
	if (!state)
		state = seed * 0x9e3779b97f4a7c15ULL;
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

static __noinline int scribble(struct task_struct *p)
{
	static const u64 values[] = { 0, 1, 0x7fffffffULL, 0x80000000ULL, ~0ULL };
	u64 r = random(), i = (r >> 32) % 6;

	*(volatile u64 *)((char *)p + (r & 0xff8)) = i < 5 ? values[i] : random();
	return 0;
}

SEC("struct_ops/enqueue") void scribble_enqueue(u64 *ctx)
{
	struct task_struct *p = (void *)ctx[0];

	scribble(p);
	scx_bpf_dsq_insert___v2___compat(p, GLOBAL, 20000000, ctx[1]);
	scx_bpf_task_running(p);
}

SEC("struct_ops/running") void scribble_running(u64 *ctx)
{
	scribble((void *)ctx[0]);
}

SEC("struct_ops/dispatch") void scribble_dispatch(u64 *ctx)
{
	if (ctx[1])
		scribble((void *)ctx[1]);
}

SEC(".struct_ops.link") struct sched_ext_ops scribble_ops = {
	.enqueue = (void *)scribble_enqueue, .dispatch = (void *)scribble_dispatch, .running = (void *)scribble_running, .name = "scribble",
};
