// Package helpers models the numbered BPF helpers that schedulers, and the programs that come with them, call. It follows
// kernel/bpf/helpers.c, ringbuf.c, bpf_task_storage.c and kernel/trace/bpf_trace.c (7.2): argument checks, error numbers,
// return values. A helper that is not modelled has a reason (Note).
//
// What the kernel's verifier guarantees about arguments is not taken for granted: a pointer that is no map, or memory that
// is not there, ends the program with a Fault.
//
// Read Env first: Env.Table is what an engine calls.
package helpers
