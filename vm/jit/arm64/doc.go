// Package arm64 is the engine that compiles programs to AArch64 machine code. It agrees with vm/interp on every register,
// byte of memory, fault and instruction count, and is only faster.
//
// Each ir.Insn becomes a fixed sequence, as in the kernel's JIT for this machine (build_insn in
// arch/arm64/net/bpf_jit_comp.c, 7.2), with the same registers: R0 x7, R1-R5 x0-x4, R6-R9 x19-x22, R10 x25. The machine has
// so many that all constants of an access check live in registers, too: x24 is the host address of simulated address 0,
// so that *R1 is [x24+x0], x11 that of mem.Base (which is in x5), x12-x15 are the last offsets of accesses of 1, 2, 4 and 8
// bytes, x27 the host address of the own stack frame. x23 holds the instructions left of the budget, x8 the helpers that ran
// without a call, x26 the context. x9, x10, x16 and x17 are temporaries within one instruction.
//
// Machine code keeps its stack in x6 and does not touch SP, the frame pointer x29, the link register x30, Go's g in x28, or
// the platform's x18: to Go it is a leaf function, wherever a signal finds it. It is entered by a jump from assembly and left by
// the one RET that belongs to that call, with a reason in the context; subprograms return by BR, so that the processor's
// predictions of returns stay right when one of them leaves for Go. A call of a helper or kfunc is such an exit: Go looks at
// the reason, calls the function and enters again.
//
// What needs no call is done in place, as on the other machine (see package amd64).
//
// Programs are input: whatever they do ends in a value or a Fault. Every access is checked against the size of the space
// unless it is provably inside (vm/jit/flow) or verification has proved it; code is mapped either writable or executable.
//
// Read package native for the life of a program, lower.go for its translation, asm.go for the bytes.
package arm64
