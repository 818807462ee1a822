/* A scheduler that leaves everything to the kernel, and programs that the kernel runs through perf events: at tracepoints with
 * the tracepoint's record, at functions with the registers. TestEvents says what they are to see. */
#include "bpf.h"

struct task_struct { int pid; char comm[16]; } relocatable;
struct seq_file;
struct bpf_iter_meta { struct seq_file *seq; u64 seq_num; } relocatable;
struct bpf_iter__task { struct bpf_iter_meta *meta; struct task_struct *task; } relocatable;
struct trace_entry { u64 common; };
struct trace_event_raw_sched_switch { struct trace_entry ent; char prev_comm[16]; int prev_pid, prev_prio; long prev_state; char next_comm[16]; int next_pid, next_prio; } relocatable;
struct trace_event_raw_sched_wakeup_template { struct trace_entry ent; char comm[16]; int pid, prio, target_cpu; } relocatable;
struct trace_event_raw_sched_process_fork { struct trace_entry ent; u32 __data_loc_child_comm; int parent_pid, child_pid; } relocatable;
struct trace_event_raw_sched_process_exit { struct trace_entry ent; int pid; bool group_dead; } relocatable;
struct trace_event_raw_task_rename { struct trace_entry ent; int pid; char oldcomm[16], newcomm[16]; } relocatable;
struct trace_event_raw_cgroup_migrate { struct trace_entry ent; u64 dst_id; int pid; } relocatable;
struct trace_event_raw_sched_migrate_task { struct trace_entry ent; int pid, orig_cpu, dest_cpu; } relocatable;
struct enter { struct trace_entry ent; int nr; u64 args[6]; };
struct leave { struct trace_entry ent; int nr; long ret; };
struct pt_regs { unsigned long cx, dx, si, di, ax; } relocatable;

static long (*const read_str)(void *dst, u32 size, const void *src) = (void *)115;

u64 switches, preempted, slept, died, wakings, wakeups, woken_cpu, forks, child, deaths, group_deaths, migrations;
u64 waits, wakes, wait_done, timeouts, woken, execs, attach_id, attach_pid, registered, probed, woken_ret, woken_fexit, timeouts_fexit;
char child_comm[16], woken_comm[16], renamed_from[16], renamed_to[16];

SEC("tp/sched/sched_switch") int on_switch(struct trace_event_raw_sched_switch *c)
{
	switches++;
	if (c->prev_state == 0x100)
		preempted++;
	else if (c->prev_state & 1)
		slept++;
	else if (c->prev_state & 0x30)
		died++;
	if (c->prev_pid == c->next_pid && c->next_pid)
		switches += 1000000; /* never */
	return 0;
}
SEC("tracepoint/sched/sched_waking") int on_waking(struct trace_event_raw_sched_wakeup_template *c)
{
	wakings++;
	return 0;
}
SEC("tp/sched/sched_wakeup") int on_wakeup(struct trace_event_raw_sched_wakeup_template *c)
{
	wakeups++;
	woken_cpu = c->target_cpu;
	read_str(woken_comm, 16, c->comm);
	return 0;
}
SEC("tp/sched/sched_migrate_task") int on_migrate(struct trace_event_raw_sched_migrate_task *c)
{
	if (c->orig_cpu != c->dest_cpu)
		migrations++;
	return 0;
}
SEC("tp/sched/sched_process_fork") int on_fork(struct trace_event_raw_sched_process_fork *c)
{
	forks++;
	child = c->child_pid;
	read_str(child_comm, 16, (char *)c + (c->__data_loc_child_comm & 0xffff));
	return 0;
}
SEC("tp/sched/sched_process_exit") int on_exit(struct trace_event_raw_sched_process_exit *c)
{
	deaths++;
	group_deaths += c->group_dead;
	return 0;
}
SEC("tp/syscalls/sys_enter_futex") int on_enter_futex(struct enter *c)
{
	if (c->nr != 202)
		return 0;
	if ((c->args[1] & 0x7f) == 0)
		waits++;
	else if ((c->args[1] & 0x7f) == 1)
		wakes++;
	return 0;
}
SEC("tp/syscalls/sys_exit_futex") int on_exit_futex(struct leave *c)
{
	if (c->ret == -110)
		timeouts++;
	else if (c->ret == 0)
		wait_done++;
	else
		woken += c->ret;
	return 0;
}
SEC("tp/syscalls/sys_enter_execve") int on_exec(struct enter *c)
{
	execs += c->nr == 59;
	return 0;
}
SEC("tp/task/task_rename") int on_rename(struct trace_event_raw_task_rename *c)
{
	read_str(renamed_from, 16, c->oldcomm);
	read_str(renamed_to, 16, c->newcomm);
	return 0;
}
SEC("tp/cgroup/cgroup_attach_task") int on_attach(struct trace_event_raw_cgroup_migrate *c)
{
	attach_id = c->dst_id;
	attach_pid = c->pid;
	return 0;
}
SEC("tp/irq/softirq_entry") int on_softirq(void *c)
{
	return 0;
}
/* The record has no such bytes. */
SEC("?tp/sched/sched_process_exit") int too_far(u64 *c)
{
	deaths += c[7];
	return 0;
}

SEC("kprobe/futex_wake") int on_futex_wake(struct pt_regs *r)
{
	probed += r->di == 0;
	return 0;
}
SEC("kretprobe/futex_wake") int on_futex_woken(struct pt_regs *r)
{
	woken_ret += r->ax;
	return 0;
}
SEC("kprobe/bpf_scx_reg") int on_reg(struct pt_regs *r)
{
	registered++;
	return 0;
}
SEC("kprobe/vfs_read") int on_read(struct pt_regs *r)
{
	return 0;
}
SEC("fexit/futex_wake") int on_wake_end(u64 *ctx)
{
	woken_fexit += (int)ctx[4];
	return 0;
}
SEC("fexit/__futex_wait") int on_wait_end(u64 *ctx)
{
	timeouts_fexit += (int)ctx[5] == -110;
	return 0;
}

/* What user space reads: a line for each thread, and one for the end. */
static long (*const seq_printf)(struct seq_file *m, const char *fmt, u32 size, const void *data, u32 len) = (void *)126;
static long (*const seq_write)(struct seq_file *m, const void *data, u32 len) = (void *)127;
u64 widths, failed; /* 4000: what is written for each does not fit one read */
char wide[4000];

SEC("iter/task") int on_iter(struct bpf_iter__task *c)
{
	static const char fmt[] = "%d %d\n", end[] = "end\n";
	struct task_struct *p = c->task;
	u64 args[2];

	if (!p) {
		seq_write(c->meta->seq, end, 4);
		return 0;
	}
	if (widths && seq_write(c->meta->seq, wide, sizeof(wide)))
		failed++;
	args[0] = c->meta->seq_num;
	args[1] = p->pid;
	seq_printf(c->meta->seq, fmt, sizeof(fmt), args, sizeof(args));
	return 0;
}

struct sched_ext_ops { s32 (*init)(void); char name[128]; };
SEC("struct_ops.s/init") int on_init(u64 *ctx)
{
	return 0;
}
SEC(".struct_ops.link") struct sched_ext_ops table = { .init = (void *)on_init, .name = "events" };
