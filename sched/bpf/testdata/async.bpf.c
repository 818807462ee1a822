#include "bpf.h"

/* A scheduler that gives up timers with bpf_timer_cancel_async, in every place that gives another answer, and counts what is in maps. */

struct task_struct { int pid; } relocatable;
struct sched_ext_ops {
	s32 (*init)(void);
	void (*running)(struct task_struct *p);
	u64 flags;
	char name[128];
};
struct bpf_timer { u64 opaque[2]; } __attribute__((aligned(8)));
struct bpf_map { u32 id; } relocatable;

extern int bpf_timer_cancel_async(struct bpf_timer *timer) __ksym;
extern s64 bpf_map_sum_elem_count(const struct bpf_map *map) __ksym;

static long (*const map_update_elem)(void *map, const void *key, const void *value, u64 flags) = (void *)2;
static long (*const map_delete_elem)(void *map, const void *key) = (void *)3;
static long (*const timer_init)(struct bpf_timer *timer, void *map, u64 flags) = (void *)169;
static long (*const timer_set_callback)(struct bpf_timer *timer, void *fn) = (void *)170;
static long (*const timer_start)(struct bpf_timer *timer, u64 nsecs, u64 flags) = (void *)171;

struct value { struct bpf_timer timer; };
struct { INT(type, 2); INT(max_entries, 3); TYPE(key, u32); TYPE(value, struct value); } timers SEC(".maps");
struct { INT(type, 1); INT(max_entries, 8); TYPE(key, u32); TYPE(value, u64); } hash SEC(".maps");

s32 result[12];
u32 fired, own, seen;

static int give_up(void *map, u32 *key, struct value *v)
{
	fired++;
	own = bpf_timer_cancel_async(&v->timer);
	return 0;
}

static int never(void *map, u32 *key, struct value *v)
{
	fired += 1000;
	return 0;
}

SEC("struct_ops.s/init") s32 async_init(void *ctx)
{
	u32 k = 0;
	u64 one = 1;
	struct value *v = map_lookup_elem(&timers, &k);

	if (!v)
		return -1;
	result[0] = bpf_timer_cancel_async(&v->timer);
	timer_init(&v->timer, &timers, 1);
	result[1] = bpf_timer_cancel_async(&v->timer);
	timer_set_callback(&v->timer, never);
	timer_start(&v->timer, 1000000000, 0);
	result[2] = bpf_timer_cancel_async(&v->timer);
	result[3] = bpf_timer_cancel_async(&v->timer);
	k = 1;
	v = map_lookup_elem(&timers, &k);
	if (!v)
		return -1;
	timer_init(&v->timer, &timers, 1);
	timer_set_callback(&v->timer, give_up);
	timer_start(&v->timer, 20000000, 0);
	for (int i = 0; i < 5; i++) {
		k = i;
		map_update_elem(&hash, &k, &one, 0);
	}
	result[4] = bpf_map_sum_elem_count((void *)&hash);
	k = 3;
	map_delete_elem(&hash, &k);
	result[5] = bpf_map_sum_elem_count((void *)&hash);
	result[6] = bpf_map_sum_elem_count((void *)&timers);
	return 0;
}

/* Under the lock of a runqueue, with interrupts off. */
SEC("struct_ops/running") void async_running(u64 *ctx)
{
	u32 k = 2;
	struct value *v = map_lookup_elem(&timers, &k);

	if (!v || seen++)
		return;
	result[7] = bpf_timer_cancel_async(&v->timer);
	result[8] = timer_init(&v->timer, &timers, 1);
	result[9] = timer_set_callback(&v->timer, never);
	result[10] = timer_start(&v->timer, 5000000, 0);
	result[11] = bpf_timer_cancel_async(&v->timer);
}

SEC(".struct_ops.link") struct sched_ext_ops async_ops = {
	.init = (void *)async_init,
	.running = (void *)async_running,
	.flags = 8,
	.name = "async",
};
