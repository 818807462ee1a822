#include "bpf.h"

/* A scheduler that keeps a cpumask with each task, which goes when the task goes. */

#define __kptr __attribute__((btf_type_tag("kptr")))

struct task_struct { int pid; } relocatable;
struct bpf_cpumask { u64 bits[128]; u32 usage; } relocatable;
struct sched_ext_ops {
	s32 (*init_task)(struct task_struct *p, void *args);
	char name[128];
};

extern struct bpf_cpumask *bpf_cpumask_create(void) __ksym;
extern void bpf_cpumask_release(struct bpf_cpumask *mask) __ksym;

static void *(*const task_storage_get)(void *map, struct task_struct *p, void *value, u64 flags) = (void *)156;
static void *(*const kptr_xchg)(void *at, void *p) = (void *)194;

struct kept { struct bpf_cpumask __kptr *mask; };
struct { INT(type, 29); INT(map_flags, 1); TYPE(key, int); TYPE(value, struct kept); } kept SEC(".maps");

u64 masks, reused, last;

SEC("struct_ops.s/init_task") int kptr_init_task(u64 *ctx)
{
	struct task_struct *p = (void *)ctx[0];
	struct kept *k = task_storage_get(&kept, p, 0, 1);
	struct bpf_cpumask *mask;

	if (!k)
		return -12;
	mask = bpf_cpumask_create();
	if (!mask)
		return -12;
	masks++;
	reused += last == (u64)mask;
	last = (u64)mask;
	mask = kptr_xchg(&k->mask, mask);
	if (mask)
		bpf_cpumask_release(mask);
	return 0;
}

SEC(".struct_ops.link") struct sched_ext_ops ops = { .init_task = (void *)kptr_init_task, .name = "kptr" };
