// Package amd64 is the engine that compiles programs to x86-64 machine code. It agrees with vm/interp on every register,
// byte of memory, fault and instruction count, and is only faster.
//
// Each ir.Insn becomes a fixed sequence, as in the kernel's JIT for this machine (do_jit in arch/x86/net/bpf_jit_comp.c,
// 7.2), with the same registers: R0 rax, R1 rdi, R2 rsi, R3 rdx, R4 rcx, R5 r8, R6 rbx, R7 r13, R8 r14, R9 r15, R10 rbp.
// r12 is the host address of simulated address 0, so that *(R1 + 8) is [r12+rdi+8]; r9 holds the instructions left of the
// budget; r10 and r11 are temporaries within one instruction.
//
// Machine code runs on a private stack, entered by a jump and left by one RET, with a reason in the context, a struct just
// below the simulated address space. A call of a helper or kfunc is such an exit: Go looks at the reason, calls the
// function and enters again. Designs that were measured and rejected: cgo (42 ns instead of 3 for an entry), CALL into
// machine code with a RET per exit (28 ns instead of 5 for a host call, since the processor mispredicts the returns), and
// machine code on the goroutine's stack (which a helper may move). An optimizing compiler gains at most 15 % over the
// fixed sequences on the code that compilers emit for BPF.
//
// Functions that say in code what they do (abi.Inline) run that code in place; lookups in arrays are arithmetic; lookups and
// updates in hashes and local storage follow the maps' tables (abi.Index), which lie in Go's memory where no program can
// reach them; bpf_loop is a loop around a call; a division by a constant is a multiplication. Where something is out of the
// ordinary the function is called after all, so that faults and their messages have one source.
//
// Programs are input: whatever they do ends in a value or a Fault. Every access is checked against the size of the space
// unless it is provably inside (a constant address, the own stack frame); code is mapped either writable or executable.
//
// Machine code gets the budget in slices (sliceInsns) and returns to Go after each, where the runtime can stop the goroutine:
// the garbage collector waits for a slice at most, about 100 µs.
//
// Read engine_linux_amd64.go for the life of a program, lower.go for its translation (lower_inline.go, lower_table.go and
// lower_loop.go for what needs no call), asm.go for the bytes.
package amd64
