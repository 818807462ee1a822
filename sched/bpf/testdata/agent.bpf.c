#include "bpf.h"

/* A scheduler that its user-space half sets up in every way that there is; TestAgent is that half. */

struct task_struct { int pid; } relocatable;

struct sched_ext_ops {
	void (*enqueue)(struct task_struct *p, u64 flags);
	void (*dispatch)(s32 cpu, struct task_struct *prev);
	s32 (*init)(void);
	u64 flags;
	char name[128];
};

extern void scx_bpf_dsq_insert(struct task_struct *p, u64 dsq, u64 slice, u64 flags) __ksym;
extern bool scx_bpf_dsq_move_to_local(u64 dsq) __ksym;
extern s32 scx_bpf_create_dsq(u64 dsq, s32 node) __ksym;
#define __arena __attribute__((address_space(1)))
extern void __arena *bpf_arena_alloc_pages(void *map, void __arena *addr, u32 n, int node, u64 flags) __ksym;

static long (*const ringbuf_output)(void *ring, const void *data, u64 size, u64 flags) = (void *)130;
static long (*const user_ringbuf_drain)(void *ring, void *fn, void *ctx, u64 flags) = (void *)209;
static long (*const dynptr_read)(void *dst, u32 size, const void *src, u32 off, u64 flags) = (void *)201;
static u32 (*const get_smp_processor_id)(void) = (void *)8;
static long (*const map_pop_elem)(void *map, void *value) = (void *)88;

enum mode { SLEEPY = 3, AWAKE = 4 };
struct domain { u32 id; enum mode mode; u64 mask[4]; };

const volatile u64 slice_ns;
const volatile enum mode mode;
const volatile u32 nr_domains = 1;
struct domain domains[8];
u32 per_cpu[1] SEC(".data.per_cpu");
u64 sum, ran_on, drained;

struct {
	INT(type, 33); INT(map_flags, 1 << 10); INT(max_entries, 16);
	WIDE(map_extra, 1ull << 44);
} arena SEC(".maps");
struct { INT(type, 1); INT(max_entries, 16); TYPE(key, u32); TYPE(value, struct domain); } by_id SEC(".maps");
struct { INT(type, 6); INT(max_entries, 2); TYPE(key, u32); TYPE(value, struct domain); } each_cpu SEC(".maps");
struct { INT(type, 22); INT(max_entries, 8); INT(key_size, 0); TYPE(value, u64); } queue SEC(".maps");
struct { INT(type, 27); INT(max_entries, 4096); } out SEC(".maps");
struct { INT(type, 31); INT(max_entries, 4096); } in SEC(".maps");
struct inner { INT(type, 22); INT(max_entries, 4); INT(value_size, 4); };
struct { INT(type, 12); INT(max_entries, 3); INT(key_size, 4); struct inner *values[]; } queues SEC(".maps") = { .values = { } };

struct alloc_args { u32 pages; u64 addr; };

SEC("syscall") int alloc(struct alloc_args *a)
{
	void __arena *p = bpf_arena_alloc_pages(&arena, 0, a->pages, -1, 0);

	if (!p)
		return -12;
	a->addr = (u64)p;
	*(u64 __arena *)p = 77;
	return 0;
}

SEC("syscall") int where(void *ctx)
{
	ran_on |= 1ull << get_smp_processor_id();
	return 0;
}

static long take(void *dynptr, void *ctx)
{
	u64 v = 0;

	dynptr_read(&v, sizeof(v), dynptr, 0, 0);
	drained += v;
	return 0;
}

SEC("syscall") int talk(void *ctx)
{
	struct domain *d;
	u32 key = 7, zero = 0;
	u64 v = 5;

	if ((d = map_lookup_elem(&by_id, &key)))
		sum += d->mask[3];
	if ((d = map_lookup_elem(&each_cpu, &zero)))
		sum += 1000 * d->id;
	map_pop_elem(&queue, &v);
	sum += 100000 * v;
	sum += 10000000 * per_cpu[0];
	ringbuf_output(&out, &sum, sizeof(sum), 0);
	return user_ringbuf_drain(&in, take, (void *)0, 0);
}

SEC("syscall") int pop_inner(struct alloc_args *a)
{
	void *q = map_lookup_elem(&queues, &a->pages);
	u32 v = 0;

	return q ? map_pop_elem(q, &v) : -2;
}

SEC("struct_ops/enqueue") void agent_enqueue(u64 *ctx)
{
	scx_bpf_dsq_insert((struct task_struct *)ctx[0], 9, slice_ns, ctx[1]);
}

SEC("struct_ops/dispatch") void agent_dispatch(u64 *ctx)
{
	scx_bpf_dsq_move_to_local(9);
}

SEC("struct_ops.s/init") s32 agent_init(void *ctx)
{
	if (mode != AWAKE || nr_domains != 2 || domains[1].mask[3] != 11)
		return -22;
	return scx_bpf_create_dsq(9, -1);
}

SEC(".struct_ops.link") struct sched_ext_ops agent_ops = {
	.enqueue = (void *)agent_enqueue,
	.dispatch = (void *)agent_dispatch,
	.init = (void *)agent_init,
	.name = "agent",
};
