/* SPDX-License-Identifier: GPL-2.0 */
/*
 * user_vtime: a process decides which task runs next.
 *
 * Tasks that become ready are handed to the process through one queue; it orders them by weighted virtual time and hands them
 * back through another. The process is scheduled here too: it goes first while there is something for it to do, and waits in
 * a DSQ of its own while there is not. It never sleeps: it calls sched_yield when it is done.
 *
 * What must not wait for the process stays here: threads of the kernel, and tasks that may not use all CPUs.
 */
#include "sched_ext.bpf.h"

char _license[] SEC("license") = "GPL";

#define PROCESS_DSQ 0
#define SHARED_DSQ 1
#define MAX_TASKS 4096
#define BATCH 32
#define PF_KTHREAD 0x00200000

extern s32 scx_bpf_pick_idle_cpu(const struct cpumask *cpus_allowed, u64 flags) __ksym;

/* Set by user space. */
const volatile s32 usersched_pid;
const volatile u32 num_possible_cpus = 1;
const volatile u64 slice_ns = 5000000;

u64 nr_queued, nr_scheduled; /* handed to the process; in its hands, as it says */
u64 nr_user, nr_kernel, nr_full; /* decisions of the process, of this side, and of this side because the queue was full */

struct task_info {
	s32 pid;
	u64 sum_exec_runtime;
	u64 weight;
};

struct {
	__uint(type, BPF_MAP_TYPE_QUEUE);
	__uint(max_entries, MAX_TASKS);
	__type(value, struct task_info);
} enqueued SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_QUEUE);
	__uint(max_entries, MAX_TASKS);
	__type(value, s32);
} dispatched SEC(".maps");

OP3(s32, uv_select_cpu, struct task_struct *, p, s32, prev_cpu, u64, wake_flags)
{
	bool idle = false;

	/* An idle CPU is woken by this, and then runs the process, which decides. */
	return scx_bpf_select_cpu_dfl(p, prev_cpu, wake_flags, &idle);
}

OP2(void, uv_enqueue, struct task_struct *, p, u64, enq_flags)
{
	struct task_info t = {};

	if (p->pid == usersched_pid) {
		scx_insert(p, PROCESS_DSQ, slice_ns, enq_flags);
		return;
	}
	if ((p->flags & PF_KTHREAD) || p->nr_cpus_allowed < num_possible_cpus) {
		__sync_fetch_and_add(&nr_kernel, 1);
		scx_insert(p, SCX_DSQ_GLOBAL, slice_ns, enq_flags);
		return;
	}
	t.pid = p->pid;
	t.sum_exec_runtime = p->se.sum_exec_runtime;
	t.weight = p->scx.weight;
	if (bpf_map_push_elem(&enqueued, &t, 0)) {
		__sync_fetch_and_add(&nr_full, 1);
		scx_insert(p, SHARED_DSQ, slice_ns, enq_flags);
		return;
	}
	__sync_fetch_and_add(&nr_queued, 1);
}

OP2(void, uv_dispatch, s32, cpu, struct task_struct *, prev)
{
	struct task_struct *p;
	s32 pid, i, idle;

	for (i = 0; i < BATCH; i++) {
		if (bpf_map_pop_elem(&dispatched, &pid))
			break;
		p = bpf_task_from_pid(pid);
		if (!p)
			continue; /* it has ended */
		__sync_fetch_and_add(&nr_user, 1);
		scx_insert(p, SHARED_DSQ, slice_ns, 0);
		idle = scx_bpf_pick_idle_cpu(p->cpus_ptr, 0);
		bpf_task_release(p);
		if (idle >= 0)
			scx_bpf_kick_cpu(idle, 0);
	}
	if ((nr_queued || nr_scheduled) && scx_move_to_local(PROCESS_DSQ))
		return;
	scx_move_to_local(SHARED_DSQ);
}

OP0_S(s32, uv_init)
{
	s32 err;

	if (usersched_pid <= 0) {
		scx_error("usersched_pid is %d: the process is to set it", usersched_pid);
		return -22; /* EINVAL */
	}
	err = scx_bpf_create_dsq(PROCESS_DSQ, -1);
	return err ? err : scx_bpf_create_dsq(SHARED_DSQ, -1);
}

SCHEDULER user_vtime_ops = {
	.select_cpu = (void *)uv_select_cpu,
	.enqueue = (void *)uv_enqueue,
	.dispatch = (void *)uv_dispatch,
	.init = (void *)uv_init,
	.flags = SCX_OPS_ENQ_LAST,
	.name = "user_vtime",
};
