#include "bpf.h"

struct limits { u32 low, high; union { u64 wide; struct { u16 first, second; }; }; u8 weights[4]; };
enum mode { FAST = 1, SLOW = 2 };

const volatile u64 __KERN_ONE __weak;
const volatile u64 __KERN_BIG __weak;
const volatile u64 __KERN_ABSENT __weak = 5;
const volatile bool verbose;
const volatile s32 bias = -3;
const volatile enum mode mode = SLOW;
const volatile struct limits limits = { 10, 20, { 30 }, { 1, 2, 3, 4 } };
const volatile char label[8] = "none";
const volatile u32 table[4] = { 1, 2, 3, 4 };

u64 counter;
static volatile u32 hidden_counter;
u64 big[100000];
u32 start = 42;
static volatile s16 delta = -7;
u64 per_cpu[1] SEC(".data.percpu");
u32 lock_word SEC(".data.lock") = 9;
const u32 fixed[2] SEC(".rodata.fixed") = { 11, 12 };

static long (*const trace_printk)(const char *fmt, u32 size, ...) = (void *)6;

SEC("syscall") int sum(void *ctx)
{
	static volatile u32 calls = 1;
	u64 r = counter + hidden_counter + big[99999] + start + delta + per_cpu[0] + lock_word + fixed[1];
	counter = r;
	calls++;
	hidden_counter = r;
	big[5] = r;
	if (verbose)
		trace_printk("verbose %d\n", 12, (int)r);
	if (mode == FAST)
		return ktime_get_ns();
	if (limits.second > 3 || table[2] != 3)
		return (s32)r * 3;
	return r + bias + limits.high + __KERN_ONE + __KERN_BIG + label[0];
}

extern void sink(const char *s) __ksym __weak;
SEC("?syscall") int strings(void *ctx)
{
	if (sink)
		sink("a string without a home");
	return 0;
}
