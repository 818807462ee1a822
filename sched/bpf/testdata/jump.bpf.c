#include "bpf.h"
u64 in, out[4];
__noinline u64 first(u64 x) { return x * out[0] + 1; }
/* With clang 22 and -mcpu=v4 an indirect jump through a table. */
static __noinline u64 pick(u32 n, u64 x)
{
	switch (n) {
	case 0: return x + 3;
	case 1: return x * 7;
	case 2: return x ^ 0x55;
	case 3: out[0]++; return x;
	case 4: return x >> 3;
	case 5: out[1] += x; return 9;
	case 6: return x - out[1];
	case 7: out[2] ^= x; return out[2];
	case 8: return x / 3;
	case 9: return x & 0xff00;
	case 10: out[3] = x; return x << 5;
	case 11: return -x;
	default: return 1000;
	}
}
SEC("syscall") int run(void *ctx)
{
	u64 s = 0;
	for (u32 i = 0; i < 14; i++)
		s = first(s) * 3 + pick((u32)(in + i) % 14, s + i);
	return s;
}
