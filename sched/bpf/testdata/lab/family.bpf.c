#include "../bpf.h"
#define __arena __attribute__((address_space(1)))

/*
 * Schedulers of a hierarchy that end, each in its own way: family.txt says which of these tables are attached where. All of them
 * schedule tasks of the policy SCHED_EXT only, and keep what ops.exit is told. Programs count their turns in an arena, as every
 * scheduler of this form has one.
 */

enum { SWITCH_PARTIAL = 8, TID_TO_TASK = 256 };
#define SLICE 5000000ULL
#define QUEUE 5
#define CHILDREN 4

struct { INT(type, 33); INT(map_flags, 1 << 10); INT(max_entries, 64); WIDE(map_extra, 1ULL << 44); } arena SEC(".maps");

struct scx_entity { bool disallow; } relocatable;
struct cpumask { u64 bits[1]; };
struct task_struct { int pid; char comm[16]; struct scx_entity scx; const struct cpumask *cpus_ptr; } relocatable;
struct sched_ext_ops___any { u64 sub_cgroup_id; } relocatable;
struct scx_sub_attach_args { struct sched_ext_ops___any *ops; } relocatable;
struct scx_sub_detach_args { struct sched_ext_ops___any *ops; } relocatable;
enum scx_exit_kind { SCX_EXIT_NONE };
struct scx_exit_info { enum scx_exit_kind kind; s32 exit_cpu; s64 exit_code; const char *reason, *msg; char *dump; } relocatable;
struct scx_init_task_args { bool fork; } relocatable;

struct sched_ext_ops_cid {
	s32 (*select_cid)(struct task_struct *p, s32 prev, u64 flags);
	void (*enqueue)(struct task_struct *p, u64 flags);
	void (*dispatch)(s32 cid, struct task_struct *prev);
	s32 (*init_task)(struct task_struct *p, struct scx_init_task_args *args);
	s32 (*sub_attach)(struct scx_sub_attach_args *args);
	void (*sub_detach)(struct scx_sub_detach_args *args);
	s32 (*init)(void);
	void (*exit)(struct scx_exit_info *ei);
	u64 flags, sub_cgroup_id;
	char name[128];
};

struct sched_ext_ops {
	void (*exit)(struct scx_exit_info *ei);
	u64 flags, sub_cgroup_id;
	char name[128];
};

extern bool scx_bpf_dsq_insert___v2___compat(struct task_struct *p, u64 dsq, u64 slice, u64 flags) __ksym;
extern void scx_bpf_dsq_insert_vtime(struct task_struct *p, u64 dsq, u64 slice, u64 vtime, u64 flags) __ksym;
extern s32 scx_bpf_select_cpu_and(struct task_struct *p, s32 prev, u64 flags, const struct cpumask *allowed, u64 more) __ksym;
extern struct task_struct *bpf_task_from_pid(s32 pid) __ksym;
extern void bpf_task_release(struct task_struct *p) __ksym;
extern void bpf_rcu_read_lock(void) __ksym;
extern void bpf_rcu_read_unlock(void) __ksym;
extern bool scx_bpf_dsq_move_to_local(u64 dsq) __ksym;
extern s32 scx_bpf_create_dsq(u64 dsq, s32 node) __ksym;
extern bool scx_bpf_sub_dispatch(u64 cgroup_id) __ksym;
extern void scx_bpf_cid_override(const s32 *cpu_to_cid, u32 cpu_to_cid__sz) __ksym __weak;
extern void scx_bpf_error_bstr(char *fmt, u64 *data, u32 data__sz) __ksym;

static long (*const read_str)(void *dst, u32 size, const void *src) = (void *)115;

const volatile u64 target; /* of those that dispatch to a cgroup that is not their child's */
u64 children[CHILDREN], nr_attached;
s32 fail; /* the next enqueue ends it */
s32 in_init;
u64 __arena turns SEC(".addr_space.1") = 1;
struct told { s32 kind, cpu; s64 code; char reason[128], msg[1024], dump[32768]; }; /* as in errors.bpf.c */
struct told told;

static void tell(struct scx_exit_info *ei)
{
	read_str(told.reason, sizeof(told.reason), ei->reason);
	read_str(told.msg, sizeof(told.msg), ei->msg);
	read_str(told.dump, sizeof(told.dump), ei->dump);
	told.cpu = ei->exit_cpu;
	told.code = ei->exit_code;
	told.kind = ei->kind;
}

SEC("struct_ops/exit") void fam_exit(u64 *ctx) { turns++; tell((void *)ctx[0]); }
SEC("struct_ops/exit") void cpu_exit(u64 *ctx) { tell((void *)ctx[0]); }

static char broken[] = "broken";

SEC("struct_ops/select_cid") s32 fam_select(u64 *ctx) { turns++; return ctx[1]; }
SEC("struct_ops/enqueue") void fam_enqueue(u64 *ctx)
{
	turns++;
	if (fail) {
		u64 none;

		scx_bpf_error_bstr(broken, &none, 0);
	}
	scx_bpf_dsq_insert___v2___compat((struct task_struct *)ctx[0], QUEUE, SLICE, ctx[1]);
}

static void dispatch(void)
{
	u64 turn = ++turns;

	if (turn & 1 && scx_bpf_dsq_move_to_local(QUEUE))
		return;
	for (u32 i = 0; i < CHILDREN; i++) {
		u64 child = children[(i + turn / 2) % CHILDREN];

		if (child && scx_bpf_sub_dispatch(child))
			return;
	}
	scx_bpf_dsq_move_to_local(QUEUE);
}

SEC("struct_ops/dispatch") void fam_dispatch(u64 *ctx) { dispatch(); }

SEC("struct_ops.s/sub_attach") s32 fam_attach(u64 *ctx)
{
	struct scx_sub_attach_args *a = (void *)ctx[0];

	turns++;
	nr_attached++;
	for (u32 i = 0; i < CHILDREN; i++)
		if (!children[i]) {
			children[i] = a->ops->sub_cgroup_id;
			return 0;
		}
	return -28; /* ENOSPC */
}

SEC("struct_ops.s/sub_detach") void fam_detach(u64 *ctx)
{
	struct scx_sub_detach_args *a = (void *)ctx[0];

	for (u32 i = 0; i < CHILDREN; i++)
		if (children[i] == a->ops->sub_cgroup_id)
			children[i] = 0;
}

SEC("struct_ops.s/init") s32 fam_init(void *ctx) { return scx_bpf_create_dsq(QUEUE, -1); }

#define FAMILY(table, ...) FAMILY_IN("?.struct_ops.link", table, __VA_ARGS__)
#define FAMILY_IN(section, table, ...) \
	SEC(section) struct sched_ext_ops_cid table = { .select_cid = (void *)fam_select, .enqueue = (void *)fam_enqueue, \
		.dispatch = (void *)fam_dispatch, .sub_attach = (void *)fam_attach, .sub_detach = (void *)fam_detach, .init = (void *)fam_init, \
		.exit = (void *)fam_exit, .flags = SWITCH_PARTIAL, .name = #table, __VA_ARGS__ }

FAMILY(plain);
FAMILY_IN("?.struct_ops", unlinked); /* the kernel attaches links one after the other, but not those */
FAMILY(childless, .sub_attach = (void *)0, .sub_detach = (void *)0);

/* Parents. */
SEC("struct_ops.s/sub_attach") s32 never_attach(u64 *ctx) { turns++; return -1; }
SEC("struct_ops.s/sub_attach") s32 odd_attach(u64 *ctx) { turns++; return 7; }
static bool is_worker(struct task_struct *p) { return p->comm[0] == 'w' && !p->comm[1]; }
static bool comes_back(u64 *ctx)
{
	turns++;
	return nr_attached && !((struct scx_init_task_args *)ctx[1])->fork && is_worker((void *)ctx[0]);
}
SEC("struct_ops.s/init_task") s32 grudge_init_task(u64 *ctx) { return comes_back(ctx) ? -12 : 0; }
SEC("struct_ops.s/init_task") s32 late_init_task(u64 *ctx)
{
	if (comes_back(ctx))
		((struct task_struct *)ctx[0])->scx.disallow = 1;
	return 0;
}
SEC("struct_ops/dispatch") void far_dispatch(u64 *ctx)
{
	if (nr_attached)
		scx_bpf_sub_dispatch(target);
	dispatch();
}
FAMILY(rejecting, .sub_attach = (void *)never_attach);
FAMILY(odd, .sub_attach = (void *)odd_attach);
FAMILY(grudging, .init_task = (void *)grudge_init_task);
FAMILY(disallowing_late, .init_task = (void *)late_init_task);
FAMILY(far_reaching, .dispatch = (void *)far_dispatch);

/* Children. */
SEC("struct_ops/enqueue") void old_insert_enqueue(u64 *ctx)
{
	turns++;
	scx_bpf_dsq_insert_vtime((struct task_struct *)ctx[0], QUEUE, SLICE, 5, ctx[1]);
}
SEC("struct_ops/enqueue") void old_select_enqueue(u64 *ctx)
{
	struct task_struct *p = (void *)ctx[0];

	turns++;
	scx_bpf_select_cpu_and(p, 0, 0, p->cpus_ptr, 0);
	scx_bpf_dsq_insert___v2___compat(p, QUEUE, SLICE, ctx[1]);
}
SEC("struct_ops.s/init_task") s32 disallow_init_task(u64 *ctx)
{
	turns++;
	if (is_worker((void *)ctx[0]))
		((struct task_struct *)ctx[0])->scx.disallow = 1;
	return 0;
}
SEC("struct_ops.s/init_task") s32 fail_init_task(u64 *ctx) { turns++; return is_worker((void *)ctx[0]) ? -12 : 0; }
static s32 cids[2];
SEC("struct_ops.s/init") s32 override_init(void *ctx)
{
	turns++;
	scx_bpf_cid_override(cids, sizeof(cids));
	return scx_bpf_create_dsq(QUEUE, -1);
}
SEC("struct_ops.s/init") s32 fail_init(void *ctx) { turns++; return -12; }
SEC("struct_ops/enqueue") void lose_enqueue(u64 *ctx)
{
	turns++;
	scx_bpf_dsq_insert___v2___compat((struct task_struct *)ctx[0], 77, SLICE, ctx[1]);
}
static int turn(u32 i, u64 *until) { return ktime_get_ns() > *until; }
SEC("struct_ops.s/init") s32 slow_init(void *ctx)
{
	u64 until = ktime_get_ns() + 1000000000;

	turns++;
	in_init = 1;
	for (u32 i = 0; i < 64; i++)
		loop(1 << 20, turn, &until, 0);
	return scx_bpf_create_dsq(QUEUE, -1);
}

/* What no program of this form may call, outside calls it for a task of the child. */
struct outside { s32 pid; };
SEC("syscall") int old_select_outside(struct outside *a)
{
	struct task_struct *p = bpf_task_from_pid(a->pid);

	if (p) {
		bpf_rcu_read_lock();
		scx_bpf_select_cpu_and(p, 0, 0, p->cpus_ptr, 0);
		bpf_rcu_read_unlock();
		bpf_task_release(p);
	}
	return 0;
}

FAMILY(old_insert, .enqueue = (void *)old_insert_enqueue);
FAMILY(old_select, .enqueue = (void *)old_select_enqueue);
FAMILY(disallowing, .init_task = (void *)disallow_init_task);
FAMILY(refusing, .init_task = (void *)fail_init_task);
FAMILY(overriding, .init = (void *)override_init);
FAMILY(failing, .init = (void *)fail_init);
FAMILY(losing, .enqueue = (void *)lose_enqueue);
FAMILY(with_tids, .flags = SWITCH_PARTIAL | TID_TO_TASK);
FAMILY(slow, .init = (void *)slow_init);

SEC("?.struct_ops.link") struct sched_ext_ops cpu_form = { .exit = (void *)cpu_exit, .flags = SWITCH_PARTIAL, .name = "cpu_form" };
