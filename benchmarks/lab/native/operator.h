/* The second half of player.c: reading the plan, the timeline, and writing what happened. */

struct action { ns_t at, every; int times; char *text; };
static struct action *actions;
static int nactions;

/* ---- the plan ---- */

static FILE *in;
static int line_no;

static char *next_line(void)
{
	static char *buf;
	static size_t cap;
	ssize_t n = getline(&buf, &cap, in);

	line_no++;
	if (n < 0)
		return NULL;
	if (n && buf[n - 1] == '\n')
		buf[n - 1] = 0;
	return buf;
}

static char *cursor;

static char *word(void)
{
	char *w = strtok_r(NULL, " ", &cursor);

	if (!w)
		die("plan, line %d: too short", line_no);
	return w;
}
static long long num(void) { return strtoll(word(), NULL, 0); }

static cpu_set_t mask(void)
{
	unsigned long long m = strtoull(word(), NULL, 16);
	cpu_set_t s;

	CPU_ZERO(&s);
	for (int i = 0; i < 64; i++)
		if (m >> i & 1)
			CPU_SET(i, &s);
	return s;
}

static struct params params(void)
{
	struct params p = { 0 };

	p.policy = num();
	p.nice = num();
	p.rtprio = num();
	p.runtime = num();
	p.deadline = num();
	p.period = num();
	return p;
}

static struct draws draws(void)
{
	struct draws d = { 0 };

	d.n = num();
	d.v = calloc(d.n + 1, sizeof(ns_t));
	for (int i = 0; i < d.n; i++)
		d.v[i] = num();
	return d;
}

static void read_plan(const char *path)
{
	struct prog *p = NULL;
	struct phase *ph = NULL;
	struct task *t = NULL;
	char *line, *key;

	in = fopen(path, "r");
	if (!in)
		die("%s: %s", path, strerror(errno));
	progs = calloc(1024, sizeof(*progs));
	tasks = mmap(NULL, MAX_TASKS * sizeof(*tasks), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	actions = calloc(4096, sizeof(*actions));
	while ((line = next_line())) {
		if (!(key = strtok_r(line, " ", &cursor)))
			continue;
		if (!strcmp(key, "run")) {
			duration = num();
			lead = num();
			tick_phase = num();
			all_cpus = mask();
		} else if (!strcmp(key, "objects")) {
			mutexes = calloc(num() + 1, sizeof(*mutexes));
			conds = calloc((nconds = num()) + 1, sizeof(*conds));
			sems = calloc((nsems = num()) + 1, sizeof(*sems));
			for (int i = 0; i < nsems; i++)
				sems[i].at = mmap(NULL, MAX_POSTS * sizeof(ns_t), PROT_READ | PROT_WRITE,
						  MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
		} else if (!strcmp(key, "barriers")) {
			barriers = calloc((nbarriers = num()) + 1, sizeof(*barriers));
			for (int i = 0; i < nbarriers; i++)
				barriers[i].users = num();
		} else if (!strcmp(key, "timers")) {
			timers = calloc((ntimers = num()) + 1, sizeof(*timers));
			for (int i = 0; i < ntimers; i++)
				timers[i].absolute = num();
		} else if (!strcmp(key, "task")) {
			if (nprogs == 1024)
				die("plan: too many tasks");
			p = &progs[nprogs++];
			snprintf(p->name, sizeof(p->name), "%s", word());
			snprintf(p->cgroup, sizeof(p->cgroup), "%s", word());
			if (!strcmp(p->cgroup, "-"))
				p->cgroup[0] = 0;
			p->delay = num();
			p->loop = num();
			p->sched = params();
			p->phases = calloc(num() + 1, sizeof(*p->phases));
			p->nuniques = num();
			p->unique_abs = calloc(p->nuniques + 1, sizeof(int));
			for (int i = 0; i < p->nuniques; i++)
				p->unique_abs[i] = num();
		} else if (!strcmp(key, "phase")) {
			ph = &p->phases[p->nphases++];
			ph->loop = num();
			ph->cpus = mask();
			ph->set = num();
			ph->sched = params();
			ph->ops = calloc(num() + 1, sizeof(*ph->ops));
		} else if (!strcmp(key, "op")) {
			struct op *o = &ph->ops[ph->nops++];
			char *name = word();

			for (o->kind = 0; o->kind < NR_OPS && strcmp(op_names[o->kind], name); o->kind++)
				;
			if (o->kind == NR_OPS)
				die("plan, line %d: no op %s", line_no, name);
			o->edge = num();
			o->unique = num();
			o->obj = num();
			o->mutex = num();
			o->random = num();
			o->fork = num();
			o->dur = num();
		} else if (!strcmp(key, "instance")) {
			int prog = num();
			char *suffix = word();

			t = new_task(prog, suffix, 0);
			if (!t)
				die("plan: %s", problem);
			t->draws = draws();
		} else if (!strcmp(key, "forks")) {
			t->nforkdraws = num();
			t->forks = calloc(t->nforkdraws + 1, sizeof(*t->forks));
			for (int i = 0; i < t->nforkdraws; i++)
				t->forks[i] = draws();
		} else if (!strcmp(key, "action")) {
			struct action *a = &actions[nactions++];

			if (nactions == 4096)
				die("plan: too many actions");
			a->at = num();
			a->every = num();
			a->times = num();
			a->text = strdup(cursor ? cursor : "");
		} else {
			die("plan, line %d: %s?", line_no, key);
		}
	}
	fclose(in);
}

/* ---- the timeline ---- */

/* matches tells whether a living task is meant by "prog suffix", "-" for any suffix. */
static int matches(const struct task *t, int prog, const char *suffix)
{
	return t->prog == prog && t->pid && !atomic_load(&t->ended) && !atomic_load(&t->killed) &&
	       (!strcmp(suffix, "-") || !strcmp(t->suffix, suffix));
}

static void each(const struct action *a, int (*f)(struct task *t, void *arg), void *arg)
{
	int prog = num(), n = atomic_load(&ntasks), found = 0;
	char *suffix = word();

	for (int i = 0; i < n && i < MAX_TASKS; i++)
		if (matches(&tasks[i], prog, suffix)) {
			int err = f(&tasks[i], arg);

			found = 1;
			if (err)
				complain("at %lld ns: %s: %s", (long long)a->at, a->text, strerror(-err));
		}
	if (!found)
		complain("at %lld ns: %s: no such task", (long long)a->at, a->text);
}

static int act_affinity(struct task *t, void *arg)
{
	return sched_setaffinity(t->pid, sizeof(cpu_set_t), arg) ? -errno : 0;
}

static int act_nice(struct task *t, void *arg) { return setpriority(PRIO_PROCESS, t->pid, *(int *)arg) ? -errno : 0; }
static int act_policy(struct task *t, void *arg) { return set_params(t->pid, arg); }
static int act_move(struct task *t, void *arg) { return move_to(arg, t->pid); }

static int act_kill(struct task *t, void *arg)
{
	(void)arg;
	atomic_store(&t->killed, 1);
	if (kill(t->pid, SIGKILL))
		return -errno;
	if (!atomic_load(&t->ended) && atomic_fetch_sub(&live, 1) == 1)
		fwake((_Atomic int *)&live, INT_MAX);
	return 0;
}

static void act(struct action *a)
{
	char text[1024], *key;
	int err = 0;

	snprintf(text, sizeof(text), "%s", a->text);
	key = strtok_r(text, " ", &cursor);
	if (!key)
		return;
	if (!strcmp(key, "mkdir")) {
		if (mkdir(word(), 0755) && errno != EEXIST)
			err = -errno;
	} else if (!strcmp(key, "rmdir")) {
		err = rmdir(word()) ? -errno : 0;
	} else if (!strcmp(key, "write")) {
		char *path = word();

		err = write_file(path, cursor ? cursor : "");
	} else if (!strcmp(key, "move")) {
		char *g = word();

		each(a, act_move, strcmp(g, "/") ? g : "");
	} else if (!strcmp(key, "affinity")) {
		cpu_set_t s = mask();

		each(a, act_affinity, &s);
	} else if (!strcmp(key, "nice")) {
		int v = num();

		each(a, act_nice, &v);
	} else if (!strcmp(key, "policy")) {
		struct params p = params();

		each(a, act_policy, &p);
	} else if (!strcmp(key, "kill")) {
		each(a, act_kill, NULL);
	} else if (!strcmp(key, "spawn")) {
		int prog = num(), n = num();

		for (int i = 0; i < n; i++) {
			char suffix[32];
			struct task *t;

			snprintf(suffix, sizeof(suffix), "-%d", atomic_load(&ntasks));
			t = new_task(prog, suffix, 1);
			if (!t)
				return;
			t->start = NOW();
			room(t, SPAWN_NOTES);
			start(t);
		}
	} else {
		die("plan: no action %s", key);
	}
	if (err)
		complain("at %lld ns: %s: %s", (long long)a->at, a->text, strerror(-err));
}

/* until is when the next action is due, LLONG_MAX for none. */
static ns_t due(int *which)
{
	ns_t at = LLONG_MAX;

	for (int i = 0; i < nactions; i++)
		if (actions[i].times > 0 && actions[i].at < at) {
			at = actions[i].at;
			*which = i;
		}
	return at;
}

static void operate(ns_t end)
{
	int i = 0;

	for (;;) {
		ns_t at = due(&i), stop = end ? end : LLONG_MAX;

		if (at != LLONG_MAX && zero + at < stop) {
			sleep_until(zero + at);
			act(&actions[i]);
			actions[i].times--;
			actions[i].at += actions[i].every;
			continue;
		}
		if (end) {
			sleep_until(end);
			return;
		}
		for (int n; (n = atomic_load(&live)) > 0;)
			fwait((_Atomic int *)&live, n);
		return;
	}
}

/* make_pool makes rooms for the tasks that will be forked, as many as is sensible, and spawned. */
static void make_pool(void)
{
	size_t size = 0;

	for (int i = 0; i < nactions; i++) {
		int prog, n;

		if (sscanf(actions[i].text, "spawn %d %d", &prog, &n) == 2)
			size += room_size(prog, SPAWN_NOTES) * n * (actions[i].times < 64 ? actions[i].times : 64);
	}
	for (int i = 0; i < nprogs; i++)
		for (int j = 0; j < progs[i].nphases; j++)
			for (int k = 0; k < progs[i].phases[j].nops; k++)
				if (progs[i].phases[j].ops[k].kind == OP_FORK)
					size += room_size(progs[i].phases[j].ops[k].fork, FORK_NOTES) * 200;
	if (size > MAX_POOL)
		size = MAX_POOL;
	if (size) {
		pool = new_pages(size);
		atomic_store(&pool_left, size);
	}
}

/* ---- the result ---- */

/*
 * Under icount the processor's counter is the emulator's virtual clock, in ns: what the lab's kernel makes of it is read beside it, at
 * two times, so that one can be told from the other.
 */
struct look { ns_t at; long long counter; };

static struct look look(void)
{
	struct look best = { 0 };
	ns_t least = LLONG_MAX;

	for (int i = 0; i < 8; i++) {
		ns_t a = NOW(), b;
		long long c = __builtin_ia32_rdtsc();

		b = NOW();
		if (b - a < least) {
			least = b - a;
			best = (struct look){ a + (b - a) / 2, c };
		}
	}
	return best;
}

/*
 * The program that looks at the kernel before T0 (look.bpf.c) lies at LOOK, where there is one. It is got at before tasks are made, and
 * runs when they sleep.
 */
#define LOOK "/sys/fs/bpf/look"

static int look_fd(void)
{
	union bpf_attr a;

	memset(&a, 0, sizeof(a));
	a.pathname = (uint64_t)(uintptr_t)LOOK;
	return syscall(SYS_bpf, BPF_OBJ_GET, &a, sizeof(a));
}

static void look_at_kernel(int fd)
{
	union bpf_attr a;

	if (fd < 0)
		return;
	memset(&a, 0, sizeof(a));
	a.test.prog_fd = fd;
	if (syscall(SYS_bpf, BPF_PROG_TEST_RUN, &a, sizeof(a)))
		complain("look: %s", strerror(errno));
	close(fd);
}

/* state_now reads the state of sched_ext: whether the scheduler was in charge before T0, and until the end of the window. */
static void state_now(char *state, size_t size)
{
	int fd = open("/sys/kernel/sched_ext/state", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, state, size - 1);

	if (fd >= 0)
		close(fd);
	state[n > 0 ? n : 0] = 0;
	state[strcspn(state, "\n")] = 0;
}

static void report(const char *path, ns_t end, int all_ended, const char *before, const char *state, const struct look looks[2])
{
	int n = atomic_load(&ntasks);
	FILE *f = fopen(path, "w");

	if (!f)
		die("%s: %s", path, strerror(errno));
	fprintf(f, "zero %lld\nend %lld\nended %d\nclock %lld %lld %lld\n", (long long)zero, (long long)end, all_ended, (long long)clock_cost, (long long)look_cost,
		(long long)iter_ps);
	for (int i = 0; i < 2; i++)
		fprintf(f, "counter %lld %lld\n", (long long)looks[i].at, looks[i].counter);
	if (state[0])
		fprintf(f, "before %s\nstate %s\n", before, state);
	if (atomic_load(&problems))
		fprintf(f, "problem %d %s\n", atomic_load(&problems), problem);
	for (int i = 0; i < n && i < MAX_TASKS; i++) {
		struct task *t = &tasks[i];
		const struct params *s = &progs[t->prog].sched;
		char name[16];

		if (!t->pid)
			continue;
		if (progs[t->prog].nphases && progs[t->prog].phases[0].set)
			s = &progs[t->prog].phases[0].sched;
		comm_of(name, t);
		fprintf(f, "task %d %d %d %d %s %d %d\n", t->pid, t->prog, s->nice, s->policy,
			progs[t->prog].cgroup[0] ? progs[t->prog].cgroup : "-", t->forked, t->nnotes > t->maxnotes);
		fprintf(f, "name %s\n", name);
		for (int k = 0; k < t->nnotes && k < t->maxnotes; k++)
			fprintf(f, "note %d %lld %lld\n", t->notes[k].kind, (long long)(t->notes[k].at - zero), (long long)t->notes[k].value);
	}
	fclose(f);
}

int main(int argc, char **argv)
{
	/* What it spawns begins as a task like any other: SCHED_FLAG_RESET_ON_FORK. */
	struct params operator = { .policy = SCHED_FIFO, .rtprio = 98, .reset = 1 };
	int n, ended, fd;
	char before[32], state[32];
	struct look looks[2];
	ns_t end;

	if (argc != 3)
		die("usage: player PLAN OUT");
	signal(SIGCHLD, SIG_IGN);
	read_plan(argv[1]);
	prctl(PR_SET_TIMERSLACK, 1);
	calibrate();
	fd = look_fd();
	n = atomic_load(&ntasks);
	for (int i = 0; i < n; i++)
		room(&tasks[i], MAX_NOTES);
	make_pool();
	/* T0 lies at a known phase of the 4 ms tick, whose multiples are those of CLOCK_MONOTONIC. */
	zero = NOW() + lead;
	zero = zero - zero % 4000000 + 4000000 + tick_phase;
	for (int i = 0; i < n; i++) {
		char name[16];

		comm_of(name, &tasks[i]);
		prctl(PR_SET_NAME, name); /* the task has its name from the beginning */
		if (start(&tasks[i]))
			die("%s", problem);
	}
	prctl(PR_SET_NAME, "operator");
	if (set_params(0, &operator))
		die("operator: %s", strerror(errno));
	if (NOW() + 20000000 > zero)
		die("the tasks took too long to make: %lld ns are left", (long long)(zero - NOW()));
	sleep_until(zero - 10000000);
	looks[0] = look();
	look_at_kernel(fd);
	state_now(before, sizeof(before));
	operate(duration ? zero + duration : 0);
	end = NOW();
	looks[1] = look();
	state_now(state, sizeof(state));
	ended = atomic_load(&live) == 0;
	if (duration && end - zero > duration)
		end = zero + duration;
	n = atomic_load(&ntasks);
	for (int i = 0; i < n && i < MAX_TASKS; i++)
		if (tasks[i].pid && !atomic_load(&tasks[i].ended))
			kill(tasks[i].pid, SIGKILL);
	for (int i = 0; i < n && i < MAX_TASKS; i++)
		for (int v; tasks[i].pid && (v = atomic_load(&tasks[i].tid)) != 0;)
			syscall(SYS_futex, &tasks[i].tid, FUTEX_WAIT, v, NULL, NULL, 0);
	report(argv[2], end, ended, before, state, looks);
	return 0;
}
