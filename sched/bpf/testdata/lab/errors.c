/* Attaches each scheduler of errors.bpf.o in turn to the kernel that it runs on and writes how it ended, one JSON object a line. */
#define _GNU_SOURCE
#include <bpf/libbpf.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SCHED_EXT 7

struct told { int kind, cpu; long long code; char reason[128], msg[1024], dump[32768]; };

static void text(const char *name, const char *s)
{
	printf(",\"%s\":\"", name);
	for (; *s; s++)
		if (*s == '"' || *s == '\\')
			printf("\\%c", *s);
		else if ((unsigned char)*s < 32)
			printf("\\u%04x", *s);
		else
			putchar(*s);
	putchar('"');
}

static void nap(long ms)
{
	struct timespec t = { ms / 1000, ms % 1000 * 1000000 };

	nanosleep(&t, NULL);
}

/* A task that runs for about a millisecond and sleeps for one. */
static pid_t worker(void)
{
	pid_t pid = fork();
	struct sched_param p = {};

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_NAME, "w");
	if (syscall(SYS_sched_setscheduler, 0, SCHED_EXT, &p))
		exit(1);
	for (;;) {
		struct timespec a, b;

		clock_gettime(CLOCK_MONOTONIC, &a);
		do
			clock_gettime(CLOCK_MONOTONIC, &b);
		while ((b.tv_sec - a.tv_sec) * 1000000000L + b.tv_nsec - a.tv_nsec < 1000000);
		nap(1);
	}
}

static void cpu1(const char *online)
{
	FILE *f = fopen("/sys/devices/system/cpu/cpu1/online", "w");

	if (f) {
		fputs(online, f);
		fclose(f);
	}
}

static int quiet(enum libbpf_print_level level, const char *format, va_list args)
{
	return level == LIBBPF_WARN ? vfprintf(stderr, format, args) : 0;
}

static int run(const char *file, const char *table)
{
	struct bpf_object *o = bpf_object__open_file(file, NULL);
	struct bpf_map *m, *ops = NULL, *bss = NULL;
	struct bpf_link *link;
	struct told *t = NULL;
	pid_t pids[3];
	size_t size;
	int i;

	if (!o)
		return 1;
	bpf_object__for_each_map(m, o) {
		const char *name = bpf_map__name(m);

		if (bpf_map__type(m) == BPF_MAP_TYPE_STRUCT_OPS)
			bpf_map__set_autocreate(m, !strcmp(name, table));
		if (!strcmp(name, table))
			ops = m;
		if (strlen(name) > 4 && !strcmp(name + strlen(name) - 4, ".bss"))
			bss = m;
	}
	printf("{\"table\":\"%s\"", table);
	if (!ops || bpf_object__load(o)) {
		text("refused", "load");
		goto out;
	}
	t = bpf_map__initial_value(bss, &size);
	for (i = 0; i < 3; i++)
		pids[i] = worker();
	nap(50);
	if (!strcmp(table, "not_allowed") || !strcmp(table, "immed_always")) {
		cpu_set_t one;

		CPU_ZERO(&one);
		CPU_SET(0, &one);
		for (i = 0; i < 3; i++)
			sched_setaffinity(pids[i], sizeof(one), &one);
	}
	link = bpf_map__attach_struct_ops(ops);
	if (!link)
		text("refused", "attach");
	if (!strcmp(table, "hotplug"))
		cpu1("0");
	if (!strcmp(table, "disallow_fork")) {
		prctl(PR_SET_NAME, "w");
		if (!fork())
			_exit(0);
		wait(NULL);
	}
	for (i = 0; i < 40 && !*(volatile int *)&t->kind; i++)
		nap(100);
	if (!strcmp(table, "hotplug"))
		cpu1("1");
	bpf_link__destroy(link);
	for (i = 0; i < 3; i++) {
		kill(pids[i], SIGKILL);
		waitpid(pids[i], NULL, 0);
	}
	printf(",\"kind\":%d,\"code\":%lld", t->kind, t->code);
	text("reason", t->reason);
	text("msg", t->msg);
	text("dump", t->dump);
out:
	printf("}\n");
	fflush(stdout);
	bpf_object__close(o);
	return 0;
}

int main(int argc, char **argv)
{
	struct bpf_object *o = bpf_object__open_file(argv[1], NULL);
	struct bpf_map *m;

	libbpf_set_print(quiet);
	if (!o)
		return 1;
	bpf_object__for_each_map(m, o)
		if (bpf_map__type(m) == BPF_MAP_TYPE_STRUCT_OPS && (argc < 3 || !strcmp(argv[2], bpf_map__name(m))))
			if (run(argv[1], bpf_map__name(m)))
				return 1;
	bpf_object__close(o);
	return 0;
}
