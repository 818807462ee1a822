/*
 * A scheduler that comes to an end, in the way that the variable mode says. It keeps what ops.exit was told in the variable
 * seen. Otherwise it is a queue for all CPUs, first come first served.
 *
 * The numbers of the modes are those of cases.txt.
 */
#include "bpf.h"

struct task_struct { int pid; unsigned int flags; } relocatable;
struct cpumask { u64 bits[1]; };
enum scx_exit_kind { SCX_EXIT_NONE };
struct scx_exit_info { enum scx_exit_kind kind; s64 exit_code; const char *reason; char *msg; char *dump; } relocatable;
struct scx_init_task_args { bool fork; } relocatable;
struct scx_exit_task_args;

struct sched_ext_ops {
	s32 (*select_cpu)(struct task_struct *p, s32 prev, u64 flags);
	void (*enqueue)(struct task_struct *p, u64 flags);
	void (*dispatch)(s32 cpu, struct task_struct *prev);
	void (*running)(struct task_struct *p);
	void (*update_idle)(s32 cpu, bool idle);
	s32 (*init_task)(struct task_struct *p, struct scx_init_task_args *args);
	s32 (*init)(void);
	void (*exit)(struct scx_exit_info *info);
	u64 flags;
	u32 timeout_ms;
	char name[128];
};

extern bool scx_bpf_dsq_insert___v2___compat(struct task_struct *p, u64 dsq, u64 slice, u64 flags) __weak __ksym;
extern void scx_bpf_dsq_insert(struct task_struct *p, u64 dsq, u64 slice, u64 flags) __weak __ksym;
struct scx_bpf_dsq_insert_vtime_args { u64 dsq_id, slice, vtime, enq_flags; } relocatable;
extern bool __scx_bpf_dsq_insert_vtime(struct task_struct *p, struct scx_bpf_dsq_insert_vtime_args *args) __weak __ksym;
extern void scx_bpf_dsq_insert_vtime(struct task_struct *p, u64 dsq, u64 slice, u64 vtime, u64 flags) __weak __ksym;
extern bool scx_bpf_dsq_move_to_local(u64 dsq) __ksym;
extern void scx_bpf_dispatch_cancel(void) __ksym;
extern s32 scx_bpf_create_dsq(u64 dsq, s32 node) __ksym;
extern void scx_bpf_destroy_dsq(u64 dsq) __ksym;
extern s32 scx_bpf_select_cpu_dfl(struct task_struct *p, s32 prev, u64 flags, bool *idle) __ksym;
extern void scx_bpf_kick_cpu(s32 cpu, u64 flags) __ksym;
extern void scx_bpf_cpuperf_set(s32 cpu, u32 perf) __ksym;
extern void scx_bpf_error_bstr(char *fmt, u64 *data, u32 size) __ksym;
extern void scx_bpf_exit_bstr(s64 code, char *fmt, u64 *data, u32 size) __ksym;
extern void scx_bpf_dump_bstr(char *fmt, u64 *data, u32 size) __ksym;
extern struct task_struct *scx_bpf_dsq_peek(u64 dsq) __weak __ksym;
extern void scx_bpf_dsq_reenq(u64 dsq, u64 flags) __weak __ksym;
extern const struct cpumask *scx_bpf_get_idle_cpumask(void) __ksym;
extern const struct cpumask *scx_bpf_get_idle_cpumask_node(s32 node) __ksym;
extern void scx_bpf_put_idle_cpumask(const struct cpumask *mask) __ksym;

#define FIFO 1
#define BY_VTIME 2
#define GONE 77
#define LOCAL 0x8000000000000002ULL
#define GLOBAL 0x8000000000000001ULL
#define LOCAL_ON 0xc000000000000000ULL
#define SLICE 5000000ULL
#define KTHREAD 0x200000 /* PF_KTHREAD */

const volatile u32 mode;
/* What the wanted thing happens to: the n-th call of the callback that does it. */
const volatile u32 after = 20;
u32 calls, done;
s32 lost;

struct seen {
	s32 kind;
	u32 exits;
	s64 code;
	char reason[128], msg[1024], dump[16384];
} seen;

/* now tells whether it is time for the mode. */
static bool now(u32 m)
{
	if (mode != m || done || ++calls < after)
		return 0;
	done = 1;
	return 1;
}

static void insert_vtime(struct task_struct *p, u64 dsq, u64 flags)
{
	struct scx_bpf_dsq_insert_vtime_args args = { dsq, SLICE, 0, flags };

	if (__scx_bpf_dsq_insert_vtime)
		__scx_bpf_dsq_insert_vtime(p, &args);
	else
		scx_bpf_dsq_insert_vtime(p, dsq, SLICE, 0, flags);
}

static void insert(struct task_struct *p, u64 dsq, u64 slice, u64 flags)
{
	if (scx_bpf_dsq_insert___v2___compat)
		scx_bpf_dsq_insert___v2___compat(p, dsq, slice, flags);
	else
		scx_bpf_dsq_insert(p, dsq, slice, flags);
}

SEC("struct_ops/select_cpu") s32 exits_select_cpu(u64 *ctx)
{
	struct task_struct *p = (void *)ctx[0];
	bool idle = 0;
	s32 cpu;

	if (now(1))
		return 1000;
	if (now(2))
		return -3;
	if (now(3)) {
		insert(p, LOCAL, SLICE, 0);
		insert(p, LOCAL, SLICE, 0);
		return ctx[1];
	}
	cpu = scx_bpf_select_cpu_dfl(p, ctx[1], ctx[2], &idle);
	if (idle && mode != 14)
		insert(p, LOCAL, SLICE, 0);
	return cpu;
}

SEC("struct_ops/enqueue") void exits_enqueue(u64 *ctx)
{
	struct task_struct *p = (void *)ctx[0];
	static char fmt[] = "three numbers: %d %u %llx";
	static char bad[] = "%q";
	static char plain[] = "plain";
	u64 data[3] = { (u64)-5, 7, 0xabcdef };
	u64 flags = ctx[1];

	if (now(10))
		return insert(p, GONE, SLICE, flags);
	if (now(11))
		return insert_vtime(p, LOCAL, flags);
	if (now(12)) {
		insert(p, BY_VTIME, SLICE, flags);
		return;
	}
	if (mode == 12)
		return insert_vtime(p, BY_VTIME, flags);
	if (now(13))
		return insert_vtime(p, FIFO, flags);
	if (mode == 14 && !(p->flags & KTHREAD)) { /* one task that nobody puts anywhere */
		if (now(14))
			lost = p->pid;
		if (lost == p->pid)
			return;
	}
	if (now(15))
		return insert(p, FIFO, SLICE, 1ULL << 57);
	if (now(16))
		return insert(p, FIFO, SLICE, 1ULL << 33);
	if (now(17))
		return insert(p, LOCAL_ON | 1000, SLICE, flags);
	if (now(18))
		scx_bpf_error_bstr(fmt, data, sizeof(data));
	if (now(19))
		scx_bpf_exit_bstr(0x1234, fmt, data, sizeof(data));
	if (now(20))
		scx_bpf_error_bstr(bad, data, sizeof(data));
	if (now(21))
		scx_bpf_error_bstr(plain, data, 12);
	if (now(22))
		scx_bpf_dump_bstr(plain, data, 0);
	if (now(23))
		scx_bpf_kick_cpu(1000, 0);
	if (now(24))
		scx_bpf_kick_cpu(0, 1 | 2);
	if (now(25))
		scx_bpf_cpuperf_set(0, 2000);
	if (now(26) && scx_bpf_dsq_peek)
		scx_bpf_dsq_peek(GLOBAL);
	if (now(27) && scx_bpf_dsq_peek)
		scx_bpf_dsq_peek(GONE);
	if (now(28) && scx_bpf_dsq_reenq)
		scx_bpf_dsq_reenq(LOCAL, 1ULL << 40);
	if (now(29) && scx_bpf_dsq_reenq)
		scx_bpf_dsq_reenq(GLOBAL, 0);
	if (now(30))
		scx_bpf_put_idle_cpumask(scx_bpf_get_idle_cpumask_node(0));
	if (now(31))
		scx_bpf_put_idle_cpumask(scx_bpf_get_idle_cpumask_node(5));
	if (now(33))
		scx_bpf_exit_bstr(0x4000100000000ULL, plain, data, 0);
	if (now(34))
		scx_bpf_cpuperf_set(1000, 1);
	insert(p, FIFO, SLICE, flags);
	if (now(32))
		scx_bpf_destroy_dsq(FIFO);
}

SEC("struct_ops/dispatch") void exits_dispatch(u64 *ctx)
{
	struct task_struct *prev = (void *)ctx[1];

	if (now(40))
		scx_bpf_dsq_move_to_local(GONE);
	if (now(41))
		scx_bpf_dispatch_cancel();
	if (mode == 42 && prev && now(42)) {
		for (int i = 0; i < 40; i++)
			insert(prev, FIFO, SLICE, 0);
	}
	if (now(43))
		scx_bpf_dsq_move_to_local(LOCAL);
	scx_bpf_dsq_move_to_local(FIFO);
	if (mode == 12)
		scx_bpf_dsq_move_to_local(BY_VTIME);
}

SEC("struct_ops/init_task") s32 exits_init_task(u64 *ctx)
{
	struct scx_init_task_args *args = (void *)ctx[1];

	if (mode == 50 && !args->fork)
		return -7;
	if (mode == 51 && !args->fork)
		return -5000;
	return 0;
}

SEC("struct_ops.s/init") s32 exits_init(void *ctx)
{
	static char plain[] = "plain";
	u64 data[1] = { 0 };
	s32 err;

	if (mode == 60)
		return -12;
	if (mode == 61)
		return 5;
	if (mode == 62)
		scx_bpf_error_bstr(plain, data, 0);
	err = scx_bpf_create_dsq(FIFO, -1);
	return err ?: scx_bpf_create_dsq(BY_VTIME, -1);
}

SEC("struct_ops/exit") void exits_exit(u64 *ctx)
{
	struct scx_exit_info *info = (void *)ctx[0];

	seen.kind = info->kind;
	seen.code = info->exit_code;
	probe_read_kernel_str(seen.reason, sizeof(seen.reason), info->reason);
	probe_read_kernel_str(seen.msg, sizeof(seen.msg), info->msg);
	probe_read_kernel_str(seen.dump, sizeof(seen.dump), info->dump);
	seen.exits++;
}

SEC("struct_ops/update_idle") void exits_update_idle(void *ctx) {}

SEC("struct_ops/enqueue") void own_enqueue(u64 *ctx)
{
	if (now(80))
		scx_bpf_put_idle_cpumask(scx_bpf_get_idle_cpumask());
	insert((struct task_struct *)ctx[0], GLOBAL, SLICE, ctx[1]);
}

#define COMMON(n) .init_task = (void *)exits_init_task, .init = (void *)exits_init, .exit = (void *)exits_exit, .name = n

/* table usual */
SEC("?.struct_ops.link") struct sched_ext_ops usual = {
	.select_cpu = (void *)exits_select_cpu, .enqueue = (void *)exits_enqueue, .dispatch = (void *)exits_dispatch,
	.timeout_ms = 1000, COMMON("usual"),
};
/* refused when it is attached: the last task of a CPU is nobody's */
SEC("?.struct_ops.link") struct sched_ext_ops last = { .dispatch = (void *)exits_dispatch, .flags = 2, COMMON("last") };
/* refused: it tracks idle CPUs itself and wants the kernel to do so by node */
SEC("?.struct_ops.link") struct sched_ext_ops pernode = {
	.enqueue = (void *)own_enqueue, .update_idle = (void *)exits_update_idle, .flags = 64, COMMON("pernode"),
};
/* tracks idle CPUs itself, and asks the kernel for its masks */
SEC("?.struct_ops.link") struct sched_ext_ops own = { .enqueue = (void *)own_enqueue, .update_idle = (void *)exits_update_idle, COMMON("own") };
/* with unknown flags */
SEC("?.struct_ops.link") struct sched_ext_ops unknown = { .enqueue = (void *)own_enqueue, .flags = 1ULL << 40, COMMON("unknown") };
/* a watchdog that waits for too long */
SEC("?.struct_ops.link") struct sched_ext_ops patient = { .enqueue = (void *)own_enqueue, .timeout_ms = 31000, COMMON("patient") };
/* the kernel tracks idle CPUs by node, and is asked for all at once */
SEC("?.struct_ops.link") struct sched_ext_ops nodes = { .enqueue = (void *)own_enqueue, .flags = 64, COMMON("nodes") };
