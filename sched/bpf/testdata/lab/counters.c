/*
 * Attaches a table of an object for a second and writes the variables of its .bss, as one JSON object: integers as such, arrays of
 * 32-bit integers as lists. Arguments: the object's file, the table, and what runs: "nap", a task of the policy SCHED_EXT that
 * sleeps for 2 ms at a time, "nice", three that never sleep and whose nice value changes every 50 ms, or "move", a process of two
 * threads that goes to a new cgroup /x/y and back, after which that is removed. Programs that are no callbacks are attached too.
 */
#define _GNU_SOURCE
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SCHED_EXT 7

static int quiet(enum libbpf_print_level level, const char *format, va_list args)
{
	return level == LIBBPF_WARN ? vfprintf(stderr, format, args) : 0;
}

static void __attribute__((noreturn)) *second(void *arg)
{
	for (;;)
		usleep(2000);
}

static void move(pid_t pid, const char *cgroup)
{
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "/cg%s/cgroup.procs", cgroup);
	f = fopen(path, "w");
	if (!f || fprintf(f, "%d", pid) < 0 || fclose(f))
		exit(2);
}

static pid_t worker(int naps)
{
	pid_t pid = fork();
	struct sched_param p = {};
	pthread_t thread;

	if (pid)
		return pid;
	if (syscall(SYS_sched_setscheduler, 0, SCHED_EXT, &p))
		exit(1);
	if (naps > 1)
		pthread_create(&thread, NULL, second, NULL);
	for (;;)
		if (naps)
			usleep(2000);
}

int main(int argc, char **argv)
{
	struct bpf_object *o = bpf_object__open_file(argv[1], NULL);
	int naps = !strcmp(argv[3], "nap") + 2 * !strcmp(argv[3], "move"), n = naps ? 1 : 3;
	struct bpf_map *m, *ops = NULL, *bss = NULL;
	struct bpf_program *prog;
	const struct btf_var_secinfo *v;
	const struct btf_type *t;
	const struct btf *b;
	pid_t pids[3];
	size_t size;
	char *data;

	libbpf_set_print(quiet);
	bpf_object__for_each_map(m, o) {
		const char *name = bpf_map__name(m);

		if (bpf_map__type(m) == BPF_MAP_TYPE_STRUCT_OPS)
			bpf_map__set_autocreate(m, !strcmp(name, argv[2]));
		if (!strcmp(name, argv[2]))
			ops = m;
		if (strstr(name, ".bss"))
			bss = m;
	}
	if (!ops || bpf_object__load(o))
		return 1;
	for (int i = 0; i < n; i++)
		pids[i] = worker(naps);
	usleep(100000);
	bpf_object__for_each_program(prog, o)
		if (bpf_program__type(prog) != BPF_PROG_TYPE_STRUCT_OPS && !bpf_program__attach(prog))
			return 1;
	if (!bpf_map__attach_struct_ops(ops))
		return 1;
	if (naps > 1) {
		mkdir("/cg", 0755);
		mount("cgroup2", "/cg", "cgroup2", 0, NULL);
		if (mkdir("/cg/x", 0755) || mkdir("/cg/x/y", 0755))
			return 1;
		move(pids[0], "/x/y");
		move(pids[0], "");
		if (rmdir("/cg/x/y"))
			return 1;
	}
	for (int i = 0; i < 20; i++) {
		usleep(50000);
		for (int j = 0; j < n && !naps; j++)
			setpriority(PRIO_PROCESS, pids[j], i & 1);
	}
	data = bpf_map__initial_value(bss, &size);
	b = bpf_object__btf(o);
	t = btf__type_by_id(b, btf__find_by_name_kind(b, ".bss", BTF_KIND_DATASEC));
	v = btf_var_secinfos(t);
	printf("{\"table\":\"%s\"", argv[2]);
	for (int i = 0; i < btf_vlen(t); i++, v++) {
		const char *name = btf__name_by_offset(b, btf__type_by_id(b, v->type)->name_off);

		if (v->size == 8)
			printf(",\"%s\":%llu", name, *(unsigned long long *)(data + v->offset));
		else if (v->size == 4)
			printf(",\"%s\":%d", name, *(int *)(data + v->offset));
		else {
			printf(",\"%s\":[", name);
			for (int j = 0; j < v->size / 4; j++)
				printf("%s%d", j ? "," : "", ((int *)(data + v->offset))[j]);
			printf("]");
		}
	}
	printf("}\n");
	for (int i = 0; i < n; i++)
		kill(pids[i], SIGKILL);
	return 0;
}
