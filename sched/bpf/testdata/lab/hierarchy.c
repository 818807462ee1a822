/*
 * Attaches sub.bpf.o as the root and once more as a sub-scheduler of the cgroup /a, in which four tasks run, and writes after two
 * seconds what both have counted and how the sub-scheduler ended, as one JSON object. The second argument is the number of
 * enqueues after which the sub-scheduler gives up, 0: it does not. With a third one it is detached after a second, and another is
 * attached in its place.
 */
#define _GNU_SOURCE
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

typedef unsigned long long u64;
struct told { int kind, cpu; long long code; char reason[128], msg[1024], dump[32768]; };

static int quiet(enum libbpf_print_level level, const char *format, va_list args)
{
	return level == LIBBPF_WARN ? vfprintf(stderr, format, args) : 0;
}

static struct bpf_map *map_like(struct bpf_object *o, const char *part)
{
	struct bpf_map *m;

	bpf_object__for_each_map(m, o)
		if (strstr(bpf_map__name(m), part))
			return m;
	exit(1);
}

/* The variable of that name in a section, and where its section is in memory. */
static void *var(struct bpf_object *o, const char *section, const char *name)
{
	const struct btf *b = bpf_object__btf(o);
	const struct btf_type *t = btf__type_by_id(b, btf__find_by_name_kind(b, section, BTF_KIND_DATASEC));
	const struct btf_var_secinfo *v = btf_var_secinfos(t);
	size_t size;
	char *data = bpf_map__initial_value(map_like(o, section), &size);

	for (int i = 0; i < btf_vlen(t); i++, v++)
		if (!strcmp(btf__name_by_offset(b, btf__type_by_id(b, v->type)->name_off), name))
			return data + v->offset;
	exit(1);
}

static struct bpf_object *load(const char *file, unsigned id, u64 cgroup, u64 fail_after)
{
	struct bpf_object *o = bpf_object__open_file(file, NULL);
	struct bpf_map *ops = map_like(o, "sub_ops");
	struct bpf_program *p;
	size_t size;
	char *table = bpf_map__initial_value(ops, &size);
	const struct btf *b = bpf_object__btf(o);
	const struct btf_type *t = btf__type_by_id(b, btf__find_by_name_kind(b, "sched_ext_ops_cid", BTF_KIND_STRUCT));

	*(unsigned *)var(o, ".rodata", "id") = id;
	*(u64 *)var(o, ".rodata", "fail_after") = fail_after;
	*(u64 *)var(o, ".rodata", "sub_cgroup_id") = cgroup;
	for (int i = 0; i < btf_vlen(t); i++)
		if (!strcmp(btf__name_by_offset(b, btf_members(t)[i].name_off), "sub_cgroup_id"))
			*(u64 *)(table + btf_members(t)[i].offset / 8) = cgroup;
	if (bpf_object__load(o))
		exit(1);
	bpf_object__for_each_program(p, o)
		if (bpf_program__type(p) != BPF_PROG_TYPE_STRUCT_OPS)
			if (bpf_program__assoc_struct_ops(p, ops, NULL) || !bpf_program__attach(p))
				exit(1);
	return o;
}

static void show(const char *who, struct bpf_object *o)
{
	static const char *const counters[] = { "nr_enqueued", "nr_sub", "nr_timer", "nr_switch", "nr_detached", "wrong", "cgroup" };

	printf("\"%s\":{", who);
	for (int i = 0; i < 7; i++)
		printf("%s\"%s\":%llu", i ? "," : "", counters[i], *(u64 *)var(o, ".bss", counters[i]));
	printf("},");
}

int main(int argc, char **argv)
{
	struct bpf_object *root, *sub, *next = NULL;
	struct bpf_link *a, *b, *c = NULL;
	struct told *t;
	struct stat st;
	pid_t pids[4];
	FILE *f;

	libbpf_set_print(quiet);
	mkdir("/cg", 0755);
	mount("cgroup2", "/cg", "cgroup2", 0, NULL);
	mkdir("/cg/a", 0755);
	if (stat("/cg/a", &st))
		return 1;
	for (int i = 0; i < 4; i++)
		if (!(pids[i] = fork())) {
			f = fopen("/cg/a/cgroup.procs", "w");
			fprintf(f, "%d", getpid());
			fclose(f);
			for (;;)
				;
		}
	root = load(argv[1], 0, 0, 0);
	a = bpf_map__attach_struct_ops(map_like(root, "sub_ops"));
	sub = load(argv[1], 1, st.st_ino, atoi(argv[2]));
	b = bpf_map__attach_struct_ops(map_like(sub, "sub_ops"));
	if (!a || !b)
		return 1;
	sleep(argc > 3 ? 1 : 2);
	if (argc > 3) {
		bpf_link__destroy(b);
		b = NULL;
		next = load(argv[1], 2, st.st_ino, 0);
		c = bpf_map__attach_struct_ops(map_like(next, "sub_ops"));
		if (!c)
			return 1;
		sleep(1);
	}
	t = var(sub, ".bss", "told");
	printf("{");
	show("root", root);
	show("sub", sub);
	if (next)
		show("next", next);
	printf("\"fail_after\":%d,\"kind\":%d,\"code\":%lld,\"reason\":\"%s\",\"msg\":\"%s\",\"dump\":\"", atoi(argv[2]), t->kind, t->code, t->reason, t->msg);
	for (char *s = t->dump; *s; s++)
		if (*s < 32 || *s == '"' || *s == '\\')
			printf("\\u%04x", *s);
		else
			putchar(*s);
	printf("\"}\n");
	for (int i = 0; i < 4; i++)
		kill(pids[i], SIGKILL);
	bpf_link__destroy(b);
	bpf_link__destroy(c);
	bpf_link__destroy(a);
	return 0;
}
