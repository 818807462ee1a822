#include "bpf.h"

struct key { u32 a, b; };
struct value { u64 sum; u32 n; u8 tag[12]; };

struct { INT(type, 1); INT(max_entries, 64); TYPE(key, struct key); TYPE(value, struct value); INT(map_flags, 1); } hash SEC(".maps");
struct { INT(type, 2); INT(max_entries, 8); INT(key_size, 4); INT(value_size, 16); } array SEC(".maps");
struct { INT(type, 6); INT(max_entries, 1); TYPE(key, u32); TYPE(value, u64); } percpu SEC(".maps") __weak;
struct { INT(type, 27); INT(max_entries, 4096); } ring SEC(".maps");
struct { INT(type, 22); INT(max_entries, 16); INT(value_size, 4); INT(pinning, 1); } queue SEC(".maps");
struct { INT(type, 30); INT(max_entries, 8); TYPE(key, u32); TYPE(value, u64); WIDE(map_extra, 0x500000003ULL); } bloomlike SEC(".maps");

struct inner { INT(type, 2); INT(max_entries, 4); TYPE(key, u32); TYPE(value, u32); };
struct inner in0 SEC(".maps"), in1 SEC(".maps");
struct { INT(type, 12); INT(max_entries, 3); TYPE(key, u32); VALUES(values, struct inner); } outer SEC(".maps") = {
	.values = { [0] = &in0, [2] = &in1 },
};
struct { INT(type, 13); INT(max_entries, 5); TYPE(key, u32); VALUES(values, struct { INT(type, 22); INT(max_entries, 7); TYPE(value, u64); }); } hashed SEC(".maps");

typedef int prog_fn(void *);
int target(void *ctx);
struct { INT(type, 3); INT(max_entries, 2); INT(key_size, 4); VALUES(values, prog_fn); } progs SEC(".maps") = {
	.values = { [1] = (void *)&target },
};
struct { INT(type, 4000); INT(max_entries, 1); } unknown SEC(".maps");

SEC("raw_tp/target") int target(void *ctx) { return 7; }

SEC("tp_btf/sched_switch") int use(void *ctx)
{
	struct key k = { 1, 2 };
	u32 zero = 0, *v;
	struct value *val = map_lookup_elem(&hash, &k);
	if (val)
		val->n++;
	void *in = map_lookup_elem(&outer, &zero);
	if (in && (v = map_lookup_elem(in, &zero)))
		(*v)++;
	map_lookup_elem(&percpu, &zero);
	map_lookup_elem(&unknown, &zero);
	tail_call(ctx, &progs, 1);
	return 0;
}
