// Package ops is the boundary between the sched_ext core and a policy: the table of callbacks (struct sched_ext_ops),
// one row of facts per callback, the flags and constants of the ABI, and the frame that says who is being called.
//
// The core (sched/class/ext) knows only Table; it cannot tell a policy written in Go from a BPF program. Callbacks
// are funcs in a struct, not methods of an interface, because absence has meaning in the kernel: without enqueue the
// global DSQ is used, without select_cpu the built-in pick, and update_idle switches the built-in idle tracking off.
package ops
