package ops

import "github.com/schedsim/schedsim/vm/abi"

// The groups of kernel functions, after the sets scx_kfunc_ids_* (kernel/sched/ext/, 7.2). A kernel function may be in
// several; package kfuncs decides from them what may be called where.
const (
	// GroupAny and GroupIdle are callable wherever a sched_ext kernel function is.
	GroupAny abi.Groups = 1 << iota
	GroupIdle
	// GroupUnlocked to GroupCPURelease depend on the callback (Row.Allows).
	GroupUnlocked
	GroupInit
	GroupSelectCPU
	GroupEnqueue // scx_kfunc_ids_enqueue_dispatch
	GroupDispatch
	GroupCPURelease
	// GroupCPUOnly is forbidden to sched_ext_ops_cid, whatever other groups allow.
	GroupCPUOnly
	// GroupCID has no filter: it is callable from other struct_ops too.
	GroupCID
	// GroupGeneric are kernel functions that are not sched_ext's, for struct_ops, syscall and tracing programs.
	GroupGeneric
	// GroupCommon are those for programs of all types.
	GroupCommon
)

// groupNames are the names of the sets, by bit.
var groupNames = [...]string{
	"any", "idle", "unlocked", "init", "select_cpu", "enqueue_dispatch", "dispatch", "cpu_release", "cpu_only", "cid", "generic", "common",
}

// GroupNames returns the kernel's names of the groups in g.
func GroupNames(g abi.Groups) []string {
	var out []string
	for i, n := range groupNames {
		if g&(1<<i) != 0 {
			out = append(out, n)
		}
	}
	return out
}

// GroupByName returns the group with one of the names of GroupNames, 0 if there is none.
func GroupByName(name string) abi.Groups {
	for i, n := range groupNames {
		if n == name {
			return 1 << i
		}
	}
	return 0
}
