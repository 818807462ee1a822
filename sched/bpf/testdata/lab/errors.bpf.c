#include "../bpf.h"
#define __arena __attribute__((address_space(1)))
#define __always_inline inline __attribute__((always_inline))

/*
 * Schedulers that end, each in its own way: a table of the name of what it does wrong. They schedule tasks of the policy SCHED_EXT
 * only, and keep what ops.exit is told.
 */

enum {
	KEEP_BUILTIN_IDLE = 1, ENQ_LAST = 2, SWITCH_PARTIAL = 8, ENQ_MIGRATION_DISABLED = 16, PER_NODE = 64,
	KICK_IDLE = 1, KICK_PREEMPT = 2, KICK_WAIT = 4,
};
#define GLOBAL (1ULL << 63 | 1)
#define LOCAL (1ULL << 63 | 2)
#define LOCAL_ON (3ULL << 62)
#define ENQ_IMMED (1ULL << 33)
#define SLICE 20000000ULL
#define NONE (-1)

struct scx_entity { bool disallow; } relocatable;
struct cpumask { u64 bits[1]; };
struct task_struct { int pid; char comm[16]; struct scx_entity scx; const struct cpumask *cpus_ptr; } relocatable;
struct cgroup { int level; } relocatable;
struct scx_cgroup_init_args;
struct scx_sub_attach_args;
struct rq { int cpu; } relocatable;
enum scx_exit_kind { SCX_EXIT_NONE };
struct scx_exit_info { enum scx_exit_kind kind; s32 exit_cpu; s64 exit_code; const char *reason, *msg; char *dump; } relocatable;
struct scx_dump_ctx { u64 at_ns; } relocatable;
struct bpf_iter_scx_dsq { u64 opaque[6]; };
struct scx_init_task_args { bool fork; } relocatable;

struct sched_ext_ops {
	s32 (*select_cpu)(struct task_struct *p, s32 prev, u64 flags);
	void (*enqueue)(struct task_struct *p, u64 flags);
	void (*dispatch)(s32 cpu, struct task_struct *prev);
	void (*running)(struct task_struct *p);
	void (*update_idle)(s32 cpu, bool idle);
	s32 (*init_task)(struct task_struct *p, struct scx_init_task_args *args);
	void (*dump)(struct scx_dump_ctx *ctx);
	void (*dump_cpu)(struct scx_dump_ctx *ctx, s32 cpu, bool idle);
	void (*dump_task)(struct scx_dump_ctx *ctx, struct task_struct *p);
	s32 (*cgroup_init)(struct cgroup *c, struct scx_cgroup_init_args *args);
	s32 (*sub_attach)(struct scx_sub_attach_args *args);
	s32 (*init)(void);
	void (*exit)(struct scx_exit_info *ei);
	u64 flags;
	u32 timeout_ms, dispatch_max_batch, exit_dump_len;
	u64 hotplug_seq;
	char name[128];
};

struct sched_ext_ops_cid {
	s32 (*select_cid)(struct task_struct *p, s32 prev, u64 flags);
	void (*enqueue)(struct task_struct *p, u64 flags);
	s32 (*init)(void);
	void (*exit)(struct scx_exit_info *ei);
	u64 flags, sub_cgroup_id;
	char name[128];
};

/* Weak, because each kernel has others. Where 7.2 has two of them, the older one is what 6.18 has. */
extern bool scx_bpf_dsq_insert___v2___compat(struct task_struct *p, u64 dsq, u64 slice, u64 flags) __ksym __weak;
extern void scx_bpf_dsq_insert(struct task_struct *p, u64 dsq, u64 slice, u64 flags) __ksym __weak;
struct scx_bpf_dsq_insert_vtime_args { u64 dsq_id, slice, vtime, enq_flags; };
extern bool __scx_bpf_dsq_insert_vtime(struct task_struct *p, struct scx_bpf_dsq_insert_vtime_args *args) __ksym __weak;
extern bool scx_bpf_dsq_move_to_local___v2___compat(u64 dsq, u64 flags) __ksym __weak;
extern void scx_bpf_dsq_insert_vtime(struct task_struct *p, u64 dsq, u64 slice, u64 vtime, u64 flags) __ksym __weak;
extern bool scx_bpf_dsq_move_to_local(u64 dsq) __ksym __weak;
extern s32 scx_bpf_create_dsq(u64 dsq, s32 node) __ksym __weak;
extern void scx_bpf_destroy_dsq(u64 dsq) __ksym __weak;
extern s32 scx_bpf_dsq_nr_queued(u64 dsq) __ksym __weak;
extern struct task_struct *scx_bpf_dsq_peek(u64 dsq) __ksym __weak;
extern void scx_bpf_dsq_reenq(u64 dsq, u64 flags) __ksym __weak;
extern void scx_bpf_dispatch_cancel(void) __ksym __weak;
extern void scx_bpf_kick_cpu(s32 cpu, u64 flags) __ksym __weak;
extern s32 scx_bpf_select_cpu_dfl(struct task_struct *p, s32 prev, u64 flags, bool *idle) __ksym __weak;
extern s32 scx_bpf_pick_idle_cpu(const struct cpumask *mask, u64 flags) __ksym __weak;
extern s32 scx_bpf_pick_idle_cpu_node(const struct cpumask *mask, int node, u64 flags) __ksym __weak;
extern const struct cpumask *scx_bpf_get_idle_cpumask(void) __ksym __weak;
extern const struct cpumask *scx_bpf_get_idle_cpumask_node(int node) __ksym __weak;
extern void scx_bpf_put_idle_cpumask(const struct cpumask *mask) __ksym __weak;
extern s32 scx_bpf_pick_any_cpu(const struct cpumask *mask, u64 flags) __ksym __weak;
extern struct cgroup *scx_bpf_task_cgroup(struct task_struct *p) __ksym __weak;
extern void bpf_cgroup_release(struct cgroup *c) __ksym __weak;
extern struct task_struct *bpf_task_from_pid(s32 pid) __ksym __weak;
extern void bpf_task_release(struct task_struct *p) __ksym __weak;
extern s32 scx_bpf_task_cpu(const struct task_struct *p) __ksym __weak;
extern void scx_bpf_cpuperf_set(s32 cpu, u32 perf) __ksym __weak;
extern struct rq *scx_bpf_locked_rq(void) __ksym __weak;
extern struct task_struct *scx_bpf_tid_to_task(u64 tid) __ksym __weak;
extern void scx_bpf_error_bstr(char *fmt, u64 *data, u32 data__sz) __ksym __weak;
extern void scx_bpf_exit_bstr(s64 code, char *fmt, u64 *data, u32 data__sz) __ksym __weak;
extern void scx_bpf_dump_bstr(char *fmt, u64 *data, u32 data__sz) __ksym __weak;
extern void *bpf_rdonly_cast(const void *obj, u32 btf_id) __ksym __weak;
extern void bpf_preempt_disable(void) __ksym __weak;
extern void bpf_preempt_enable(void) __ksym __weak;
extern void scx_bpf_kick_cid(s32 cid, u64 flags) __ksym __weak;
extern void scx_bpf_cid_override(const s32 *cpu_to_cid, u32 cpu_to_cid__sz) __ksym __weak;

static long (*const read_str)(void *dst, u32 size, const void *src) = (void *)115;

/* What ops.exit was told; dump has at most the 32768 bytes that the kernel makes by itself. */
struct told { s32 kind, cpu; s64 code; char reason[128], msg[1024], dump[32768]; };
struct told told;

#define DSQ 9
#define OTHER 10

SEC("struct_ops/exit") void lab_exit(u64 *ctx)
{
	struct scx_exit_info *ei = (void *)ctx[0];

	read_str(told.reason, sizeof(told.reason), ei->reason);
	read_str(told.msg, sizeof(told.msg), ei->msg);
	read_str(told.dump, sizeof(told.dump), ei->dump);
	if (__builtin_preserve_field_info(ei->exit_cpu, 2)) /* 6.18 has none */
		told.cpu = ei->exit_cpu;
	told.code = ei->exit_code;
	told.kind = ei->kind;
}

SEC("struct_ops.s/init") s32 lab_init(void *ctx)
{
	s32 ret = scx_bpf_create_dsq(DSQ, NONE);

	return ret ? ret : scx_bpf_create_dsq(OTHER, NONE);
}

static __always_inline void insert_task(struct task_struct *p, u64 dsq, u64 flags)
{
	if (scx_bpf_dsq_insert___v2___compat)
		scx_bpf_dsq_insert___v2___compat(p, dsq, SLICE, flags);
	else
		scx_bpf_dsq_insert(p, dsq, SLICE, flags);
}

static __always_inline void insert(u64 *ctx, u64 dsq) { insert_task((struct task_struct *)ctx[0], dsq, ctx[1]); }

static __always_inline void insert_vtime(u64 *ctx, u64 dsq)
{
	struct scx_bpf_dsq_insert_vtime_args a = { dsq, SLICE, 5, ctx[1] };

	if (__scx_bpf_dsq_insert_vtime)
		__scx_bpf_dsq_insert_vtime((struct task_struct *)ctx[0], &a);
	else
		scx_bpf_dsq_insert_vtime((struct task_struct *)ctx[0], dsq, SLICE, 5, ctx[1]);
}

static __always_inline void to_local(u64 dsq)
{
	if (scx_bpf_dsq_move_to_local___v2___compat)
		scx_bpf_dsq_move_to_local___v2___compat(dsq, 0);
	else
		scx_bpf_dsq_move_to_local(dsq);
}

/* So that enqueue is called, also where a CPU is idle. */
SEC("struct_ops/select_cpu") s32 stay_select(u64 *ctx) { return ctx[1]; }

/* What enqueue does wrong; the task is in the global queue afterwards, unless that is what is wrong. */
#define ENQUEUE(name, ...) \
	SEC("struct_ops/enqueue") void name##_enqueue(u64 *ctx) { __VA_ARGS__; insert(ctx, GLOBAL); } \
	TABLE(name, .enqueue = (void *)name##_enqueue, .select_cpu = (void *)stay_select)
#define TABLE(table, ...) \
	SEC("?.struct_ops.link") struct sched_ext_ops table = { .init = (void *)lab_init, .exit = (void *)lab_exit, .flags = SWITCH_PARTIAL, \
		.name = #table, __VA_ARGS__ }

ENQUEUE(no_such_dsq, insert(ctx, 77); return);
ENQUEUE(local_on_no_cpu, insert(ctx, LOCAL_ON | 99); return);
ENQUEUE(vtime_on_builtin, insert_vtime(ctx, LOCAL); return);
ENQUEUE(vtime_after_fifo, if (scx_bpf_dsq_nr_queued(DSQ)) { insert_vtime(ctx, DSQ); return; } insert(ctx, DSQ); return);
ENQUEUE(fifo_after_vtime, if (scx_bpf_dsq_nr_queued(DSQ)) { insert(ctx, DSQ); return; } insert_vtime(ctx, DSQ); return);
ENQUEUE(bad_enq_flags, insert_task((struct task_struct *)ctx[0], GLOBAL, 1ULL << 60));
ENQUEUE(immed_on_global, insert_task((struct task_struct *)ctx[0], GLOBAL, ENQ_IMMED));
ENQUEUE(kick_no_cpu, scx_bpf_kick_cpu(99, 0));
ENQUEUE(kick_idle_preempt, scx_bpf_kick_cpu(0, KICK_IDLE | KICK_PREEMPT));
ENQUEUE(perf_too_high, scx_bpf_cpuperf_set(0, 2000));
ENQUEUE(perf_no_cpu, scx_bpf_cpuperf_set(99, 100));
ENQUEUE(peek_builtin, scx_bpf_dsq_peek(GLOBAL));
ENQUEUE(peek_none, scx_bpf_dsq_peek(77));
ENQUEUE(reenq_flags, scx_bpf_dsq_reenq(DSQ, 1ULL << 40));
ENQUEUE(tid_unasked, scx_bpf_tid_to_task(1));
ENQUEUE(node_unasked, scx_bpf_put_idle_cpumask(scx_bpf_get_idle_cpumask_node(0)));
ENQUEUE(queued_no_cpu, scx_bpf_dsq_nr_queued(LOCAL_ON | 99));
ENQUEUE(destroy_in_use, if (scx_bpf_dsq_nr_queued(DSQ)) scx_bpf_destroy_dsq(DSQ); insert(ctx, DSQ); return);

/* With a task that is not the one that the callback is about: the last one that was enqueued. */
static s32 last;
#define WITH_OTHER(code) do { \
		struct task_struct *p = (void *)ctx[0], *other = last && last != p->pid ? bpf_task_from_pid(last) : (void *)0; \
		last = p->pid; \
		if (other) { code; bpf_task_release(other); } \
	} while (0)
ENQUEUE(foreign_cgroup, WITH_OTHER(bpf_cgroup_release(scx_bpf_task_cgroup(other))));
ENQUEUE(insert_other, WITH_OTHER(insert_task(other, GLOBAL, 0)));
ENQUEUE(not_allowed, insert(ctx, LOCAL_ON | 1); return); /* tasks are bound to CPU 0, as they are for the next */
ENQUEUE(immed_always, insert_task((struct task_struct *)ctx[0], LOCAL, ctx[1] | ENQ_IMMED); return);

SEC("struct_ops/running") void perf_other_running(u64 *ctx)
{
	if (!scx_bpf_task_cpu((struct task_struct *)ctx[0]))
		scx_bpf_cpuperf_set(1, 100);
}
TABLE(perf_other, .running = (void *)perf_other_running);

static char error_text[] = "went wrong: %d %s %llx", exit_text[] = "enough", word[] = "badly";

ENQUEUE(bpf_error, volatile u64 args[3]; args[0] = -5; args[1] = (u64)word; args[2] = 0xabcdef; scx_bpf_error_bstr(error_text, (u64 *)args, sizeof(args)));
ENQUEUE(bpf_exit, u64 none; scx_bpf_exit_bstr(0x1234, exit_text, &none, 0));
ENQUEUE(bpf_exit_negative, u64 none; scx_bpf_exit_bstr(-7, exit_text, &none, 0));
ENQUEUE(dump_elsewhere, u64 none; scx_bpf_dump_bstr(exit_text, &none, 0));

/* A callback that holds the lock of one run queue, and asks for a CPU for a task on the other. */
ENQUEUE(select_cross, bool idle; WITH_OTHER(if (scx_bpf_task_cpu(other) != scx_bpf_task_cpu(p)) scx_bpf_select_cpu_dfl(other, 0, 0, &idle)));

/* Arguments of a message where there is no memory, and no task: the verifier takes none of these. */
ENQUEUE(data_nowhere, scx_bpf_error_bstr(error_text, bpf_rdonly_cast((void *)0xdead000000000000, 0), 24));
ENQUEUE(data_of_task, scx_bpf_error_bstr(error_text, bpf_rdonly_cast((void *)0xdead000000000000, __builtin_btf_type_id(*(struct task_struct *)0, 1)), 24));

/* A task of the name s is in a program that may not migrate, whenever it is on CPU 0. */
SEC("struct_ops/enqueue") void pinned_enqueue(u64 *ctx)
{
	struct task_struct *p = (void *)ctx[0];

	insert(ctx, p->comm[0] == 's' && !p->comm[1] && !scx_bpf_task_cpu(p) ? LOCAL_ON | 1 : GLOBAL);
}
TABLE(pinned, .enqueue = (void *)pinned_enqueue, .select_cpu = (void *)stay_select, .flags = SWITCH_PARTIAL | ENQ_MIGRATION_DISABLED);

/* select_cpu */
#define SELECT(name, ...) \
	SEC("struct_ops/select_cpu") s32 name##_select(u64 *ctx) { __VA_ARGS__; return ctx[1]; } \
	TABLE(name, .select_cpu = (void *)name##_select)

SELECT(select_no_cpu, return 99);
SELECT(insert_twice, insert(ctx, LOCAL); insert(ctx, LOCAL));
SELECT(select_other, bool idle; WITH_OTHER(scx_bpf_select_cpu_dfl(other, ctx[1], ctx[2], &idle)));
SELECT(insert_vtime_local, insert_vtime(ctx, GLOBAL));

SEC("struct_ops/update_idle") void lab_update_idle(u64 *ctx) {}

SEC("struct_ops/select_cpu") s32 idle_off_select(u64 *ctx)
{
	bool idle;

	return scx_bpf_select_cpu_dfl((struct task_struct *)ctx[0], ctx[1], ctx[2], &idle);
}
TABLE(idle_off, .select_cpu = (void *)idle_off_select, .update_idle = (void *)lab_update_idle);

SEC("struct_ops/enqueue") void nodes_on_enqueue(u64 *ctx)
{
	scx_bpf_put_idle_cpumask(scx_bpf_get_idle_cpumask());
	insert(ctx, GLOBAL);
}
TABLE(nodes_on, .select_cpu = (void *)stay_select, .enqueue = (void *)nodes_on_enqueue, .flags = SWITCH_PARTIAL | PER_NODE);

SEC("struct_ops/enqueue") void pick_per_node_enqueue(u64 *ctx)
{
	struct task_struct *p = (void *)ctx[0];

	scx_bpf_pick_any_cpu(p->cpus_ptr, 0);
	insert(ctx, GLOBAL);
}
TABLE(pick_per_node, .select_cpu = (void *)stay_select, .enqueue = (void *)pick_per_node_enqueue, .flags = SWITCH_PARTIAL | PER_NODE);

SEC("struct_ops/enqueue") void no_node_enqueue(u64 *ctx)
{
	scx_bpf_put_idle_cpumask(scx_bpf_get_idle_cpumask_node(5));
	insert(ctx, GLOBAL);
}
TABLE(no_node, .select_cpu = (void *)stay_select, .enqueue = (void *)no_node_enqueue, .flags = SWITCH_PARTIAL | PER_NODE);

/* dispatch */
SEC("struct_ops/enqueue") void lab_enqueue(u64 *ctx) { insert(ctx, DSQ); }
#define DISPATCH(name, code, ...) \
	SEC("struct_ops/dispatch") void name##_dispatch(u64 *ctx) { code; to_local(DSQ); } \
	TABLE(name, .enqueue = (void *)lab_enqueue, .dispatch = (void *)name##_dispatch, __VA_ARGS__)

DISPATCH(move_none, to_local(77));
DISPATCH(cancel_nothing, scx_bpf_dispatch_cancel());
DISPATCH(too_many, struct task_struct *p = (void *)ctx[1]; if (p) for (int i = 0; i < 3; i++)
	insert_task(p, GLOBAL, 0), .dispatch_max_batch = 2);
DISPATCH(no_task, insert_task((struct task_struct *)ctx[1], GLOBAL, 0));
DISPATCH(fine, );

/* What is refused when it is attached. */
SEC("struct_ops.s/init") s32 fail_init(void *ctx) { return -12; }
SEC("struct_ops.s/init") s32 odd_init(void *ctx) { return 7; }
SEC("struct_ops.s/init_task") s32 fail_init_task(u64 *ctx)
{
	struct task_struct *p = (void *)ctx[0];

	return p->comm[0] == 'w' && !p->comm[1] ? -13 : 0;
}
SEC("struct_ops.s/init") s32 rq_init(void *ctx) { scx_bpf_locked_rq(); return 0; }
SEC("struct_ops.s/cgroup_init") s32 fail_cgroup_init(u64 *ctx) { return -12; }
SEC("struct_ops.s/sub_attach") s32 any_sub_attach(u64 *ctx) { return 0; }
SEC("struct_ops.s/init_task") s32 disallow_init_task(u64 *ctx)
{
	struct task_struct *p = (void *)ctx[0];
	struct scx_init_task_args *args = (void *)ctx[1];

	if (args->fork && p->comm[0] == 'w' && !p->comm[1])
		p->scx.disallow = 1;
	return 0;
}
TABLE(rq_unlocked, .init = (void *)rq_init);
TABLE(cgroup_init_fails, .cgroup_init = (void *)fail_cgroup_init);
TABLE(sub_attach_plain, .sub_attach = (void *)any_sub_attach);
TABLE(old_hotplug_seq, .hotplug_seq = 77);
TABLE(disallow_fork, .init_task = (void *)disallow_init_task); /* a task forks */
TABLE(init_fails, .init = (void *)fail_init);
TABLE(init_odd, .init = (void *)odd_init);
TABLE(init_task_fails, .init_task = (void *)fail_init_task);
TABLE(enq_last_alone, .flags = SWITCH_PARTIAL | ENQ_LAST);
TABLE(node_without_idle, .flags = SWITCH_PARTIAL | PER_NODE, .update_idle = (void *)lab_update_idle);

/* Dumps. */
static char dump_text[] = "all of it\nin lines\n", cpu_text[] = "cpu %d %d", task_text[] = "task %s";
SEC("struct_ops/dump") void dumps_dump(u64 *ctx) { u64 none; scx_bpf_dump_bstr(dump_text, &none, 0); }
SEC("struct_ops/dump_cpu") void dumps_dump_cpu(u64 *ctx)
{
	u64 args[] = { ctx[1], ctx[2] & 1 };

	scx_bpf_dump_bstr(cpu_text, args, sizeof(args));
}
SEC("struct_ops/dump_task") void dumps_dump_task(u64 *ctx)
{
	struct task_struct *p = (void *)ctx[1];
	u64 args[] = { (u64)p->comm };

	scx_bpf_dump_bstr(task_text, args, sizeof(args));
}
TABLE(dumps, .select_cpu = (void *)stay_select, .enqueue = (void *)bpf_error_enqueue, .dump = (void *)dumps_dump, .dump_cpu = (void *)dumps_dump_cpu,
	.dump_task = (void *)dumps_dump_task);
TABLE(short_dump, .select_cpu = (void *)stay_select, .enqueue = (void *)bpf_error_enqueue, .exit_dump_len = 100);

/* Tasks that never run, and a CPU that goes. */
SEC("struct_ops/enqueue") void stall_enqueue(u64 *ctx) {}
TABLE(stall, .select_cpu = (void *)stay_select, .enqueue = (void *)stall_enqueue, .timeout_ms = 1000);
TABLE(hotplug, .enqueue = (void *)lab_enqueue, .dispatch = (void *)fine_dispatch);

/* CPUs that are kept from everything: errors.c runs the programs. */
TABLE(soft_lockup, .enqueue = (void *)lab_enqueue, .dispatch = (void *)fine_dispatch);
TABLE(rcu_stall, .enqueue = (void *)lab_enqueue, .dispatch = (void *)fine_dispatch);
TABLE(watchdog_late, .enqueue = (void *)lab_enqueue, .dispatch = (void *)fine_dispatch, .timeout_ms = 1000);
TABLE(no_server, .enqueue = (void *)lab_enqueue, .dispatch = (void *)fine_dispatch); /* deadline tasks have all the bandwidth */

static int turn(u32 i, u64 *until) { return ktime_get_ns() > *until; }
static int turns(u32 i, u64 *until)
{
	loop(1 << 20, turn, until, 0);
	return ktime_get_ns() > *until;
}
struct spin { u64 ns; };
SEC("?syscall") int spin(struct spin *a)
{
	u64 until = ktime_get_ns() + a->ns;

	loop(1 << 16, turns, &until, 0);
	return 0;
}
SEC("?syscall") int hold(struct spin *a)
{
	u64 until = ktime_get_ns() + a->ns;

	bpf_preempt_disable();
	loop(1 << 16, turns, &until, 0);
	bpf_preempt_enable();
	return 0;
}

/* The cid form. */
struct { INT(type, 33); INT(map_flags, 1 << 10); INT(max_entries, 64); WIDE(map_extra, 1ULL << 44); } arena SEC(".maps");
u64 __arena used SEC(".addr_space.1") = 1;
static s32 two_cids[2], one_cid[1];

#define CID(table, ...) \
	SEC("?.struct_ops.link") struct sched_ext_ops_cid table = { .select_cid = (void *)cid_select, .enqueue = (void *)cid_enqueue, .exit = (void *)cid_exit, .flags = SWITCH_PARTIAL, \
		.name = #table, __VA_ARGS__ }

SEC("struct_ops/exit") void cid_exit(u64 *ctx)
{
	struct scx_exit_info *ei = (void *)ctx[0];

	used++;
	read_str(told.reason, sizeof(told.reason), ei->reason);
	read_str(told.msg, sizeof(told.msg), ei->msg);
	read_str(told.dump, sizeof(told.dump), ei->dump);
	if (__builtin_preserve_field_info(ei->exit_cpu, 2)) /* 6.18 has none */
		told.cpu = ei->exit_cpu;
	told.code = ei->exit_code;
	told.kind = ei->kind;
}
SEC("struct_ops/select_cid") s32 cid_select(u64 *ctx) { used++; return ctx[1]; }
SEC("struct_ops/enqueue") void cid_enqueue(u64 *ctx)
{
	used++;
	scx_bpf_kick_cid(99, 0);
	insert(ctx, GLOBAL);
}
SEC("struct_ops.s/init") s32 cid_twice_init(void *ctx) { used++; scx_bpf_cid_override(two_cids, sizeof(two_cids)); return 0; }
SEC("struct_ops.s/init") s32 cid_short_init(void *ctx) { used++; scx_bpf_cid_override(one_cid, sizeof(one_cid)); return 0; }
CID(no_cid);
CID(cid_twice, .init = (void *)cid_twice_init);
CID(cid_short, .init = (void *)cid_short_init);
