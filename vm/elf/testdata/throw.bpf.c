#include "bpf.h"

extern void bpf_throw(u64 cookie) __ksym;

#define __exception_cb(name) __attribute__((btf_decl_tag("exception_callback:" #name)))

static __noinline u64 twice(u64 x) { return x + x + ((volatile u64 *)&x)[0]; }
__noinline int on_throw(u64 cookie) { return twice(cookie) + 1; }
__noinline int other(u64 cookie) { return cookie; }
__hidden __noinline int hidden(u64 cookie) { return cookie; }
static __noinline int deep(u64 x)
{
	if (x > 7)
		bpf_throw(x);
	return x;
}

SEC("syscall") int by_default(u64 *ctx) { return deep(ctx[0]); }
SEC("syscall") __exception_cb(on_throw) int with_callback(u64 *ctx) { return deep(ctx[0]) + 100; }
SEC("syscall") __exception_cb(on_throw) int calls_it(u64 *ctx) { return on_throw(ctx[0]) + deep(ctx[1]); }
SEC("syscall") __exception_cb(other) int never(u64 *ctx) { bpf_throw(5); return ctx[0]; }
SEC("?syscall") __exception_cb(on_throw) __exception_cb(other) int two(u64 *ctx) { return deep(ctx[0]); }
SEC("?syscall") __exception_cb(on_trow) int unknown(u64 *ctx) { return deep(ctx[0]); }
SEC("?syscall") __exception_cb(hidden) int is_hidden(u64 *ctx) { return deep(ctx[0]) + hidden(1); }
SEC("?syscall") __attribute__((btf_decl_tag("exception_callback:"))) int empty(u64 *ctx) { return deep(ctx[0]); }
