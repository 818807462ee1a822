/* SPDX-License-Identifier: GPL-2.0 */
/*
 * central: one CPU makes all decisions.
 *
 * Every task queues in one FIFO map. The central CPU deals them out to the local DSQs of the other CPUs, which ask for
 * work by a flag and a kick instead of deciding themselves; tasks run with an infinite slice there, so the workers take
 * no scheduler ticks, and a timer on the central CPU preempts those that have run long enough while others wait. The
 * shape suits virtual machine hosts, where an interruption of a worker is dear.
 */
#include "sched_ext.bpf.h"

char _license[] SEC("license") = "GPL";

#define MAX_CPUS 1024
#define FALLBACK_DSQ 0
#define TIMER_NS 1000000
#define CLOCK_MONOTONIC 1
#define BPF_F_TIMER_CPU_PIN 2

const volatile u32 central_cpu = 0;
const volatile u32 nr_cpus = 1; /* number of possible CPUs, set by user space */
const volatile u64 slice_ns = 20000000;

u64 nr_queued, nr_dealt, nr_lost, nr_mismatch, nr_preempted, nr_timers;

static bool wants_task[MAX_CPUS];
static u64 started_at[MAX_CPUS];

struct {
	__uint(type, BPF_MAP_TYPE_QUEUE);
	__uint(max_entries, 4096);
	__type(value, s32);
} waiting SEC(".maps");

struct tick {
	struct bpf_timer timer;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct tick);
} ticks SEC(".maps");

/* All wakeups go to the central CPU: it is where the decision is made. */
OP3(s32, central_select_cpu, struct task_struct *, p, s32, prev_cpu, u64, wake_flags)
{
	return central_cpu;
}

OP2(void, central_enqueue, struct task_struct *, p, u64, enq_flags)
{
	s32 pid = p->pid;

	/* Per-CPU kernel threads cannot be dealt out, and whoever finds the queue full must not be lost. */
	if (((p->flags & 0x00200000 /* PF_KTHREAD */) && p->nr_cpus_allowed == 1) ||
	    bpf_map_push_elem(&waiting, &pid, 0)) {
		scx_insert(p, FALLBACK_DSQ, slice_ns, enq_flags);
		return;
	}
	__sync_fetch_and_add(&nr_queued, 1);

	if (!scx_bpf_task_running(p))
		scx_bpf_kick_cpu(central_cpu, SCX_KICK_PREEMPT);
}

/* Takes the first waiting task that may run on cpu; those that may not go to the fallback DSQ. */
static __always_inline bool deal(s32 cpu)
{
	struct task_struct *p;
	s32 pid;
	int i;

	for_range(i, 0, 256) {
		(void)i;
		if (bpf_map_pop_elem(&waiting, &pid))
			break;
		p = bpf_task_from_pid(pid);
		if (!p) {
			__sync_fetch_and_add(&nr_lost, 1);
			continue;
		}
		if (!bpf_cpumask_test_cpu(cpu, p->cpus_ptr)) {
			__sync_fetch_and_add(&nr_mismatch, 1);
			scx_insert(p, FALLBACK_DSQ, slice_ns, 0);
			bpf_task_release(p);
			if (!scx_bpf_dispatch_nr_slots())
				break;
			continue;
		}
		scx_insert(p, SCX_DSQ_LOCAL_ON | cpu, SCX_SLICE_INF, 0);
		bpf_task_release(p);
		if (cpu != (s32)central_cpu)
			scx_bpf_kick_cpu(cpu, SCX_KICK_IDLE);
		__sync_fetch_and_add(&nr_dealt, 1);
		return true;
	}
	return false;
}

OP2(void, central_dispatch, s32, cpu, struct task_struct *, prev)
{
	int i;

	if (cpu != (s32)central_cpu) {
		if (scx_move_to_local(FALLBACK_DSQ))
			return;
		if ((u32)cpu < MAX_CPUS)
			wants_task[cpu] = true;
		/* Ask for work. */
		scx_bpf_kick_cpu(central_cpu, SCX_KICK_PREEMPT);
		return;
	}

	for_range(i, 0, nr_cpus) {
		if (!scx_bpf_dispatch_nr_slots())
			break;
		if ((u32)i >= MAX_CPUS || !wants_task[i])
			continue;
		if (deal(i))
			wants_task[i] = false;
		else
			break;
	}

	/* Out of slots with CPUs still waiting: come back at once. */
	if (!scx_bpf_dispatch_nr_slots()) {
		scx_bpf_kick_cpu(central_cpu, SCX_KICK_PREEMPT);
		return;
	}
	if (scx_move_to_local(FALLBACK_DSQ))
		return;
	deal(central_cpu);
}

OP1(void, central_running, struct task_struct *, p)
{
	s32 cpu = scx_bpf_task_cpu(p);

	if ((u32)cpu < MAX_CPUS)
		started_at[cpu] = scx_bpf_now() ?: 1;
}

OP2(void, central_stopping, struct task_struct *, p, bool, runnable)
{
	s32 cpu = scx_bpf_task_cpu(p);

	if ((u32)cpu < MAX_CPUS)
		started_at[cpu] = 0;
}

static int tick(void *map, u32 *key, struct bpf_timer *timer)
{
	u64 now = scx_bpf_now();
	bool others_wait = scx_bpf_dsq_nr_queued(FALLBACK_DSQ) > 0 || nr_queued > nr_dealt + nr_lost + nr_mismatch;
	u64 begin;
	int i;

	for_range(i, 0, nr_cpus) {
		if ((u32)i >= MAX_CPUS || i == (int)central_cpu)
			continue;
		begin = started_at[i];
		if (!begin || !others_wait || time_before(now, begin + slice_ns))
			continue;
		scx_bpf_kick_cpu(i, SCX_KICK_PREEMPT);
		__sync_fetch_and_add(&nr_preempted, 1);
	}

	bpf_timer_start(timer, TIMER_NS, BPF_F_TIMER_CPU_PIN);
	__sync_fetch_and_add(&nr_timers, 1);
	return 0;
}

OP0_S(s32, central_init)
{
	u32 key = 0;
	struct bpf_timer *timer;
	s32 err;

	err = scx_bpf_create_dsq(FALLBACK_DSQ, -1);
	if (err)
		return err;

	timer = bpf_map_lookup_elem(&ticks, &key);
	if (!timer)
		return -3; /* ESRCH */
	err = bpf_timer_init(timer, &ticks, CLOCK_MONOTONIC);
	if (err)
		return err;
	bpf_timer_set_callback(timer, tick);
	return bpf_timer_start(timer, TIMER_NS, 0);
}

SCHEDULER central_ops = {
	.flags = SCX_OPS_ENQ_LAST,
	.select_cpu = (void *)central_select_cpu,
	.enqueue = (void *)central_enqueue,
	.dispatch = (void *)central_dispatch,
	.running = (void *)central_running,
	.stopping = (void *)central_stopping,
	.init = (void *)central_init,
	.name = "central",
};
