// Package listing shows what an object file is made of, for people and, as JSON, for programs: its bytecode beside the C lines
// that it came from, the machine code beside the bytecode, maps with the values of global variables, and types.
//
// Read Program first. The text of instructions is that of the kernel's and LLVM's disassemblers, with names where those have
// numbers.
package listing
