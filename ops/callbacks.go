package ops

import "github.com/schedsim/schedsim/vm/abi"

// ArgKind is the type of a callback argument.
type ArgKind uint8

// Argument kinds. Scalars are 64-bit slots of the argument block; pointers are trusted.
const (
	ArgScalar ArgKind = iota
	ArgTask
	ArgTaskNullable
	ArgCPUMask
	ArgCMask
	ArgCgroup
	ArgStruct // a pointer to the struct named in Arg.Type
)

// Arg is one argument of a callback.
type Arg struct {
	Name string
	Kind ArgKind
	Type string // C type, as the kernel spells it
}

// Row is what is known of one callback.
type Row struct {
	ID Callback
	// Name is the member of struct sched_ext_ops, CIDName that of struct sched_ext_ops_cid; "" where it has none.
	Name, CIDName string
	// Args are those of the cpu form; ByMember gives those of the form asked for.
	Args []Arg
	Ret  string // C type; "void" for none
	// Sleepable tells that a sleepable program may implement it.
	Sleepable bool
	// Allows are the groups of kfuncs that may be called from it, beside those allowed everywhere (scx_kf_allow_flags).
	Allows abi.Groups
}

// Rows returns what is known of every callback, in the order of Callback.
func Rows() []Row {
	return []Row{
		{ID: SelectCPU, Name: "select_cpu", CIDName: "select_cid", Args: []Arg{{"p", ArgTask, "struct task_struct *"}, {"prev_cpu", ArgScalar, "s32"}, {"wake_flags", ArgScalar, "u64"}},
			Ret: "s32", Allows: GroupSelectCPU | GroupEnqueue},
		{ID: Enqueue, Name: "enqueue", CIDName: "enqueue", Args: []Arg{{"p", ArgTask, "struct task_struct *"}, {"enq_flags", ArgScalar, "u64"}},
			Ret: "void", Allows: GroupSelectCPU | GroupEnqueue},
		{ID: Dequeue, Name: "dequeue", CIDName: "dequeue", Args: []Arg{{"p", ArgTask, "struct task_struct *"}, {"deq_flags", ArgScalar, "u64"}},
			Ret: "void"},
		{ID: Dispatch, Name: "dispatch", CIDName: "dispatch", Args: []Arg{{"cpu", ArgScalar, "s32"}, {"prev", ArgTaskNullable, "struct task_struct *"}},
			Ret: "void", Allows: GroupEnqueue | GroupDispatch},
		{ID: Tick, Name: "tick", CIDName: "tick", Args: []Arg{{"p", ArgTask, "struct task_struct *"}}, Ret: "void"},
		{ID: Runnable, Name: "runnable", CIDName: "runnable", Args: []Arg{{"p", ArgTask, "struct task_struct *"}, {"enq_flags", ArgScalar, "u64"}},
			Ret: "void"},
		{ID: Running, Name: "running", CIDName: "running", Args: []Arg{{"p", ArgTask, "struct task_struct *"}}, Ret: "void"},
		{ID: Stopping, Name: "stopping", CIDName: "stopping", Args: []Arg{{"p", ArgTask, "struct task_struct *"}, {"runnable", ArgScalar, "bool"}},
			Ret: "void"},
		{ID: Quiescent, Name: "quiescent", CIDName: "quiescent", Args: []Arg{{"p", ArgTask, "struct task_struct *"}, {"deq_flags", ArgScalar, "u64"}},
			Ret: "void"},
		{ID: Yield, Name: "yield", CIDName: "yield", Args: []Arg{{"from", ArgTask, "struct task_struct *"}, {"to", ArgTaskNullable, "struct task_struct *"}},
			Ret: "bool"},
		{ID: CoreSchedBefore, Name: "core_sched_before", CIDName: "core_sched_before", Args: []Arg{{"a", ArgTask, "struct task_struct *"}, {"b", ArgTask, "struct task_struct *"}},
			Ret: "bool"},
		{ID: SetWeight, Name: "set_weight", CIDName: "set_weight", Args: []Arg{{"p", ArgTask, "struct task_struct *"}, {"weight", ArgScalar, "u32"}},
			Ret: "void"},
		{ID: SetCPUMask, Name: "set_cpumask", CIDName: "set_cmask", Args: []Arg{{"p", ArgTask, "struct task_struct *"}, {"cpumask", ArgCPUMask, "const struct cpumask *"}},
			Ret: "void"},
		{ID: UpdateIdle, Name: "update_idle", CIDName: "update_idle", Args: []Arg{{"cpu", ArgScalar, "s32"}, {"idle", ArgScalar, "bool"}}, Ret: "void"},
		{ID: InitTask, Name: "init_task", CIDName: "init_task", Args: []Arg{{"p", ArgTask, "struct task_struct *"}, {"args", ArgStruct, "struct scx_init_task_args *"}},
			Ret: "s32", Sleepable: true, Allows: GroupUnlocked},
		{ID: ExitTask, Name: "exit_task", CIDName: "exit_task", Args: []Arg{{"p", ArgTask, "struct task_struct *"}, {"args", ArgStruct, "struct scx_exit_task_args *"}},
			Ret: "void"},
		{ID: Enable, Name: "enable", CIDName: "enable", Args: []Arg{{"p", ArgTask, "struct task_struct *"}}, Ret: "void"},
		{ID: Disable, Name: "disable", CIDName: "disable", Args: []Arg{{"p", ArgTask, "struct task_struct *"}}, Ret: "void"},
		{ID: Dump, Name: "dump", CIDName: "dump", Args: []Arg{{"ctx", ArgStruct, "struct scx_dump_ctx *"}}, Ret: "void", Allows: GroupUnlocked},
		{ID: DumpCPU, Name: "dump_cpu", CIDName: "dump_cid", Args: []Arg{{"ctx", ArgStruct, "struct scx_dump_ctx *"}, {"cpu", ArgScalar, "s32"}, {"idle", ArgScalar, "bool"}},
			Ret: "void"},
		{ID: DumpTask, Name: "dump_task", CIDName: "dump_task", Args: []Arg{{"ctx", ArgStruct, "struct scx_dump_ctx *"}, {"p", ArgTask, "struct task_struct *"}},
			Ret: "void"},
		{ID: CgroupInit, Name: "cgroup_init", CIDName: "cgroup_init", Args: []Arg{{"cgrp", ArgCgroup, "struct cgroup *"}, {"args", ArgStruct, "struct scx_cgroup_init_args *"}},
			Ret: "s32", Sleepable: true, Allows: GroupUnlocked},
		{ID: CgroupExit, Name: "cgroup_exit", CIDName: "cgroup_exit", Args: []Arg{{"cgrp", ArgCgroup, "struct cgroup *"}},
			Ret: "void", Sleepable: true, Allows: GroupUnlocked},
		{ID: CgroupPrepMove, Name: "cgroup_prep_move", CIDName: "cgroup_prep_move", Args: []Arg{{"p", ArgTask, "struct task_struct *"}, {"from", ArgCgroup, "struct cgroup *"}, {"to", ArgCgroup, "struct cgroup *"}},
			Ret: "s32", Sleepable: true, Allows: GroupUnlocked},
		{ID: CgroupMove, Name: "cgroup_move", CIDName: "cgroup_move", Args: []Arg{{"p", ArgTask, "struct task_struct *"}, {"from", ArgCgroup, "struct cgroup *"}, {"to", ArgCgroup, "struct cgroup *"}},
			Ret: "void"},
		{ID: CgroupCancelMove, Name: "cgroup_cancel_move", CIDName: "cgroup_cancel_move", Args: []Arg{{"p", ArgTask, "struct task_struct *"}, {"from", ArgCgroup, "struct cgroup *"}, {"to", ArgCgroup, "struct cgroup *"}},
			Ret: "void", Allows: GroupUnlocked},
		{ID: CgroupSetWeight, Name: "cgroup_set_weight", CIDName: "cgroup_set_weight", Args: []Arg{{"cgrp", ArgCgroup, "struct cgroup *"}, {"weight", ArgScalar, "u32"}},
			Ret: "void", Allows: GroupUnlocked},
		{ID: CgroupSetBandwidth, Name: "cgroup_set_bandwidth", CIDName: "cgroup_set_bandwidth", Args: []Arg{{"cgrp", ArgCgroup, "struct cgroup *"}, {"period_us", ArgScalar, "u64"}, {"quota_us", ArgScalar, "u64"}, {"burst_us", ArgScalar, "u64"}},
			Ret: "void", Allows: GroupUnlocked},
		{ID: CgroupSetIdle, Name: "cgroup_set_idle", CIDName: "cgroup_set_idle", Args: []Arg{{"cgrp", ArgCgroup, "struct cgroup *"}, {"idle", ArgScalar, "bool"}},
			Ret: "void", Allows: GroupUnlocked},
		{ID: SubAttach, Name: "sub_attach", CIDName: "sub_attach", Args: []Arg{{"args", ArgStruct, "struct scx_sub_attach_args *"}},
			Ret: "s32", Sleepable: true, Allows: GroupUnlocked},
		{ID: SubDetach, Name: "sub_detach", CIDName: "sub_detach", Args: []Arg{{"args", ArgStruct, "struct scx_sub_detach_args *"}},
			Ret: "void", Sleepable: true, Allows: GroupUnlocked},
		{ID: CPUOnline, Name: "cpu_online", CIDName: "cid_online", Args: []Arg{{"cpu", ArgScalar, "s32"}},
			Ret: "void", Sleepable: true, Allows: GroupUnlocked},
		{ID: CPUOffline, Name: "cpu_offline", CIDName: "cid_offline", Args: []Arg{{"cpu", ArgScalar, "s32"}},
			Ret: "void", Sleepable: true, Allows: GroupUnlocked},
		{ID: Init, Name: "init", CIDName: "init", Ret: "s32", Sleepable: true, Allows: GroupUnlocked | GroupInit},
		{ID: Exit, Name: "exit", CIDName: "exit", Args: []Arg{{"info", ArgStruct, "struct scx_exit_info *"}},
			Ret: "void", Sleepable: true, Allows: GroupUnlocked},
		{ID: CPUAcquire, Name: "cpu_acquire", CIDName: "", Args: []Arg{{"cpu", ArgScalar, "s32"}, {"args", ArgStruct, "struct scx_cpu_acquire_args *"}},
			Ret: "void"},
		{ID: CPURelease, Name: "cpu_release", CIDName: "", Args: []Arg{{"cpu", ArgScalar, "s32"}, {"args", ArgStruct, "struct scx_cpu_release_args *"}},
			Ret: "void", Allows: GroupCPURelease},
	}
}

// ByID returns the row of a callback; id must be one.
func ByID(id Callback) Row { return Rows()[id-1] }

// ByMember returns the row of the callback behind a member of struct sched_ext_ops, or of struct sched_ext_ops_cid if cid
// is set, with the arguments that it has there.
func ByMember(name string, cid bool) (Row, bool) {
	for _, r := range Rows() {
		if r.Member(cid) == name && name != "" {
			if cid && r.ID == SetCPUMask {
				r.Args[1] = Arg{"cmask", ArgCMask, "const struct scx_cmask *"}
			}
			return r, true
		}
	}
	return Row{}, false
}

// Member is the name of the callback in the form given, "" if it has none there.
func (r Row) Member(cid bool) string {
	if cid {
		return r.CIDName
	}
	return r.Name
}

// String returns the name of the callback in struct sched_ext_ops.
func (c Callback) String() string {
	if c == None || c >= NrCallbacks {
		return "none"
	}
	return ByID(c).Name
}
