package ext

// Kernel is the sched_ext class of one machine.
type Kernel struct{}
