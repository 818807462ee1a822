#include "bpf.h"

/* Schedulers with callbacks that not every kernel has: one that came with 6.19, and one that no kernel has. */

struct cgroup;
struct sched_ext_ops___mine {
	s32 (*init)(void);
	void (*cgroup_set_idle)(struct cgroup *c, bool idle);
	void (*warp)(u64 factor);
	u64 flags, later; /* no kernel has this either, but it is 0 */
	char name[128];
};

SEC("struct_ops.s/init") s32 late_init(void *ctx) { return 0; }
SEC("struct_ops/cgroup_set_idle") void late_set_idle(u64 *ctx) {}
SEC("struct_ops/warp") void late_warp(u64 *ctx) {}

SEC(".struct_ops.link") struct sched_ext_ops___mine late_ops = {
	.init = (void *)late_init, .cgroup_set_idle = (void *)late_set_idle, .name = "late",
};
SEC("?.struct_ops.link") struct sched_ext_ops___mine warp_ops = {
	.init = (void *)late_init, .warp = (void *)late_warp, .name = "warp",
};
