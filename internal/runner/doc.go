// Package runner puts one simulation together: machine, classes, policy, workload, reports. The commands, the tests of
// whole runs and the benchmarks all go through Run, so that they exercise the same code.
//
// Read Options first. Run is for one goroutine and shares nothing with other runs, so many may go on at once.
package runner
