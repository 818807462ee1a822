/* SPDX-License-Identifier: GPL-2.0 */
/*
 * migration-disabled: what was true of a task when it was queued may not be when it is dealt out.
 *
 * Queued tasks are numbers in a map. The CPU that wants work takes the first one and puts the task on its own local
 * queue: all tasks here may use all CPUs. But one that was preempted in a migrate_disable() section stays where it is.
 */
#include "../../bpf/sched_ext.bpf.h"

char _license[] SEC("license") = "GPL";

struct {
	__uint(type, BPF_MAP_TYPE_QUEUE);
	__uint(max_entries, 4096);
	__type(value, s32);
} waiting SEC(".maps");

OP2(void, mig_enqueue, struct task_struct *, p, u64, enq_flags)
{
	s32 pid = p->pid;

	if (bpf_map_push_elem(&waiting, &pid, 0))
		scx_insert(p, SCX_DSQ_LOCAL, SCX_SLICE_DFL, enq_flags);
}

OP2(void, mig_dispatch, s32, cpu, struct task_struct *, prev)
{
	struct task_struct *p;
	s32 pid;
	int i;

	for_range(i, 0, 64) {
		s32 to = cpu;

		(void)i;
		if (bpf_map_pop_elem(&waiting, &pid))
			break;
		p = bpf_task_from_pid(pid);
		if (!p)
			continue;
#ifdef FIXED
		if (p->migration_disabled || !bpf_cpumask_test_cpu(cpu, p->cpus_ptr))
			to = scx_bpf_task_cpu(p);
#endif
		scx_insert(p, SCX_DSQ_LOCAL_ON | to, SCX_SLICE_DFL, 0);
		bpf_task_release(p);
		if (to == cpu || !scx_bpf_dispatch_nr_slots())
			break;
	}
}

SCHEDULER ops = {
	.enqueue = (void *)mig_enqueue,
	.dispatch = (void *)mig_dispatch,
	.flags = SCX_OPS_ENQ_MIGRATION_DISABLED,
	.name = "migration_disabled",
};
