#include "bpf.h"

/* A scheduler whose policy is a process that takes tasks from a ring buffer and gives them back by another, as those on
 * scx_rustland_core do; what it exchanges with the process is laid out as theirs. TestUserRing is about it. */

struct sched_ext_entity { u64 dsq_vtime; u32 weight; } relocatable;
struct cpumask { unsigned long bits[1]; } relocatable;
struct task_struct { int pid; int nr_cpus_allowed; const struct cpumask *cpus_ptr; char comm[16]; struct sched_ext_entity scx; } relocatable;

struct sched_ext_ops {
	s32 (*select_cpu)(struct task_struct *p, s32 prev_cpu, u64 wake_flags);
	void (*enqueue)(struct task_struct *p, u64 flags);
	void (*dispatch)(s32 cpu, struct task_struct *prev);
	void (*running)(struct task_struct *p);
	void (*stopping)(struct task_struct *p, bool runnable);
	s32 (*init_task)(struct task_struct *p, void *args);
	s32 (*init)(void);
	u64 flags;
	char name[128];
};

extern void scx_bpf_dsq_insert(struct task_struct *p, u64 dsq, u64 slice, u64 flags) __ksym;
extern bool scx_bpf_dsq_move_to_local(u64 dsq) __ksym;
extern s32 scx_bpf_create_dsq(u64 dsq, s32 node) __ksym;
extern s32 scx_bpf_task_cpu(const struct task_struct *p) __ksym;
extern s32 scx_bpf_pick_idle_cpu(const struct cpumask *allowed, u64 flags) __ksym;
extern void bpf_rcu_read_lock(void) __ksym;
extern void bpf_rcu_read_unlock(void) __ksym;
extern void scx_bpf_kick_cpu(s32 cpu, u64 flags) __ksym;
extern u32 scx_bpf_dispatch_nr_slots(void) __ksym;
extern struct task_struct *bpf_task_from_pid(s32 pid) __ksym;
extern void bpf_task_release(struct task_struct *p) __ksym;

static void *(*const ringbuf_reserve)(void *ring, u64 size, u64 flags) = (void *)131;
static void (*const ringbuf_submit)(void *data, u64 flags) = (void *)132;
static u64 (*const ringbuf_query)(void *ring, u64 flags) = (void *)134;
static void *(*const task_storage_get)(void *map, struct task_struct *p, void *value, u64 flags) = (void *)156;
static void *(*const dynptr_data)(const void *dynptr, u32 off, u32 len) = (void *)203;
static long (*const user_ringbuf_drain)(void *ring, void *fn, void *ctx, u64 flags) = (void *)209;

struct queued_task_ctx {
	s32 pid, cpu;
	u64 nr_cpus_allowed, flags, start_ts, stop_ts, exec_runtime, weight, vtime, enq_cnt;
	char comm[16];
};
struct dispatched_task_ctx { s32 pid, cpu; u64 flags, slice_ns, vtime, enq_cnt; };
struct task_cpu_arg { s32 pid, cpu; u64 flags; };
struct times { u64 start, stop; };

#define PROCESS 0
#define SHARED 1
#define TASKS 100 /* the sizes of the ring buffers are no powers of two */

const volatile u32 usersched_pid;
const volatile u64 slice_ns = 5000000;
volatile u64 nr_queued, nr_scheduled;
u64 full, given, on_idle, last_slice, selects;

struct { INT(type, 27); INT(max_entries, TASKS * sizeof(struct queued_task_ctx)); } queued SEC(".maps");
struct { INT(type, 31); INT(max_entries, TASKS * sizeof(struct dispatched_task_ctx)); } dispatched SEC(".maps");
struct { INT(type, 29); INT(map_flags, 1); TYPE(key, int); TYPE(value, struct times); } times SEC(".maps");

SEC("syscall") int rs_select_cpu(struct task_cpu_arg *a)
{
	struct task_struct *p = bpf_task_from_pid(a->pid);
	int cpu;

	selects++;
	if (!p)
		return -3;
	bpf_rcu_read_lock();
	cpu = scx_bpf_pick_idle_cpu(p->cpus_ptr, 0);
	bpf_rcu_read_unlock();
	bpf_task_release(p);
	return cpu;
}

/* Nobody gets a CPU without the process. */
SEC("struct_ops/select_cpu") int on_select_cpu(u64 *ctx)
{
	return ctx[1];
}

SEC("struct_ops/init_task") int on_init_task(u64 *ctx)
{
	return task_storage_get(&times, (void *)ctx[0], 0, 1) ? 0 : -12;
}

SEC("struct_ops/running") int on_running(u64 *ctx)
{
	struct times *t = task_storage_get(&times, (void *)ctx[0], 0, 0);

	if (t)
		t->start = ktime_get_ns();
	return 0;
}

SEC("struct_ops/stopping") int on_stopping(u64 *ctx)
{
	struct times *t = task_storage_get(&times, (void *)ctx[0], 0, 0);

	if (t)
		t->stop = ktime_get_ns();
	return 0;
}

SEC("struct_ops/enqueue") int on_enqueue(u64 *ctx)
{
	struct task_struct *p = (void *)ctx[0];
	struct queued_task_ctx *q;
	struct times *t;

	if (p->pid == usersched_pid) {
		scx_bpf_dsq_insert(p, PROCESS, slice_ns, ctx[1]);
		return 0;
	}
	t = task_storage_get(&times, p, 0, 0);
	if (!t)
		return 0;
	q = ringbuf_reserve(&queued, sizeof(*q), 0);
	if (!q) {
		full++;
		scx_bpf_dsq_insert(p, SHARED, slice_ns, ctx[1]);
		return 0;
	}
	q->pid = p->pid;
	q->cpu = scx_bpf_task_cpu(p);
	q->nr_cpus_allowed = p->nr_cpus_allowed;
	q->flags = ctx[1];
	q->start_ts = t->start;
	q->stop_ts = t->stop;
	q->exec_runtime = t->stop - t->start;
	q->weight = p->scx.weight;
	q->vtime = p->scx.dsq_vtime;
	q->enq_cnt = 0;
	ringbuf_submit(q, 0);
	__sync_fetch_and_add(&nr_queued, 1);
	return 0;
}

static long give(void *dynptr, void *ctx)
{
	struct dispatched_task_ctx *d = dynptr_data(dynptr, 0, sizeof(*d));
	struct task_struct *p;

	if (!d)
		return 0;
	p = bpf_task_from_pid(d->pid);
	if (!p)
		return 0;
	given++;
	last_slice = d->slice_ns;
	scx_bpf_dsq_insert(p, SHARED, d->slice_ns, d->flags);
	if (d->cpu >= 0 && d->cpu < 1024) {
		on_idle++;
		scx_bpf_kick_cpu(d->cpu, 1); /* SCX_KICK_IDLE */
	}
	bpf_task_release(p);
	return !scx_bpf_dispatch_nr_slots();
}

SEC("struct_ops/dispatch") int on_dispatch(u64 *ctx)
{
	user_ringbuf_drain(&dispatched, give, 0, 1);
	if ((nr_scheduled || ringbuf_query(&queued, 0)) && scx_bpf_dsq_move_to_local(PROCESS))
		return 0;
	scx_bpf_dsq_move_to_local(SHARED);
	return 0;
}

SEC("struct_ops.s/init") int on_init(u64 *ctx)
{
	int err = scx_bpf_create_dsq(PROCESS, -1);

	return err ? err : scx_bpf_create_dsq(SHARED, -1);
}

SEC(".struct_ops.link") struct sched_ext_ops table = {
	.select_cpu = (void *)on_select_cpu, .enqueue = (void *)on_enqueue, .dispatch = (void *)on_dispatch, .running = (void *)on_running, .stopping = (void *)on_stopping,
	.init_task = (void *)on_init_task, .init = (void *)on_init, .flags = 2 /* SCX_OPS_ENQ_LAST */, .name = "userring",
};
