#include "bpf.h"

/* Compiled with -mcpu=v4. Every form of instruction, in assembly where C cannot be trusted to make it. */
u64 out[64];
s8 s8v = -1; s16 s16v = -2; s32 s32v = -3;

SEC("syscall") int arith(u64 *ctx)
{
	s64 a = ctx[0], b = ctx[1];
	s32 c = ctx[2], d = ctx[3];
	out[0] = a / b; out[1] = a % b; out[2] = c / d; out[3] = c % d;
	out[4] = (u64)a / (u64)b; out[5] = (u64)a % 7; out[6] = (u32)c / (u32)d;
	out[7] = (s64)s8v; out[8] = (s64)s16v; out[9] = (s64)s32v;
	out[10] = __builtin_bswap64(a); out[11] = __builtin_bswap32(c); out[12] = __builtin_bswap16(c);
	out[13] = (s8)a; out[14] = (s16)a; out[15] = (s32)a;
	out[16] = a << c; out[17] = a >> c; out[18] = (u64)a >> 3; out[19] = c >> 2; out[20] = -a; out[21] = ~a; out[22] = (a ^ b) | (c & d);
	out[23] = a * b - 5;
	return 0;
}

SEC("syscall") int atomics(u64 *ctx)
{
	__sync_fetch_and_add(&out[0], 1);
	out[1] = __sync_fetch_and_add(&out[0], ctx[0]);
	out[2] = __sync_fetch_and_or(&out[0], ctx[0]) + __sync_fetch_and_and(&out[3], ctx[0]) + __sync_fetch_and_xor((u32 *)&out[4], ctx[0]);
	out[5] = __sync_lock_test_and_set(&out[6], 3);
	out[7] = __sync_val_compare_and_swap(&out[6], 3, 4);
	return __sync_val_compare_and_swap((u32 *)&out[8], 3, 4);
}

SEC("syscall") __attribute__((naked)) int raw(void)
{
	asm volatile("r0 = 0;"
		     "r1 = 5;"
		     "r1 = be16 r1; r1 = be64 r1; r1 = le32 r1; r1 = bswap64 r1;"
		     "w2 = w1; w2 = -w2; r3 = (s32)r2;"
		     "*(u8 *)(r10 - 1) = 7; *(u16 *)(r10 - 4) = 8; *(u32 *)(r10 - 8) = 9; *(u64 *)(r10 - 16) = 10;"
		     "r4 = *(s8 *)(r10 - 1); r4 = *(s16 *)(r10 - 4); r4 = *(s32 *)(r10 - 8); r4 = *(u64 *)(r10 - 16);"
		     "gotol 1f;"
		     "r0 = 1;"
		     "1: may_goto 3f;"
		     "goto 1b; 3:"
		     "if r1 s> 5 goto 2f; if w1 & 3 goto 2f; if r1 s<= r2 goto 2f; if w3 >= w4 goto 2f; r0 = 0x1122334455667788 ll;"
		     "2: exit;" ::: );
}
