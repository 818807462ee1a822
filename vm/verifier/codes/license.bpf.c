// The program that is refused for the object's license; see refused.bpf.c.
#include "vmlinux.h"

#define SEC(name) __attribute__((section(name), used))

static long (*bpf_probe_read_kernel)(void *dst, u32 size, const void *from) = (void *)113;

volatile u64 sink;

//: license
SEC("syscall") int license_gpl(void *ctx)
{
	u64 v = 0;

	bpf_probe_read_kernel(&v, sizeof(v), ctx); // a helper for GPL programs
	sink = v;
	return 0;
}

char _license[] SEC("license") = "Proprietary";
