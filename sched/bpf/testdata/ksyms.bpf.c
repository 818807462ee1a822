#include "bpf.h"

struct rq { int cpu; } relocatable;

extern int sd_llc_id __ksym __weak;
extern int sd_llc_size __ksym;
extern struct rq runqueues __ksym;
extern int no_such_variable __ksym __weak;

static void *(*const per_cpu_ptr)(const void *p, u32 cpu) = (void *)153;
static void *(*const this_cpu_ptr)(const void *p) = (void *)154;

int out[8][3];

SEC("syscall") int read(void *ctx)
{
	for (u32 i = 0; i < 8; i++) {
		int *id = per_cpu_ptr(&sd_llc_id, i), *size = per_cpu_ptr(&sd_llc_size, i);
		struct rq *rq = per_cpu_ptr(&runqueues, i);

		if (!id || !size || !rq)
			return i;
		out[i][0] = *id;
		out[i][1] = *size;
		out[i][2] = rq->cpu;
	}
	if (&no_such_variable)
		return -1;
	return 100 + *(int *)this_cpu_ptr(&sd_llc_size);
}
