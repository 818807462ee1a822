/* Programs that use nothing but registers and memory. */
#include "bpf.h"

u64 cells[N];

/* The costs of an invocation, which the other programs have once in N iterations. */
SEC("tc") int empty(void *ctx)
{
	return 0;
}

/* Three chains of operations that do not depend on each other. */
SEC("tc") int alu(void *ctx)
{
	u64 a = seed, b = a ^ 0x9e3779b97f4a7c15, c = a + 12345;

	REPEAT {
		OPAQUE(a);
		a ^= a << 13;
		a ^= a >> 7;
		a ^= a << 17;
		b = b * 33 + i;
		b ^= b >> 29;
		b += 0x55;
		c = (c << 5 | c >> 59) + (u32)a;
		c -= (u32)b >> 3;
		c &= ~0x10ULL;
	}
	return RESULT(a + b + c);
}

/* Jumps that nobody can predict. */
SEC("tc") int branch(void *ctx)
{
	u64 x = seed, sum = 0;

	REPEAT {
		x = x * 6364136223846793005 + 1442695040888963407;
		u64 y = x >> 33;
		OPAQUE(y);
		if (y & 1)
			sum += 3;
		else
			sum ^= y;
		OPAQUE(sum);
		if ((u32)y > 0x40000000)
			sum -= y >> 4;
		OPAQUE(sum);
		if ((s32)(u32)(y << 1) < 0)
			sum = sum << 1 | 1;
		OPAQUE(sum);
		if ((y & 0xff00) == (sum & 0xff00))
			sum = ~sum;
	}
	return RESULT(sum);
}

/* Loads and stores of a global array. */
SEC("tc") int mem(void *ctx)
{
	u64 x = seed;

	REPEAT {
		x += cells[i];
		cells[i] = x;
	}
	return RESULT(x);
}

/* Loads and stores of the stack, at places that the compiler does not know. */
SEC("tc") int stack(void *ctx)
{
	u64 slot[16] = {}, x = seed;

	REPEAT {
		u32 at = i & 15, to = (i + 5) & 15;
		OPAQUE(at);
		at &= 15;
		x += slot[at] + i;
		slot[to] = x ^ i;
	}
	return RESULT(x);
}

/* A division and a remainder of 64 bits. */
SEC("tc") int division(void *ctx)
{
	u64 x = seed | 1ULL << 63, d = (seed & 0xffff) + 3;

	REPEAT {
		OPAQUE(d);
		u64 q = x / d;
		x = (x % (q | 1)) * 0x9e3779b97f4a7c15 + q;
		x |= 1ULL << 62;
	}
	return RESULT(x);
}

static __noinline u64 mix(u64 a, u64 b)
{
	OPAQUE(a);
	return (a ^ b) * 31 + 7;
}

/* Calls of a function of the same program. */
SEC("tc") int call(void *ctx)
{
	u64 x = seed;

	REPEAT {
		x = mix(x, i);
	}
	return RESULT(x);
}

struct state {
	u64 x;
};

static long step(u32 i, struct state *s)
{
	s->x = (s->x ^ i) * 31 + 7;
	return 0;
}

/* bpf_loop with a callback. */
SEC("tc") int callback(void *ctx)
{
	struct state s = {seed};

	loop(N, step, &s, 0);
	return RESULT(s.x);
}
