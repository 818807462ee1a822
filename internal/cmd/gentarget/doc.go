// Command gentarget turns a kernel image into the data of a package under ops/kernels: a reduced BTF, the kernel
// configuration, and the list of kernel functions that programs may call.
//
//	gentarget -image vmlinuz -config config -out ops/kernels/v7_2
//
// The full BTF of a distribution kernel has more than 100,000 types in 5 MB. Programs that schedule touch a small part
// of it, so a closure is kept: the types named in roots.go, what they embed, and what they point to up to a depth
// given there; everything else that is only pointed to becomes a forward declaration. Offsets, sizes, names and the
// order of types are those of the input. The same inputs give the same bytes. What roots.go asks for and a kernel does
// not have is named in the generated package.
//
// Which functions may be called, with which flags (KF_*), is not in the BTF but in the sets of the section .BTF_ids.
package main
