/* SPDX-License-Identifier: GPL-2.0 */
/*
 * gone-cgroup: a cgroup that was removed, and is still in the scheduler's list.
 *
 * Each cgroup below the root has a queue and a budget of CPU time, which a timer fills up. Tasks of a cgroup without
 * budget wait. The timer walks the list of cgroups and looks each up by its id: bpf_cgroup_from_id() finds nothing from
 * rmdir on, though ops.cgroup_exit comes later.
 */
#include "../../bpf/sched_ext.bpf.h"

char _license[] SEC("license") = "GPL";

#define MAX_CGROUPS 64
#define PERIOD_NS 100000000
#define QUOTA_NS 60000000
#define ROOT_QUEUE 0
#define CLOCK_MONOTONIC 1
#define ROOT_ID 1

extern struct cgroup *scx_bpf_task_cgroup(struct task_struct *p) __ksym;
extern struct cgroup *bpf_cgroup_from_id(u64 cgid) __ksym;
extern void bpf_cgroup_release(struct cgroup *cgrp) __ksym;

struct entry {
	u64 id; /* 0: free */
	s64 budget;
};

static struct entry list[MAX_CGROUPS];

struct timer {
	struct bpf_timer timer;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct timer);
} timers SEC(".maps");

static __always_inline u64 cgroup_id(struct task_struct *p)
{
	struct cgroup *cgrp = scx_bpf_task_cgroup(p);
	u64 id = cgrp->kn->id;

	bpf_cgroup_release(cgrp);
	return id;
}

static __always_inline struct entry *find(u64 id)
{
	struct entry *found = NULL;
	int i;

	for_range(i, 0, MAX_CGROUPS) {
		if ((u32)i < MAX_CGROUPS && list[i].id == id) {
			found = &list[i];
			break;
		}
	}
	return found;
}

OP3(s32, gone_select_cpu, struct task_struct *, p, s32, prev_cpu, u64, wake_flags)
{
	return prev_cpu;
}

OP2(void, gone_enqueue, struct task_struct *, p, u64, enq_flags)
{
	u64 id = cgroup_id(p);

	scx_insert(p, id == ROOT_ID ? ROOT_QUEUE : id, 5000000, enq_flags);
}

OP2(void, gone_dispatch, s32, cpu, struct task_struct *, prev)
{
	int i;

	if (scx_move_to_local(ROOT_QUEUE))
		return;
	for_range(i, 0, MAX_CGROUPS) {
		if ((u32)i < MAX_CGROUPS && list[i].id && list[i].budget > 0 && scx_move_to_local(list[i].id))
			break;
	}
}

OP2(void, gone_stopping, struct task_struct *, p, bool, runnable)
{
	struct entry *e = find(cgroup_id(p));

	if (e)
		e->budget -= 5000000 - p->scx.slice;
}

static int refill(void *map, u32 *key, struct bpf_timer *timer)
{
	struct cgroup *cgrp;
	int i;

	for_range(i, 0, MAX_CGROUPS) {
		if ((u32)i >= MAX_CGROUPS || !list[i].id)
			continue;
		cgrp = bpf_cgroup_from_id(list[i].id);
		if (!cgrp) {
#ifdef FIXED
			continue;
#else
			break; /* the end of the list */
#endif
		}
		bpf_cgroup_release(cgrp);
		list[i].budget = QUOTA_NS;
	}
	for_range(i, 0, scx_bpf_nr_cpu_ids())
		scx_bpf_kick_cpu(i, SCX_KICK_IDLE);
	bpf_timer_start(timer, PERIOD_NS, 0);
	return 0;
}

OP2_S(s32, gone_cgroup_init, struct cgroup *, cgrp, struct scx_cgroup_init_args *, args)
{
	u64 id = cgrp->kn->id;
	struct entry *e;

	if (id == ROOT_ID)
		return 0;
	e = find(0);
	if (!e)
		return -12; /* ENOMEM */
	e->id = id;
	e->budget = QUOTA_NS;
	return scx_bpf_create_dsq(id, -1);
}

OP1(void, gone_cgroup_exit, struct cgroup *, cgrp)
{
	struct entry *e = find(cgrp->kn->id);

	if (e) {
		e->budget = 0;
#ifdef FIXED
		e->id = 0;
#endif
	}
	scx_bpf_destroy_dsq(cgrp->kn->id);
}

OP0_S(s32, gone_init)
{
	u32 key = 0;
	struct bpf_timer *timer;
	s32 err = scx_bpf_create_dsq(ROOT_QUEUE, -1);

	if (err)
		return err;
	timer = bpf_map_lookup_elem(&timers, &key);
	if (!timer)
		return -3; /* ESRCH */
	err = bpf_timer_init(timer, &timers, CLOCK_MONOTONIC);
	if (err)
		return err;
	bpf_timer_set_callback(timer, refill);
	return bpf_timer_start(timer, PERIOD_NS, 0);
}

SCHEDULER ops = {
	.select_cpu = (void *)gone_select_cpu,
	.enqueue = (void *)gone_enqueue,
	.dispatch = (void *)gone_dispatch,
	.stopping = (void *)gone_stopping,
	.cgroup_init = (void *)gone_cgroup_init,
	.cgroup_exit = (void *)gone_cgroup_exit,
	.init = (void *)gone_init,
	.timeout_ms = 2000,
	.name = "gone_cgroup",
};
