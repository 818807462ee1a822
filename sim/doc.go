// Package sim is the simulated machine: a clock, an event queue, CPUs, tasks and the loop over scheduling classes.
//
// It follows kernel/sched/core.c of Linux 7.2: wakeups (try_to_wake_up), the context switch (__schedule), the tick
// (sched_tick), fork, exit, affinity and priority changes are the kernel's sequences, written once here, so that a
// scheduling class sees its callbacks in the kernel's order and with the kernel's flags.
//
// Read Machine first, then Task and Class. Everything that a run says leaves through Sink as one stream of Records.
//
// # How a run goes
//
// Run takes events out of the queue in the order of (time, phase, sequence). Each event belongs to a CPU, ThisCPU: the
// end of its current task's step, a timer, its part of the tick, a reschedule interrupt. The handler does its work as
// interrupt context would; resume then takes the way back to the task: it schedules while that is asked for, and lets
// the current task take steps until one needs time. What code on one CPU wants of another travels as an interrupt,
// a later event. So one CPU at a time runs to completion, in an order that depends on nothing but the inputs.
//
// Time passes between events only. Overhead (Charge) is counted: it moves the CPU's own clock (RQClock) ahead of Now
// and keeps its task from going on until Now has caught up.
//
// A simulation is one goroutine. Nothing here reads the wall clock, draws from a global random source, or depends on
// the order of a Go map. Once a machine has grown to its working size, events allocate nothing.
package sim
