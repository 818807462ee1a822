#include "bpf.h"

struct thing;
struct table_ops {
	s32 (*start)(struct thing *t, u64 flags);
	void (*stop)(struct thing *t);
	s32 (*extra)(void);
	s32 (*forgotten)(void);
	u64 flags;
	u32 timeout;
	u32 reserved;
	char name[16];
};

SEC("struct_ops/start") int ops_start(u64 *ctx) { return ctx[1]; }
SEC("struct_ops.s/stop") int ops_stop(u64 *ctx) { return 0; }
SEC("struct_ops") int ops_forgotten(u64 *ctx) { return 0; }

SEC(".struct_ops.link") struct table_ops first_ops = {
	.start = (void *)ops_start, .stop = (void *)ops_stop, .forgotten = (void *)ops_forgotten, .flags = 0x1122334455667788, .timeout = 30000, .name = "first",
};
SEC(".struct_ops") struct table_ops second_ops = { .start = (void *)ops_start, .name = "second" };
