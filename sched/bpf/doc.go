// Package bpf makes a scheduling policy of a BPF object: it reads and links the file for the simulated kernel, checks
// that every callback calls only the kernel functions that it may, loads the programs and binds them to the members of
// ops.Table.
//
// Read Policy first; bind.go has one entry per member, args.go builds what programs are passed, host.go is the kernel
// around them. What follows the kernel here is the struct_ops side of kernel/sched/ext/ext.c (7.2): bpf_scx_init_member,
// bpf_scx_check_member.
package bpf
