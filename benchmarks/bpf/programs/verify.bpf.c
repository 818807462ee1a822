/* Programs that are large for a verifier: they are loaded and not run. */
#include "bpf.h"

#define FRAMES 60
#define SYMBOLS 1024

struct symbol {
	u64 file, name;
	u32 line, pad;
};

struct frame {
	u64 code, back, ip;
};

struct event {
	u32 pid, cpu, len, err;
	u32 stack[FRAMES];
	struct frame frames[FRAMES];
};

struct {
	INT(type, PERCPU_ARRAY);
	INT(max_entries, 1);
	TYPE(key, u32);
	TYPE(value, struct event);
} events SEC(".maps");

struct {
	INT(type, HASH);
	INT(max_entries, SYMBOLS);
	TYPE(key, struct symbol);
	TYPE(value, u32);
} symbols SEC(".maps");

struct {
	INT(type, HASH);
	INT(max_entries, 64);
	TYPE(key, u32);
	TYPE(value, struct frame);
} threads SEC(".maps");

/* A step of a walk along frames that another map holds: as profilers do that unwind an interpreter's stack. */
static __always_inline int step(struct event *e, struct frame *f, u32 i)
{
	struct symbol sym = {};
	u32 *id, fresh;

	if (!f->code)
		return 0;
	sym.file = f->code;
	sym.name = f->ip & 0xffff;
	if (f->ip & 1)
		sym.line = f->ip >> 32;
	else
		sym.pad = e->cpu;
	id = map_lookup_elem(&symbols, &sym);
	if (!id) {
		fresh = e->cpu << 16 | i;
		if (map_update_elem(&symbols, &sym, &fresh, 1))
			return -1;
		e->stack[i] = fresh;
	} else {
		e->stack[i] = *id;
	}
	e->len = i + 1;
	f->code = e->frames[i].back;
	f->ip ^= e->frames[i].ip;
	return 1;
}

/* The loop is unrolled by the compiler. */
SEC("tc") int unwind(void *ctx)
{
	u32 key = 0;
	struct event *e = map_lookup_elem(&events, &key);
	struct frame *t, f;

	if (!e)
		return 0;
	e->cpu = get_smp_processor_id();
	key = e->cpu;
	t = map_lookup_elem(&threads, &key);
	if (!t)
		return 0;
	f = *t;
	_Pragma("clang loop unroll(full)") for (u32 i = 0; i < FRAMES; i++) {
		int more = step(e, &f, i);

		if (more < 0)
			e->err++;
		if (more <= 0)
			break;
	}
	return e->len;
}

/* The verifier follows the iterations of the loop. */
SEC("tc") int unwind_loop(void *ctx)
{
	u32 key = 0;
	struct event *e = map_lookup_elem(&events, &key);
	struct frame *t, f;

	if (!e)
		return 0;
	e->cpu = get_smp_processor_id();
	key = e->cpu;
	t = map_lookup_elem(&threads, &key);
	if (!t)
		return 0;
	f = *t;
	_Pragma("clang loop unroll(disable)") for (u32 i = 0; i < FRAMES; i++) {
		int more = step(e, &f, i);

		if (more < 0)
			e->err++;
		if (more <= 0)
			break;
	}
	return e->len;
}

static __noinline u64 pick(const u64 *w, u32 n, u64 x)
{
	u64 best = 0;

	_Pragma("clang loop unroll(disable)") for (u32 i = 0; i < n && i < 8; i++) {
		if (w[i] > x)
			best += w[i] & 0xff;
		else if (w[i] & 1)
			best ^= i;
	}
	return best;
}

/* Many calls of functions that are handed pointers to stack. */
SEC("tc") int calls(void *ctx)
{
	u64 w[8] = {seed, seed >> 8, seed >> 16, seed >> 24, 1, 2, 3, 4};
	u64 x = seed;

	_Pragma("clang loop unroll(disable)") for (u32 i = 0; i < 3; i++) {
		u64 y = pick(w, 8, x);

		if (y & 1)
			w[i & 7] = x;
		else if (y > 100)
			w[1] += y;
		x = x * 31 + y;
	}
	return RESULT(x);
}
