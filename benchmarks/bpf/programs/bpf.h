/* What the benchmark programs need to be compiled for BPF. */
#pragma once

typedef unsigned char u8;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef int s32;
typedef long long s64;

#define SEC(name) __attribute__((section(name), used))
#define __noinline __attribute__((noinline))
#define __always_inline inline __attribute__((always_inline))

/* Members of map definitions: integers as array bounds, types as pointers. */
#define INT(name, val) int(*name)[val]
#define TYPE(name, t) t *name
#define HASH 1
#define ARRAY 2
#define PERCPU_ARRAY 6

/* The iterations of one invocation. All of them pass the kernel's verifier one by one. */
#define N 512

#define REPEAT _Pragma("clang loop unroll(disable)") for (u32 i = 0; i < N; i++)

/* Keeps the compiler from knowing x. */
#define OPAQUE(x) asm volatile("" : "+r"(x))

static void *(*const map_lookup_elem)(void *map, const void *key) = (void *)1;
static long (*const map_update_elem)(void *map, const void *key, const void *value, u64 flags) = (void *)2;
static u32 (*const get_smp_processor_id)(void) = (void *)8;
static long (*const get_numa_node_id)(void) = (void *)42;
static long (*const loop)(u32 n, void *fn, void *ctx, u64 flags) = (void *)181;

char _license[] SEC("license") = "GPL";

/* Both are set before and read after each program. */
u64 seed;
u64 result;

/* Ends a program with its result, of which the kernel hands 32 bits out. */
#define RESULT(x)                        \
	({                               \
		u64 r = (x);             \
		result = r;              \
		(int)((u32)r ^ r >> 32); \
	})
