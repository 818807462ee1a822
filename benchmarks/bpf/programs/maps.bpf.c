/* Programs that look elements of maps up. */
#include "bpf.h"

#define ELEMENTS 64
#define KEYS 1024

struct {
	INT(type, ARRAY);
	INT(max_entries, ELEMENTS);
	TYPE(key, u32);
	TYPE(value, u64);
} plain SEC(".maps");

struct {
	INT(type, PERCPU_ARRAY);
	INT(max_entries, ELEMENTS);
	TYPE(key, u32);
	TYPE(value, u64);
} percpu SEC(".maps");

struct {
	INT(type, HASH);
	INT(max_entries, 2 * KEYS);
	TYPE(key, u32);
	TYPE(value, u64);
} table SEC(".maps");

#define KEY(i) ((i) * 2654435761u)

/* Not measured: it fills the hash. */
SEC("tc") int fill(void *ctx)
{
	u32 n = 0;

	_Pragma("clang loop unroll(disable)") for (u32 i = 0; i < KEYS; i++) {
		u32 key = KEY(i);
		u64 value = seed + i;
		n += !map_update_elem(&table, &key, &value, 0);
	}
	return RESULT(n);
}

static __always_inline u64 bump(void *map, u32 key, u64 x)
{
	u64 *v = map_lookup_elem(map, &key);

	if (!v)
		return 0;
	*v += x;
	return *v;
}

/* An element of an array, read and written. */
SEC("tc") int array(void *ctx)
{
	u64 x = seed;

	REPEAT {
		u32 key = i & (ELEMENTS - 1);
		OPAQUE(key);
		x += bump(&plain, key, i);
	}
	return RESULT(x);
}

/* The same of a per-CPU array, whose sums depend on the processor. */
SEC("tc") int percpu_array(void *ctx)
{
	u64 x = 0;

	REPEAT {
		u32 key = i & (ELEMENTS - 1);
		OPAQUE(key);
		x += !!bump(&percpu, key, i + 1);
	}
	return RESULT(x);
}

/* Keys that are there. */
SEC("tc") int hash_lookup(void *ctx)
{
	u64 x = seed;

	REPEAT {
		u32 key = KEY((i * 7) & (KEYS - 1));
		u64 *v = map_lookup_elem(&table, &key);
		if (v)
			x += *v;
	}
	return RESULT(x);
}

/* New values for keys that are there. */
SEC("tc") int hash_update(void *ctx)
{
	u64 x = seed;

	REPEAT {
		u32 key = KEY((i * 7) & (KEYS - 1));
		x = x * 31 + i;
		map_update_elem(&table, &key, &x, 0);
	}
	return RESULT(x);
}
