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
