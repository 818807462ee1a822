// Package bpf compares the engines with each other and with the kernel's own: programs in C, each of which repeats
// one kind of work 512 times, run in turns on the interpreter, the machine-code engine and, where bpf(2) is allowed, the
// kernel that the benchmark runs on, which must all compute the same.
//
//	sudo go test -run '^$' -bench . ./benchmarks/bpf
//
// The figures are medians of many short rounds in turns, so that other work on the machine disturbs the ratios little. The
// objects are compiled by scripts/bench-objects.
package bpf
