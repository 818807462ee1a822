// Package interp is the engine that runs everywhere and that says what a program means: the other engines must agree with
// it on every register, byte of memory, fault and instruction count.
//
// It follows ___bpf_prog_run (kernel/bpf/core.c, 7.2) for the meaning of instructions and the verifier's rewrites
// (kernel/bpf/fixups.c) for what the kernel's interpreter leaves undefined: division by zero, division of the smallest
// number by -1. Calls, stacks and counting are those of vm/engine.
//
// The loop of exec is a switch over ir.Insn without a translation step: a code of our own would be a second thing to keep
// right. Start at Engine.Compile.
package interp
