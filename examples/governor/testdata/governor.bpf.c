// Frequency governors for examples/governor; no kernel has this type of struct_ops. Compile with
// clang-19 -O2 -g -mcpu=v3 -target bpf -ffile-prefix-map="$PWD"=. -c governor.bpf.c -o governor.bpf.o && llvm-strip-19 -g governor.bpf.o
typedef unsigned int u32;
typedef unsigned long long u64;

#define SEC(name) __attribute__((section(name), used))

struct freq_governor_ops {
	u32 (*target)(u32 cpu, u32 util, u32 khz);
	void (*start)(u32 cpu);
	u32 max_khz;
	char name[16];
};

const volatile u32 step = 200000;
u32 starts;

// schedutil's rule: a quarter more than what is in use.
SEC("struct_ops/proportional") u32 proportional(u64 *ctx)
{
	u64 khz = 3000000 * (u64)(u32)ctx[1] / 1024;

	return khz + khz / 4;
}

// A step up or down.
SEC("struct_ops/stepwise") u32 stepwise(u64 *ctx)
{
	u32 util = ctx[1], khz = ctx[2];

	if (util > 800)
		return khz + step;
	if (util < 200 && khz > step)
		return khz - step;
	return khz;
}

// What a driver, if one is loaded, makes of a frequency.
extern u32 freq_round(u32 khz) __attribute__((weak)) SEC(".ksyms");

SEC("struct_ops/rounded") u32 rounded(u64 *ctx)
{
	u32 khz = ctx[2];

	return freq_round ? freq_round(khz) : khz;
}

SEC("struct_ops/start") void start(u64 *ctx)
{
	starts++;
}

SEC(".struct_ops.link") struct freq_governor_ops prop = {
	.target = (void *)proportional, .start = (void *)start, .max_khz = 3000000, .name = "prop",
};
SEC(".struct_ops.link") struct freq_governor_ops steps = {
	.target = (void *)stepwise, .max_khz = 2000000, .name = "steps",
};
SEC(".struct_ops.link") struct freq_governor_ops hardware = {
	.target = (void *)rounded, .max_khz = 3000000, .name = "hardware",
};
SEC(".struct_ops.link") struct freq_governor_ops nothing = {
	.max_khz = 1, .name = "nothing",
};
char _license[] SEC("license") = "GPL";
