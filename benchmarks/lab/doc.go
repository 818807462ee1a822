// Command lab plays workloads on a real kernel, in a virtual machine, and records what happens: what the simulator is compared with.
//
//	go run ./benchmarks/lab run JOB.json        one boot: load and verify objects, play workloads, run programs
//	go run ./benchmarks/lab record [-workload NAME] [-scheduler NAME] [-cpus 1,2] [-seeds 1,2,3]
//	                                            the matrix, or a part of it, into benchmarks/lab/recorded
//	go run ./benchmarks/lab list                workloads, schedulers and what the lab has
//
// benchmarks/lab/setup brings the kernel and QEMU; README.md says what the modes are worth and how to add a workload. The
// machine is that of package qemu, its init is package guest, workloads are compiled by package plan.
package main
