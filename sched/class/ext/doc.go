// Package ext models kernel/sched/ext/ of Linux 7.2: the sched_ext scheduling class. It owns all semantics of the
// core: dispatch queues, custody, the dispatch loop, direct dispatch, idle tracking, kicks, bypass mode, the watchdog,
// error exits. Functions carry the kernel's names in Go's case.
//
// Kernel is the class; it drives a policy through ops.Table. The kernel functions that a policy may call (scx_bpf_*)
// are methods of Kernel with the same names: Go policies call them directly, package kfuncs on behalf of BPF programs.
package ext
