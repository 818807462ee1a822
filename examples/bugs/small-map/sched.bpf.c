/* SPDX-License-Identifier: GPL-2.0 */
/*
 * small-map: a map for things that multiply.
 *
 * The scheduler keeps account of each cgroup on each last-level cache. The map has room for 64 accounts, "more cgroups
 * than anybody has": on a laptop with one cache. On a server with 16 of them, it is four cgroups.
 */
#include "../../bpf/sched_ext.bpf.h"

char _license[] SEC("license") = "GPL";

#define MAX_LLCS 64
#define BPF_NOEXIST 1

const volatile u32 nr_llcs = 16;

struct account {
	u64 used_ns;
};

#ifdef FIXED
/* One entry per cgroup, with its accounts inside: what multiplies with the machine is no longer counted in entries. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, u64);
	__type(value, struct account[MAX_LLCS]);
} accounts SEC(".maps");

static struct account none[MAX_LLCS];

static __always_inline s32 open_accounts(u64 cgid)
{
	return bpf_map_update_elem(&accounts, &cgid, none, BPF_NOEXIST);
}
#else
struct account_key {
	u64 cgid;
	u64 llc;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, struct account_key);
	__type(value, struct account);
} accounts SEC(".maps");

static __always_inline s32 open_accounts(u64 cgid)
{
	struct account none = {};
	s32 err = 0;
	int i;

	for_range(i, 0, nr_llcs) {
		struct account_key k = { cgid, i };

		err = bpf_map_update_elem(&accounts, &k, &none, BPF_NOEXIST);
		if (err)
			break;
	}
	return err;
}
#endif

OP2_S(s32, small_cgroup_init, struct cgroup *, cgrp, struct scx_cgroup_init_args *, args)
{
	s32 err = open_accounts(cgrp->kn->id);

	if (err)
		scx_error("failed to init cgroup %llu: %d", cgrp->kn->id, err);
	return err;
}

SCHEDULER ops = {
	.cgroup_init = (void *)small_cgroup_init,
	.name = "small_map",
};
