#include "bpf.h"

/* A scheduler that needs a kernel function of a kernel to come. */

struct task_struct { int pid; } relocatable;
struct sched_ext_ops {
	void (*enqueue)(struct task_struct *p, u64 flags);
	char name[128];
};

extern void scx_bpf_warp(struct task_struct *p) __ksym;

SEC("struct_ops/enqueue") void newer_enqueue(u64 *ctx)
{
	scx_bpf_warp((struct task_struct *)ctx[0]);
}

SEC(".struct_ops.link") struct sched_ext_ops newer = {
	.enqueue = (void *)newer_enqueue,
	.name = "newer",
};
