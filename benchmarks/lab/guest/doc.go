// Command guest is the init of the lab's virtual machine: it does the steps of /job.json and writes what they give, a line of
// JSON each, to a virtio port; then it switches the machine off.
//
// Workloads are played by one C program and schedulers are loaded by another (benchmarks/lab/native), so that nothing of a Go
// runtime runs while something is measured: this program sleeps in wait4 then.
package main
