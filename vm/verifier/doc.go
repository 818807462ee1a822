// Package verifier is the safety check of programs at load time. It follows the verifier of Linux 7.2 (kernel/bpf) and
// means to give the same verdict on every program: what it accepts does not fault, and what it refuses the kernel refuses,
// with the same last line where the kernel has one. Its files are named after the kernel's.
//
// Start with Check, then verifier.follow: it takes one path after the other through the program, with what is known of
// registers and stack (state, frame, reg, num) and gives a path up where an earlier one was at least as general
// (states.go); backtrack.go finds which scalars that comparison has to look at.
//
// The verifier knows nothing of where programs are attached: the arguments, the return value, permissions and the types
// of kernel functions come in through Attachment.
//
// Checked: control flow, loops and bounds on work; registers, stack, map values, memory, kernel objects by BTF with
// trust, RCU and null; arithmetic on pointers; packets and sockets; helpers and their prototypes by type of program; kernel
// functions with acquire, release, RCU and iterators; references, spin locks, RCU, preemption and irq sections; dynptrs,
// kptrs, allocated objects, lists and trees; calls, global functions, callbacks, tail calls, exceptions, jumps through
// tables; arenas; constants in read-only data; stack depth.
//
// Refused with CodeUnsupported: kernel functions with more than five arguments, types of programs that Attachment cannot
// tell of. Not checked at all, since it is no matter of safety here: unprivileged programs and speculative execution.
// docs/fidelity.md lists what else differs.
//
// Three sets of tests hold it to the kernel: cases in a notation of their own (testdata, rules_test.go: an accepting and a
// refusing program for each rule), recorded verdicts on the kernel's own BPF tests (suite_test.go, scripts/verifier-suite),
// and counts of instructions and states (counts_test.go).
//
// It gives paths up exactly where the kernel does: of the 3,500 programs whose counts are recorded, all follow as
// many instructions, keep as many states and use as much stack as in the kernel (counts_test.go). Memory is bounded by memory.go.
package verifier
