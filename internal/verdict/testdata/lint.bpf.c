// Schedulers that kernels load and that are most likely not meant: what verify --lint remarks on. scripts/refused compiles
// it.
#include "vmlinux.h"

#define SEC(name) __attribute__((section(name), used))
#define TABLE SEC(".struct_ops.link") struct sched_ext_ops

extern void scx_bpf_not_yet(void) __weak __ksym;

const volatile u32 nr_things;
const volatile u32 nr_set = 4;
volatile u64 sink;

// Declared as the callbacks are, not as programs.
SEC("struct_ops/two") s32 two(struct task_struct *p, s32 cpu, u64 flags)
{
	return nr_set;
}
SEC("struct_ops/wide") u64 wide(u64 *ctx)
{
	return nr_things;
}
SEC("struct_ops/value") s32 value(u64 *ctx)
{
	return 0;
}
SEC("struct_ops/bye") void bye(u64 *ctx)
{
	sink = 9;
}
TABLE declared = {.name = "declared", .select_cpu = (void *)two, .dispatch = (void *)value, .exit = (void *)bye};
TABLE declared2 = {.name = "declared2", .select_cpu = (void *)wide, .exit = (void *)bye};

// Out of date.
SEC("struct_ops/old") void old(u64 *ctx)
{
	struct task_struct *p = (void *)ctx[0];
	struct rq *rq = scx_bpf_cpu_rq(0);

	p->scx.slice = 1;
	p->scx.dsq_vtime = 2;
	if (rq)
		sink = 1;
	if (scx_bpf_not_yet)
		scx_bpf_not_yet();
}
SEC("struct_ops/release") void release(u64 *ctx)
{
	scx_bpf_reenqueue_local();
}
TABLE outdated = {.name = "outdated", .running = (void *)old, .cpu_release = (void *)release, .exit = (void *)bye};

// Callbacks and flags that do not go together.
SEC("struct_ops/idle") void idle(u64 *ctx)
{
	sink = scx_bpf_test_and_clear_cpu_idle(ctx[0]);
}
SEC("struct_ops.s/make") s32 make(u64 *ctx)
{
	return scx_bpf_create_dsq(1, -1);
}
TABLE mixed = {.name = "mixed", .update_idle = (void *)idle, .init = (void *)make, .flags = SCX_OPS_ENQ_LAST | SCX_OPS_BUILTIN_IDLE_PER_NODE | 1ULL << 40};

char _license[] SEC("license") = "GPL";
