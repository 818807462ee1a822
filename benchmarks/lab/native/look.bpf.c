/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The look: how the kernel stands shortly before T0, which decides what it does after. The player runs it once.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>

char _license[] SEC("license") = "GPL";

#define MAX_CPUS 64
#define MAX_TIMERS 8
#define MAX_TASKS 1024

const volatile u32 nr_cpus = 1;

/* What load balancing keeps in the lowest domain of a CPU, and in its runqueue. */
struct cpu_look {
	u64 domain; /* there is one */
	u64 call, success, ratio, stamp, cost, decayed;
	u64 last, interval, failed, next, avg_idle, max_idle_cost;
	u64 load, runnable, util; /* averages of its runqueue of the fair class */
};
struct timer_look { u64 cpu, at; };

struct task_look { s64 pid, cpu, recent, vlag, slice, vtime; };

u64 at, at_jiffies, nr_timers, nr_tasks;
struct cpu_look cpus[MAX_CPUS];
struct timer_look timers[MAX_TIMERS];
struct task_look tasks[MAX_TASKS];

extern void bpf_rcu_read_lock(void) __ksym;
extern void bpf_rcu_read_unlock(void) __ksym;
extern int bpf_iter_task_new(struct bpf_iter_task *it, struct task_struct *task, unsigned int flags) __weak __ksym;
extern struct task_struct *bpf_iter_task_next(struct bpf_iter_task *it) __weak __ksym;
extern void bpf_iter_task_destroy(struct bpf_iter_task *it) __weak __ksym;

extern const struct rq runqueues __ksym;
extern const struct hrtimer_cpu_base hrtimer_bases __ksym __weak;
extern const void bpf_timer_cb __ksym __weak;

static __always_inline void look_at_balancing(u32 cpu)
{
	struct rq *rq = (struct rq *)bpf_per_cpu_ptr(&runqueues, cpu);
	struct cpu_look *l = &cpus[cpu & (MAX_CPUS - 1)];
	struct sched_domain *sd;

	if (!rq)
		return;
	l->next = BPF_CORE_READ(rq, next_balance);
	l->avg_idle = BPF_CORE_READ(rq, avg_idle);
	l->max_idle_cost = BPF_CORE_READ(rq, max_idle_balance_cost);
	l->load = BPF_CORE_READ(rq, cfs.avg.load_avg);
	l->runnable = BPF_CORE_READ(rq, cfs.avg.runnable_avg);
	l->util = BPF_CORE_READ(rq, cfs.avg.util_avg);
	sd = BPF_CORE_READ(rq, sd);
	l->domain = !!sd;
	if (!sd)
		return;
	if (bpf_core_field_exists(sd->newidle_ratio)) {
		l->call = BPF_CORE_READ(sd, newidle_call);
		l->success = BPF_CORE_READ(sd, newidle_success);
		l->ratio = BPF_CORE_READ(sd, newidle_ratio);
	}
	if (bpf_core_field_exists(sd->newidle_stamp))
		l->stamp = BPF_CORE_READ(sd, newidle_stamp);
	l->cost = BPF_CORE_READ(sd, max_newidle_lb_cost);
	l->decayed = BPF_CORE_READ(sd, last_decay_max_lb_cost);
	l->last = BPF_CORE_READ(sd, last_balance);
	l->interval = BPF_CORE_READ(sd, balance_interval);
	l->failed = BPF_CORE_READ(sd, nr_balance_failed);
}

/* Timers of programs are in the queues of CLOCK_MONOTONIC, BOOTTIME and so on, in order of time: the first of each are looked at. */
static __always_inline void look_at_timers(u32 cpu)
{
	struct hrtimer_cpu_base *base = (struct hrtimer_cpu_base *)bpf_per_cpu_ptr(&hrtimer_bases, cpu);
	struct rb_node_linked *n;
	int b, i;

	if (!base || !bpf_core_type_exists(struct rb_node_linked))
		return;
	bpf_for(b, 0, 8) {
		n = BPF_CORE_READ(base, clock_base[b & 7].active.rb_root.rb_leftmost);
		bpf_for(i, 0, 64) {
			struct hrtimer *t = (struct hrtimer *)n;

			if (!n)
				break;
			if ((const void *)BPF_CORE_READ(t, function) == &bpf_timer_cb && nr_timers < MAX_TIMERS) {
				struct timer_look *l = &timers[nr_timers & (MAX_TIMERS - 1)];

				l->cpu = cpu;
				l->at = BPF_CORE_READ(t, node.expires);
				nr_timers++;
			}
			n = BPF_CORE_READ(n, next);
		}
	}
}

/* The workload's tasks are processes that share the memory of the player, who runs this. */
static __always_inline void look_at_tasks(void)
{
	struct task_struct *me = bpf_get_current_task_btf(), *p;

	bpf_rcu_read_lock();
	bpf_for_each(task, p, NULL, BPF_TASK_ITER_ALL_PROCS) {
		struct task_look *l;

		if (p->mm != me->mm || p->pid == me->pid || nr_tasks >= MAX_TASKS)
			continue;
		l = &tasks[nr_tasks & (MAX_TASKS - 1)];
		l->pid = p->pid;
		l->cpu = p->thread_info.cpu;
		l->recent = p->recent_used_cpu;
		l->vlag = p->se.vlag;
		l->slice = p->scx.slice;
		l->vtime = p->scx.dsq_vtime;
		nr_tasks++;
	}
	bpf_rcu_read_unlock();
}

SEC("syscall")
int look(void *ctx)
{
	u32 cpu;

	at = bpf_ktime_get_ns();
	at_jiffies = bpf_jiffies64();
	nr_timers = nr_tasks = 0;
	bpf_for(cpu, 0, nr_cpus) {
		if (cpu >= MAX_CPUS)
			break;
		look_at_balancing(cpu);
		if (&hrtimer_bases && &bpf_timer_cb)
			look_at_timers(cpu);
	}
	look_at_tasks();
	return 0;
}
