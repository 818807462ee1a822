/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A minimal header for sched_ext schedulers: all that the examples beside it need, and enough to start one's own.
 *
 * It wants a vmlinux.h beside it or in the include path, for example the one that `schedsim header` prints, and no
 * other file. Compile with:
 *
 *	clang -g -O2 -mcpu=v3 -target bpf -c my.bpf.c -o my.bpf.o
 */
#ifndef SCHED_EXT_BPF_H
#define SCHED_EXT_BPF_H

#include "vmlinux.h"

#define SEC(name) __attribute__((section(name), used))
#define __ksym __attribute__((section(".ksyms")))
#ifndef __weak
#define __weak __attribute__((weak))
#endif
#ifndef __always_inline
#define __always_inline inline __attribute__((always_inline))
#endif
#ifndef NULL
#define NULL ((void *)0)
#endif

/* Maps: a struct in section .maps whose members say what it is. */
#define __uint(name, val) int (*name)[val]
#define __type(name, val) typeof(val) *name

/* A variable in a section of its own: user space may resize it before loading. */
#define RESIZABLE(name) SEC(".data." #name)

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

/*
 * Callbacks. OP2(s32, demo_init_task, struct task_struct *, p, struct scx_init_task_args *, args) { ... } defines the
 * program demo_init_task of type struct_ops: the kernel passes its arguments in an array of 64-bit slots. The _S
 * forms define sleepable programs.
 */
#define __OP0(sec, ret, name)                                                                                  \
	static __always_inline ret name##_op(void);                                                            \
	SEC(sec "/" #name) ret name(unsigned long long *slot) { return name##_op(); }                          \
	static __always_inline ret name##_op(void)
#define __OP1(sec, ret, name, T0, a0)                                                                          \
	static __always_inline ret name##_op(T0 a0);                                                           \
	SEC(sec "/" #name) ret name(unsigned long long *slot) { return name##_op((T0)slot[0]); }               \
	static __always_inline ret name##_op(T0 a0)
#define __OP2(sec, ret, name, T0, a0, T1, a1)                                                                  \
	static __always_inline ret name##_op(T0 a0, T1 a1);                                                    \
	SEC(sec "/" #name) ret name(unsigned long long *slot) { return name##_op((T0)slot[0], (T1)slot[1]); }  \
	static __always_inline ret name##_op(T0 a0, T1 a1)
#define __OP3(sec, ret, name, T0, a0, T1, a1, T2, a2)                                                          \
	static __always_inline ret name##_op(T0 a0, T1 a1, T2 a2);                                             \
	SEC(sec "/" #name) ret name(unsigned long long *slot)                                                  \
	{                                                                                                      \
		return name##_op((T0)slot[0], (T1)slot[1], (T2)slot[2]);                                       \
	}                                                                                                      \
	static __always_inline ret name##_op(T0 a0, T1 a1, T2 a2)

#define OP0(ret, name) __OP0("struct_ops", ret, name)
#define OP1(ret, name, ...) __OP1("struct_ops", ret, name, __VA_ARGS__)
#define OP2(ret, name, ...) __OP2("struct_ops", ret, name, __VA_ARGS__)
#define OP3(ret, name, ...) __OP3("struct_ops", ret, name, __VA_ARGS__)
#define OP0_S(ret, name) __OP0("struct_ops.s", ret, name)
#define OP2_S(ret, name, ...) __OP2("struct_ops.s", ret, name, __VA_ARGS__)

/* The scheduler itself: a struct sched_ext_ops in this section. */
#define SCHEDULER SEC(".struct_ops.link") struct sched_ext_ops

/* Helpers, by their numbers in the kernel's ABI. */
static void *(*const bpf_map_lookup_elem)(void *map, const void *key) = (void *)1;
static long (*const bpf_map_update_elem)(void *map, const void *key, const void *value, u64 flags) = (void *)2;
static long (*const bpf_map_delete_elem)(void *map, const void *key) = (void *)3;
static u64 (*const bpf_ktime_get_ns)(void) = (void *)5;
static u32 (*const bpf_get_prandom_u32)(void) = (void *)7;
static u32 (*const bpf_get_smp_processor_id)(void) = (void *)8;
static long (*const bpf_map_push_elem)(void *map, const void *value, u64 flags) = (void *)87;
static long (*const bpf_map_pop_elem)(void *map, void *value) = (void *)88;
static long (*const bpf_timer_init)(struct bpf_timer *timer, void *map, u64 flags) = (void *)169;
static long (*const bpf_timer_set_callback)(struct bpf_timer *timer, void *callback) = (void *)170;
static long (*const bpf_timer_start)(struct bpf_timer *timer, u64 nsecs, u64 flags) = (void *)171;
static long (*const bpf_timer_cancel)(struct bpf_timer *timer) = (void *)172;

/*
 * Kernel functions. A name may carry one suffix ___xyz, which the loader strips before it looks the function up: the
 * two generations of a function are told apart in that way. A weak one may be missing: test its address.
 */
extern s32 scx_bpf_create_dsq(u64 dsq_id, s32 node) __ksym;
extern void scx_bpf_destroy_dsq(u64 dsq_id) __ksym;
extern s32 scx_bpf_dsq_nr_queued(u64 dsq_id) __ksym;
extern s32 scx_bpf_select_cpu_dfl(struct task_struct *p, s32 prev_cpu, u64 wake_flags, bool *is_idle) __ksym;
extern u32 scx_bpf_dispatch_nr_slots(void) __ksym;
extern void scx_bpf_kick_cpu(s32 cpu, u64 flags) __ksym;
extern bool scx_bpf_test_and_clear_cpu_idle(s32 cpu) __ksym;
extern s32 scx_bpf_task_cpu(const struct task_struct *p) __ksym;
extern bool scx_bpf_task_running(const struct task_struct *p) __ksym;
extern u32 scx_bpf_nr_cpu_ids(void) __ksym;
extern u64 scx_bpf_now(void) __ksym;
extern void scx_bpf_error_bstr(char *fmt, unsigned long long *data, u32 data__sz) __ksym;
extern void scx_bpf_exit_bstr(s64 exit_code, char *fmt, unsigned long long *data, u32 data__sz) __ksym;
extern struct task_struct *bpf_task_from_pid(s32 pid) __ksym;
extern void bpf_task_release(struct task_struct *p) __ksym;
extern bool bpf_cpumask_test_cpu(u32 cpu, const struct cpumask *cpumask) __ksym;
extern int bpf_iter_num_new(struct bpf_iter_num *it, int start, int end) __ksym;
extern int *bpf_iter_num_next(struct bpf_iter_num *it) __ksym;
extern void bpf_iter_num_destroy(struct bpf_iter_num *it) __ksym;

extern void scx_bpf_dsq_insert___v1(struct task_struct *p, u64 dsq_id, u64 slice, u64 enq_flags) __ksym __weak;
extern bool scx_bpf_dsq_insert___v2___new(struct task_struct *p, u64 dsq_id, u64 slice, u64 enq_flags) __ksym __weak;
extern bool __scx_bpf_dsq_insert_vtime(struct task_struct *p, struct scx_bpf_dsq_insert_vtime_args *args) __ksym __weak;
extern bool scx_bpf_dsq_move_to_local___v1(u64 dsq_id) __ksym __weak;
extern bool scx_bpf_dsq_move_to_local___v2___new(u64 dsq_id, u64 enq_flags) __ksym __weak;
extern bool scx_bpf_task_set_slice___new(struct task_struct *p, u64 slice) __ksym __weak;
extern bool scx_bpf_task_set_dsq_vtime___new(struct task_struct *p, u64 vtime) __ksym __weak;

static __always_inline void scx_insert(struct task_struct *p, u64 dsq_id, u64 slice, u64 enq_flags)
{
	if (scx_bpf_dsq_insert___v2___new)
		scx_bpf_dsq_insert___v2___new(p, dsq_id, slice, enq_flags);
	else
		scx_bpf_dsq_insert___v1(p, dsq_id, slice, enq_flags);
}

static __always_inline void scx_insert_vtime(struct task_struct *p, u64 dsq_id, u64 slice, u64 vtime, u64 enq_flags)
{
	struct scx_bpf_dsq_insert_vtime_args args = {
		.dsq_id = dsq_id, .slice = slice, .vtime = vtime, .enq_flags = enq_flags,
	};

	__scx_bpf_dsq_insert_vtime(p, &args);
}

static __always_inline bool scx_move_to_local(u64 dsq_id)
{
	if (scx_bpf_dsq_move_to_local___v2___new)
		return scx_bpf_dsq_move_to_local___v2___new(dsq_id, 0);
	return scx_bpf_dsq_move_to_local___v1(dsq_id);
}

static __always_inline void scx_set_vtime(struct task_struct *p, u64 vtime)
{
	if (scx_bpf_task_set_dsq_vtime___new)
		scx_bpf_task_set_dsq_vtime___new(p, vtime);
	else
		p->scx.dsq_vtime = vtime;
}

/* Ends the scheduler with an error. Takes a format of bpf_snprintf and up to four values. */
#define scx_error(fmt, ...)                                                                                    \
	({                                                                                                     \
		static char __fmt[] = fmt;                                                                     \
		unsigned long long __data[] = { __VA_ARGS__ };                                                 \
		scx_bpf_error_bstr(__fmt, __data, sizeof(__data));                                     \
	})

/* for_range(i, 0, n) { ... }: a loop whose length the verifier need not know. Leave it with break only. */
struct __range {
	struct bpf_iter_num it;
	int *i;
};

static __always_inline void __range_end(struct bpf_iter_num *it)
{
	bpf_iter_num_destroy(it);
}

#define for_range(i, from, to)                                                                                 \
	for (struct bpf_iter_num __it __attribute__((aligned(8), cleanup(__range_end))),                       \
	     *__once __attribute__((unused)) = (bpf_iter_num_new(&__it, (from), (to)), &__it);                 \
	     __once; __once = NULL)                                                                            \
		for (int *__p; (__p = bpf_iter_num_next(&__it)) && ({ i = *__p; true; });)

static __always_inline bool time_before(u64 a, u64 b)
{
	return (s64)(a - b) < 0;
}

#endif
