// Command gentarget turns a running kernel's type information into the data of a package under ops/kernels: a reduced
// BTF, the kernel configuration, and the list of kernel functions that programs may call.
//
//	gentarget -version 7.2 -release 7.2.13 -btf vmlinux.btf -config config -src linux -out ops/kernels/v7_2
//
// The full BTF of a distribution kernel has more than 100,000 types in 5 MB. Programs that schedule touch a small part
// of it, so a closure is kept: the types named in roots.go, what they embed, and what they point to up to a depth
// given there; everything else that is only pointed to becomes a forward declaration. Offsets, sizes, names and the
// order of types are those of the input. The same inputs give the same bytes.
//
// The flags of kernel functions (KF_*) are not in the BTF; they are read from the BTF_ID_FLAGS lines of the sources.
package main
