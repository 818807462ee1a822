// One program for each reason to refuse one: the C half of the list in codes.go. The name of a program is its code with
// underscores. What stands between a "//: code" and the next is what `schedsim verify --explain code` prints.
//
// scripts/refused compiles it; a test holds every program to its code.
#include "vmlinux.h"

#define SEC(name) __attribute__((section(name), used))
#define __naked __attribute__((naked))
#define __noinline __attribute__((noinline))
#define barrier_var(x) asm volatile("" : "+r"(x))
#define __uint(name, val) int(*name)[val]
#define __type(name, val) typeof(val) *name

// CALLBACK makes a table of its own, with one callback, for a program.
#define CALLBACK(prog, member) SEC(".struct_ops.link") struct sched_ext_ops prog##_ops = {.member = (void *)prog, .name = #prog}

static void *(*bpf_map_lookup_elem)(void *map, const void *key) = (void *)1;
static long (*bpf_map_push_elem)(void *map, const void *value, u64 flags) = (void *)87;
static long (*bpf_spin_lock)(struct bpf_spin_lock *lock) = (void *)93;
static long (*bpf_spin_unlock)(struct bpf_spin_lock *lock) = (void *)94;
static long (*bpf_probe_read_kernel)(void *dst, u32 size, const void *from) = (void *)113;
static long (*bpf_sys_bpf)(u32 cmd, void *attr, u32 size) = (void *)166;
static long (*bpf_loop)(u32 n, void *callback, void *ctx, u64 flags) = (void *)181;
static void *(*bpf_dynptr_data)(const struct bpf_dynptr *p, u32 off, u32 len) = (void *)203;

struct value {
	struct bpf_spin_lock lock;
	u32 count;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct value);
} values SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 4);
	__type(key, u32);
	__type(value, u64);
} counts SEC(".maps");

const volatile u32 limit = 8;
u64 table[16];
volatile u64 sink;

//: invalid-insn
SEC("struct_ops/invalid_insn") __naked void invalid_insn(void)
{
	asm volatile("r0 = 0"); // no exit: the program runs off its end
}
CALLBACK(invalid_insn, running);

//: unreachable-insn
SEC("struct_ops/unreachable_insn") __naked void unreachable_insn(void)
{
	asm volatile("r0 = 0; exit; r0 = 1; exit");
}
CALLBACK(unreachable_insn, running);

//: uninit-reg
SEC("struct_ops/uninit_reg") __naked s32 uninit_reg(void)
{
	asm volatile("r0 = r2; exit"); // nothing was written to r2
}
CALLBACK(uninit_reg, select_cpu);

//: frame-pointer
SEC("struct_ops/frame_pointer") __naked void frame_pointer(void)
{
	asm volatile("r10 = 0; exit");
}
CALLBACK(frame_pointer, running);

//: pointer-math
SEC("struct_ops/pointer_math") s32 pointer_math(u64 *ctx)
{
	struct task_struct *p = (void *)ctx[0];

	return ((u64)p >> 6) % 8; // the address of a task is no number to compute with
}
CALLBACK(pointer_math, select_cpu);

//: div-by-zero
SEC("struct_ops/div_by_zero") __naked s32 div_by_zero(void)
{
	asm volatile("r0 = 1; r0 /= 0; exit");
}
CALLBACK(div_by_zero, select_cpu);

//: invalid-shift
SEC("struct_ops/invalid_shift") __naked s32 invalid_shift(void)
{
	asm volatile("r0 = 1; r0 <<= 64; exit");
}
CALLBACK(invalid_shift, select_cpu);

//: infinite-loop
SEC("struct_ops/infinite_loop") void infinite_loop(u64 *ctx)
{
	int i = 0;

	while (i < 10) // nothing changes i
		barrier_var(i);
}
CALLBACK(infinite_loop, running);

//: too-complex
SEC("struct_ops/too_complex") void too_complex(u64 *ctx)
{
	for (u32 i = 0; i < 10000000; i++) // each turn is followed
		barrier_var(i);
}
CALLBACK(too_complex, running);

//: call-depth
#define DEEPER(n, next)                                                                                                \
	static __noinline int depth##n(u64 x)                                                                          \
	{                                                                                                              \
		barrier_var(x);                                                                                        \
		return next(x) + 1;                                                                                    \
	}
static __noinline int depth0(u64 x)
{
	barrier_var(x);
	return x;
}
DEEPER(1, depth0) DEEPER(2, depth1) DEEPER(3, depth2) DEEPER(4, depth3) DEEPER(5, depth4) DEEPER(6, depth5)
DEEPER(7, depth6) DEEPER(8, depth7) DEEPER(9, depth8) DEEPER(10, depth9) DEEPER(11, depth10) DEEPER(12, depth11)
DEEPER(13, depth12) DEEPER(14, depth13) DEEPER(15, depth14) DEEPER(16, depth15)

SEC("struct_ops/call_depth") s32 call_depth(u64 *ctx)
{
	return depth16(ctx[1]); // 17 functions below this one
}
CALLBACK(call_depth, select_cpu);

//: recursion
static __noinline int fib(u64 n)
{
	barrier_var(n);
	return n < 2 ? n : fib(n - 1) + fib(n - 2);
}

SEC("struct_ops/recursion") s32 recursion(u64 *ctx)
{
	return fib(ctx[1]);
}
CALLBACK(recursion, select_cpu);

//: stack-size
static __noinline int inner(void)
{
	volatile char buf[300] = {};

	return buf[7];
}

SEC("struct_ops/stack_size") s32 stack_size(u64 *ctx)
{
	volatile char buf[300] = {};

	return inner() + buf[9]; // 600 bytes of stack in all
}
CALLBACK(stack_size, select_cpu);

//: stack-access
SEC("struct_ops/stack_access") void stack_access(u64 *ctx)
{
	volatile char buf[8];

	buf[ctx[1] & 15] = 1; // buf has 8 elements
}
CALLBACK(stack_access, enqueue);

//: uninit-stack
SEC("struct_ops/uninit_stack") void uninit_stack(u64 *ctx)
{
	struct bpf_iter_num it;

	bpf_iter_num_new(&it, 0, 4);
	sink = *(volatile u64 *)&it; // only the iterator's functions may look inside
	bpf_iter_num_destroy(&it);
}
CALLBACK(uninit_stack, running);

//: spill
SEC("struct_ops/spill") void spill(u64 *ctx)
{
	struct task_struct *volatile p = (void *)ctx[0];

	sink = *(volatile u32 *)&p; // half of a pointer
}
CALLBACK(spill, running);

//: ctx-access
SEC("struct_ops/ctx_access") void ctx_access(u64 *ctx)
{
	sink = ctx[3]; // running() has one argument
}
CALLBACK(ctx_access, running);

//: bad-pointer
SEC("struct_ops/bad_pointer") void bad_pointer(u64 *ctx)
{
	sink = *(u64 *)ctx[1]; // enq_flags is a number
}
CALLBACK(bad_pointer, enqueue);

//: null-pointer
SEC("struct_ops/null_pointer") void null_pointer(u64 *ctx)
{
	struct task_struct *prev = (void *)ctx[1];

	sink = prev->pid; // the CPU may have been idle: prev may be NULL
}
CALLBACK(null_pointer, dispatch);

//: out-of-bounds
SEC("struct_ops/out_of_bounds") void out_of_bounds(u64 *ctx)
{
	s32 cpu = ctx[0];

	table[cpu & 31]++; // table has 16 elements
}
CALLBACK(out_of_bounds, dispatch);

//: read-only
SEC("struct_ops/read_only") void read_only(u64 *ctx)
{
	*(volatile u32 *)&limit = 9; // limit is const
}
CALLBACK(read_only, running);

//: misaligned
SEC("struct_ops/misaligned") __naked void misaligned(void)
{
	asm volatile("*(u64 *)(r10 - 12) = 0; exit"); // -12 is no multiple of 8
}
CALLBACK(misaligned, running);

//: btf-access
SEC("struct_ops/btf_access") void btf_access(u64 *ctx)
{
	char *p = (void *)ctx[0];

	sink = *(volatile u64 *)(p + 1000000); // far behind the end of struct task_struct
}
CALLBACK(btf_access, running);

//: special-field
SEC("struct_ops/special_field") void special_field(u64 *ctx)
{
	u32 zero = 0;
	struct value *v = bpf_map_lookup_elem(&values, &zero);

	if (v)
		sink = *(volatile u32 *)&v->lock; // only bpf_spin_lock() and bpf_spin_unlock() may
}
CALLBACK(special_field, running);

//: atomic
SEC("struct_ops/atomic") void atomic(u64 *ctx)
{
	__sync_fetch_and_add(&ctx[0], 1); // the arguments are no memory of the program
}
CALLBACK(atomic, running);

//: arena
SEC("struct_ops/arena") __naked void arena(void)
{
	// r1 = addr_space_cast(r1, 0, 1), in a program that uses no arena map
	asm volatile("r1 = 0; .8byte 0x00000001000111bf; r0 = 0; exit");
}
CALLBACK(arena, running);

//: arg-type
SEC("struct_ops/arg_type") void arg_type(u64 *ctx)
{
	u64 *n = bpf_map_lookup_elem(&counts, (void *)ctx[1]); // enq_flags is no key

	if (n)
		sink = *n;
}
CALLBACK(arg_type, enqueue);

//: arg-value
SEC("struct_ops/arg_value") void arg_value(u64 *ctx)
{
	char buf[16];

	bpf_probe_read_kernel(buf, ctx[1], (void *)ctx[1]); // the size can be anything
	sink = buf[0];
}
CALLBACK(arg_value, enqueue);

//: untrusted-arg
SEC("struct_ops/untrusted_arg") void untrusted_arg(u64 *ctx)
{
	struct task_struct *p = (void *)ctx[0];

	sink = scx_bpf_task_cpu(p->last_wakee); // that task may have exited
}
CALLBACK(untrusted_arg, running);

//: helper
SEC("struct_ops/helper") void helper(u64 *ctx)
{
	union bpf_attr attr = {};

	bpf_sys_bpf(0, &attr, sizeof(attr)); // for syscall programs only
}
CALLBACK(helper, running);

//: kfunc
SEC("struct_ops/kfunc") void kfunc(u64 *ctx)
{
	scx_bpf_dispatch_cancel(); // for dispatch() only
}
CALLBACK(kfunc, running);

//: map-func
SEC("struct_ops/map_func") void map_func(u64 *ctx)
{
	u64 one = 1;

	bpf_map_push_elem(&counts, &one, 0); // for queues and stacks
}
CALLBACK(map_func, running);

//: sleepable
SEC("struct_ops/sleepable") s32 sleepable(u64 *ctx) // should be "struct_ops.s/sleepable"
{
	return scx_bpf_create_dsq(1, -1);
}
CALLBACK(sleepable, init);

//: reference
SEC("struct_ops/reference") void reference(u64 *ctx)
{
	struct task_struct *p = (void *)ctx[0];

	bpf_task_release(p); // nobody acquired it
}
CALLBACK(reference, running);

//: leak
SEC("struct_ops/leak") s32 leak(u64 *ctx)
{
	struct task_struct *p = bpf_task_from_pid(1);

	if (p)
		sink = p->tgid; // and bpf_task_release(p) is missing
	return 0;
}
CALLBACK(leak, select_cpu);

//: lock
SEC("struct_ops/lock") void lock(u64 *ctx)
{
	u32 zero = 0;
	struct value *v = bpf_map_lookup_elem(&values, &zero);

	if (v) {
		bpf_spin_lock(&v->lock);
		v->count = scx_bpf_nr_cpu_ids(); // no calls in between
		bpf_spin_unlock(&v->lock);
	}
}
CALLBACK(lock, running);

//: rcu
SEC("struct_ops/rcu") void rcu(u64 *ctx)
{
	bpf_rcu_read_lock(); // and no bpf_rcu_read_unlock()
}
CALLBACK(rcu, running);

//: preempt
SEC("struct_ops/preempt") void preempt(u64 *ctx)
{
	bpf_preempt_disable(); // and no bpf_preempt_enable()
}
CALLBACK(preempt, running);

//: irq
SEC("struct_ops/irq") void irq(u64 *ctx)
{
	unsigned long flags;

	bpf_local_irq_save(&flags); // and no bpf_local_irq_restore(&flags)
}
CALLBACK(irq, running);

//: iter
SEC("struct_ops/iter") void iter(u64 *ctx)
{
	struct bpf_iter_num it;
	int *i = bpf_iter_num_next(&it); // without bpf_iter_num_new()

	if (i)
		sink = *i;
}
CALLBACK(iter, running);

//: dynptr
SEC("struct_ops/dynptr") void dynptr(u64 *ctx)
{
	struct bpf_dynptr d;
	u64 *data = bpf_dynptr_data(&d, 0, 8); // d was never made

	if (data)
		sink = *data;
}
CALLBACK(dynptr, running);

//: callback
__noinline int each(u32 i, void *unused) // should be static
{
	return i > 10;
}

SEC("struct_ops/callback") void callback(u64 *ctx)
{
	bpf_loop(4, each, (void *)0, 0);
}
CALLBACK(callback, running);

//: return-value
static int step(u32 i, void *unused)
{
	return 2; // callbacks return 0 to go on and 1 to stop
}

SEC("struct_ops/return_value") void return_value(u64 *ctx)
{
	bpf_loop(4, step, (void *)0, 0);
}
CALLBACK(return_value, running);

//: global-func
struct unknown; // its size is not known

__noinline int look(struct unknown *u)
{
	return u ? 1 : 0;
}

SEC("struct_ops/global_func") s32 global_func(u64 *ctx)
{
	return look((void *)ctx);
}
CALLBACK(global_func, select_cpu);

char _license[] SEC("license") = "GPL";
