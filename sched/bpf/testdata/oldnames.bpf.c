#include "bpf.h"

/* A scheduler that calls functions by the names that Linux 6.16 still has from before 6.13. */

struct task_struct { int pid; } relocatable;
struct bpf_iter_scx_dsq { u64 opaque[6]; } __attribute__((aligned(8)));
struct sched_ext_ops {
	void (*enqueue)(struct task_struct *p, u64 enq_flags);
	void (*dispatch)(s32 cpu, struct task_struct *prev);
	s32 (*init)(void);
	u64 flags;
	char name[128];
};

extern void scx_bpf_dispatch(struct task_struct *p, u64 dsq_id, u64 slice, u64 enq_flags) __ksym;
extern void scx_bpf_dispatch_vtime(struct task_struct *p, u64 dsq_id, u64 slice, u64 vtime, u64 enq_flags) __ksym;
extern bool scx_bpf_consume(u64 dsq_id) __ksym;
extern bool scx_bpf_dispatch_from_dsq(struct bpf_iter_scx_dsq *it, struct task_struct *p, u64 dsq_id, u64 enq_flags) __ksym;
extern bool scx_bpf_dispatch_vtime_from_dsq(struct bpf_iter_scx_dsq *it, struct task_struct *p, u64 dsq_id, u64 enq_flags) __ksym;
extern void scx_bpf_dispatch_from_dsq_set_slice(struct bpf_iter_scx_dsq *it, u64 slice) __ksym;
extern void scx_bpf_dispatch_from_dsq_set_vtime(struct bpf_iter_scx_dsq *it, u64 vtime) __ksym;
extern s32 scx_bpf_create_dsq(u64 dsq_id, s32 node) __ksym;
extern int bpf_iter_scx_dsq_new(struct bpf_iter_scx_dsq *it, u64 dsq_id, u64 flags) __ksym;
extern struct task_struct *bpf_iter_scx_dsq_next(struct bpf_iter_scx_dsq *it) __ksym;
extern void bpf_iter_scx_dsq_destroy(struct bpf_iter_scx_dsq *it) __ksym;

u64 turns, by_vtime, moved, moved_vtime, consumed;

SEC("struct_ops/enqueue") void old_enqueue(u64 *ctx)
{
	struct task_struct *p = (void *)ctx[0];

	switch (turns++ % 3) {
	case 0:
		scx_bpf_dispatch(p, 1, 5000000, ctx[1]);
		break;
	case 1:
		scx_bpf_dispatch(p, 2, 5000000, ctx[1]);
		break;
	default:
		by_vtime++;
		scx_bpf_dispatch_vtime(p, 3, 5000000, turns, ctx[1]);
	}
}

SEC("struct_ops/dispatch") void old_dispatch(u64 *ctx)
{
	struct bpf_iter_scx_dsq it;
	struct task_struct *p;

	bpf_iter_scx_dsq_new(&it, 2, 0);
	p = bpf_iter_scx_dsq_next(&it);
	if (p) {
		scx_bpf_dispatch_from_dsq_set_slice(&it, 3000000);
		if (turns & 1) {
			scx_bpf_dispatch_from_dsq_set_vtime(&it, turns);
			moved_vtime += scx_bpf_dispatch_vtime_from_dsq(&it, p, 3, 0);
		} else {
			moved += scx_bpf_dispatch_from_dsq(&it, p, 1, 0);
		}
	}
	bpf_iter_scx_dsq_destroy(&it);
	if (scx_bpf_consume(1) || scx_bpf_consume(3))
		consumed++;
}

SEC("struct_ops.s/init") s32 old_init(void *ctx)
{
	s32 ret = scx_bpf_create_dsq(1, -1);

	if (!ret)
		ret = scx_bpf_create_dsq(2, -1);
	return ret ? ret : scx_bpf_create_dsq(3, -1);
}

SEC(".struct_ops.link") struct sched_ext_ops old_ops = {
	.enqueue = (void *)old_enqueue,
	.dispatch = (void *)old_dispatch,
	.init = (void *)old_init,
	.flags = 8,
	.name = "oldnames",
};
