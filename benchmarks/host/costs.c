// Prices of the kernel's paths on the machine at hand, in ns: the least of many rounds, so that what else runs there counts little.
// One line each, "name ns". Compile with cc -O2 -pthread; scripts/host-costs does. docs/calibration.md says what is made of the numbers.
#define _GNU_SOURCE
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS 60

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ull + t.tv_nsec;
}

static void bind(int cpu)
{
	cpu_set_t s;

	CPU_ZERO(&s);
	CPU_SET(cpu, &s);
	if (sched_setaffinity(0, sizeof(s), &s))
		perror("sched_setaffinity"), exit(1);
}

// best keeps the least time per operation.
static void best(double *least, uint64_t from, int n)
{
	double d = (double)(now() - from) / n;

	if (*least == 0 || d < *least)
		*least = d;
}

static void syscalls(void)
{
	double least = 0;

	for (int r = 0; r < ROUNDS; r++) {
		uint64_t t = now();

		for (int i = 0; i < 20000; i++)
			syscall(SYS_getppid);
		best(&least, t, 20000);
	}
	printf("syscall %.1f\n", least);
}

static int to[2], from[2];
static _Atomic int stop;

static void *echo(void *arg)
{
	char c;

	bind(*(int *)arg);
	while (read(to[0], &c, 1) == 1)
		if (write(from[1], &c, 1) != 1)
			break;
	return 0;
}

// processes is pipes on one CPU between two processes: each switch changes the address space too.
static void processes(void)
{
	double least = 0;
	int cpu = 0;
	char c = 0;
	pid_t child;

	if (pipe(to) || pipe(from))
		perror("pipe"), exit(1);
	bind(0);
	child = fork();
	if (child == 0) {
		close(to[1]), close(from[0]);
		echo(&cpu);
		_exit(0);
	}
	close(to[0]), close(from[1]);
	for (int r = 0; r < ROUNDS; r++) {
		uint64_t t = now();

		for (int i = 0; i < 2000; i++)
			if (write(to[1], &c, 1) != 1 || read(from[0], &c, 1) != 1)
				exit(1);
		best(&least, t, 2000);
	}
	close(to[1]), close(from[0]);
	waitpid(child, 0, 0);
	printf("pipe_round_trip_processes %.1f\n", least);
}

static int ascending(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

// ticks measures what interrupts take from a thread that only looks at the clock: gaps between two looks, of which the tenth
// percentile stands for a tick with nothing to do. It also tells how many there were per second.
static void ticks(void)
{
	static uint64_t gaps[1 << 16];
	int n = 0;
	uint64_t start = now(), last = start, least = 1 << 30;

	for (uint64_t t; (t = now()) < start + 3000000000ull; last = t) {
		uint64_t d = t - last;

		if (d > 400 && n < 1 << 16)
			gaps[n++] = d;
		else if (d && d < least)
			least = d;
	}
	if (n < 10)
		return;
	qsort(gaps, n, sizeof(*gaps), ascending);
	printf("gap_p10 %llu\ngap_p50 %llu\ngaps_per_second %d\n", (unsigned long long)gaps[n / 10], (unsigned long long)gaps[n / 2], n / 3);
}

// pipes measures a round trip through two pipes: two wakeups, two switches, four calls.
static void pipes(const char *name, int a, int b)
{
	pthread_t p;
	double least = 0;
	char c = 0;

	if (pipe(to) || pipe(from))
		perror("pipe"), exit(1);
	bind(a);
	pthread_create(&p, 0, echo, &b);
	for (int r = 0; r < ROUNDS; r++) {
		uint64_t t = now();

		for (int i = 0; i < 2000; i++)
			if (write(to[1], &c, 1) != 1 || read(from[0], &c, 1) != 1)
				exit(1);
		best(&least, t, 2000);
	}
	close(to[1]);
	pthread_join(p, 0);
	close(to[0]), close(from[0]), close(from[1]);
	printf("%s %.1f\n", name, least);
}

// alone measures what pipes costs without a wakeup or a switch: a write and a read of a pipe by one thread.
static void alone(void)
{
	double least = 0;
	int p[2];
	char c = 0;

	if (pipe(p))
		perror("pipe"), exit(1);
	for (int r = 0; r < ROUNDS; r++) {
		uint64_t t = now();

		for (int i = 0; i < 5000; i++)
			if (write(p[1], &c, 1) != 1 || read(p[0], &c, 1) != 1)
				exit(1);
		best(&least, t, 5000);
	}
	close(p[0]), close(p[1]);
	printf("pipe_write_read %.1f\n", least);
}

static void *yielder(void *arg)
{
	bind(*(int *)arg);
	while (!atomic_load_explicit(&stop, memory_order_relaxed))
		sched_yield();
	return 0;
}

// yields measures sched_yield, alone and with another thread that yields on the same CPU.
static void yields(int cpu)
{
	pthread_t p;
	double least = 0, two = 0;

	bind(cpu);
	for (int r = 0; r < ROUNDS; r++) {
		uint64_t t = now();

		for (int i = 0; i < 5000; i++)
			sched_yield();
		best(&least, t, 5000);
	}
	printf("yield_alone %.1f\n", least);
	struct rusage u, v;
	int ops = 0;
	pthread_create(&p, 0, yielder, &cpu);
	sched_yield();
	getrusage(RUSAGE_THREAD, &u);
	for (int r = 0; r < ROUNDS; r++) {
		uint64_t t = now();

		for (int i = 0; i < 5000; i++)
			sched_yield();
		best(&two, t, 5000);
		ops += 5000;
	}
	getrusage(RUSAGE_THREAD, &v);
	atomic_store(&stop, 1);
	pthread_join(p, 0);
	printf("yield_two %.1f\nyield_two_switches %.2f\n", two, (double)(v.ru_nvcsw + v.ru_nivcsw - u.ru_nvcsw - u.ru_nivcsw) / ops);
}

static void *nothing(void *arg) { return arg; }

// creation measures pthread_create and fork.
static void creation(void)
{
	uint64_t thread = 1 << 30, process = 1 << 30;

	for (int r = 0; r < 2000; r++) {
		pthread_t p;
		uint64_t t = now();

		pthread_create(&p, 0, nothing, 0);
		t = now() - t;
		pthread_join(p, 0);
		if (t < thread)
			thread = t;
	}
	for (int r = 0; r < 200; r++) {
		uint64_t t = now();
		pid_t child = fork();

		if (child == 0)
			_exit(0);
		t = now() - t;
		waitpid(child, 0, 0);
		if (t < process)
			process = t;
	}
	printf("thread_create %llu\nfork %llu\n", (unsigned long long)thread, (unsigned long long)process);
}

static _Atomic int word;
static _Atomic int sleeping;

static long futex(int op, int v)
{
	return syscall(SYS_futex, &word, op | FUTEX_PRIVATE_FLAG, v, 0, 0, 0);
}

static _Atomic uint64_t woken;

static void *sleeper(void *arg)
{
	bind(*(int *)arg);
	for (int v = 0; v >= 0;) {
		atomic_store(&sleeping, 1);
		while ((v = atomic_load(&word)) == 0)
			futex(FUTEX_WAIT, 0);
		atomic_store(&woken, now());
		atomic_store(&word, v < 0 ? v : 0);
	}
	return 0;
}

// wakes measures futex(FUTEX_WAKE) of a thread that sleeps on another CPU, and how long it takes until that runs.
static void wakes(int a, int b)
{
	pthread_t p;
	double call = 0, until = 0, none = 0;

	for (int r = 0; r < ROUNDS; r++) {
		uint64_t t = now();

		for (int i = 0; i < 5000; i++)
			futex(FUTEX_WAKE, 1);
		best(&none, t, 5000);
	}
	printf("futex_wake_none %.1f\n", none);
	bind(a);
	pthread_create(&p, 0, sleeper, &b);
	for (int r = 0; r < 3000; r++) {
		while (!atomic_load(&sleeping))
			;
		struct timespec nap = {0, r % 2 ? 20000 : 200000};
		nanosleep(&nap, 0); // the other CPU goes idle meanwhile
		atomic_store(&sleeping, 0);
		atomic_store(&woken, 0);
		uint64_t t = now();
		atomic_store(&word, 1);
		long n = futex(FUTEX_WAKE, 1);
		uint64_t done = now();
		uint64_t w;
		while (!(w = atomic_load(&woken)))
			;
		if (n == 1 && (call == 0 || done - t < call))
			call = done - t;
		if (n == 1 && w > t && (until == 0 || w - t < until))
			until = w - t;
	}
	while (!atomic_load(&sleeping))
		;
	atomic_store(&word, -1);
	futex(FUTEX_WAKE, 1);
	pthread_join(p, 0);
	printf("futex_wake_idle_cpu %.1f\nfutex_wake_to_run_idle_cpu %.1f\n", call, until);
}

int main(void)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	bind(0);
	syscalls();
	alone();
	yields(0);
	pipes("pipe_round_trip_one_cpu", 0, 0);
	processes();
	creation();
	ticks();
	if (cpus > 1) {
		pipes("pipe_round_trip_two_cpus", 0, 1);
		wakes(0, 1);
	}
	return 0;
}
