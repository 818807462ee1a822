// Package progtype says what BPF programs of other types than struct_ops may do: the fields of their contexts, the helpers and
// kernel functions that they may call, what they may return. It follows the tables of Linux 7.2: struct bpf_verifier_ops of
// net/core/filter.c, kernel/bpf/cgroup.c and kernel/bpf/bpf_lsm.c, the sets of kernel functions that BTF_KFUNCS_START begins,
// and the section names of libbpf.
//
// No machine here runs such programs. They matter because objects contain them, and because the kernel's own tests of its
// verifier are mostly written as such.
//
// Start with Network.
package progtype
