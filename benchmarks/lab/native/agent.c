/*
 * agent: user space's half of the guest's schedulers, and of the recorder. It takes commands, a line each, and answers each
 * with a line of JSON: {} or {"error": "..."} or what was asked for.
 *
 *	recorder OBJECT CPUS RECORDS    load and attach the recorder of scheduler events
 *	looker OBJECT CPUS PATH         load the program that looks at the kernel before T0, and pin it
 *	look                            what it last saw, and forget it
 *	open OBJECT                     open a scheduler's object
 *	global NAME VALUE               set a global variable of it before it is loaded; NAME[I] is an element
 *	resize NAME COUNT               give an array in a section of its own so many elements
 *	member NAME VALUE               set a number of its table
 *	load                            load it
 *	tap OBJECT CPUS RECORDS         record the callbacks of the loaded scheduler
 *	init OBJECT                     note where ops.init of the loaded scheduler runs
 *	attach                          register its table; the answer tells the CPU of ops.init, if it was noted
 *	on, off                         start and stop recording
 *	events FILE, calls FILE         write the records, and forget them
 *	exit                            why the scheduler ended, as its exit callback noted it
 *	close                           end the scheduler
 *	verify OBJECT FILE              load each of its programs alone, and write a line of JSON for each
 *
 * Errors of a load carry the log of the verifier.
 */
#define _GNU_SOURCE
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static char errors[1 << 16];
static size_t errors_n;

static int print(enum libbpf_print_level level, const char *fmt, va_list ap)
{
	if (level == LIBBPF_DEBUG || errors_n > sizeof(errors) - 1024)
		return 0;
	errors_n += vsnprintf(errors + errors_n, sizeof(errors) - errors_n, fmt, ap);
	if (errors_n >= sizeof(errors))
		errors_n = sizeof(errors) - 1;
	return 0;
}

/* ---- answers ---- */

static void put_string(FILE *f, const char *s, size_t n)
{
	fputc('"', f);
	for (size_t i = 0; i < n && s[i]; i++) {
		unsigned char c = s[i];

		if (c == '"' || c == '\\')
			fprintf(f, "\\%c", c);
		else if (c == '\n')
			fputs("\\n", f);
		else if (c == '\t')
			fputs("\\t", f);
		else if (c < 0x20 || c >= 0x7f)
			fprintf(f, "\\u%04x", c);
		else
			fputc(c, f);
	}
	fputc('"', f);
}

static void refuse(const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	fputs("{\"error\":", stdout);
	put_string(stdout, text, sizeof(text));
	if (errors_n) {
		fputs(",\"log\":", stdout);
		put_string(stdout, errors, errors_n);
	}
	fputs("}\n", stdout);
	fflush(stdout);
}

static void done(void)
{
	puts("{}");
	fflush(stdout);
}

/* ---- variables ---- */

static struct bpf_object *obj;
static struct bpf_link *ops_link;
static struct bpf_map *ops_map;
static struct btf *vmlinux;

/* find_var finds a global variable: its map, the offset in it, its type and size. */
static struct bpf_map *find_var(const char *name, uint32_t *off, uint32_t *size, uint32_t *type)
{
	struct btf *btf = bpf_object__btf(obj);
	struct bpf_map *m;

	bpf_object__for_each_map(m, obj) {
		const struct btf_type *sec = btf__type_by_id(btf, bpf_map__btf_value_type_id(m));
		const struct btf_var_secinfo *v;

		if (!sec || !btf_is_datasec(sec))
			continue;
		v = btf_var_secinfos(sec);
		for (int i = 0; i < (int)btf_vlen(sec); i++, v++) {
			const struct btf_type *t = btf__type_by_id(btf, v->type);

			if (strcmp(btf__name_by_offset(btf, t->name_off), name))
				continue;
			*off = v->offset;
			*size = v->size;
			*type = t->type;
			return m;
		}
	}
	return NULL;
}

static const struct btf_type *resolved(const struct btf *btf, uint32_t id)
{
	const struct btf_type *t = btf__type_by_id(btf, id);

	while (t && (btf_is_mod(t) || btf_is_typedef(t)))
		t = btf__type_by_id(btf, t->type);
	return t;
}

static void store(void *to, uint32_t size, unsigned long long v)
{
	memcpy(to, &v, size < 8 ? size : 8); /* little endian */
}

static int set_global(char *name, const char *value)
{
	struct btf *btf = bpf_object__btf(obj);
	const struct btf_type *t;
	uint32_t off, size, type;
	long index = -1;
	struct bpf_map *m;
	char *bracket = strchr(name, '[');
	size_t room;
	char *data;

	if (bracket) {
		index = strtol(bracket + 1, NULL, 0);
		*bracket = 0;
	}
	m = find_var(name, &off, &size, &type);
	if (!m)
		return -ENOENT;
	data = bpf_map__initial_value(m, &room);
	t = resolved(btf, type);
	if (index >= 0) {
		if (!t || !btf_is_array(t))
			return -EINVAL;
		size = btf__resolve_size(btf, btf_array(t)->type);
		off += index * size;
	}
	if (!data || off + size > room)
		return -ERANGE;
	store(data + off, size, strtoull(value, NULL, 0));
	return 0;
}

/* set_enums gives the variables by which scheduler headers read enumerators their values: __SCX_X is SCX_X of the kernel. */
static void set_enums(void)
{
	char name[256];

	if (!vmlinux)
		vmlinux = btf__load_vmlinux_btf();
	if (!vmlinux)
		return;
	for (uint32_t id = 1; id < btf__type_cnt(vmlinux); id++) {
		const struct btf_type *t = btf__type_by_id(vmlinux, id);
		const char *tag;

		if (!btf_is_any_enum(t) || !btf_vlen(t))
			continue;
		tag = btf__name_by_offset(vmlinux, btf_is_enum(t) ? btf_enum(t)->name_off : btf_enum64(t)->name_off);
		if (strncmp(tag, "SCX_", 4))
			continue;
		for (int i = 0; i < (int)btf_vlen(t); i++) {
			uint64_t v = btf_is_enum(t) ? (uint64_t)(uint32_t)btf_enum(t)[i].val : btf_enum64_value(&btf_enum64(t)[i]);
			uint32_t no = btf_is_enum(t) ? btf_enum(t)[i].name_off : btf_enum64(t)[i].name_off;
			uint32_t off, size, type;
			struct bpf_map *m;
			size_t room;
			char *data;

			snprintf(name, sizeof(name), "__%s", btf__name_by_offset(vmlinux, no));
			m = find_var(name, &off, &size, &type);
			if (m && (data = bpf_map__initial_value(m, &room)) && off + size <= room)
				store(data + off, size, v);
		}
	}
}

/* ---- the scheduler ---- */

static struct bpf_map *table(void)
{
	struct bpf_map *m;

	bpf_object__for_each_map(m, obj)
		if (bpf_map__type(m) == BPF_MAP_TYPE_STRUCT_OPS)
			return m;
	return NULL;
}

/* member finds a member of the table: where it is in its value, and its type. */
static void *member(const char *name, uint32_t *size, bool *func)
{
	struct btf *btf = bpf_object__btf(obj);
	int32_t id = btf__find_by_name_kind(btf, "sched_ext_ops", BTF_KIND_STRUCT);
	const struct btf_type *t = id > 0 ? btf__type_by_id(btf, id) : NULL;
	const struct btf_member *mem;
	size_t room;
	char *data = ops_map ? bpf_map__initial_value(ops_map, &room) : NULL;

	if (!t || !data)
		return NULL;
	mem = btf_members(t);
	for (int i = 0; i < (int)btf_vlen(t); i++, mem++) {
		const struct btf_type *mt = resolved(btf, mem->type);

		if (strcmp(btf__name_by_offset(btf, mem->name_off), name) || mem->offset / 8 + 8 > room + 8)
			continue;
		*func = btf_is_ptr(mt);
		*size = btf_is_ptr(mt) ? 8 : btf__resolve_size(btf, mem->type);
		return data + mem->offset / 8;
	}
	return NULL;
}

static void do_open(const char *path)
{
	uint32_t off, size, type;
	struct bpf_map *m;
	char zero[] = "uei_dump_len";

	obj = bpf_object__open_file(path, NULL);
	if (!obj) {
		refuse("%s: %s", path, strerror(errno));
		return;
	}
	ops_map = table();
	set_enums();
	/* The dump that an exit callback copies. */
	if (find_var("uei_dump_len", &off, &size, &type) && (m = find_var("uei_dump", &off, &size, &type)) &&
	    !bpf_map__set_value_size(m, 32768))
		set_global(zero, "32768");
	done();
}

static void do_resize(const char *name, long count)
{
	struct btf *btf = bpf_object__btf(obj);
	uint32_t off, size, type;
	struct bpf_map *m = find_var(name, &off, &size, &type);
	const struct btf_type *t = m ? resolved(btf, type) : NULL;
	int err;

	if (!t || !btf_is_array(t)) {
		refuse("%s: no array of that name", name);
		return;
	}
	err = bpf_map__set_value_size(m, count * btf__resolve_size(btf, btf_array(t)->type));
	if (err)
		refuse("%s: %s", name, strerror(-err));
	else
		done();
}

static void do_member(const char *name, const char *value)
{
	uint32_t size;
	bool func;
	void *to = member(name, &size, &func);

	if (!to || func) {
		refuse("%s: no number of that name in the table", name);
		return;
	}
	store(to, size, strtoull(value, NULL, 0));
	done();
}

static void do_close(void)
{
	bpf_link__destroy(ops_link);
	ops_link = NULL;
	bpf_object__close(obj);
	obj = NULL;
	ops_map = NULL;
	done();
}

/* ---- recorders ---- */

struct recorder {
	struct bpf_object *obj;
	struct bpf_link *links[64];
	int nlinks, cpus, records;
	char *mem, *counters;
	uint32_t *on;
	const char *what;
};
static struct recorder events = { .what = "events" }, calls = { .what = "calls" };
#define RECORD 56
#define COUNTER 64

static void set_u32(struct recorder *r, const char *name, uint32_t v)
{
	struct bpf_object *keep = obj;
	uint32_t off, size, type;
	struct bpf_map *m;
	size_t room;

	obj = r->obj;
	m = find_var(name, &off, &size, &type);
	obj = keep;
	if (m)
		*(uint32_t *)((char *)bpf_map__initial_value(m, &room) + off) = v;
}

static int open_recorder(struct recorder *r, const char *path, int cpus, int records)
{
	char name[64];

	r->cpus = cpus;
	r->records = records;
	r->obj = bpf_object__open_file(path, NULL);
	if (!r->obj)
		return -errno;
	set_u32(r, "per_cpu_records", records);
	set_u32(r, "nr_cpus", cpus);
	return bpf_map__set_max_entries(bpf_object__find_map_by_name(r->obj, r->what), cpus * records) ?:
		(snprintf(name, sizeof(name), "%s_n", r->what), bpf_object__find_map_by_name(r->obj, name) ? 0 : -ENOENT);
}

static int load_recorder(struct recorder *r)
{
	struct bpf_program *p;
	struct bpf_object *keep = obj;
	uint32_t off, size, type;
	struct bpf_map *m;
	size_t room;
	char name[64];
	int err = bpf_object__load(r->obj);

	if (err)
		return err;
	bpf_object__for_each_program(p, r->obj) {
		struct bpf_link *l;

		if (!bpf_program__autoload(p))
			continue;
		l = bpf_program__attach(p);
		if (!l)
			return -errno;
		r->links[r->nlinks++] = l;
	}
	snprintf(name, sizeof(name), "%s_n", r->what);
	m = bpf_object__find_map_by_name(r->obj, r->what);
	r->mem = mmap(NULL, (size_t)r->cpus * r->records * RECORD, PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(m), 0);
	m = bpf_object__find_map_by_name(r->obj, name);
	r->counters = mmap(NULL, 64 * COUNTER, PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(m), 0);
	if (r->mem == MAP_FAILED || r->counters == MAP_FAILED)
		return -errno;
	obj = r->obj;
	m = find_var("on", &off, &size, &type);
	obj = keep;
	r->on = (uint32_t *)((char *)bpf_map__initial_value(m, &room) + off);
	return 0;
}

static void close_recorder(struct recorder *r)
{
	if (!r->obj)
		return;
	for (int i = 0; i < r->nlinks; i++)
		bpf_link__destroy(r->links[i]);
	if (r->mem)
		munmap(r->mem, (size_t)r->cpus * r->records * RECORD);
	if (r->counters)
		munmap(r->counters, 64 * COUNTER);
	bpf_object__close(r->obj);
	*r = (struct recorder){ .what = r->what };
}

/* dump writes the records of each CPU in turn: a header of two 32-bit numbers, how many and whether some were lost, and the
 * records. */
static void dump(struct recorder *r, const char *path)
{
	FILE *f = fopen(path, "w");

	if (!f || !r->mem) {
		refuse("%s: %s", path, f ? "no recorder" : strerror(errno));
		if (f)
			fclose(f);
		return;
	}
	for (int cpu = 0; cpu < r->cpus; cpu++) {
		uint32_t *c = (uint32_t *)(r->counters + cpu * COUNTER);
		uint32_t n = c[0] < (uint32_t)r->records ? c[0] : (uint32_t)r->records, head[2] = { n, c[1] };

		fwrite(head, sizeof(head), 1, f);
		fwrite(r->mem + (size_t)cpu * r->records * RECORD, RECORD, n, f);
		c[0] = c[1] = 0;
	}
	fclose(f);
	done();
}

static const struct { const char *tap, *member; } taps[] = {
	{ "tap_select_cpu", "select_cpu" }, { "tap_select_cpu_ret", "select_cpu" }, { "tap_enqueue", "enqueue" },
	{ "tap_dequeue", "dequeue" }, { "tap_dispatch", "dispatch" }, { "tap_tick", "tick" }, { "tap_runnable", "runnable" },
	{ "tap_running", "running" }, { "tap_stopping", "stopping" }, { "tap_quiescent", "quiescent" }, { "tap_yield", "yield" },
	{ "tap_set_weight", "set_weight" }, { "tap_set_cpumask", "set_cpumask" }, { "tap_update_idle", "update_idle" },
	{ "tap_cpu_acquire", "cpu_acquire" }, { "tap_cpu_release", "cpu_release" }, { "tap_init_task", "init_task" },
	{ "tap_exit_task", "exit_task" }, { "tap_enable", "enable" }, { "tap_disable", "disable" }, { "tap_cpu_online", "cpu_online" },
	{ "tap_cpu_offline", "cpu_offline" },
};

static void do_tap(const char *path, int cpus, int records)
{
	int err = open_recorder(&calls, path, cpus, records);

	if (err) {
		refuse("%s: %s", path, strerror(-err));
		return;
	}
	for (size_t i = 0; i < sizeof(taps) / sizeof(taps[0]); i++) {
		struct bpf_program *tap = bpf_object__find_program_by_name(calls.obj, taps[i].tap), *prog = NULL;
		uint32_t size;
		bool func;
		void *at = member(taps[i].member, &size, &func);

		if (at && func)
			prog = *(struct bpf_program **)at;
		if (!tap) {
			refuse("%s: no program %s", path, taps[i].tap);
			return;
		}
		if (!prog) {
			bpf_program__set_autoload(tap, false);
			continue;
		}
		err = bpf_program__set_attach_target(tap, bpf_program__fd(prog), bpf_program__name(prog));
		if (err) {
			refuse("%s at %s: %s", taps[i].tap, bpf_program__name(prog), strerror(-err));
			return;
		}
	}
	err = load_recorder(&calls);
	if (err)
		refuse("%s: %s", path, strerror(-err));
	else
		done();
}

/* ---- how things stood ---- */

static struct bpf_object *looker, *init_tap;
static struct bpf_link *init_link;

/* value_of is the memory of a global variable of a loaded object. */
static void *value_of(struct bpf_object *o, const char *name)
{
	struct bpf_object *keep = obj;
	uint32_t off, size, type;
	struct bpf_map *m;
	size_t room;

	obj = o;
	m = find_var(name, &off, &size, &type);
	obj = keep;
	return m ? (char *)bpf_map__initial_value(m, &room) + off : NULL;
}

static void do_looker(const char *path, int cpus, const char *pin)
{
	struct bpf_program *p;
	uint32_t *n;
	int err;

	looker = bpf_object__open_file(path, NULL);
	if (!looker) {
		refuse("%s: %s", path, strerror(errno));
		return;
	}
	n = value_of(looker, "nr_cpus");
	if (n)
		*n = cpus;
	err = bpf_object__load(looker);
	p = err ? NULL : bpf_object__find_program_by_name(looker, "look");
	if (!err)
		err = p ? bpf_program__pin(p, pin) : -ENOENT;
	if (err)
		refuse("%s: %s", path, strerror(-err));
	else
		done();
}

/* As in look.bpf.c. */
enum { CPU_LOOK = 16, TIMER_LOOK = 2, TASK_LOOK = 6 };

/* put_rows writes n rows of numbers as a list. */
static void put_rows(const char *name, const int64_t *v, uint64_t n, int columns)
{
	printf(",\"%s\":[", name);
	for (uint64_t i = 0; i < n; i++)
		for (int k = 0; k < columns; k++)
			printf("%s%lld%s", k ? "," : i ? ",[" : "[", (long long)*v++, k == columns - 1 ? "]" : "");
	printf("]");
}

static void do_look(int cpus)
{
	uint64_t *at = looker ? value_of(looker, "at") : NULL, *jiffies = looker ? value_of(looker, "at_jiffies") : NULL;
	uint64_t *n = looker ? value_of(looker, "nr_timers") : NULL;
	uint64_t *m = looker ? value_of(looker, "nr_tasks") : NULL;
	int64_t *c = looker ? value_of(looker, "cpus") : NULL, *t = looker ? value_of(looker, "timers") : NULL;
	int64_t *p = looker ? value_of(looker, "tasks") : NULL;

	if (!at || !jiffies || !n || !m || !c || !t || !p || !*at) {
		done();
		return;
	}
	printf("{\"at\":%llu,\"jiffies\":%llu", (unsigned long long)*at, (unsigned long long)*jiffies);
	put_rows("timers", t, *n, TIMER_LOOK);
	put_rows("tasks", p, *m, TASK_LOOK);
	put_rows("cpus", c, cpus, CPU_LOOK);
	printf("}\n");
	fflush(stdout);
	*at = 0;
}

static void close_init(void)
{
	bpf_link__destroy(init_link);
	init_link = NULL;
	bpf_object__close(init_tap);
	init_tap = NULL;
}

static void do_init(const char *path)
{
	struct bpf_program *tap, *prog = NULL;
	uint32_t size;
	bool func;
	void *at = member("init", &size, &func);
	int err;

	if (at && func)
		prog = *(struct bpf_program **)at;
	if (!prog) {
		done();
		return;
	}
	init_tap = bpf_object__open_file(path, NULL);
	tap = init_tap ? bpf_object__find_program_by_name(init_tap, "on_init") : NULL;
	if (!tap) {
		refuse("%s: %s", path, strerror(errno));
		return;
	}
	err = bpf_program__set_attach_target(tap, bpf_program__fd(prog), bpf_program__name(prog)) ?: bpf_object__load(init_tap);
	if (!err && !(init_link = bpf_program__attach(tap)))
		err = -errno;
	if (err) {
		refuse("%s at %s: %s", path, bpf_program__name(prog), strerror(-err));
		close_init();
		return;
	}
	done();
}

static void do_attach(void)
{
	uint64_t *at;
	int32_t *cpu;

	ops_link = ops_map ? bpf_map__attach_struct_ops(ops_map) : NULL;
	if (!ops_link) {
		refuse("attach: %s", ops_map ? strerror(errno) : "no table of struct_ops");
		close_init();
		return;
	}
	at = init_tap ? value_of(init_tap, "init_at") : NULL;
	cpu = init_tap ? value_of(init_tap, "init_cpu") : NULL;
	if (at && cpu && *at) {
		printf("{\"cpu\":%d,\"at\":%llu}\n", *cpu, (unsigned long long)*at);
		fflush(stdout);
	} else {
		done();
	}
	close_init();
}

/* ---- exit information ---- */

static void do_exit(void)
{
	struct btf *btf = obj ? bpf_object__btf(obj) : NULL;
	const struct btf_type *t;
	const struct btf_member *mem;
	uint32_t off, size, type;
	struct bpf_map *m = obj ? find_var("uei", &off, &size, &type) : NULL;
	size_t room;
	char *at;

	if (!m || !(t = resolved(btf, type)) || !btf_is_struct(t)) {
		done();
		return;
	}
	at = (char *)bpf_map__initial_value(m, &room) + off;
	fputs("{", stdout);
	mem = btf_members(t);
	for (int i = 0; i < (int)btf_vlen(t); i++, mem++) {
		const char *name = btf__name_by_offset(btf, mem->name_off);
		const struct btf_type *mt = resolved(btf, mem->type);

		printf("%s\"%s\":", i ? "," : "", name);
		if (btf_is_array(mt)) {
			put_string(stdout, at + mem->offset / 8, btf_array(mt)->nelems);
		} else {
			long long v = 0;

			size = btf__resolve_size(btf, mem->type);
			memcpy(&v, at + mem->offset / 8, size < 8 ? size : 8);
			printf("%lld", size == 4 ? (long long)(int32_t)v : v);
		}
	}
	if ((m = find_var("uei_dump", &off, &size, &type)) && (at = bpf_map__initial_value(m, &room))) {
		fputs(",\"dump\":", stdout);
		put_string(stdout, at, room);
	}
	fputs("}\n", stdout);
	fflush(stdout);
}

/* ---- verdicts ---- */

static void do_verify(const char *path, const char *out)
{
	static char log[1 << 22];
	FILE *f = fopen(out, "a");
	struct bpf_program *p;
	int n = 0, count = 0;

	if (!f) {
		refuse("%s: %s", out, strerror(errno));
		return;
	}
	do {
		int i = 0, err;
		struct bpf_map *m;

		errors_n = 0;
		obj = bpf_object__open_file(path, NULL);
		if (!obj) {
			refuse("%s: %s", path, strerror(errno));
			fclose(f);
			return;
		}
		ops_map = table();
		set_enums();
		bpf_object__for_each_map(m, obj)
			if (bpf_map__type(m) == BPF_MAP_TYPE_STRUCT_OPS)
				bpf_map__set_autocreate(m, true);
		count = 0;
		bpf_object__for_each_program(p, obj) {
			bpf_program__set_autoload(p, i == n);
			if (i == n) {
				bpf_program__set_log_level(p, 1 | 4);
				bpf_program__set_log_buf(p, log, sizeof(log));
			}
			i++;
			count++;
		}
		log[0] = 0;
		err = bpf_object__load(obj);
		i = 0;
		bpf_object__for_each_program(p, obj) {
			if (i++ != n)
				continue;
			fputs("{\"program\":", f);
			put_string(f, bpf_program__name(p), 256);
			fputs(",\"section\":", f);
			put_string(f, bpf_program__section_name(p), 256);
			fprintf(f, ",\"errno\":%d,\"log\":", bpf_program__fd(p) >= 0 ? 0 : -err);
			put_string(f, log, sizeof(log));
			if (bpf_program__fd(p) < 0 && !log[0]) {
				fputs(",\"error\":", f);
				put_string(f, errors, errors_n);
			}
			fputs("}\n", f);
		}
		bpf_object__close(obj);
		obj = NULL;
	} while (++n < count);
	fclose(f);
	done();
}

int main(void)
{
	static char line[4096];
	char *a[8];
	int err;

	libbpf_set_print(print);
	while (fgets(line, sizeof(line), stdin)) {
		int n = 0;
		char *save, *w;

		for (w = strtok_r(line, " \n", &save); w && n < 7; w = strtok_r(NULL, " \n", &save))
			a[n++] = w;
		if (!n)
			continue;
		errors_n = 0;
		if (!strcmp(a[0], "recorder") && n == 4) {
			err = open_recorder(&events, a[1], atoi(a[2]), atoi(a[3])) ?: load_recorder(&events);
			if (err)
				refuse("%s: %s", a[1], strerror(-err));
			else
				done();
		} else if (!strcmp(a[0], "looker") && n == 4) {
			do_looker(a[1], atoi(a[2]), a[3]);
		} else if (!strcmp(a[0], "look")) {
			do_look(events.cpus);
		} else if (!strcmp(a[0], "verify") && n == 3 && !obj) {
			do_verify(a[1], a[2]);
		} else if (!strcmp(a[0], "open") && n == 2 && !obj) {
			do_open(a[1]);
		} else if (!strcmp(a[0], "on") || !strcmp(a[0], "off")) {
			uint32_t v = !strcmp(a[0], "on");

			if (events.on)
				*events.on = v;
			if (calls.on)
				*calls.on = v;
			done();
		} else if (!strcmp(a[0], "events") && n == 2) {
			dump(&events, a[1]);
		} else if (!strcmp(a[0], "calls") && n == 2) {
			dump(&calls, a[1]);
		} else if (!obj) {
			refuse("%s: no object is open", a[0]);
		} else if (!strcmp(a[0], "global") && n == 3) {
			err = set_global(a[1], a[2]);
			if (err)
				refuse("global variable %s: %s", a[1], strerror(-err));
			else
				done();
		} else if (!strcmp(a[0], "resize") && n == 3) {
			do_resize(a[1], atol(a[2]));
		} else if (!strcmp(a[0], "member") && n == 3) {
			do_member(a[1], a[2]);
		} else if (!strcmp(a[0], "load")) {
			err = bpf_object__load(obj);
			if (err)
				refuse("load: %s", strerror(-err));
			else
				done();
		} else if (!strcmp(a[0], "tap") && n == 4) {
			do_tap(a[1], atoi(a[2]), atoi(a[3]));
		} else if (!strcmp(a[0], "attach")) {
			do_attach();
		} else if (!strcmp(a[0], "init") && n == 2) {
			do_init(a[1]);
		} else if (!strcmp(a[0], "exit")) {
			do_exit();
		} else if (!strcmp(a[0], "close")) {
			/* The callbacks of the end are recorded until here. */
			bpf_link__destroy(ops_link);
			ops_link = NULL;
			close_recorder(&calls);
			do_close();
		} else {
			refuse("%s: no such command, or not so many arguments", a[0]);
		}
	}
	return 0;
}
