// Package mem is the simulated kernel address space of one simulation: a range of kernel-looking addresses backed by
// host pages.
//
// A simulated address is Base + offset. The offset is the same on every run, machine and engine, so pointer values can
// appear in traces. Machine code keeps (host base - Base) in one register and addresses [register + pointer + offset];
// Base lies in the last 2 GiB so that a constant address fits a sign-extended 32-bit displacement, and -Base fits one too.
//
// The memory is handed out by a bump pointer with free lists kept in Go: nothing that a program writes can corrupt the
// allocator. Addresses from Base to the bump pointer are readable and writable, everything else is a fault. The pages
// come from a memfd where the system has one, so that they can be mapped into another process too.
package mem
