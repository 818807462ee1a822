/* Attaches each scheduler of errors.bpf.o in turn to the kernel that it runs on and writes how it ended, one JSON object a line. */
#define _GNU_SOURCE
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/membarrier.h>
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

static void set(const char *file, const char *value)
{
	FILE *f = fopen(file, "w");

	if (f) {
		fputs(value, f);
		fclose(f);
	}
}
#define CPU1 "/sys/devices/system/cpu/cpu1/online"
#define STALL "/sys/module/rcupdate/parameters/rcu_cpu_stall_timeout"
#define LOCKUP "/proc/sys/kernel/watchdog_thresh"

/* A task of that name that lets a program of the object run over and over, so long each time; on a CPU, -1: on any. */
static pid_t runs(struct bpf_object *o, const char *prog, const char *name, long ms, int cpu, int policy)
{
	int fd = bpf_program__fd(bpf_object__find_program_by_name(o, prog));
	unsigned long long ns = ms * 1000000ULL;
	LIBBPF_OPTS(bpf_test_run_opts, opts, .ctx_in = &ns, .ctx_size_in = sizeof(ns));
	struct sched_param p = {};
	pid_t pid = fork();
	cpu_set_t one;

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_NAME, name);
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	if (syscall(SYS_sched_setscheduler, 0, policy, &p) || (cpu >= 0 && sched_setaffinity(0, sizeof(one), &one)))
		exit(1);
	while (!bpf_prog_test_run_opts(fd, &opts))
		nap(1);
	exit(1);
}

/* A task that sleeps and has all of a CPU promised that the class for deadlines still has to give, or nearly. */
static pid_t promised(void)
{
	struct { unsigned int size, policy; unsigned long long flags; int nice; unsigned int priority; unsigned long long runtime, deadline, period; }
		a = { .size = 48, .policy = 6, .runtime = 99000000, .deadline = 100000000, .period = 100000000 };
	pid_t pid = fork();

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (syscall(SYS_sched_setattr, 0, &a, 0) && a.runtime > 1000000)
		a.runtime -= 1000000;
	for (;;)
		nap(1000);
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
	struct bpf_program *prog;
	pid_t pids[6];
	size_t size;
	int i, n;

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
	bpf_object__for_each_program(prog, o)
		if (bpf_program__type(prog) == BPF_PROG_TYPE_SYSCALL)
			bpf_program__set_autoload(prog, !strcmp(table, "pinned") || !strcmp(table, "soft_lockup") || !strcmp(table, "rcu_stall") ||
				!strcmp(table, "watchdog_late"));
	printf("{\"table\":\"%s\"", table);
	if (!ops || bpf_object__load(o)) {
		text("refused", "load");
		goto out;
	}
	t = bpf_map__initial_value(bss, &size);
	for (n = 0; n < 3; n++)
		pids[n] = worker();
	if (!strcmp(table, "no_server"))
		for (; n < 5; n++)
			pids[n] = promised();
	if (!strcmp(table, "pinned"))
		pids[n++] = runs(o, "spin", "s", 50, -1, SCHED_EXT);
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
		set(CPU1, "0");
	if (!strcmp(table, "soft_lockup")) {
		set(LOCKUP, "1");
		pids[n++] = runs(o, "hold", "s", 4000, 1, SCHED_OTHER);
	}
	if (!strcmp(table, "rcu_stall")) {
		set(LOCKUP, "0");
		set(STALL, "3");
		pids[n++] = runs(o, "hold", "s", 6000, 1, SCHED_OTHER);
		if (!(pids[n] = fork()))
			for (;;) /* asks for grace periods */
				syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0);
		n++;
	}
	if (!strcmp(table, "watchdog_late")) {
		set(LOCKUP, "0");
		pids[n++] = runs(o, "hold", "s", 3000, 0, SCHED_OTHER);
		pids[n++] = runs(o, "hold", "s", 3000, 1, SCHED_OTHER);
	}
	if (!strcmp(table, "disallow_fork")) {
		prctl(PR_SET_NAME, "w");
		if (!fork())
			_exit(0);
		wait(NULL);
	}
	for (i = 0; i < (n > 3 ? 100 : 40) && !*(volatile int *)&t->kind; i++)
		nap(100);
	if (!strcmp(table, "hotplug"))
		set(CPU1, "1");
	bpf_link__destroy(link);
	for (i = 0; i < n; i++) {
		kill(pids[i], SIGKILL);
		waitpid(pids[i], NULL, 0);
	}
	set(LOCKUP, "10");
	set(STALL, "21");
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
