// Package sched defines what a scheduling policy for the simulated sched_ext is, whether written in Go or loaded from
// a BPF object.
package sched
