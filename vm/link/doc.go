// Package link turns the blueprint of an object file into a program set for one kernel: CO-RE relocations are computed
// against the kernel's BTF, externs (kernel functions and variables, kconfig values) resolved, instructions decoded to
// ir.Program, calls and branches resolved, and constants folded to learn which instructions can run at all.
//
// It follows libbpf (tools/lib/bpf/libbpf.c and relo_core.c, 7.2) in what it accepts, and the kernel's verifier in what
// counts as dead: a call under a branch that a missing kernel function, a kconfig value or read-only data rules out is
// never checked.
//
// Read Object first, then Link.
package link
