// Package amd64 is the engine that compiles programs to x86-64 machine code. It agrees with vm/interp on every register,
// byte of memory, fault and instruction count, and is only faster.
//
// Each ir.Insn becomes a fixed sequence, as in the kernel's JIT for this machine (do_jit in arch/x86/net/bpf_jit_comp.c,
// 7.2), with the same registers: R0 rax, R1 rdi, R2 rsi, R3 rdx, R4 rcx, R5 r8, R6 rbx, R7 r13, R8 r14, R9 r15, R10 rbp.
// r12 is the host address of simulated address 0, so that *(R1 + 8) is [r12+rdi+8]; rbp holds the host address that R10 stands
// for, so that *(R10 - 8) is [rbp-8]; r9 holds the instructions left of the budget; r10 and r11 are temporaries within one
// instruction. What an instruction computes for nobody is not computed (package flow), but counted.
//
// Machine code runs on a private stack, entered and left as package native says, but for programs that need none (leaf). An optimizing compiler gains at most 15 %
// over the fixed sequences on the code that compilers emit for BPF.
//
// Functions that say in code what they do (abi.Inline) run that code in place; lookups in arrays are arithmetic; lookups and
// updates in hashes and local storage follow the maps' tables (abi.Index), which lie in Go's memory where no program can
// reach them; bpf_loop is a loop around a call; a division by a constant is a multiplication. Where something is out of the
// ordinary the function is called after all, so that faults and their messages have one source.
//
// Programs are input: whatever they do ends in a value or a Fault. Every access is checked against the size of the space
// unless it is provably inside (a constant address, the own stack frame; see package flow) or verification has proved it
// (ir.Insn.Proved); code is mapped either writable or executable.
//
// Read lower.go for the translation (lower_inline.go, lower_table.go and lower_loop.go for what needs no call), asm.go for the
// bytes.
package amd64
