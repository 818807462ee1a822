package abi

// NUMAHost is a Host that knows the node of its current processor (bpf_get_numa_node_id); a Host that is none has one node.
type NUMAHost interface {
	Host
	Node() int32
}

// CommHost is a Host that knows the name of its current task (bpf_get_current_comm); without it names are empty.
type CommHost interface {
	Host
	CurrentComm() string
}

// IRQHost is a Host that knows whether interrupts are off where the program runs: there the kernel refuses
// bpf_timer_cancel with EOPNOTSUPP. Without it they are on.
type IRQHost interface {
	Host
	IRQsDisabled() bool
}

// CgroupHost is a Host whose tasks are in cgroups (of the default hierarchy); without it they all are in the root, whose id is
// 1.
type CgroupHost interface {
	Host
	// CurrentCgroupID is bpf_get_current_cgroup_id; AncestorCgroupID that of the ancestor at a level (0: the root), 0 if
	// there is none.
	CurrentCgroupID() uint64
	AncestorCgroupID(level int32) uint64
	// UnderCgroup tells whether the current task is in the cgroup at that address or below it.
	UnderCgroup(cgroup uint64) bool
}

// DyingHost is a Host whose cgroups come and go. Without it they stay.
type DyingHost interface {
	Host
	// Dying tells whether the cgroup at that address was removed (percpu_ref_is_dying of its reference count).
	Dying(cgroup uint64) bool
}

// PerfHost is a Host with performance counters: the value of an event that user space put into a perf_event_array, and how
// long it was enabled and counted, in nanoseconds. Without it events have counted nothing.
type PerfHost interface {
	Host
	ReadPerf(event uint64) (count, enabled, running uint64)
}

// PaceHost is a Host whose processors execute side by side. Pace is called before a program takes a lock: others do then what they do until the
// processor gets there. They may run programs of the same set.
type PaceHost interface {
	Host
	Pace()
	// Paces tells whether Pace does anything.
	Paces() bool
}

// NodesHost is a Host that knows the number of NUMA nodes; a Host that is none has one.
type NodesHost interface {
	Host
	NrNodes() int32
}
