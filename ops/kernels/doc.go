// Package kernels holds the kernels that can be simulated, as data: a reduced BTF, the configuration and the list of
// kernel functions of each. A version lives in a generated package of its own (v7_2); read Kernel first.
//
// To regenerate, set KERNEL to a directory with vmlinux.btf, config and src (the sources) of the release.
package kernels

//go:generate go run ../../internal/cmd/gentarget -version 7.2 -release 7.2.13 -btf $KERNEL/vmlinux.btf -config $KERNEL/config -src $KERNEL/src -out v7_2
