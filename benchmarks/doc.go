// Package benchmarks measures the simulator as a whole: what an event costs, and how many context switches per second
// are simulated under one policy written in Go and compiled from C, on each engine.
//
// The committed baseline.txt is what `go test -bench` printed on the machine that its first lines name. Compare with
// scripts/bench; within one run, only the ratios mean something on another machine.
package benchmarks
