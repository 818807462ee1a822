#include "bpf.h"

struct thing { u32 id; };
struct aux;

u64 kern_now(void) __ksym;
u64 kern_move___compat(struct thing *t, u64 flags) __ksym __weak;
u64 kern_insert___v2___compat(struct thing *t, u64 a, u64 b) __ksym __weak;
void kern_insert___v1(struct thing *t, u64 a) __ksym __weak;
void kern_insert___v0(struct thing *t) __ksym __weak; /* prototype differs: absent */
u64 kern_gone(void) __ksym __weak;
u32 kern_kick(s32 cpu) __ksym;
u32 kern_kick_impl(s32 cpu, struct aux *aux) __ksym;

extern const int per_cpu_counter __ksym;
extern const struct thing root_thing __ksym;
extern const int no_such_var __ksym __weak;
extern const void kern_get __ksym;

extern u32 LINUX_KERNEL_VERSION __kconfig;
extern bool CONFIG_PREEMPT __kconfig __weak;
extern bool CONFIG_ABSENT __kconfig __weak;
extern u32 CONFIG_HZ __kconfig;
extern char CONFIG_VERSION_TEXT[16] __kconfig __weak;
enum libbpf_tristate { TRI_NO, TRI_YES, TRI_MODULE };
extern enum libbpf_tristate CONFIG_MODULAR __kconfig __weak;
extern char CONFIG_LETTER __kconfig __weak;

static __noinline void insert(struct thing *t)
{
	if (kern_insert___v2___compat)
		kern_insert___v2___compat(t, 1, 2);
	else if (kern_insert___v1)
		kern_insert___v1(t, 1);
	else
		kern_insert___v0(t);
}

SEC("syscall") int main_prog(struct thing *t)
{
	u64 r = kern_now();
	insert(t);
	if (kern_gone)
		r += kern_gone();
	if (kern_move___compat)
		r += kern_move___compat(t, 3);
	if (&no_such_var)
		r += no_such_var;
	if (CONFIG_ABSENT)
		r += ktime_get_ns();
	if (LINUX_KERNEL_VERSION >= 0x70200 && CONFIG_PREEMPT)
		r += kern_kick(1) + kern_kick_impl(2, (void *)0);
	if (CONFIG_HZ != 250)
		r += ktime_get_ns();
	return r + per_cpu_counter + root_thing.id + CONFIG_VERSION_TEXT[0] + CONFIG_MODULAR + CONFIG_LETTER + (u64)&kern_get;
}

SEC("?syscall") int calls_missing(void *ctx) { return kern_gone(); }
