// Package native runs machine code: what is the same for all machines, once their packages (vm/jit/amd64, vm/jit/arm64) have
// made it. It follows what the kernel does around bpf_prog_run (include/linux/filter.h, 7.2) in so far as programs can tell.
//
// Machine code and Go share a context, a struct in the control page just below the simulated address space. Go enters by a jump
// out of assembly, machine code leaves with one RET to Go and a reason in the context: the program is over, it calls a helper or
// kfunc, a slice of its budget is used up, or it did something that is a Fault. Calls that go both ways in turns are
// balanced for the processor, which predicts returns; designs that were measured and rejected are cgo (42 ns instead of 3 for
// an entry), CALL into machine code with a RET per exit (28 ns instead of 4 for a host call), and machine code on the goroutine's
// stack (which a helper may move).
//
// Machine code gets the budget in slices and returns to Go after each, where the runtime can stop the goroutine: the
// garbage collector waits for a slice at most, about 100 µs.
//
// Read Unit for what a machine's package makes, Code for the life of a program.
package native
