/* A scheduler that leaves everything to the kernel and counts what it is told of cgroups, and programs at tracepoints and
 * functions that count what happens. TestTraced says how often. */
#include "bpf.h"

struct kernfs_node { u64 id; } relocatable;
struct cgroup_subsys_state { struct cgroup *cgroup; struct cgroup_subsys_state *parent; unsigned int flags; } relocatable;
struct cgroup { struct cgroup_subsys_state self; int level; struct kernfs_node *kn; } relocatable;
struct css_set { struct cgroup *dfl_cgrp; } relocatable;
struct task_group { struct cgroup_subsys_state css; } relocatable;
struct task_struct { int pid; char comm[16]; struct css_set *cgroups; struct task_group *sched_task_group; } relocatable;
struct rq { int cpu; } relocatable;
struct scx_cgroup_init_args { u32 weight; u64 bw_period_us, bw_quota_us, bw_burst_us; } relocatable;
struct scx_init_task_args;

extern struct cgroup *bpf_cgroup_from_id(u64 id) __ksym;
extern void bpf_cgroup_release(struct cgroup *c) __ksym;

static void *(*const cgrp_storage_get)(void *map, struct cgroup *c, void *value, u64 flags) = (void *)210;
static u64 (*const current_cgroup_id)(void) = (void *)80;
static long (*const read_str)(void *dst, u32 size, const void *src) = (void *)115;

struct {
	INT(type, 32);
	INT(map_flags, 1);
	TYPE(key, int);
	TYPE(value, u64);
} groups SEC(".maps");

u64 inits, exits, prep_moves, moves, weights, bandwidths, idles, last_weight, last_quota, last_from, last_to, online, offline;
u64 switches, preempted, wakings, wakeups, new_wakeups, migrations, forks, deaths, mkdirs, rmdirs, attached, cpusets, waits, wakes, ticks, registered;
u64 attached_id, attached_level, mkdir_id, switch_in, from_css;
u64 lookups; /* how many cgroups could be found by the id that they showed */
char path[16], renamed_from[16], renamed_to[16];

SEC("struct_ops.s/cgroup_init") int on_init(u64 *ctx)
{
	struct cgroup *c = (void *)ctx[0];
	struct scx_cgroup_init_args *a = (void *)ctx[1];
	u64 *v = cgrp_storage_get(&groups, c, 0, 1);

	if (v)
		*v = a->weight;
	inits++;
	last_quota = a->bw_quota_us;
	return 0;
}
SEC("struct_ops.s/cgroup_exit") int on_exit(u64 *ctx)
{
	exits++;
	return 0;
}
SEC("struct_ops.s/cgroup_prep_move") int on_prep_move(u64 *ctx)
{
	prep_moves++;
	return 0;
}
SEC("struct_ops/cgroup_move") int on_move(u64 *ctx)
{
	struct task_struct *p = (void *)ctx[0];
	struct cgroup *from = (void *)ctx[1], *to = (void *)ctx[2];

	moves++;
	last_from = from->kn->id;
	last_to = to->kn->id;
	from_css = p->sched_task_group->css.cgroup->kn->id;
	return 0;
}
SEC("struct_ops/cgroup_set_weight") int on_weight(u64 *ctx)
{
	struct cgroup *c = (void *)ctx[0];
	u64 *v = cgrp_storage_get(&groups, c, 0, 0);

	weights++;
	if (v)
		last_weight = *v * 100000 + ctx[1];
	return 0;
}
SEC("struct_ops/cgroup_set_bandwidth") int on_bandwidth(u64 *ctx)
{
	bandwidths++;
	last_quota = ctx[2];
	return 0;
}
SEC("struct_ops/cgroup_set_idle") int on_idle(u64 *ctx)
{
	idles += ctx[1] ? 1 : 100;
	return 0;
}
SEC("struct_ops.s/cpu_online") int on_online(u64 *ctx) { online += ctx[0]; return 0; }
SEC("struct_ops.s/cpu_offline") int on_offline(u64 *ctx) { offline += ctx[0]; return 0; }

SEC("tp_btf/sched_switch") int at_switch(u64 *ctx)
{
	struct task_struct *next = (void *)ctx[2];

	switches++;
	preempted += ctx[0] != 0;
	if (next->pid)
		switch_in++;
	return 0;
}
SEC("tp_btf/sched_waking") int at_waking(u64 *ctx) { wakings++; return 0; }
SEC("tp_btf/sched_wakeup") int at_wakeup(u64 *ctx) { wakeups++; return 0; }
SEC("tp_btf/sched_wakeup_new") int at_wakeup_new(u64 *ctx) { new_wakeups++; return 0; }
SEC("tp_btf/sched_migrate_task") int at_migrate(u64 *ctx) { migrations++; return 0; }
SEC("tp_btf/sched_process_fork") int at_fork(u64 *ctx) { forks++; return 0; }
SEC("raw_tp/sched_process_exit") int at_exit(u64 *ctx) { deaths++; return 0; }
SEC("tp_btf/task_rename") int at_rename(u64 *ctx)
{
	struct task_struct *p = (void *)ctx[0];

	read_str(renamed_from, sizeof(renamed_from), p->comm);
	read_str(renamed_to, sizeof(renamed_to), (void *)ctx[1]);
	return 0;
}
SEC("tp_btf/cgroup_mkdir") int at_mkdir(u64 *ctx)
{
	struct cgroup *c = (void *)ctx[0], *again;

	mkdirs++;
	mkdir_id = c->kn->id;
	read_str(path, sizeof(path), (void *)ctx[1]);
	again = bpf_cgroup_from_id(c->kn->id);
	if (again) {
		lookups++;
		bpf_cgroup_release(again);
	}
	return 0;
}
SEC("tp_btf/cgroup_rmdir") int at_rmdir(u64 *ctx)
{
	struct cgroup *c = (void *)ctx[0], *again;

	rmdirs++;
	again = bpf_cgroup_from_id(c->kn->id);
	if (again) {
		lookups += 1000;
		bpf_cgroup_release(again);
	}
	return 0;
}
SEC("tp_btf/cgroup_attach_task") int at_attach(u64 *ctx)
{
	struct cgroup *c = (void *)ctx[0];
	struct task_struct *p = (void *)ctx[2];

	attached++;
	attached_id = p->cgroups->dfl_cgrp->kn->id;
	attached_level = c->level;
	return 0;
}
SEC("fentry/cpuset_write_resmask") int at_cpuset(u64 *ctx) { cpusets++; return 0; }
SEC("fexit/__futex_wait") int at_wait(u64 *ctx) { waits++; return 0; }
SEC("fentry/futex_wake") int at_wake(u64 *ctx) { wakes++; return 0; }
SEC("fentry/scx_tick") int at_tick(u64 *ctx)
{
	struct rq *rq = (void *)ctx[0];

	ticks += 1 + rq->cpu * 1000000;
	return 0;
}
SEC("fentry/bpf_scx_reg") int at_reg(u64 *ctx) { registered++; return 0; }
SEC("fexit/futex_wait_multiple") int at_read(u64 *ctx) { registered += 1000; return 0; }
SEC("?tp_btf/sched_switch") int unused(u64 *ctx) { switches += 1000; return 0; }
SEC("syscall") int where(void *ctx) { return current_cgroup_id(); }

struct sched_ext_ops {
	int (*cgroup_init)(u64 *), (*cgroup_exit)(u64 *), (*cgroup_prep_move)(u64 *), (*cgroup_move)(u64 *);
	int (*cgroup_set_weight)(u64 *), (*cgroup_set_bandwidth)(u64 *), (*cgroup_set_idle)(u64 *);
	int (*cpu_online)(u64 *), (*cpu_offline)(u64 *);
	char name[128];
};

SEC(".struct_ops.link") struct sched_ext_ops traced = {
	.cgroup_init = on_init, .cgroup_exit = on_exit, .cgroup_prep_move = on_prep_move, .cgroup_move = on_move,
	.cgroup_set_weight = on_weight, .cgroup_set_bandwidth = on_bandwidth, .cgroup_set_idle = on_idle,
	.cpu_online = on_online, .cpu_offline = on_offline, .name = "traced",
};
