#include "bpf.h"
#define __arena __attribute__((address_space(1)))

/*
 * A scheduler that may be the root, a sub-scheduler, or both: it has one queue, lets sub-schedulers dispatch in turn with it, and
 * looks from a timer and a tracing program whether it is itself there: the queue MINE + id is its own, that of other ids is not.
 */

struct { INT(type, 33); INT(map_flags, 1 << 10); INT(max_entries, 64); WIDE(map_extra, 1ULL << 44); } arena SEC(".maps");

struct bpf_timer { u64 opaque[2]; };
struct value { struct bpf_timer timer; };
struct { INT(type, 2); INT(max_entries, 1); TYPE(key, u32); TYPE(value, struct value); } timers SEC(".maps");

struct task_struct { int pid; } relocatable;
struct sched_ext_ops { u64 sub_cgroup_id; } relocatable;
struct scx_sub_attach_args { struct sched_ext_ops *ops; const char *cgroup_path; } relocatable;
struct scx_sub_detach_args { struct sched_ext_ops *ops; } relocatable;
enum scx_exit_kind { SCX_EXIT_NONE };
struct scx_exit_info { enum scx_exit_kind kind; s32 exit_cpu; s64 exit_code; const char *reason, *msg; char *dump; } relocatable;

struct sched_ext_ops_cid {
	s32 (*select_cid)(struct task_struct *p, s32 prev, u64 flags);
	void (*enqueue)(struct task_struct *p, u64 flags);
	void (*dispatch)(s32 cid, struct task_struct *prev);
	s32 (*sub_attach)(struct scx_sub_attach_args *args);
	void (*sub_detach)(struct scx_sub_detach_args *args);
	s32 (*init)(void);
	void (*exit)(struct scx_exit_info *ei);
	u64 flags, sub_cgroup_id;
	char name[128];
};

extern bool scx_bpf_dsq_insert___v2___compat(struct task_struct *p, u64 dsq, u64 slice, u64 flags) __ksym;
extern bool scx_bpf_dsq_move_to_local(u64 dsq) __ksym;
extern s32 scx_bpf_create_dsq(u64 dsq, s32 node) __ksym;
extern s32 scx_bpf_dsq_nr_queued(u64 dsq) __ksym;
extern bool scx_bpf_sub_dispatch(u64 cgroup_id) __ksym;
extern void scx_bpf_error_bstr(char *fmt, u64 *data, u32 data__sz) __ksym;

static long (*const read_str)(void *dst, u32 size, const void *src) = (void *)115;
static long (*const timer_init)(struct bpf_timer *timer, void *map, u64 flags) = (void *)169;
static long (*const timer_set_callback)(struct bpf_timer *timer, void *fn) = (void *)170;
static long (*const timer_start)(struct bpf_timer *timer, u64 nsecs, u64 flags) = (void *)171;

#define QUEUE 5
#define MINE 100
#define SLICE 5000000ULL
#define CHILDREN 4

const volatile u32 id;          /* of this instance, 0 to 7 */
const volatile u64 fail_after;  /* that many enqueues, 0: never */
const volatile bool no_more;    /* no sub-scheduler may come */
const volatile u64 sub_cgroup_id; /* set by the user-space half, as in scx_qmap */
u64 children[CHILDREN], nr_enqueued, nr_sub, nr_timer, nr_switch, nr_detached, wrong, cgroup;
u64 __arena turns SEC(".addr_space.1") = 1;
struct told { s32 kind, cpu; s64 code; char reason[128], msg[1024], dump[32768]; }; /* as in lab/errors.bpf.c */
struct told told;
static char broken[] = "broken";

static void look(void)
{
	for (u32 i = 0; i < 8; i++)
		if ((scx_bpf_dsq_nr_queued(MINE + i) >= 0) != (i == id))
			wrong++;
}

SEC("struct_ops/select_cid") s32 sub_select(u64 *ctx) { turns++; return ctx[1]; }

SEC("struct_ops/enqueue") void sub_enqueue(u64 *ctx)
{
	turns++;
	if (++nr_enqueued == fail_after) {
		u64 none;

		scx_bpf_error_bstr(broken, &none, 0);
	}
	scx_bpf_dsq_insert___v2___compat((struct task_struct *)ctx[0], QUEUE, SLICE, ctx[1]);
}

SEC("struct_ops/dispatch") void sub_dispatch(u64 *ctx)
{
	u64 turn = ++turns;

	if (turn & 1 && scx_bpf_dsq_move_to_local(QUEUE))
		return;
	for (u32 i = 0; i < CHILDREN; i++) {
		u64 child = children[(i + turn / 2) % CHILDREN];

		if (child && scx_bpf_sub_dispatch(child)) {
			nr_sub++;
			return;
		}
	}
	scx_bpf_dsq_move_to_local(QUEUE);
}

SEC("struct_ops.s/sub_attach") s32 sub_attach(u64 *ctx)
{
	struct scx_sub_attach_args *a = (void *)ctx[0];

	turns++;
	for (u32 i = 0; i < CHILDREN && !no_more; i++)
		if (!children[i]) {
			children[i] = a->ops->sub_cgroup_id;
			return 0;
		}
	return -28; /* ENOSPC */
}

SEC("struct_ops.s/sub_detach") void sub_detach(u64 *ctx)
{
	struct scx_sub_detach_args *a = (void *)ctx[0];

	nr_detached++;
	for (u32 i = 0; i < CHILDREN; i++)
		if (children[i] == a->ops->sub_cgroup_id)
			children[i] = 0;
}

static int timer_fires(void *map, u32 *key, struct value *v)
{
	nr_timer++;
	look();
	timer_start(&v->timer, 1000000, 0);
	return 0;
}

SEC("tp_btf/sched_switch") int sub_switch(u64 *ctx)
{
	nr_switch++;
	if (nr_timer) /* the scheduler is there */
		look();
	return 0;
}

SEC("struct_ops.s/init") s32 sub_init(void *ctx)
{
	u32 key = 0;
	struct value *v = map_lookup_elem(&timers, &key);
	s32 ret = scx_bpf_create_dsq(QUEUE, -1);

	cgroup = sub_cgroup_id;
	if (!ret)
		ret = scx_bpf_create_dsq(MINE + id, -1);
	if (ret || !v)
		return ret;
	timer_init(&v->timer, &timers, 1);
	timer_set_callback(&v->timer, timer_fires);
	timer_start(&v->timer, 1000000, 0);
	return 0;
}

SEC("struct_ops/exit") void sub_exit(u64 *ctx)
{
	struct scx_exit_info *ei = (void *)ctx[0];

	turns++;
	read_str(told.reason, sizeof(told.reason), ei->reason);
	read_str(told.msg, sizeof(told.msg), ei->msg);
	read_str(told.dump, sizeof(told.dump), ei->dump);
	told.cpu = ei->exit_cpu;
	told.code = ei->exit_code;
	told.kind = ei->kind;
}

SEC(".struct_ops.link") struct sched_ext_ops_cid sub_ops = {
	.select_cid = (void *)sub_select,
	.enqueue = (void *)sub_enqueue,
	.dispatch = (void *)sub_dispatch,
	.sub_attach = (void *)sub_attach,
	.sub_detach = (void *)sub_detach,
	.init = (void *)sub_init,
	.exit = (void *)sub_exit,
	.name = "sub",
};
