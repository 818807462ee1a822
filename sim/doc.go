// Package sim is the simulated machine: a clock, an event queue, CPUs, tasks and the loop over scheduling classes.
//
// It follows kernel/sched/core.c of Linux 7.2: wakeups (try_to_wake_up), the context switch (__schedule), the tick
// (sched_tick), fork, exit, affinity and priority changes are the kernel's sequences, written once here, so that a
// scheduling class sees its callbacks in the kernel's order and with the kernel's flags.
//
// Read Machine first, then Task and Class. Everything that a run says leaves through Sink as one stream of Records.
//
// A simulation is one goroutine. Nothing here reads the wall clock, draws from a global random source, or depends on
// the order of a Go map.
package sim
