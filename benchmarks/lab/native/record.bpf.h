/* SPDX-License-Identifier: GPL-2.0 */
/* What the recorders share: records by CPU, in arrays that user space maps. Their sizes are set before loading. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>

#define MAX_CPUS 64

enum { EV_SWITCH = 1, EV_WAKING, EV_WAKEUP, EV_MIGRATE, EV_TICK };

struct record {
	u64 at, a, b, slice, vtime;
	s32 pid, other;
	u32 state;
	u8 kind, ret;
	u16 cpu;
};

/* How many records each CPU has room for, and whether to take any. */
const volatile u32 per_cpu_records = 1;
const volatile u32 nr_cpus = 1;
u32 on;

/* A line of the cache for each CPU. */
struct counter {
	u32 n, lost;
	u32 pad[14];
};

#define RECORDS(name)                                                   \
	struct {                                                        \
		__uint(type, BPF_MAP_TYPE_ARRAY);                       \
		__uint(max_entries, 1);                                 \
		__uint(map_flags, BPF_F_MMAPABLE);                      \
		__type(key, u32);                                       \
		__type(value, struct record);                           \
	} name SEC(".maps");                                            \
	struct {                                                        \
		__uint(type, BPF_MAP_TYPE_ARRAY);                       \
		__uint(max_entries, MAX_CPUS);                          \
		__uint(map_flags, BPF_F_MMAPABLE);                      \
		__type(key, u32);                                       \
		__type(value, struct counter);                          \
	} name##_n SEC(".maps")

static __always_inline struct record *next_record(void *records, void *counters)
{
	u32 cpu = bpf_get_smp_processor_id(), key, i;
	struct counter *c;
	struct record *r;

	if (!on || cpu >= nr_cpus)
		return NULL;
	c = bpf_map_lookup_elem(counters, &cpu);
	if (!c)
		return NULL;
	/* An interrupt may come in between, so the place is taken by one instruction. */
	i = __sync_fetch_and_add(&c->n, 1);
	if (i >= per_cpu_records) {
		c->lost = 1;
		return NULL;
	}
	key = cpu * per_cpu_records + i;
	r = bpf_map_lookup_elem(records, &key);
	if (r)
		r->cpu = cpu;
	return r;
}
