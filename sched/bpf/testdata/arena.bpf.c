#include "bpf.h"
#define __arena __attribute__((address_space(1)))
#define __arg_arena __attribute__((btf_decl_tag("arg:arena")))

struct { INT(type, 33); INT(map_flags, 1 << 10); INT(max_entries, 64); WIDE(map_extra, 1ULL << 44); } arena SEC(".maps");

extern void __arena *bpf_arena_alloc_pages(void *map, void __arena *addr, u32 pages, int node, u64 flags) __ksym __weak;
extern void bpf_arena_free_pages(void *map, void __arena *at, u32 pages) __ksym __weak;
extern int bpf_arena_reserve_pages(void *map, void __arena *at, u32 pages) __ksym __weak;

/* Globals at the end of the arena: two pages, of which the first begins with these. */
u64 __arena counter SEC(".addr_space.1") = 40;
u8 __arena table[5000] SEC(".addr_space.1") = { 7, [4999] = 9 };

struct node { struct node __arena *next; u64 value; };

struct node __arena *head;
u64 at, sum, got[8];

/* Adds two to the counter and reads the table. */
SEC("syscall") int globals(void *ctx)
{
	counter += 2;
	return counter + table[0] + table[4999];
}

static __noinline u64 walk(struct node __arena *n)
{
	u64 s = 0;

	for (int i = 0; i < 1000 && n; i++, n = n->next)
		s += n->value;
	return s;
}

/* Not static: the verifier knows nothing of n but the tag. */
__noinline int length(struct node __arena *n __arg_arena)
{
	int i = 0;

	while (i < 1000 && n) {
		n = n->next;
		i++;
	}
	return i;
}

/* Builds a list in pages of its own. */
SEC("syscall") int list(void *ctx)
{
	struct node __arena *n = bpf_arena_alloc_pages(&arena, 0, 2, -1, 0);

	if (!n)
		return -1;
	at = (u64)n;
	head = 0;
	for (int i = 0; i < 300; i++) {
		n[i].value = i;
		n[i].next = head;
		head = &n[i];
	}
	sum = walk(head);
	return length(head);
}

static __noinline void scribble(u64 *on_stack)
{
	on_stack[0] += ktime_get_ns() & 1;
}

/* Arena pointers that are spilled around calls which write to the stack. */
SEC("syscall") int spill(void *ctx)
{
	u64 local[4] = { 1, 2, 3, 4 };
	u64 __arena *a = bpf_arena_alloc_pages(&arena, 0, 1, -1, 0);
	u64 __arena *b = bpf_arena_alloc_pages(&arena, 0, 1, -1, 0);
	u64 __arena *c = bpf_arena_alloc_pages(&arena, 0, 1, -1, 0);
	u64 __arena *d = bpf_arena_alloc_pages(&arena, 0, 1, -1, 0);
	u64 __arena *e = bpf_arena_alloc_pages(&arena, 0, 1, -1, 0);

	if (!a || !b || !c || !d || !e)
		return -1;
	*a = 1, *b = 2, *c = 3, *d = 4, *e = 5;
	scribble(local);
	*a += local[3], *b += *a, *c += *b, *d += *c, *e += *d;
	scribble(local + 1);
	return *a + *b + *c + *d + *e;
}

/* Atomic operations, and a lock. */
SEC("syscall") int atomics(void *ctx)
{
	u64 __arena *p = bpf_arena_alloc_pages(&arena, 0, 1, -1, 0);
	u32 __arena *lock;

	if (!p)
		return -1;
	lock = (u32 __arena *)(p + 8);
	*p = 5;
	got[0] = __sync_fetch_and_add(p, 3);
	got[1] = __sync_fetch_and_or(p, 16);
	got[2] = __sync_val_compare_and_swap(p, 24, 100);
	got[3] = __sync_val_compare_and_swap(p, 24, 200);
	got[4] = __sync_lock_test_and_set(lock, 1);
	got[5] = __sync_val_compare_and_swap(lock, 1, 0);
	__sync_fetch_and_xor(p, 1);
	got[6] = *p;
	return 0;
}

/* What is not mapped reads as zero and takes no stores. */
SEC("raw_tp/sched_switch") int unmapped(void *ctx)
{
	volatile u64 __arena *p = bpf_arena_alloc_pages(&arena, 0, 1, -1, 0);

	if (!p)
		return -1;
	p[511] = 77;
	p[512] = 88;	/* the next page */
	got[0] = p[511];
	got[1] = p[512];
	bpf_arena_free_pages(&arena, (void __arena *)p, 1);
	got[2] = p[511];	/* it goes when the program has ended */
	return 0;
}

SEC("syscall") int reuse(void *ctx)
{
	volatile u64 __arena *p = bpf_arena_alloc_pages(&arena, 0, 1, -1, 0);

	if (!p)
		return -1;
	p[0] = 1;
	bpf_arena_free_pages(&arena, (void __arena *)p, 1);
	got[0] = p[0];
	got[1] = (u64)bpf_arena_alloc_pages(&arena, 0, 1, -1, 0) - (u64)p;
	got[2] = p[0];
	got[3] = bpf_arena_reserve_pages(&arena, (void __arena *)p, 1);
	got[4] = bpf_arena_reserve_pages(&arena, (void __arena *)((u64)p + 8192), 3);
	got[5] = (u64)bpf_arena_alloc_pages(&arena, (void __arena *)((u64)p + 8192), 1, -1, 0);
	got[6] = (u64)bpf_arena_alloc_pages(&arena, 0, 65, -1, 0) | (u64)bpf_arena_alloc_pages(&arena, 0, 0, -1, 0) |
		 (u64)bpf_arena_alloc_pages(&arena, 0, 1, 9, 0) | (u64)bpf_arena_alloc_pages(&arena, 0, 1, -1, 1);
	return 0;
}

/* Reads and writes all over the window and beyond. */
SEC("syscall") int hostile(void *ctx)
{
	u64 s = 0;
	u64 p = (u64)&counter;

	for (u32 i = 0; i < 3000; i++) {
		u64 __arena *q = (u64 __arena *)(p + (u64)i * 0x12345677 * i);

		s += q[i & 7];
		q[3] = s ^ i;
		__sync_fetch_and_add(q, i);
	}
	return s != 0;
}
