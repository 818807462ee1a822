/* SPDX-License-Identifier: GPL-2.0 */
/*
 * missing-kick: work for an idle CPU that nobody wakes.
 *
 * Each CPU has a queue. A task that wakes up on a busy CPU goes to the queue of an idle one, which the scheduler has
 * claimed: its bit in the idle mask is clear, so that nobody else will choose it.
 */
#include "../../bpf/sched_ext.bpf.h"

char _license[] SEC("license") = "GPL";

const volatile u32 nr_cpus = 2;

OP3(s32, kick_select_cpu, struct task_struct *, p, s32, prev_cpu, u64, wake_flags)
{
	return prev_cpu;
}

OP2(void, kick_enqueue, struct task_struct *, p, u64, enq_flags)
{
	s32 cpu = scx_bpf_task_cpu(p);
	int i;

	for_range(i, 0, nr_cpus) {
		if (i != cpu && bpf_cpumask_test_cpu(i, p->cpus_ptr) && scx_bpf_test_and_clear_cpu_idle(i)) {
			cpu = i;
			break;
		}
	}
	scx_insert(p, cpu, SCX_SLICE_DFL, enq_flags);
#ifdef FIXED
	if (cpu != scx_bpf_task_cpu(p))
		scx_bpf_kick_cpu(cpu, SCX_KICK_IDLE);
#endif
}

OP2(void, kick_dispatch, s32, cpu, struct task_struct *, prev)
{
	scx_move_to_local(cpu);
}

OP0_S(s32, kick_init)
{
	s32 err = 0;
	int i;

	for_range(i, 0, nr_cpus) {
		err = scx_bpf_create_dsq(i, -1);
		if (err)
			break;
	}
	return err;
}

SCHEDULER ops = {
	.select_cpu = (void *)kick_select_cpu,
	.enqueue = (void *)kick_enqueue,
	.dispatch = (void *)kick_dispatch,
	.init = (void *)kick_init,
	.flags = SCX_OPS_KEEP_BUILTIN_IDLE,
	.timeout_ms = 2000,
	.name = "missing_kick",
};
