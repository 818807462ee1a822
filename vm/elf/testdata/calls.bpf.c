#include "bpf.h"

static __noinline int leaf(int x) { volatile u64 pad[4] = {}; pad[x & 3] = x; return pad[1] + 1; }
static __noinline int unused_by_second(int x) { return leaf(x) * 3; }
__noinline int global_func(int x) { return x > 5 ? unused_by_second(x) : leaf(x + 1); }
__weak __noinline int weak_func(int x) { return x ^ 5; }
__hidden __noinline int hidden_func(int x) { return leaf(x) - 1; }
static int callback(u32 i, void *ctx) { *(u64 *)ctx += i; return 0; }

SEC("fentry/do_thing") int first(u64 *ctx)
{
	u64 sum = 0;
	loop(10, callback, &sum, 0);
	return global_func(ctx[0]) + sum;
}
SEC("fexit/do_thing") int second(u64 *ctx) { return leaf(ctx[1]) + weak_func(ctx[0]); }
SEC("fexit/other_thing") int third(u64 *ctx) { return hidden_func(ctx[0]); }
SEC("?kprobe/sys_thing") int fourth(void *ctx) { return 0; }
SEC("iter.s/task") int fifth(void *ctx) { return 0; }
SEC("tracepoint/sched/sched_switch") int sixth(void *ctx) { return 0; }
SEC("xdp") int seventh(void *ctx) { return 2; }
SEC("made_up") int eighth(void *ctx) { return 2; }
SEC("raw_tp/a") int two_in_one_a(void *ctx) { return leaf(1); }
SEC("raw_tp/a") int two_in_one_b(void *ctx) { return leaf(2); }
