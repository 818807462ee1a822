// Package exits holds how schedulers come to an end on real kernels: what a small scheduler was told (kind, code, reason, message,
// debug dump) in each of the ways that testdata/cases.txt lists, on 7.2 and on the kernels that differ. Its test has the same
// scheduler come to the same end in the simulator.
//
// testdata/exits.bpf.c is the scheduler, testdata/exits.c attached it to the kernels, one case after another, in the lab's
// guest (scripts/exits). testdata/kernel-VERSION.jsonl is what came out; traces of the kernel's stack are left out of the dumps.
package exits
