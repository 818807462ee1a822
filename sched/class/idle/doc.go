// Package idle is the scheduling class of the per-CPU idle tasks, after kernel/sched/idle.c of Linux 7.2. It is the
// last class of every machine: its Pick always has a task.
//
// It is also where the other classes learn of idle CPUs: the kernel's idle class tells sched_ext, this one tells the
// machine, which calls the hooks EnterIdle, ExitIdle and PickIdle of all classes.
package idle
