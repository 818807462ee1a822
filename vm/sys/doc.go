// Package sys is the bpf(2) system call: objects (maps, programs, BTF, links) with reference counts and ids, the file
// descriptors of processes, and the commands that make, change and describe them, with the attributes, error numbers and
// logs of Linux 7.2. It follows kernel/bpf/syscall.c, and of btf.c, bpf_struct_ops.c, inode.c and log.c what the call shows.
//
// A Kernel holds the objects and runs the programs; a Process makes calls. A call takes the bytes of union bpf_attr and
// reaches everything else through a UserMemory, so that the caller may be Go code (package loader) or another process
// whose calls are intercepted: maps that can be mapped lie in pages of the address space's memfd (Process.Mmap says where).
//
// Programs come as bytecode. They are decoded, their descriptors and BTF ids resolved, checked as far as this package can
// (structure, calls, licenses, permissions), and compiled together when the first of them runs. What only types can tell
// is not checked: engines check accesses at run time instead.
//
// Read Process.BPF first, then Kernel and Options.
package sys
