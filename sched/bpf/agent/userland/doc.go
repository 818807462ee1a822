// Package userland models schedulers whose policy is a process: programs hand tasks to it through a queue or a ring buffer, it
// orders them and hands them back. The process is a task of the simulated machine: it is scheduled by the very scheduler that it
// is the other half of, its work costs CPU time (Costs), and while it does not run nobody is dispatched.
//
// Two are known: the kernel's example scx_userland (tools/sched_ext, 7.2), and the schedulers on scx_rustland_core of the SCX
// project, which are scx_rustland and scx_rlfifo. None of them sleeps: each gives up the CPU with sched_yield after a turn, and
// its programs leave it aside until there is work.
//
// Read Agent first, then worker, which is what the schedulers have in common.
package userland
