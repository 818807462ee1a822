// Package fidelity compares the simulator with recorded runs of a real kernel.
//
// A recorded run is one JSON file: one workload under one scheduler on one machine with one seed (Run, whose file format
// this package owns). The lab's guest writes them, and the simulator's runs are brought into the same form, by the same
// code: Measure folds a stream of scheduler events, whoever made it, into the numbers of a Run, so that both sides mean
// the same by each number. A stream of sched_ext callbacks can lie beside a run as a text file (Stream).
//
// Runs of the same Case that differ in their seeds tell how much the kernel itself varies. Compare puts the simulator beside
// them, metric by metric, and judges by Tolerances; FirstDivergence finds where two streams of callbacks part.
//
// The package imports nothing of the simulator, so that the guest stays small; package internal/fidelity/play makes the
// simulator's runs.
package fidelity
