/*
 * player: plays the plan of a workload as real tasks, and writes what they did.
 *
 *	player PLAN OUT
 *
 * Tasks are processes of one address space: each can be killed, moved and named alone, and what they meet at (locks,
 * conditions, semaphores, barriers) are futexes of private memory. All are made before T0, at which they begin; the first process
 * is the operator that does the timeline, above all other tasks, and ends the run. Bursts are measured by the clock of the
 * task's own CPU time, sleeps end at absolute times of CLOCK_MONOTONIC.
 *
 * The plan (plan.go of package plan writes it) is a text, an item a line. The rules of each step are those of package
 * workloads, which the simulator plays by; names are those of its ops.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/bpf.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

typedef int64_t ns_t;

enum kind {
	OP_LOCK, OP_UNLOCK, OP_WAIT, OP_SIGNAL, OP_BROAD, OP_SYNC, OP_SLEEP, OP_RUNTIME, OP_RUN, OP_TIMER, OP_SUSPEND, OP_RESUME,
	OP_YIELD, OP_BARRIER, OP_FORK, OP_SEM_POST, OP_SEM_WAIT, OP_MARK, NR_OPS
};
static const char *const op_names[NR_OPS] = {
	"lock", "unlock", "wait", "signal", "broad", "sync", "sleep", "runtime", "run", "timer", "suspend", "resume", "yield",
	"barrier", "fork", "sem_post", "sem_wait", "mark",
};

struct op { enum kind kind; int edge, unique, obj, mutex, random, fork; ns_t dur; };
struct params { int policy, nice, rtprio, reset; ns_t runtime, deadline, period; };
struct phase { int loop, set, nops; struct op *ops; cpu_set_t cpus; struct params sched; };
struct timer { _Atomic int started; int absolute; _Atomic ns_t next; };
struct prog {
	char name[64], cgroup[256];
	ns_t delay;
	int loop, nphases, nuniques, *unique_abs;
	struct phase *phases;
	struct params sched;
};
struct draws { int n; ns_t *v; };

struct mutex { _Atomic int state; };
struct cond { _Atomic int seq; _Atomic ns_t woken; };
#define MAX_POSTS 65536
struct sem { _Atomic int count, waiters; _Atomic unsigned posted, taken; ns_t *at; };
struct barrier { int users; _Atomic int waiting, seq; _Atomic ns_t woken; };

struct note { ns_t at, value; int kind; };
enum { NOTE_UNIT = 1, NOTE_MISS = 2 };

/* A place for a task. tid is cleared by the kernel when the task is gone. */
struct task {
	_Atomic int tid;
	int pid, prog, forked;
	char suffix[32];
	struct params sched;
	cpu_set_t cpus;
	struct draws draws, *forks;
	int ndrawn, nforkdraws, nforked;
	_Atomic int ended, killed;
	ns_t release, start; /* start: when it was forked, 0 for a task that waits for T0 */
	struct timer *uniques;
	char *stack;
	struct note *notes;
	int nnotes, maxnotes;
	ns_t cpu, since, seen; /* of cpu_time */
};

#define STACK (16 << 10)
#define MAX_NOTES 40000
#define FORK_NOTES 64
#define SPAWN_NOTES 4096
#define MAX_POOL (32 << 20)
#define MAX_TASKS 8192

static struct prog *progs;
static int nprogs;
static struct task *tasks;
static _Atomic int ntasks, live, problems;
static char problem[256];
static struct mutex *mutexes;
static struct cond *conds;
static struct sem *sems;
static struct barrier *barriers;
static struct timer *timers;
static int nconds, nbarriers, nsems, ntimers;
static cpu_set_t all_cpus;
static ns_t zero, duration, lead, tick_phase;
static char *pool;
static _Atomic long pool_left;
static ns_t clock_cost, look_cost, iter_ps, gap;

/* The longest that a task spins between two looks at the clock, in ns. */
#define MAX_CHUNK 1500

static void die(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	exit(1);
}

static void complain(const char *fmt, ...)
{
	va_list ap;

	if (atomic_fetch_add(&problems, 1))
		return;
	va_start(ap, fmt);
	vsnprintf(problem, sizeof(problem), fmt, ap);
	va_end(ap);
}

/* ---- time ---- */

static ns_t clk(clockid_t c)
{
	struct timespec t;

	clock_gettime(c, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}
#define NOW() clk(CLOCK_MONOTONIC)
#define CPU() clk(CLOCK_THREAD_CPUTIME_ID)

static void sleep_until(ns_t t)
{
	struct timespec s = { t / 1000000000LL, t % 1000000000LL };

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &s, NULL) == EINTR)
		;
}

static void spin(long n)
{
	for (long i = 0; i < n; i++)
		__asm__ volatile("" : : : "memory");
}

/*
 * cpu_time is the CPU time of the calling task, less some constant. Asking the kernel has it bring the books of the running task
 * up to date, upon which it may find that another should run: a look would change what is looked at. So it is asked only after
 * a gap in the time that the task sees, and that is when something else has just run; otherwise the time since then is CPU time.
 */
static ns_t cpu_time(struct task *t)
{
	ns_t now = NOW();

	if (now - t->seen > gap) {
		t->cpu = CPU();
		now = NOW();
		t->since = now - clock_cost / 2;
	}
	t->seen = now;
	return t->cpu + now - t->since;
}

/*
 * run uses d of CPU time, that of asking the kernel at its beginning included. It spins between looks for at most half of what is
 * left.
 */
static void run(struct task *t, ns_t d)
{
	ns_t since = t->since, end = cpu_time(t) + d, left;

	if (t->since != since)
		end -= clock_cost;
	while ((left = end - cpu_time(t)) > look_cost)
		spin((left < 2 * MAX_CHUNK ? left / 2 : MAX_CHUNK) * 1000 / iter_ps);
}

/* least of several times that f takes */
#define LEAST(n, f) ({                                  \
	ns_t least = 1000000000;                        \
	for (int i = 0; i < (n); i++) {                 \
		ns_t a = NOW(), b;                      \
		f;                                      \
		b = NOW();                              \
		if (b - a < least)                      \
			least = b - a;                  \
	}                                               \
	least;                                          \
})

/*
 * calibrate finds out what looks at the clocks and a turn of spin cost, and which gaps mean something: those longer than an
 * interrupt, and than what the other virtual CPUs take when they have their turns.
 */
static void calibrate(void)
{
	look_cost = LEAST(50, (void)0);
	clock_cost = LEAST(50, CPU()) - look_cost;
	iter_ps = (LEAST(10, spin(20000)) - look_cost) * 1000 / 20000;
	if (iter_ps < 1)
		iter_ps = 1;
	gap = 8000 + 24000 * (CPU_COUNT(&all_cpus) - 1);
}

/* ---- what tasks meet at ---- */

static void fwait(_Atomic int *f, int val) { syscall(SYS_futex, f, FUTEX_WAIT_PRIVATE, val, NULL, NULL, 0); }
static void fwake(_Atomic int *f, int n) { syscall(SYS_futex, f, FUTEX_WAKE_PRIVATE, n, NULL, NULL, 0); }

/* 0 free, 1 taken, 2 taken and somebody may wait. */
static void lock(struct mutex *m)
{
	int c = 0;

	if (atomic_compare_exchange_strong(&m->state, &c, 1))
		return;
	if (c != 2)
		c = atomic_exchange(&m->state, 2);
	while (c) {
		fwait(&m->state, 2);
		c = atomic_exchange(&m->state, 2);
	}
}

static void unlock(struct mutex *m)
{
	if (atomic_exchange(&m->state, 0) == 2)
		fwake(&m->state, 1);
}

static void cond_wake(struct cond *c, int n)
{
	atomic_store(&c->woken, NOW());
	atomic_fetch_add(&c->seq, 1);
	fwake(&c->seq, n);
}

static void sem_put(struct sem *s)
{
	unsigned i = atomic_fetch_add(&s->posted, 1);

	s->at[i % MAX_POSTS] = NOW();
	atomic_fetch_add(&s->count, 1);
	if (atomic_load(&s->waiters) > 0)
		fwake(&s->count, 1);
}

/* sem_take returns when the post that it took was made. */
static ns_t sem_take(struct sem *s)
{
	for (;;) {
		int c = atomic_load(&s->count);

		while (c > 0)
			if (atomic_compare_exchange_weak(&s->count, &c, c - 1))
				return s->at[atomic_fetch_add(&s->taken, 1) % MAX_POSTS];
		atomic_fetch_add(&s->waiters, 1);
		fwait(&s->count, 0);
		atomic_fetch_sub(&s->waiters, 1);
	}
}

static ns_t barrier_wait(struct barrier *b)
{
	int seq = atomic_load(&b->seq);

	if (atomic_fetch_add(&b->waiting, 1) + 1 == b->users) {
		atomic_store(&b->waiting, 0);
		atomic_store(&b->woken, NOW());
		atomic_fetch_add(&b->seq, 1);
		fwake(&b->seq, INT_MAX);
		return atomic_load(&b->woken);
	}
	while (atomic_load(&b->seq) == seq)
		fwait(&b->seq, seq);
	return atomic_load(&b->woken);
}

/* ---- scheduling parameters ---- */

struct sched_attr_v0 {
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
};

static int set_params(int pid, const struct params *p)
{
	struct sched_attr_v0 a = { .size = sizeof(a), .policy = p->policy, .flags = p->reset, .nice = p->nice, .priority = p->rtprio,
		.runtime = p->runtime, .deadline = p->deadline, .period = p->period };

	return syscall(SYS_sched_setattr, pid, &a, 0) ? -errno : 0;
}

static void change_params(struct task *t, const struct params *n)
{
	struct params old = t->sched;
	int err = 0;

	if (!memcmp(&old, n, sizeof(old)))
		return;
	t->sched = *n;
	if (old.policy == n->policy && !n->rtprio && !n->runtime)
		err = setpriority(PRIO_PROCESS, 0, n->nice) ? -errno : 0;
	else
		err = set_params(0, n);
	if (err)
		complain("policy %d, nice %d, priority %d: %s", n->policy, n->nice, n->rtprio, strerror(-err));
}

static void comm_of(char out[16], const struct task *t)
{
	int n = 15 - (int)strlen(t->suffix);

	int m = snprintf(out, 16, "%.*s", n > 0 ? n : 0, progs[t->prog].name);

	snprintf(out + m, 16 - m, "%s", t->suffix);
}

static int write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), err = 0;

	if (fd < 0)
		return -errno;
	if (!text[0])
		text = "\n"; /* the kernel is not called for nothing */
	if (write(fd, text, strlen(text)) < 0)
		err = -errno;
	close(fd);
	return err;
}

static int move_to(const char *cgroup, int pid)
{
	char path[512], text[16];

	snprintf(path, sizeof(path), "/sys/fs/cgroup%s/cgroup.procs", cgroup);
	snprintf(text, sizeof(text), "%d", pid);
	return write_file(path, text);
}

/* ---- tasks ---- */

static int task_main(void *arg);

static struct task *new_task(int prog, const char *suffix, int forked)
{
	int i = atomic_fetch_add(&ntasks, 1);
	struct task *t = &tasks[i];

	if (i >= MAX_TASKS) {
		complain("more than %d tasks", MAX_TASKS);
		atomic_fetch_sub(&ntasks, 1);
		return NULL;
	}
	t->prog = prog;
	t->forked = forked;
	snprintf(t->suffix, sizeof(t->suffix), "%s", suffix);
	t->sched = (struct params){ 0 };
	t->cpus = all_cpus;
	return t;
}

/*
 * room makes what a task needs: a stack, notes and its timers. Their pages are touched, so that the task does not fault while it
 * is measured. Tasks fork too, and must not use malloc, which believes to be alone in the process: while the workload runs,
 * rooms come from a pool that was made before.
 */
static size_t room_size(int prog, int notes)
{
	return (STACK + notes * sizeof(struct note) + progs[prog].nuniques * sizeof(struct timer) + 4095) & ~4095ul;
}

static char *new_pages(size_t size)
{
	char *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	if (p == MAP_FAILED)
		die("no memory for tasks");
	return p;
}

static void room(struct task *t, int notes)
{
	size_t size = room_size(t->prog, notes);
	char *p = NULL;

	if (atomic_load(&pool_left) >= (long)size) {
		long left = atomic_fetch_sub(&pool_left, size);

		if (left >= (long)size)
			p = pool + left - size;
	}
	t->stack = p ? p : new_pages(size);
	t->notes = (struct note *)(t->stack + STACK);
	t->maxnotes = notes;
	t->uniques = (struct timer *)(t->notes + notes);
	for (int i = 0; i < progs[t->prog].nuniques; i++)
		t->uniques[i].absolute = progs[t->prog].unique_abs[i];
}

static int start(struct task *t)
{
	int pid;

	atomic_fetch_add(&live, 1);
	pid = clone(task_main, t->stack + STACK, CLONE_VM | CLONE_FILES | CLONE_FS | CLONE_CHILD_CLEARTID | CLONE_PARENT_SETTID | SIGCHLD,
		    t, (int *)&t->tid, NULL, (int *)&t->tid);
	if (pid < 0) {
		complain("clone: %s", strerror(errno));
		atomic_fetch_sub(&live, 1);
		return -1;
	}
	t->pid = pid;
	return 0;
}

static void note(struct task *t, int kind, ns_t at, ns_t value)
{
	if (t->nnotes < t->maxnotes)
		t->notes[t->nnotes] = (struct note){ at, value, kind };
	t->nnotes++;
}

static ns_t duration_of(struct task *t, const struct op *o)
{
	if (!o->random)
		return o->dur;
	if (t->draws.n == 0)
		return o->dur;
	if (t->ndrawn == t->draws.n)
		complain("%s%s: all %d random durations are used up, they begin again", progs[t->prog].name, t->suffix, t->draws.n);
	return t->draws.v[t->ndrawn++ % t->draws.n];
}

static void edge(struct task *t, const struct op *o, ns_t at)
{
	if (o->edge)
		t->release = at;
}

static void do_timer(struct task *t, const struct op *o)
{
	struct timer *m = o->unique ? &t->uniques[o->obj] : &timers[o->obj];
	ns_t d = duration_of(t, o), next, now, late;
	int fresh = 0;

	if (atomic_compare_exchange_strong(&m->started, &fresh, 1))
		atomic_store(&m->next, zero + progs[t->prog].delay);
	next = atomic_fetch_add(&m->next, d) + d;
	now = NOW();
	if (now < next) {
		sleep_until(next);
		edge(t, o, next);
		return;
	}
	late = now - next;
	if (!m->absolute) {
		atomic_store(&m->next, now);
		next = now;
	}
	edge(t, o, next);
	if (late > 0 && !o->random && o->dur > 0)
		note(t, NOTE_MISS, now, late);
}

static void do_fork(struct task *t, const struct op *o)
{
	char suffix[32];
	struct task *c;
	ns_t now = NOW();

	snprintf(suffix, sizeof(suffix), "-%d-%04d", atomic_load(&ntasks), t->nforked);
	c = new_task(o->fork, suffix, 1);
	if (c) {
		c->start = now;
		c->sched = t->sched;
		c->cpus = t->cpus;
		if (t->nforked < t->nforkdraws)
			c->draws = t->forks[t->nforked];
		room(c, FORK_NOTES);
		start(c);
	}
	t->nforked++;
}

static void do_op(struct task *t, const struct op *o)
{
	ns_t now, d;
	int seq;

	switch (o->kind) {
	case OP_MARK:
		now = NOW();
		note(t, NOTE_UNIT, now, now - t->release);
		t->release = now;
		break;
	case OP_RUN:
		run(t, duration_of(t, o));
		break;
	case OP_RUNTIME:
		d = duration_of(t, o);
		now = NOW();
		if (d < 32000)
			d = 32000; /* the work that rt-app does between two looks at the clock */
		while (NOW() < now + d)
			spin(1000000 / iter_ps);
		break;
	case OP_SLEEP:
		d = duration_of(t, o);
		now = NOW() + d;
		if (d > 0)
			sleep_until(now);
		edge(t, o, now);
		break;
	case OP_TIMER:
		do_timer(t, o);
		break;
	case OP_YIELD:
		sched_yield();
		break;
	case OP_FORK:
		do_fork(t, o);
		break;
	case OP_LOCK:
		lock(&mutexes[o->mutex]);
		break;
	case OP_UNLOCK:
		unlock(&mutexes[o->mutex]);
		break;
	case OP_SIGNAL:
		cond_wake(&conds[o->obj], 1);
		break;
	case OP_BROAD:
	case OP_RESUME:
		cond_wake(&conds[o->obj], INT_MAX);
		break;
	case OP_SUSPEND:
		seq = atomic_load(&conds[o->obj].seq);
		while (atomic_load(&conds[o->obj].seq) == seq)
			fwait(&conds[o->obj].seq, seq);
		edge(t, o, atomic_load(&conds[o->obj].woken));
		break;
	case OP_SYNC:
		cond_wake(&conds[o->obj], 1);
		/* fall through */
	case OP_WAIT:
		seq = atomic_load(&conds[o->obj].seq);
		unlock(&mutexes[o->mutex]);
		while (atomic_load(&conds[o->obj].seq) == seq)
			fwait(&conds[o->obj].seq, seq);
		now = atomic_load(&conds[o->obj].woken);
		lock(&mutexes[o->mutex]);
		edge(t, o, now);
		break;
	case OP_SEM_POST:
		sem_put(&sems[o->obj]);
		break;
	case OP_SEM_WAIT:
		edge(t, o, sem_take(&sems[o->obj]));
		break;
	case OP_BARRIER:
		edge(t, o, barrier_wait(&barriers[o->obj]));
		break;
	case NR_OPS:
		break;
	}
}

/* settings does what comes before the events of an iteration. */
static void settings(struct task *t, const struct phase *ph)
{
	if (!CPU_EQUAL(&ph->cpus, &t->cpus)) {
		t->cpus = ph->cpus;
		if (sched_setaffinity(0, sizeof(t->cpus), &t->cpus))
			complain("affinity: %s", strerror(errno));
	}
	if (ph->set)
		change_params(t, &ph->sched);
}

static int task_main(void *arg)
{
	struct task *t = arg;
	struct prog *p = &progs[t->prog];
	char name[16];

	comm_of(name, t);
	prctl(PR_SET_NAME, name);
	prctl(PR_SET_TIMERSLACK, 1);
	if (p->cgroup[0] && move_to(p->cgroup, 0))
		complain("%s: cannot enter %s", name, p->cgroup);
	if (p->nphases) {
		const struct params *first = p->phases[0].set ? &p->phases[0].sched : &p->sched;

		if (!CPU_EQUAL(&p->phases[0].cpus, &t->cpus)) {
			t->cpus = p->phases[0].cpus;
			if (sched_setaffinity(0, sizeof(t->cpus), &t->cpus))
				complain("affinity: %s", strerror(errno));
		}
		change_params(t, first);
	}
	t->release = zero + p->delay;
	if (t->release > t->start)
		sleep_until(t->release);
	else
		t->release = t->start;
	for (int round = 0; p->nphases && (p->loop < 0 || round < p->loop); round++)
		for (int i = 0; i < p->nphases; i++) {
			struct phase *ph = &p->phases[i];

			for (int k = 0; ph->loop <= 0 || k < ph->loop; k++) {
				settings(t, ph);
				for (int j = 0; j < ph->nops; j++)
					do_op(t, &ph->ops[j]);
			}
		}
	atomic_store(&t->ended, 1);
	if (!atomic_load(&t->killed) && atomic_fetch_sub(&live, 1) == 1)
		fwake((_Atomic int *)&live, INT_MAX);
	syscall(SYS_exit, 0);
	return 0;
}

#include "operator.h"
