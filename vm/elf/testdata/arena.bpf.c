#include "bpf.h"
#define __arena __attribute__((address_space(1)))

struct { INT(type, 33); INT(map_flags, 1 << 10); INT(max_entries, 16); WIDE(map_extra, 1ULL << 44); } arena SEC(".maps");
u64 __arena in_arena[4] SEC(".addr_space.1") = { 1, 2 };

SEC("syscall") int touch(void *ctx)
{
	in_arena[1]++;
	return map_lookup_elem(&arena, ctx) != (void *)0;
}
