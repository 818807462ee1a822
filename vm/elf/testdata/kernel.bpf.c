/* The kernel that the other files are linked for, as far as its BTF goes. */
#include "bpf.h"

struct inner_part { u32 pad; u32 level; };
struct thing {
	u64 moved_away[3];
	u32 id;
	u64 wide;           /* 32 bits in the objects */
	s64 signed_wide;    /* 32 bits in the objects */
	struct thing *next;
	struct inner_part parts[4];
	union { struct { u16 anon; }; u64 raw; };
	u32 b0 : 3, b1 : 7, b2 : 1;
	s32 sb : 5;
	u8 tail[];
};
struct grown { u64 a, b, c; };
struct aux;
enum flags { FLAG_A = 1 << 4, FLAG_NEW = 1ULL << 40 };
enum kern { KERN_ONE = 1, KERN_BIG = 0xfedcba9876543210ULL };

struct table_ops {
	s32 (*start)(struct thing *t, u64 flags);
	void (*stop)(struct thing *t);
	s32 (*extra)(void);
	u64 flags;
	u32 timeout;
	char name[16];
};

int per_cpu_counter SEC(".data..percpu");
struct thing root_thing;

__noinline void bpf_throw(u64 cookie) { root_thing.wide = cookie; }
__noinline u64 kern_now(void) { return 1; }
__noinline u64 kern_move(struct thing *t, u64 flags) { return t->id + flags; }
__noinline u64 kern_insert___v2(struct thing *t, u64 a, u64 b) { return t->id + a + b; }
__noinline void kern_insert(struct thing *t, u64 a) { t->id = a; }
__noinline u32 kern_kick(s32 cpu) { return cpu; }
__noinline u32 kern_kick_impl(s32 cpu, struct aux *aux) { return cpu + (long)aux; }
__noinline struct thing *kern_get(u32 id) { return root_thing.next + id; }

struct table_ops impl;
struct grown grown;
enum kern kern;
enum flags flags;
SEC("syscall") int keep(void *ctx)
{
	kern_insert(&root_thing, 1);
	bpf_throw(1);
	return kern_now() + kern_move(&root_thing, 1) + kern_insert___v2(&root_thing, 1, 2) + kern_kick(1) + kern_kick_impl(1, (void *)0) +
	       kern_get(1)->id + per_cpu_counter + impl.flags + grown.a + kern + flags;
}
