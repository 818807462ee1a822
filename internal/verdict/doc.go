// Package verdict asks what kernels would say to the programs of objects: for each program and kernel one Row, with the
// refusal if there is one, and remarks on what a kernel takes but is most likely not meant (lint.go). It is what
// `schedsim verify` prints.
//
// Start with Check. A verdict is that of package verifier, in the place that package sched/bpf/attach finds.
package verdict
