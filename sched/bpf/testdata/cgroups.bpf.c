#include "bpf.h"

/* A scheduler for nobody, and what programs at the events of cgroups are told, as records and as arguments: of a process of two
 * threads that goes to a new cgroup /x/y and back, and of that cgroup when it goes. */

struct trace_entry { u64 common; };
struct trace_event_raw_cgroup { struct trace_entry ent; int root, level; u64 id; u32 __data_loc_path; } relocatable;
struct trace_event_raw_cgroup_migrate {
	struct trace_entry ent; int dst_root, dst_level; u64 dst_id; int pid; u32 __data_loc_dst_path, __data_loc_comm;
} relocatable;
struct task_struct { int pid, tgid; } relocatable;
struct kernfs_node { u64 id; } relocatable;
struct cgroup { struct kernfs_node *kn; int level; } relocatable;
struct sched_ext_ops {
	s32 (*init)(void);
	u64 flags;
	char name[128];
};

static long (*const read_str)(void *dst, u32 size, const void *src) = (void *)115;

s32 result[24];
char mkdir_path[16], rmdir_path[16], attach_path[16], btf_path[16];
static u64 id;

SEC("tp/cgroup/cgroup_mkdir") int on_mkdir(struct trace_event_raw_cgroup *c)
{
	result[0]++;
	result[1] = c->root;
	result[2] = c->level;
	result[3] = c->__data_loc_path & 0xffff;
	result[4] = c->__data_loc_path >> 16;
	read_str(mkdir_path, sizeof(mkdir_path), (void *)c + (c->__data_loc_path & 0xffff));
	id = c->id;
	return 0;
}

SEC("tp/cgroup/cgroup_rmdir") int on_rmdir(struct trace_event_raw_cgroup *c)
{
	result[5]++;
	result[6] = c->level;
	result[7] += c->id == id;
	read_str(rmdir_path, sizeof(rmdir_path), (void *)c + (c->__data_loc_path & 0xffff));
	return 0;
}

SEC("tp/cgroup/cgroup_attach_task") int on_attach(struct trace_event_raw_cgroup_migrate *c)
{
	if (!result[0])
		return 0;
	result[8]++;
	result[9] = c->dst_root;
	result[10] = c->dst_level;
	result[11] += c->dst_id == id;
	result[12] = c->__data_loc_dst_path & 0xffff;
	result[13] = c->__data_loc_dst_path >> 16;
	result[14] = (c->__data_loc_comm & 0xffff) - result[12] - result[13];
	if (c->dst_id == id)
		read_str(attach_path, sizeof(attach_path), (void *)c + (c->__data_loc_dst_path & 0xffff));
	return 0;
}

SEC("tp_btf/cgroup_attach_task") int at_attach(u64 *ctx)
{
	struct task_struct *p = (void *)ctx[2];
	struct cgroup *c = (void *)ctx[0];

	if (!result[0])
		return 0;
	result[15]++;
	result[16] += p->pid == p->tgid;
	result[17] += (bool)ctx[3];
	result[18] += c->kn->id == id;
	if (c->kn->id == id)
		read_str(btf_path, sizeof(btf_path), (void *)ctx[1]);
	return 0;
}

SEC("struct_ops.s/init") s32 cgroups_init(void *ctx) { return 0; }

SEC(".struct_ops.link") struct sched_ext_ops cgroups_ops = {
	.init = (void *)cgroups_init,
	.flags = 8,
	.name = "cgroups",
};
