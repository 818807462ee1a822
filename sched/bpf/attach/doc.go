// Package attach says for a program of an object what its place in a kernel means for the verifier: its arguments, the
// rule for its return value, which helpers and kernel functions it may call, which fields it may write. It is the one
// source of that for loading, for the verify command and for tests.
//
// Start with Program. It follows the bpf_verifier_ops of the program types: bpf_scx_verifier_ops (kernel/sched/ext/ext.c,
// 7.2), those of kernel/trace/bpf_trace.c, kernel/bpf/syscall.c and kernel/bpf/bpf_iter.c, bpf_check_attach_target
// (kernel/bpf/verifier.c) and btf_ctx_access (kernel/bpf/btf.c). Which kernel function may be called from where is package
// kfuncs's business.
//
// Networking programs are here only as far as they touch nothing of networking: their context has a few numbers.
package attach
