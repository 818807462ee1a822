// Package kobj gives typed views over the bytes of simulated kernel objects: task_struct, cpumask, rq, cgroup.
//
// The bytes are the only copy of what a BPF program can read or write (p->scx.slice, p->cpus_ptr, ...): Go code reads
// and writes them through these views, programs through plain loads and stores at the offsets of the target kernel's
// BTF. A Layout holds those offsets; a Memory holds the bytes, in Go memory (Heap) or in the address space of the BPF
// machine.
//
// A view is a small value: an address, a pointer and the layout. The zero value of a view is no object. The host must
// be little-endian, as the simulated kernel is.
//
// Read Layout first, then Task.
package kobj
