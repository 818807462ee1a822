// Attaches the schedulers of exits.bpf.o to the kernel that runs, one case of cases.txt after the other, and writes what the kernel said:
// a JSON object per line. For the init of a small guest: scripts/exits. Needs libbpf.
#define _GNU_SOURCE
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct seen {
	int kind;
	unsigned exits;
	long long code;
	char reason[128], msg[1024], dump[16384];
};

// unstacked takes the lines of the kernel's stack out of a dump.
static void unstacked(char *s)
{
	char *to = s, *end;

	for (; *s; s = end) {
		end = strchr(s, '\n') ? strchr(s, '\n') + 1 : s + strlen(s);
		char *plus = memmem(s, end - s, "+0x", 3);
		if (plus && s[0] == ' ' && s[1] == ' ' && memchr(plus, '/', end - plus) && !memchr(s, '=', plus - s))
			continue;
		if (end - s == 1 && to[-1] == '\n' && to[-2] == '\n')
			continue;
		memmove(to, s, end - s);
		to += end - s;
	}
	*to = 0;
}

static void quote(const char *s)
{
	putchar('"');
	for (; *s; s++) {
		if (*s == '"' || *s == '\\')
			putchar('\\');
		if (*s == '\n')
			printf("\\n");
		else if (*s == '\t')
			printf("\\t");
		else if ((unsigned char)*s >= 32)
			putchar(*s);
	}
	putchar('"');
}

static void nap(int ms)
{
	struct timespec t = { ms / 1000, ms % 1000 * 1000000 };

	nanosleep(&t, 0);
}

static void put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
	if (fd >= 0)
		close(fd);
}

// messages prints what the kernel has logged about sched_ext since the last call.
static int kmsg = -1;
static void messages(void)
{
	char buf[8192];
	int n = 0, len;

	printf("[");
	while ((len = read(kmsg, buf, sizeof(buf) - 1)) > 0 || (len < 0 && errno == EPIPE)) {
		if (len < 0)
			continue;
		buf[len] = 0;
		char *text = strchr(buf, ';'), *end;
		if (!text)
			continue;
		text++;
		if ((end = strchr(text, '\n')))
			*end = 0;
		if (strncmp(text, "sched_ext", 9) || strstr(text, "+0x"))
			continue;
		if (n++)
			printf(",");
		quote(text);
	}
	printf("]");
}

// variable finds a variable of a section before loading.
static void *variable(struct bpf_object *o, const char *section, const char *name)
{
	struct btf *btf = bpf_object__btf(o);
	struct bpf_map *map = bpf_object__find_map_by_name(o, section);
	int id = btf__find_by_name_kind(btf, section, BTF_KIND_DATASEC);
	size_t size;

	if (!map || id < 0)
		return NULL;
	const struct btf_type *t = btf__type_by_id(btf, id);
	const struct btf_var_secinfo *v = btf_var_secinfos(t);
	char *data = bpf_map__initial_value(map, &size);

	for (int i = 0; i < btf_vlen(t); i++)
		if (!strcmp(btf__name_by_offset(btf, btf__type_by_id(btf, v[i].type)->name_off), name))
			return data ? data + v[i].offset : NULL;
	return NULL;
}

#define TASKS 6
static pid_t tasks[TASKS];

// work starts four tasks that compute and two that sleep now and then.
static void work(void)
{
	for (int i = 0; i < TASKS; i++) {
		if ((tasks[i] = fork()))
			continue;
		for (volatile long n = 0;; n++)
			if (i >= 4 && n % 100000 == 0)
				nap(3);
	}
}

static void rest(void)
{
	for (int i = 0; i < TASKS; i++)
		kill(tasks[i], SIGKILL);
	for (int i = 0; i < TASKS; i++)
		waitpid(tasks[i], 0, 0);
}

static int silent(enum libbpf_print_level l, const char *f, va_list a)
{
	return l == LIBBPF_WARN && getenv("V") ? vfprintf(stderr, f, a) : 0;
}

// set_flags sets the member flags of a table.
static void set_flags(struct bpf_object *o, struct bpf_map *ops, unsigned long long flags)
{
	struct btf *btf = bpf_object__btf(o);
	const struct btf_type *t = btf__type_by_id(btf, btf__find_by_name_kind(btf, "sched_ext_ops", BTF_KIND_STRUCT));
	const struct btf_member *m = btf_members(t);
	size_t size;
	char *data = bpf_map__initial_value(ops, &size);

	for (int i = 0; i < btf_vlen(t); i++)
		if (!strcmp(btf__name_by_offset(btf, m[i].name_off), "flags"))
			memcpy(data + m[i].offset / 8, &flags, sizeof(flags));
}

static void one(const char *file, const char *name, const char *table, unsigned mode, const char *action, const char *flags)
{
	struct bpf_object *o = bpf_object__open_file(file, 0);
	struct bpf_map *map, *ops = NULL;
	struct bpf_link *link = NULL;
	struct seen *seen;
	unsigned *m;
	int err = 0;

	printf("{\"case\":\"%s\"", name);
	if (!o) {
		printf(",\"load\":%d}\n", -errno);
		return;
	}
	bpf_object__for_each_map(map, o)
		if (bpf_map__type(map) == BPF_MAP_TYPE_STRUCT_OPS) {
			bool want = !strcmp(bpf_map__name(map), table);

			bpf_map__set_autocreate(map, want);
			if (want)
				ops = map;
		}
	if (*flags)
		set_flags(o, ops, strtoull(flags, NULL, 0));
	if ((m = variable(o, ".rodata", "mode")))
		*m = mode;
	err = bpf_object__load(o);
	printf(",\"load\":%d", err);
	if (!err) {
		seen = variable(o, ".bss", "seen");
		work();
		nap(100);
		link = bpf_map__attach_struct_ops(ops);
		err = link ? 0 : -errno;
		printf(",\"attach\":%d", err);
		if (link) {
			nap(300);
			if (!strcmp(action, "offline"))
				put("/sys/devices/system/cpu/cpu1/online", "0");
			if (!strcmp(action, "sysrq"))
				put("/proc/sysrq-trigger", "S");
			if (!strcmp(action, "detach")) {
				bpf_link__destroy(link);
				link = NULL;
			}
		}
		for (int i = 0; i < (err ? 3 : 60) && !*(volatile unsigned *)&seen->exits; i++)
			nap(100);
		if (!strcmp(action, "offline"))
			put("/sys/devices/system/cpu/cpu1/online", "1");
		rest();
		printf(",\"exits\":%u,\"kind\":%d,\"code\":%lld,\"reason\":", seen->exits, seen->kind, seen->code);
		quote(seen->reason);
		printf(",\"msg\":");
		quote(seen->msg);
		if (strstr(action, "dump")) {
			unstacked(seen->dump);
			printf(",\"dump\":");
			quote(seen->dump);
		}
		if (link)
			bpf_link__destroy(link);
		nap(100);
	}
	bpf_object__close(o);
	printf(",\"log\":");
	messages();
	printf("}\n");
	fflush(stdout);
}

int main(int argc, char **argv)
{
	char line[256], name[64], table[64], action[64], flags[64];
	unsigned mode;
	FILE *f;

	if (argc < 3 || !(f = fopen(argv[2], "r")))
		return 2;
	libbpf_set_print(silent);
	setpriority(PRIO_PROCESS, 0, -10);
	kmsg = open("/dev/kmsg", O_RDONLY | O_NONBLOCK);
	lseek(kmsg, 0, SEEK_END);
	put("/proc/sysrq-trigger", "");
	while (fgets(line, sizeof(line), f))
		if (*flags = 0, *line != '#' && sscanf(line, "%63s %63s %u %63s %63s", name, table, &mode, action, flags) >= 4)
			one(argv[1], name, table, mode, action, flags);
	return 0;
}
