// Package ext models kernel/sched/ext/ of Linux 7.2: the sched_ext scheduling class. It owns all semantics of the
// core: dispatch queues, custody, the dispatch loop, direct dispatch, idle tracking, kicks, bypass mode, the watchdog,
// error exits. Functions carry the kernel's names in Go's case.
//
// Kernel is the class; it drives a policy through ops.Table. The kernel functions that a policy may call (scx_bpf_*)
// are methods of Kernel with the same names: Go policies call them directly, package kfuncs on behalf of BPF programs.
//
// The kernel's locks are not modelled and neither are the windows that open when it drops one: everything that the
// kernel does under a chain of runqueue locks happens here at one instant. What the kernel defers to an irq work or a
// balance callback (kicks, direct dispatches to the local DSQ of another CPU, re-enqueues, the end of a policy) is
// deferred here too, to the end of the running event (sim.IRQWork).
//
// Instances form a tree (sched, tree): the root policy, and sub-schedulers for cgroups. What one task meets is decided by the
// instance that it belongs to; what a CPU does, by the root, which lets children dispatch.
//
// Not modelled: core scheduling (off in the reference kernel), the tick that a CPU may stop for a task with an infinite
// slice, the effect of scx_bpf_cpuperf_set on the speed of a CPU.
//
// Read Kernel first, then enqueue.go and dispatch.go, which are the life of a task.
package ext
