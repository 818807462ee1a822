/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The recorder: scheduler events and ticks, a ring of records for each CPU that user space reads after the run.
 */
#include "record.bpf.h"

char _license[] SEC("license") = "GPL";

RECORDS(events);

static __always_inline void put(u8 kind, s32 pid, s32 other, u32 state, u64 a)
{
	struct record *r = next_record(&events, &events_n);

	if (!r)
		return;
	r->at = bpf_ktime_get_ns();
	r->pid = pid;
	r->other = other;
	r->kind = kind;
	r->state = state;
	r->a = a;
}

SEC("tp_btf/sched_switch")
int BPF_PROG(on_switch, bool preempt, struct task_struct *prev, struct task_struct *next, unsigned int state)
{
	put(EV_SWITCH, next->pid, prev->pid, preempt ? 0 : state, prev->se.sum_exec_runtime);
	return 0;
}

SEC("tp_btf/sched_waking")
int BPF_PROG(on_waking, struct task_struct *p)
{
	put(EV_WAKING, p->pid, 0, 0, 0);
	return 0;
}

SEC("tp_btf/sched_wakeup")
int BPF_PROG(on_wakeup, struct task_struct *p)
{
	put(EV_WAKEUP, p->pid, 0, 0, 0);
	return 0;
}

SEC("tp_btf/sched_wakeup_new")
int BPF_PROG(on_wakeup_new, struct task_struct *p)
{
	put(EV_WAKEUP, p->pid, 0, 0, 0);
	return 0;
}

SEC("tp_btf/sched_migrate_task")
int BPF_PROG(on_migrate, struct task_struct *p, int dest)
{
	put(EV_MIGRATE, p->pid, dest, 0, 0);
	return 0;
}

SEC("fentry/sched_tick")
int BPF_PROG(on_tick)
{
	put(EV_TICK, 0, 0, 0, 0);
	return 0;
}
