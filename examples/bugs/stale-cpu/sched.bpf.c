/* SPDX-License-Identifier: GPL-2.0 */
/*
 * stale-cpu: a decision is made when a task is queued, and carried out when it is dealt out.
 *
 * ops.enqueue chooses the CPU of a task, the one where it last ran, and notes both in a map. Any CPU that wants work
 * carries out what is noted. In between somebody may change the CPUs that the task may use: the kernel then takes it out
 * and queues it anew, but the old note is still in the map, and is found first.
 */
#include "../../bpf/sched_ext.bpf.h"

char _license[] SEC("license") = "GPL";

struct note {
	s32 pid, cpu;
};

struct {
	__uint(type, BPF_MAP_TYPE_QUEUE);
	__uint(max_entries, 4096);
	__type(value, struct note);
} notes SEC(".maps");

OP2(void, stale_enqueue, struct task_struct *, p, u64, enq_flags)
{
	struct note n = { p->pid, scx_bpf_task_cpu(p) };

	if (bpf_map_push_elem(&notes, &n, 0))
		scx_insert(p, SCX_DSQ_GLOBAL, SCX_SLICE_DFL, enq_flags);
}

OP2(void, stale_dispatch, s32, cpu, struct task_struct *, prev)
{
	struct task_struct *p;
	struct note n;
	int i;

	for_range(i, 0, 64) {
		(void)i;
		if (bpf_map_pop_elem(&notes, &n))
			break;
		p = bpf_task_from_pid(n.pid);
		if (!p)
			continue;
#ifdef FIXED
		if (!bpf_cpumask_test_cpu(n.cpu, p->cpus_ptr))
			scx_insert(p, SCX_DSQ_GLOBAL, SCX_SLICE_DFL, 0);
		else
#endif
		scx_insert(p, SCX_DSQ_LOCAL_ON | n.cpu, SCX_SLICE_DFL, 0);
		bpf_task_release(p);
		if (n.cpu == cpu || !scx_bpf_dispatch_nr_slots())
			break;
	}
}

SCHEDULER ops = {
	.enqueue = (void *)stale_enqueue,
	.dispatch = (void *)stale_dispatch,
	.name = "stale_cpu",
};
