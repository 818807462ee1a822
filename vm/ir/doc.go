// Package ir is the form in which the engines run a program: decoded BPF instructions with every symbol resolved, one
// to one with the bytecode except that two-slot instructions are one.
//
// The interpreter (vm/interp) and the machine-code engines (vm/jit/...) take the same Program and must agree on every
// register, byte of memory, fault and count. The instruction set is BPF's, version 4, with the kernel's semantics:
// division by zero gives 0, modulo by zero leaves the dividend, shift counts are masked, 32-bit operations zero the
// upper half.
package ir
