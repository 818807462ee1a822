// Command bpf-conformance-plugin runs one program for the runner of the bpf_conformance project
// (https://github.com/Alan-Jowett/bpf_conformance), which starts it for each of its tests:
//
//	bpf_conformance_runner --test_file_directory tests --plugin_path bpf-conformance-plugin --plugin_options "--engine jit"
//
// The first argument, unless it begins with a dash, is the memory that R1 and R2 (its length) describe, as hexadecimal bytes;
// stdin has the bytecode in the same form or, with --elf, an object file whose function main is run. R0 goes to stdout in
// hexadecimal. What cannot be run is said on stderr, with exit code 1; wrong usage has exit code 2.
//
// The verifier has no say: the tests want to know what instructions do. Helpers can be called by their number in a register,
// as in other virtual machines; the kernel has no such calls, and so the simulator refuses them.
package main
