// Package hostbpf runs BPF programs on the kernel under our feet: the reference for benchmarks and for the engines'
// semantics.
//
// Read Available first: bpf(2) needs privileges, so whoever uses the package skips with the reason where it says no. Maker
// makes random programs that the kernel's verifier accepts, which the interpreter, machine code and the kernel must run alike.
// Prober makes programs that a verifier accepts or nearly accepts.
package hostbpf
