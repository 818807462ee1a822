/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The tap: what a scheduler's callbacks are called with. Each pair of programs is attached to one callback of the scheduler at
 * its entry and its exit. A callback is a program whose one argument points to the arguments of the member.
 *
 * Columns a and b are those of internal/fidelity.OpArgs.
 */
#include "record.bpf.h"

char _license[] SEC("license") = "GPL";

RECORDS(calls);

enum op {
	OP_SELECT_CPU = 1, OP_ENQUEUE, OP_DEQUEUE, OP_DISPATCH, OP_TICK, OP_RUNNABLE, OP_RUNNING, OP_STOPPING, OP_QUIESCENT, OP_YIELD,
	OP_SET_WEIGHT, OP_SET_CPUMASK, OP_UPDATE_IDLE, OP_CPU_ACQUIRE, OP_CPU_RELEASE, OP_INIT_TASK, OP_EXIT_TASK, OP_ENABLE, OP_DISABLE,
	OP_CPU_ONLINE, OP_CPU_OFFLINE,
};

static __always_inline u64 slot(const void *args, int i)
{
	u64 v = 0;

	bpf_probe_read_kernel(&v, sizeof(v), (const u64 *)args + i);
	return v;
}

static __always_inline struct record *about(u8 op, bool ret, struct task_struct *p, u64 a, u64 b)
{
	struct record *r = next_record(&calls, &calls_n);

	if (!r)
		return NULL;
	r->at = bpf_ktime_get_ns();
	r->kind = op;
	r->ret = ret;
	r->a = a;
	r->b = b;
	r->pid = 0;
	r->slice = r->vtime = 0;
	if (p) {
		r->pid = BPF_CORE_READ(p, pid);
		r->slice = BPF_CORE_READ(p, scx.slice);
		r->vtime = BPF_CORE_READ(p, scx.dsq_vtime);
	}
	return r;
}

#define TASK(args) ((struct task_struct *)slot(args, 0))

/* ENTRY defines the program tap_NAME for the entry of a callback; args are its arguments. */
#define ENTRY(name)                                              \
	static __always_inline void name##_in(const void *args); \
	SEC("fentry")                                            \
	int tap_##name(u64 *ctx)                                 \
	{                                                        \
		u64 args = 0;                                    \
		bpf_get_func_arg(ctx, 0, &args);                 \
		name##_in((const void *)args);                   \
		return 0;                                        \
	}                                                        \
	static __always_inline void name##_in(const void *args)

#define TASK_ENTRY(name, op, a, b) ENTRY(name) { about(op, false, TASK(args), a, b); }

TASK_ENTRY(select_cpu, OP_SELECT_CPU, (u32)slot(args, 1), slot(args, 2))
TASK_ENTRY(enqueue, OP_ENQUEUE, slot(args, 1), BPF_CORE_READ(TASK(args), thread_info.cpu))
TASK_ENTRY(dequeue, OP_DEQUEUE, slot(args, 1), 0)
TASK_ENTRY(tick, OP_TICK, 0, 0)
TASK_ENTRY(runnable, OP_RUNNABLE, slot(args, 1), 0)
TASK_ENTRY(running, OP_RUNNING, BPF_CORE_READ(TASK(args), scx.weight), 0)
TASK_ENTRY(stopping, OP_STOPPING, slot(args, 1) & 1, 0)
TASK_ENTRY(quiescent, OP_QUIESCENT, slot(args, 1), 0)
TASK_ENTRY(set_weight, OP_SET_WEIGHT, (u32)slot(args, 1), 0)
TASK_ENTRY(enable, OP_ENABLE, 0, 0)
TASK_ENTRY(disable, OP_DISABLE, 0, 0)

ENTRY(dispatch)
{
	struct task_struct *prev = (void *)slot(args, 1);

	about(OP_DISPATCH, false, prev, (u32)slot(args, 0), prev ? BPF_CORE_READ(prev, scx.flags) : 0);
}

ENTRY(yield)
{
	struct task_struct *to = (void *)slot(args, 1);

	about(OP_YIELD, false, TASK(args), to ? BPF_CORE_READ(to, pid) : 0, 0);
}

ENTRY(set_cpumask)
{
	u64 word = 0;

	bpf_probe_read_kernel(&word, sizeof(word), (const void *)slot(args, 1));
	about(OP_SET_CPUMASK, false, TASK(args), word, 0);
}

ENTRY(update_idle) { about(OP_UPDATE_IDLE, false, NULL, (u32)slot(args, 0), slot(args, 1) & 1); }
ENTRY(cpu_acquire) { about(OP_CPU_ACQUIRE, false, NULL, (u32)slot(args, 0), 0); }
ENTRY(cpu_online) { about(OP_CPU_ONLINE, false, NULL, (u32)slot(args, 0), 0); }
ENTRY(cpu_offline) { about(OP_CPU_OFFLINE, false, NULL, (u32)slot(args, 0), 0); }

ENTRY(cpu_release)
{
	u32 reason = 0;

	bpf_probe_read_kernel(&reason, sizeof(reason), (const void *)slot(args, 1));
	about(OP_CPU_RELEASE, false, NULL, (u32)slot(args, 0), reason);
}

ENTRY(init_task)
{
	bool fork = false;

	bpf_probe_read_kernel(&fork, sizeof(fork), (const void *)slot(args, 1));
	about(OP_INIT_TASK, false, TASK(args), fork, 0);
}

ENTRY(exit_task)
{
	bool cancelled = false;

	bpf_probe_read_kernel(&cancelled, sizeof(cancelled), (const void *)slot(args, 1));
	about(OP_EXIT_TASK, false, TASK(args), cancelled, 0);
}

/* What select_cpu found: the CPU, and whether the task went to its local queue at once, as it does to an idle one. */
SEC("fexit")
int tap_select_cpu_ret(u64 *ctx)
{
	u64 args = 0, ret = 0;
	struct task_struct *p;

	bpf_get_func_arg(ctx, 0, &args);
	bpf_get_func_ret(ctx, &ret);
	p = TASK((const void *)args);
	about(OP_SELECT_CPU, true, p, (u32)ret, BPF_CORE_READ(p, scx.ddsp_dsq_id) != SCX_DSQ_INVALID);
	return 0;
}
