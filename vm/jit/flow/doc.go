// Package flow finds what holds of a program's registers wherever it stands, before it is compiled: constants, pointers
// into the own stack frame, pointers whose bytes were checked, elements of arrays, values that nobody reads. It is what
// lets machine code leave out checks that cannot fail, and knows nothing of any machine.
//
// It follows the data flow of the kernel's verifier (check_cond_jmp_op and relatives, and liveness.c, 7.2) with one state
// per instruction: where paths meet, what differs is forgotten. A fact that is wrong lets a program out of its address
// space, so when in doubt nothing is known.
//
// Read Facts first, then Set.Analyze.
package flow
