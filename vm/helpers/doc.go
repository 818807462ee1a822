// Package helpers models the numbered BPF helpers that schedulers call. It follows kernel/bpf/helpers.c,
// kernel/trace/bpf_trace.c and kernel/bpf/bpf_task_storage.c (7.2): argument checks, error numbers, return values.
//
// What the kernel's verifier guarantees about arguments is not taken for granted: a pointer that is no map, or memory that
// is not there, ends the program with a Fault.
//
// Read Env first: Env.Table is what an engine calls.
package helpers
