#include "bpf.h"

/* A scheduler that works on strings and writes to its streams when it starts. */

struct task_struct { int pid; char comm[16]; } relocatable;
struct sched_ext_ops {
	s32 (*init)(void);
	void (*running)(struct task_struct *p);
	u64 flags;
	char name[128];
};

extern int bpf_strlen(const char *s) __ksym;
extern int bpf_strnlen(const char *s, u64 count) __ksym;
extern int bpf_strcmp(const char *a, const char *b) __ksym;
extern int bpf_strncasecmp(const char *a, const char *b, u64 len) __ksym;
extern int bpf_strchr(const char *s, char c) __ksym;
extern int bpf_strrchr(const char *s, int c) __ksym;
extern int bpf_strspn(const char *s, const char *accept) __ksym;
extern int bpf_strcasestr(const char *a, const char *b) __ksym;
extern int bpf_stream_vprintk(int stream, const char *fmt, const void *args, u32 len__sz) __ksym;
extern int bpf_stream_print_stack(int stream) __ksym;

const char line[] = "strlen %d\n", word[] = "/cgroup/background";
char where[32] = "x=1;y=2";
s32 result[10], named;

SEC("struct_ops.s/init") s32 text_init(void *ctx)
{
	u64 args[1];

	result[0] = bpf_strlen(word);
	result[1] = bpf_strnlen(word, 3);
	result[2] = bpf_strcmp(word, where);
	result[3] = bpf_strncasecmp(word, "/CGROUP", 7);
	result[4] = bpf_strchr(where, ';');
	result[5] = bpf_strrchr(where, '=');
	result[6] = bpf_strspn(word, "/cgroup");
	result[7] = bpf_strcasestr(word, "BACK");
	result[8] = bpf_strchr(where, '!');
	result[9] = bpf_strlen(0);
	args[0] = result[0];
	bpf_stream_vprintk(1, line, args, sizeof(args));
	bpf_stream_print_stack(2);
	return 0;
}

SEC("struct_ops/running") void text_running(u64 *ctx)
{
	struct task_struct *p = (void *)ctx[0];

	if (!bpf_strcmp(p->comm, "named"))
		named++;
}

SEC(".struct_ops.link") struct sched_ext_ops text_ops = {
	.init = (void *)text_init,
	.running = (void *)text_running,
	.flags = 8,
	.name = "text",
};
