#include "bpf.h"

struct inner_part { u32 level; } relocatable;
struct thing {
	u32 id;
	u32 wide;
	s32 signed_wide;
	struct thing *next;
	struct inner_part parts[2];
	u16 anon;
	u32 b1 : 7;
	s32 sb : 5;
} relocatable;
struct thing___old { u32 gone; u32 id; } relocatable;
struct grown { u64 a; } relocatable;
struct absent { u64 a; } relocatable;
enum flags { FLAG_A = 1, FLAG_OLD = 2, FLAG_NEW = 0x100000000ULL };

#define OFFSET(t, f) __builtin_preserve_field_info(((struct t *)0)->f, 0)
#define FSIZE(t, f) __builtin_preserve_field_info(((struct t *)0)->f, 1)
#define EXISTS(t, f) __builtin_preserve_field_info(((struct t *)0)->f, 2)
#define SIGNED(t, f) __builtin_preserve_field_info(((struct t *)0)->f, 3)
#define LSHIFT(t, f) __builtin_preserve_field_info(((struct t *)0)->f, 4)
#define RSHIFT(t, f) __builtin_preserve_field_info(((struct t *)0)->f, 5)
#define TYPE_EXISTS(t) __builtin_preserve_type_info(*(t *)0, 0)
#define TYPE_SIZE(t) __builtin_preserve_type_info(*(t *)0, 1)
#define TYPE_MATCHES(t) __builtin_preserve_type_info(*(t *)0, 2)
#define ID_LOCAL(t) __builtin_btf_type_id(*(t *)0, 0)
#define ID_TARGET(t) __builtin_btf_type_id(*(t *)0, 1)
#define ENUM_EXISTS(e, v) __builtin_preserve_enum_value(*(typeof(enum e) *)v, 0)
#define ENUM_VALUE(e, v) __builtin_preserve_enum_value(*(typeof(enum e) *)v, 1)

u64 out[40];

SEC("syscall") int values(void *ctx)
{
	out[0] = OFFSET(thing, id);
	out[1] = OFFSET(thing, next);
	out[2] = OFFSET(thing, parts[1].level);
	out[3] = OFFSET(thing, anon);
	out[4] = FSIZE(thing, wide);
	out[5] = FSIZE(thing, parts);
	out[6] = EXISTS(thing, id);
	out[7] = EXISTS(thing___old, gone);
	out[8] = SIGNED(thing, sb);
	out[9] = SIGNED(thing, b1);
	out[10] = LSHIFT(thing, b1);
	out[11] = RSHIFT(thing, b1);
	out[12] = OFFSET(thing, b1);
	out[13] = TYPE_EXISTS(struct thing);
	out[14] = TYPE_EXISTS(struct absent);
	out[15] = TYPE_SIZE(struct grown);
	out[16] = TYPE_SIZE(struct absent);
	out[17] = TYPE_MATCHES(struct grown);
	out[18] = TYPE_MATCHES(struct thing);
	out[19] = ENUM_EXISTS(flags, FLAG_A);
	out[20] = ENUM_VALUE(flags, FLAG_A);
	out[21] = ENUM_EXISTS(flags, FLAG_OLD);
	out[22] = ENUM_VALUE(flags, FLAG_NEW);
	out[23] = ID_TARGET(struct absent);
	out[24] = ID_LOCAL(struct grown);
	return 0;
}

SEC("syscall") int access(struct thing *t)
{
	t->id = t->wide; /* a load of 4 bytes becomes one of 8 */
	return t->next->parts[1].level;
}
SEC("syscall") int dead(struct thing___old *t)
{
	if (EXISTS(thing___old, gone))
		return t->gone;
	return t->id;
}
SEC("syscall") int poisoned(struct thing___old *t) { return t->gone; }
SEC("syscall") int bad_size(struct thing *t) { return t->signed_wide; }
SEC("syscall") int old_value(void *ctx) { return ENUM_VALUE(flags, FLAG_OLD); }
