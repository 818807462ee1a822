/*
 * Attaches tables of family.bpf.o as family.txt says and writes how each of them ended, one JSON object for a line of the file.
 *
 * Usage: family OBJECT CASES [CASE]...
 */
#define _GNU_SOURCE
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <sched.h>

#define SCHED_EXT 7
#define TASKS 3
#define MEMBERS 8

typedef unsigned long long u64;
struct told { int kind, cpu; long long code; char reason[128], msg[1024], dump[32768]; };

static const char *file;
static struct member { char table[32], cgroup[64]; struct bpf_object *o; struct bpf_map *ops; struct bpf_link *link; int refused; volatile int loaded; } members[MEMBERS];
static int nr;
static pid_t pids[TASKS];

static int quiet(enum libbpf_print_level level, const char *format, va_list args)
{
	return level == LIBBPF_WARN ? vfprintf(stderr, format, args) : 0;
}

static void nap(long ms)
{
	struct timespec t = { ms / 1000, ms % 1000 * 1000000 };

	nanosleep(&t, NULL);
}

static void text(const char *name, const char *s)
{
	printf(",\"%s\":\"", name);
	for (; *s; s++)
		if ((unsigned char)*s < 32 || *s == '"' || *s == '\\')
			printf("\\u%04x", *s);
		else
			putchar(*s);
	putchar('"');
}

/* The variable of that name in a section, and where its section is in memory. */
static void *var(struct bpf_object *o, const char *section, const char *name)
{
	const struct btf *b = bpf_object__btf(o);
	const struct btf_type *t = btf__type_by_id(b, btf__find_by_name_kind(b, section, BTF_KIND_DATASEC));
	const struct btf_var_secinfo *v = btf_var_secinfos(t);
	struct bpf_map *m;
	size_t size;

	bpf_object__for_each_map(m, o)
		if (strstr(bpf_map__name(m), section))
			break;
	for (int i = 0; m && i < btf_vlen(t); i++, v++)
		if (!strcmp(btf__name_by_offset(b, btf__type_by_id(b, v->type)->name_off), name))
			return (char *)bpf_map__initial_value(m, &size) + v->offset;
	exit(1);
}

/* Where a cgroup is in the file system, which makes it, and its number. */
static const char *place(const char *cgroup)
{
	static char path[128];
	char *end;

	snprintf(path, sizeof(path), "/cg%s", cgroup);
	for (end = path + 3; (end = strchr(end + 1, '/'));) {
		*end = 0;
		mkdir(path, 0755);
		*end = '/';
	}
	mkdir(path, 0755);
	return path;
}

static u64 number(const char *cgroup)
{
	struct stat st;

	if (!strcmp(cgroup, "/"))
		return 0;
	if (!strcmp(cgroup, "none"))
		return 1 << 30;
	return stat(place(cgroup), &st) ? 0 : st.st_ino;
}

static pid_t worker(const char *cgroup)
{
	pid_t pid = fork();
	struct sched_param p = {};
	char procs[160];
	FILE *f;

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_NAME, "w");
	snprintf(procs, sizeof(procs), "%s/cgroup.procs", place(cgroup));
	f = fopen(procs, "w");
	if (!f || fprintf(f, "%d", getpid()) < 0 || fclose(f) || syscall(SYS_sched_setscheduler, 0, SCHED_EXT, &p))
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

static struct member *load(const char *table, const char *cgroup)
{
	struct member *m = &members[nr++];
	struct bpf_map *map, *ops = NULL;
	const struct btf_type *t;
	const struct btf *b;
	u64 id = number(cgroup);
	size_t size;
	char *value;

	snprintf(m->table, sizeof(m->table), "%s", table);
	snprintf(m->cgroup, sizeof(m->cgroup), "%s", cgroup);
	m->o = bpf_object__open_file(file, NULL);
	bpf_object__for_each_map(map, m->o)
		if (bpf_map__type(map) == BPF_MAP_TYPE_STRUCT_OPS) {
			bpf_map__set_autocreate(map, !strcmp(bpf_map__name(map), table));
			if (!strcmp(bpf_map__name(map), table))
				ops = map;
		}
	if (!ops)
		exit(1);
	value = bpf_map__initial_value(ops, &size);
	b = bpf_object__btf(m->o);
	t = btf__type_by_id(b, btf__find_by_name_kind(b, strcmp(table, "cpu_form") ? "sched_ext_ops_cid" : "sched_ext_ops", BTF_KIND_STRUCT));
	for (int i = 0; i < btf_vlen(t); i++)
		if (!strcmp(btf__name_by_offset(b, btf_members(t)[i].name_off), "sub_cgroup_id"))
			*(u64 *)(value + btf_members(t)[i].offset / 8) = id;
	*(u64 *)var(m->o, ".rodata", "target") = strcmp(table, "far_reaching") ? 0 : number("/a/b");
	m->ops = ops;
	if (bpf_object__load(m->o))
		m->refused = -1;
	else
		m->loaded = 1;
	return m;
}

static void attach(struct member *m)
{
	if (m->loaded && !(m->link = bpf_map__attach_struct_ops(m->ops)))
		m->refused = errno;
}

static struct member *at(const char *cgroup)
{
	for (int i = 0; i < nr; i++)
		if (!strcmp(members[i].cgroup, cgroup))
			return &members[i];
	exit(1);
}

static void detach(struct member *m)
{
	bpf_link__destroy(m->link);
	m->link = NULL;
}

static struct member *coming; /* the one that will be attached while something else is done */

/* Waits until that one is in its init. */
static void in_init(void)
{
	struct member *m = coming;

	for (int i = 0; i < 3000 && !(m->loaded && *(volatile int *)var(m->o, ".bss", "in_init")); i++)
		nap(10);
	nap(100);
}

static void *later(void *cgroup)
{
	in_init();
	rmdir(place(cgroup));
	return NULL;
}

static void *slowly(void *arg)
{
	attach(load("slow", "/slow"));
	return NULL;
}

static void bind(pid_t pid, int first, int last)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	for (int i = first; i <= last; i++)
		CPU_SET(i, &set);
	sched_setaffinity(pid, sizeof(set), &set);
}

/* All threads that attach and end schedulers on CPU 0, where none of them preempts another, and this one where it is in nobody's way. */
static void one_after_the_other(void)
{
	DIR *proc = opendir("/proc");
	struct dirent *e;

	while ((e = readdir(proc))) {
		char path[300], name[32] = "";
		FILE *f;

		snprintf(path, sizeof(path), "/proc/%s/comm", e->d_name);
		if (!(f = fopen(path, "r")))
			continue;
		fgets(name, sizeof(name), f);
		fclose(f);
		if (!strncmp(name, "sched_ext_help", 14) || !strncmp(name, "scx_enable_hel", 14))
			bind(atoi(e->d_name), 0, 0);
	}
	closedir(proc);
	bind(0, 1, 1);
}

static void step(char *s)
{
	pthread_t thread;
	char *arg = strpbrk(s, "@:"), c = *arg;

	*arg++ = 0;
	if (c == '@')
		attach(load(s, arg));
	else if (nap(200), !strcmp(s, "detach"))
		detach(at(arg));
	else if (!strcmp(s, "rmdir"))
		rmdir(place(arg));
	else if (!strcmp(s, "fail"))
		*(volatile int *)var(at(arg)->o, ".bss", "fail") = 1;
	else if (!strcmp(s, "select")) {
		LIBBPF_OPTS(bpf_test_run_opts, opts, .ctx_in = &pids[TASKS - 1], .ctx_size_in = sizeof(pid_t));

		bpf_prog_test_run_opts(bpf_program__fd(bpf_object__find_program_by_name(at(arg)->o, "old_select_outside")), &opts);
	} else if (!strcmp(s, "later")) {
		place(arg);
		coming = &members[nr];
		pthread_create(&thread, NULL, later, arg);
		pthread_detach(thread);
	} else if (!strcmp(s, "orphan")) {
		struct member *orphan;
		char below[64];

		snprintf(below, sizeof(below), "%s/b", arg);
		orphan = load("unlinked", below);
		place("/slow");
		coming = &members[nr];
		one_after_the_other();
		pthread_create(&thread, NULL, slowly, NULL);
		in_init();
		*(volatile int *)var(at(arg)->o, ".bss", "fail") = 1;
		nap(100);
		attach(orphan);
		pthread_join(thread, NULL);
		bind(0, 0, 1);
	}
}

static void run(char *line)
{
	char *name = strtok(line, " \t\n"), *s, *steps[MEMBERS];
	int n = 0;

	nr = 0;
	memset(members, 0, sizeof(members));
	place("/a");
	for (int i = 0; i < TASKS; i++)
		pids[i] = worker(i ? "/a" : "/");
	nap(50);
	while ((s = strtok(NULL, " \t\n")))
		steps[n++] = s;
	for (int i = 0; i < n; i++)
		step(steps[i]);
	nap(1000);
	for (int i = nr; i--;)
		detach(&members[i]);
	printf("{\"case\":\"%s\",\"ends\":[", name);
	for (int i = 0; i < nr; i++) {
		struct member *m = &members[i];
		struct told *t = m->refused < 0 ? NULL : var(m->o, ".bss", "told");

		printf("%s{\"table\":\"%s\",\"cgroup\":\"%s\",\"refused\":%d", i ? "," : "", m->table, m->cgroup, m->refused);
		if (t && t->kind) {
			printf(",\"kind\":%d,\"code\":%lld", t->kind, t->code);
			text("reason", t->reason);
			text("msg", t->msg);
			text("dump", t->dump);
		}
		printf("}");
	}
	printf("]}\n");
	fflush(stdout);
	for (int i = 0; i < TASKS; i++) {
		kill(pids[i], SIGKILL);
		waitpid(pids[i], NULL, 0);
	}
	for (int i = 0; i < nr; i++)
		bpf_object__close(members[i].o);
	nap(100);
	for (const char *const *c = (const char *const[]){ "/a/b/c/d", "/a/b/c", "/a/b", "/a", "/gone", "/slow", NULL }; *c; c++)
		rmdir(place(*c));
}

int main(int argc, char **argv)
{
	char line[256], copy[256];
	FILE *f = fopen(argv[2], "r");

	file = argv[1];
	libbpf_set_print(quiet);
	mkdir("/cg", 0755);
	mount("cgroup2", "/cg", "cgroup2", 0, NULL);
	while (f && fgets(line, sizeof(line), f)) {
		int wanted = argc < 4;

		strcpy(copy, line);
		strtok(copy, " \t\n");
		for (int i = 3; i < argc; i++)
			wanted |= !strcmp(copy, argv[i]);
		if (*line != '#' && wanted)
			run(line);
	}
	return 0;
}
