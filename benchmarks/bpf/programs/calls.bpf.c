/* Programs that call the kernel, and one like a scheduler's callback. */
#include "bpf.h"

#define TASKS 64

struct bpf_iter_num {
	u64 opaque[1];
} __attribute__((aligned(8)));

extern int bpf_iter_num_new(struct bpf_iter_num *it, int start, int end) SEC(".ksyms");
extern int *bpf_iter_num_next(struct bpf_iter_num *it) SEC(".ksyms");
extern void bpf_iter_num_destroy(struct bpf_iter_num *it) SEC(".ksyms");

/* A helper that every engine knows: the number of the processor. */
SEC("tc") int helper_cpu(void *ctx)
{
	u64 x = seed;

	REPEAT {
		x += i + (get_smp_processor_id() >= 4096);
	}
	return RESULT(x);
}

/* A helper that is called. */
SEC("tc") int helper_call(void *ctx)
{
	u64 x = seed;

	REPEAT {
		x += i + get_numa_node_id();
	}
	return RESULT(x);
}

/* A kernel function that is called: an open-coded iterator. */
SEC("tc") int kfunc(void *ctx)
{
	struct bpf_iter_num it;
	u64 x = seed;
	int *v;

	bpf_iter_num_new(&it, 0, N);
	while ((v = bpf_iter_num_next(&it)))
		x = x * 31 + *v;
	bpf_iter_num_destroy(&it);
	return RESULT(x);
}

struct task {
	u64 vtime, slice, weight, runtime, last, flags;
	u32 cpu, state;
};

struct {
	INT(type, ARRAY);
	INT(max_entries, TASKS);
	TYPE(key, u32);
	TYPE(value, struct task);
} tasks SEC(".maps");

struct {
	INT(type, ARRAY);
	INT(max_entries, 4);
	TYPE(key, u32);
	TYPE(value, u64);
} counters SEC(".maps");

u64 vtime_now;
u64 queued[4];

/*
 * What callbacks of fair schedulers do: find the task's data, charge what it ran, divide by its weight, keep its virtual
 * time within bounds, choose a queue, count.
 */
SEC("tc") int sched(void *ctx)
{
	u64 now = seed, picked = 0;

	REPEAT {
		u32 pid = (i * 13) & (TASKS - 1), zero = 0;
		struct task *t = map_lookup_elem(&tasks, &pid);
		if (!t)
			break;
		now += 1000 + (pid << 4);
		u64 ran = now - t->last;
		if (ran > 20000000)
			ran = 20000000;
		t->last = now;
		t->runtime += ran;
		t->vtime += ran * 100 / (t->weight + 100);
		if ((s64)(t->vtime - (vtime_now - 4000000)) < 0)
			t->vtime = vtime_now - 4000000;
		if ((s64)(vtime_now - t->vtime) < 0)
			vtime_now = t->vtime;
		t->slice = t->flags & 1 ? 5000000 : 20000000;
		t->cpu = get_smp_processor_id() & 0;
		t->state = t->state + 1 & 3;
		queued[t->state]++;
		u64 *c = map_lookup_elem(&counters, &zero);
		if (c)
			*c += t->vtime & 0xff;
		t->flags ^= ran >> 3 & 1;
		picked += t->vtime ^ t->state;
	}
	return RESULT(picked);
}
