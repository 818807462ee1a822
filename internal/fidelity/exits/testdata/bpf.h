/* What the test programs need to be compiled for BPF (as in vm/elf/testdata). */
#pragma once

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef signed char s8;
typedef signed short s16;
typedef signed int s32;
typedef signed long long s64;
typedef _Bool bool;

#define SEC(name) __attribute__((section(name), used))
#define __weak __attribute__((weak))
#define __noinline __attribute__((noinline))
#define __hidden __attribute__((visibility("hidden")))
#define __ksym __attribute__((section(".ksyms")))
#define __kconfig __attribute__((section(".kconfig")))

/* Members of map definitions: integers as array bounds, types as pointers. */
#define INT(name, val) int(*name)[val]
#define WIDE(name, val) enum { name##_value = val } name
#define TYPE(name, t) t *name
#define VALUES(name, t) t *name[]

#define relocatable __attribute__((preserve_access_index))

static void *(*const map_lookup_elem)(void *map, const void *key) = (void *)1;
static long (*const probe_read)(void *dst, u32 size, const void *src) = (void *)113;
static long (*const probe_read_kernel_str)(void *dst, u32 size, const void *src) = (void *)115;
static u64 (*const ktime_get_ns)(void) = (void *)5;
static long (*const tail_call)(void *ctx, void *map, u32 index) = (void *)12;
static long (*const loop)(u32 n, void *fn, void *ctx, u64 flags) = (void *)181;

char _license[] SEC("license") = "GPL";
