#include "bpf.h"
#define __arena __attribute__((address_space(1)))

/* A scheduler of the cid form with one queue, which lets one sub-scheduler dispatch. */

struct { INT(type, 33); INT(map_flags, 1 << 10); INT(max_entries, 64); WIDE(map_extra, 1ULL << 44); } arena SEC(".maps");

struct task_struct { int pid; } relocatable;
struct scx_init_task_args { bool fork; } relocatable;
struct scx_cmask { u32 base, nr_cids, alloc_words; u64 bits[2]; };
struct scx_cid_topo { s32 core_cid, core_idx, llc_cid, llc_idx, node_cid, node_idx; };
struct sched_ext_ops { u64 sub_cgroup_id; } relocatable;
struct scx_sub_attach_args { struct sched_ext_ops *ops; const char *cgroup_path; } relocatable;
struct scx_sub_detach_args { struct sched_ext_ops *ops; } relocatable;

struct sched_ext_ops_cid {
	s32 (*select_cid)(struct task_struct *p, s32 prev, u64 flags);
	void (*enqueue)(struct task_struct *p, u64 flags);
	void (*dispatch)(s32 cid, struct task_struct *prev);
	void (*running)(struct task_struct *p);
	void (*set_cmask)(struct task_struct *p, const struct scx_cmask *m);
	s32 (*sub_attach)(struct scx_sub_attach_args *args);
	void (*sub_detach)(struct scx_sub_detach_args *args);
	s32 (*init)(void);
	u64 flags, sub_cgroup_id;
	char name[128];
};

extern bool scx_bpf_dsq_insert___v2___compat(struct task_struct *p, u64 dsq, u64 slice, u64 flags) __ksym;
extern bool scx_bpf_dsq_move_to_local(u64 dsq) __ksym;
extern s32 scx_bpf_create_dsq(u64 dsq, s32 node) __ksym;
extern bool scx_bpf_sub_dispatch(u64 cgroup_id) __ksym;
extern void scx_bpf_cid_override(const s32 *cpu_to_cid, u32 cpu_to_cid__sz) __ksym;
extern s32 scx_bpf_cid_to_cpu(s32 cid) __ksym;
extern s32 scx_bpf_cpu_to_cid(s32 cpu) __ksym;
extern void scx_bpf_cid_topo(s32 cid, struct scx_cid_topo *out, u64 out__sz) __ksym;
extern u32 scx_bpf_nr_cids(void) __ksym;
extern s32 scx_bpf_this_cid(void) __ksym;
extern s32 scx_bpf_task_cid(const struct task_struct *p) __ksym;
extern void scx_bpf_kick_cid(s32 cid, u64 flags) __ksym;
extern u32 scx_bpf_cidperf_cap(s32 cid) __ksym;
extern u32 scx_bpf_cidperf_cur(s32 cid) __ksym;
extern void scx_bpf_cidperf_set(s32 cid, u32 perf) __ksym;
extern struct task_struct *scx_bpf_cid_curr(s32 cid) __ksym;
extern u32 scx_bpf_nr_online_cids(void) __ksym;

#define DSQ 9
#define SLICE 20000000ULL

const volatile bool reverse;
u64 nr_selected, nr_enqueued, nr_dispatched, nr_running, nr_masks, last_mask, last_range, wrong_cid, child, nr_sub, perf;
s32 table[4];
struct scx_cid_topo topo;
u64 __arena seen SEC(".addr_space.1") = 1;

SEC("struct_ops/select_cid") s32 cid_select(u64 *ctx)
{
	struct task_struct *p = (void *)ctx[0];

	nr_selected++;
	if (scx_bpf_task_cid(p) != (s32)ctx[1])
		wrong_cid++;
	return ctx[1];
}

SEC("struct_ops/enqueue") void cid_enqueue(u64 *ctx)
{
	nr_enqueued++;
	seen++;
	scx_bpf_dsq_insert___v2___compat((struct task_struct *)ctx[0], DSQ, SLICE, ctx[1]);
	scx_bpf_kick_cid(scx_bpf_this_cid(), 0);
}

SEC("struct_ops/dispatch") void cid_dispatch(u64 *ctx)
{
	nr_dispatched++;
	if ((s32)ctx[0] != scx_bpf_this_cid())
		wrong_cid++;
	if (scx_bpf_dsq_move_to_local(DSQ))
		return;
	if (child && scx_bpf_sub_dispatch(child))
		nr_sub++;
}

SEC("struct_ops/running") void cid_running(u64 *ctx)
{
	nr_running++;
	if (!scx_bpf_cid_curr(scx_bpf_this_cid()))
		wrong_cid++;
}

SEC("struct_ops/set_cmask") void cid_set_cmask(u64 *ctx)
{
	struct scx_cmask __arena *m = (struct scx_cmask __arena *)(long)ctx[1];

	seen++; /* the program uses the arena */
	nr_masks++;
	last_range = m->nr_cids;
	last_mask = m->bits[0];
}

SEC("struct_ops.s/sub_attach") s32 cid_sub_attach(u64 *ctx)
{
	struct scx_sub_attach_args *a = (void *)ctx[0];

	child = a->ops->sub_cgroup_id;
	return 0;
}

SEC("struct_ops.s/sub_detach") void cid_sub_detach(u64 *ctx)
{
	child = 0;
}

SEC("struct_ops.s/init") s32 cid_init(void *ctx)
{
	if (reverse) {
		for (s32 i = 0; i < 4; i++)
			table[i] = 3 - i;
		scx_bpf_cid_override(table, sizeof(table));
	}
	scx_bpf_cid_topo(1, &topo, sizeof(topo));
	scx_bpf_cidperf_set(0, scx_bpf_cidperf_cap(0) / 2);
	perf = scx_bpf_cidperf_cur(0) + scx_bpf_nr_online_cids();
	if (scx_bpf_cpu_to_cid(scx_bpf_cid_to_cpu(2)) != 2 || scx_bpf_nr_cids() != 4)
		wrong_cid++;
	return scx_bpf_create_dsq(DSQ, -1);
}

SEC(".struct_ops.link") struct sched_ext_ops_cid cid_ops = {
	.select_cid = (void *)cid_select,
	.enqueue = (void *)cid_enqueue,
	.dispatch = (void *)cid_dispatch,
	.running = (void *)cid_running,
	.set_cmask = (void *)cid_set_cmask,
	.sub_attach = (void *)cid_sub_attach,
	.sub_detach = (void *)cid_sub_detach,
	.init = (void *)cid_init,
	.name = "cid",
};

/* The same without an arena. */
SEC("struct_ops/enqueue") void bare_enqueue(u64 *ctx)
{
	scx_bpf_dsq_insert___v2___compat((struct task_struct *)ctx[0], 1ULL << 63 | 1, SLICE, ctx[1]);
}

SEC(".struct_ops.link") struct sched_ext_ops_cid bare_ops = {
	.enqueue = (void *)bare_enqueue,
	.name = "bare",
};
