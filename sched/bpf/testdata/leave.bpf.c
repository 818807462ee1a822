/* Tail calls from programs and subprograms, and exceptions. TestLeave says what they return, on kernels too. */
#include "bpf.h"

extern void bpf_throw(u64 cookie) __ksym;

#define __exception_cb(name) __attribute__((btf_decl_tag("exception_callback:" #name)))
/* As bpf_assert_with and bpf_assert_range_with. */
#define assert_with(cond, value) if (!(cond)) bpf_throw(value)

u64 in, seen;

int target(void *ctx);
int chain(void *ctx);
int thrower(void *ctx);
int deeper(void *ctx);
struct {
	INT(type, 3);
	INT(max_entries, 6);
	INT(key_size, 4);
	int (*values[])(void *);
} jumps SEC(".maps") = { .values = { [0] = target, [1] = chain, [2] = thrower, [4] = deeper } };

static __noinline int jump(void *ctx, u32 index)
{
	volatile u64 pad[4] = { index, 1, 2, 3 };

	tail_call(ctx, &jumps, index);
	return 1000 + pad[index & 3];
}

SEC("tc") int target(void *ctx) { seen |= 1; return 5; }
SEC("tc") int direct(void *ctx) { tail_call(ctx, &jumps, 0); return 77; }
SEC("tc") int missing(void *ctx) { tail_call(ctx, &jumps, 3); tail_call(ctx, &jumps, 6); return 77; }
/* The subprogram returns what the target does: 5 + 10. */
SEC("tc") int from_sub(void *ctx) { return jump(ctx, 0) + 10; }
/* Twice, with a value in between that must survive: 5 * 3 + 5. */
SEC("tc") int twice(void *ctx) { int a = jump(ctx, 0) * 3; return a + jump(ctx, 0); }
SEC("tc") int sub_missing(void *ctx) { return jump(ctx, 3) + 10; }
/* Tail calls of subprograms count for all: 33 of them, 34 programs of which each adds one to 1000 + pad. */
SEC("tc") int chain(void *ctx) { seen++; return jump(ctx, 1) + 1; }
/* The program behind a tail call has subprograms that make tail calls: 5 + 100 + 10. */
SEC("tc") int deeper(void *ctx) { return jump(ctx, 0) + 100; }
SEC("tc") int two_levels(void *ctx) { return jump(ctx, 4) + 10; }

static __noinline int check(u64 x)
{
	assert_with(x < 10, x + 100);
	assert_with(x != 3, 33);
	return x;
}
static __noinline int outer(u64 x)
{
	int v = check(x) + check(x / 2);

	seen |= 0x10;
	return v;
}
__noinline int caught(u64 cookie) { seen |= 0x100; return cookie + 1000; }
static __noinline int spread(u64 x) { volatile u64 v = x; return v * 3; }
__noinline int handler(u64 cookie) { return cookie == 33 ? 2 : spread(cookie) + 40; }

/* Exceptions without and with a callback. */
SEC("tc") int thrower(void *ctx) { seen = 0; return outer(in); }
SEC("tc") __exception_cb(caught) int catcher(void *ctx) { seen = 0; return outer(in) + 1; }
SEC("tc") __exception_cb(handler) int handled(void *ctx) { return outer(in) + 1; }
/* What a program throws that another one went on as, that one's callback gets: thrower's default. */
SEC("tc") __exception_cb(caught) int behind(void *ctx) { return jump(ctx, 2) + 1; }
