#include "bpf.h"

/* A FIFO that counts why tasks are taken away from it, by functions that all kernels have. */

struct task_struct { int pid; } relocatable;
struct sched_ext_ops {
	s32 (*select_cpu)(struct task_struct *p, s32 prev, u64 flags);
	void (*enqueue)(struct task_struct *p, u64 flags);
	void (*dequeue)(struct task_struct *p, u64 flags);
	void (*dispatch)(s32 cpu, struct task_struct *prev);
	s32 (*init)(void);
	u64 flags;
	char name[128];
};

extern void scx_bpf_dsq_insert(struct task_struct *p, u64 dsq, u64 slice, u64 flags) __ksym;
extern bool scx_bpf_dsq_move_to_local(u64 dsq) __ksym;
extern s32 scx_bpf_create_dsq(u64 dsq, s32 node) __ksym;

#define DSQ 9
#define SLICE 5000000ULL
#define DEQ_SLEEP 1

u64 nr_enqueued, nr_dispatched; /* by this scheduler */
u64 nr_gone, nr_asleep, nr_changed, nr_other; /* ops.dequeue: without flags, with SLEEP, with one of sched_ext's own, with others */

SEC("struct_ops/select_cpu") s32 custody_select(u64 *ctx) { return ctx[1]; }

SEC("struct_ops/enqueue") void custody_enqueue(u64 *ctx)
{
	nr_enqueued++;
	scx_bpf_dsq_insert((struct task_struct *)ctx[0], DSQ, SLICE, ctx[1]);
}

SEC("struct_ops/dequeue") void custody_dequeue(u64 *ctx)
{
	u64 flags = ctx[1];

	if (!flags)
		nr_gone++;
	else if (flags & DEQ_SLEEP)
		nr_asleep++;
	else if (flags >> 32)
		nr_changed++;
	else
		nr_other++;
}

SEC("struct_ops/dispatch") void custody_dispatch(u64 *ctx)
{
	if (scx_bpf_dsq_move_to_local(DSQ))
		nr_dispatched++;
}

SEC("struct_ops.s/init") s32 custody_init(void *ctx) { return scx_bpf_create_dsq(DSQ, -1); }

SEC(".struct_ops.link") struct sched_ext_ops custody_ops = {
	.select_cpu = (void *)custody_select,
	.enqueue = (void *)custody_enqueue,
	.dequeue = (void *)custody_dequeue,
	.dispatch = (void *)custody_dispatch,
	.init = (void *)custody_init,
	.name = "custody",
};
